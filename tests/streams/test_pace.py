"""A process that rests uses no more than its share of a core, whatever it calls."""

import signal
import time

import pytest

from streams.pace import resting


def _work(cpu_s: float) -> float:
    """Compute for so long; seconds that passed."""
    began, until = time.monotonic(), time.process_time() + cpu_s
    while time.process_time() < until:
        sum(range(1_000))
    return time.monotonic() - began


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_who_rests_takes_so_much_longer(share: float) -> None:
    before = signal.getsignal(signal.SIGPROF)
    with resting(share):
        took = _work(0.2)

    assert took > 0.8 * 0.2 / share  # a machine with other work only makes it longer
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGPROF) == before


def test_a_share_of_one_is_no_rest() -> None:
    with resting(1.0):
        assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_who_fails_meanwhile_rests_no_more() -> None:
    with pytest.raises(LookupError), resting(0.5):
        raise LookupError

    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
