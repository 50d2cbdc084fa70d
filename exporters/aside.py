"""Working something out aside: in a forked child that sees everything as it stands at this instant.

Sets of customers and people and the waterfall take seconds in a large company. On the exporter's own
thread they would hold up every change and every scrape for so long; the child has a processor and an
interpreter lock of its own, and a consistent picture for nothing, since memory is copied on write.
"""

import contextlib
import os
import pickle
import signal
import threading
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
        self._is_stopped = False
        self._lock = threading.Lock()
        """Between starting, ending and stopping a child: none is missed, and no stranger killed."""

    def start(self, job: Callable[[], Any]) -> int:
        """Fork, and let the child work. Returns the file descriptor that `answer` reads. Raises AsideError."""
        with self._lock:
            if self._is_stopped:
                raise AsideError("nothing is worked out any more: the exporter stops")
            reading, writing = os.pipe()
            try:
                child = _forked()
            except OSError as error:
                os.close(reading)
                os.close(writing)
                raise AsideError(f"no child can be started to work figures out: {error}") from error
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
        code = self._reap()
        if not said or code:
            how = f" (signal {-code})" if code and code < 0 else ""
            raise AsideError(
                f"the child that works figures out ended without an answer{how}: see the memory limits"
            )
        try:
            return pickle.loads(said)  # noqa: S301 - from our own child
        except (pickle.UnpicklingError, EOFError) as error:
            raise AsideError(f"the child that works figures out gave half an answer: {error}") from error

    def stop(self) -> None:
        """End a child that is still at work; there will be no other."""
        with self._lock:
            self._is_stopped = True
            if self._child is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._child, signal.SIGKILL)

    def _reap(self) -> int | None:
        """The exit code of the child, which has closed its pipe; below 0: the signal that ended it."""
        with self._lock:
            child, self._child = self._child, None
            if child is not None:
                with contextlib.suppress(ChildProcessError):
                    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return None


def _forked() -> int:
    with warnings.catch_warnings():
        # Python warns that other threads may hold locks at this moment. The child computes on plain
        # values, writes to its pipe and ends: it logs nothing, opens nothing, and never comes back.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


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
