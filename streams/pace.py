"""Work beside others: a process that rests as long as it works leaves latency to those who need it.

A low priority alone does not: it waits for a free core, but what it asks of Kafka and Redis is answered at
their own priority, and caches are shared.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_TURN_S: Final = 0.005


@contextmanager
def resting(share: float) -> Iterator[None]:
    """Use at most `share` (0 to 1) of one core meanwhile, whatever is called. Only in the main thread.

    The kernel counts the CPU time of this process; for every turn of it the main thread sleeps a while,
    wherever it is.
    """
    if share >= 1:
        yield
        return
    rest_s = _TURN_S * (1 - share) / share

    def rest(_number: int, _frame: object) -> None:
        time.sleep(rest_s)

    before = signal.signal(signal.SIGPROF, rest)
    signal.setitimer(signal.ITIMER_PROF, _TURN_S, _TURN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
