"""Working something out aside: in a forked child that sees everything as it stands at this instant.

Sets of customers and people and the waterfall take seconds in a large company. On the exporter's own
thread they would hold up every change and every scrape for so long; the child has a processor and an
interpreter lock of its own, and a consistent picture for nothing, since memory is copied on write.
"""

import contextlib
import os
import pickle
import signal
import warnings
from collections.abc import Callable
from typing import Any

from events.errors import DealpulseError


class AsideError(DealpulseError):
    """The child ended without an answer."""


class Aside:
    """One job at a time. `start` is called on the thread that owns what the job reads."""

    def __init__(self) -> None:
        self._child: int | None = None

    def start(self, job: Callable[[], Any]) -> int:
        """Fork, and let the child work. Returns the file descriptor that `answer` reads."""
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            # Python warns that other threads may hold locks at this moment. The child computes on plain
            # values, writes to its pipe and ends: it logs nothing, opens nothing, and never comes back.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            _close_all_but(writing)
            _work(job, writing)
        os.close(writing)
        self._child = child
        return reading

    def answer(self, reading: int) -> Any:
        """What the job gave; blocks until the child has ended. Raises AsideError."""
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        self._reap()
        if not said:
            raise AsideError(
                "the child that works figures out ended without an answer: see the memory limits"
            )
        return pickle.loads(said)  # noqa: S301 - from our own child

    def stop(self) -> None:
        """End a child that is still at work."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)

    def _reap(self) -> None:
        if self._child is not None:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._child, 0)
            self._child = None


def _close_all_but(kept: int) -> None:
    """In the child: let go of what is the parent's. Should that be killed, its port is free at once."""
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))


def _work(job: Callable[[], Any], writing: int) -> None:
    """In the child: work at low priority, tell, end. Nothing of the parent's clean-up may run here.

    What follows every change must not wait for what is worked out every quarter of a minute.
    """
    os.nice(10)
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
    except ValueError:  # not the main thread of a program: the parent's pipe ends the child's work instead
        pass
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(pickle.dumps(job()))
    except BaseException:  # noqa: BLE001 - whatever it is, an empty answer tells the parent
        os._exit(1)
    os._exit(0)
