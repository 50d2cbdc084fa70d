"""A child process that never outlives its parent, and leaves no file behind.

Each child runs in a session of its own beside a *keeper*: a `/bin/sh` that reads from a pipe whose
other end only this process holds. When this process ends, however it ends, the pipe closes; the
keeper then kills the child's session and removes its folder. (Linux's parent-death signal would do
for the child, but it fires when the starting *thread* ends, and removes no folder.)
"""

import contextlib
import errno
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from events.errors import UnreachableError, UsageError

_KEEPER = 'read -r group; while read -r _; do :; done; kill -s KILL -- "-$group" 2>/dev/null; rm -rf -- "$0"'


class ChildError(UnreachableError):
    """A child process could not be started, or was not ready in time; one line says why."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_free(port: int, *, wanted_by: str) -> None:
    """Raise UsageError if something listens on this port of 127.0.0.1 already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(
                f"{wanted_by}: port {port} of 127.0.0.1 cannot be used ({error.strerror}). "
                "Stop what listens there, or choose another port (0: any free one)."
            ) from error


class Child:
    """One program, its folder and its log, started and stopped together.

    `folder` exists after `start()` and holds `output.log`; it is removed by `stop()`. Usable as a
    context manager. After `kill()` or `stop()` it may be started again, with the same folder after
    `kill()` and a fresh one after `stop()`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder: Path | None = None
        self._program: subprocess.Popen[bytes] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the program and wait until it is ready. Raises ChildError."""
        folder = self._folder()
        try:
            self.prepare(folder)
            self.launch(self.command(folder), folder=folder, environment=self.environment())
            self.wait_until(self.ready, "to be ready", seconds=self.start_seconds)
        except BaseException:
            self.stop()
            raise
        return self

    start_seconds = 30.0
    """How long a start may take."""

    def prepare(self, folder: Path) -> None:
        """Write what the program needs to find in its folder."""

    def command(self, folder: Path) -> Sequence[str]:
        """The program and its arguments."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str] | None:
        """The program's environment; None: the same as this process's."""
        return None

    def ready(self) -> bool:
        """Whether the program, and no other in its place, does its work."""
        return self.running

    def launch(self, command: Sequence[str], *, folder: Path, environment: Mapping[str, str] | None) -> None:
        """Run the command beside its keeper, its output going to `output.log`."""
        try:
            with (folder / "output.log").open("ab") as log:
                self._keeper = subprocess.Popen(
                    ["/bin/sh", "-c", _KEEPER, str(folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    start_new_session=True,
                )
                self._program = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env=None if environment is None else dict(environment),
                    start_new_session=True,
                )
                assert self._keeper.stdin is not None
                self._keeper.stdin.write(b"%d\n" % self._program.pid)
                self._keeper.stdin.flush()
        except OSError as error:
            raise ChildError(f"{self.name} cannot be started: {error}. {_advice(error)}") from error

    @property
    def pid(self) -> int:
        """The process id of the running program."""
        if self._program is None:
            raise ChildError(f"{self.name} is not running")
        return self._program.pid

    @property
    def running(self) -> bool:
        """Whether the program has been started and has not ended."""
        return self._program is not None and self._program.poll() is None

    def output(self) -> str:
        """All that the program has written."""
        if self.folder is None:
            return ""
        with contextlib.suppress(OSError):
            return (self.folder / "output.log").read_text("utf-8", "replace")
        return ""

    def wait_until(self, condition: Callable[[], bool], what: str, *, seconds: float) -> None:
        """Wait for a condition. Raises ChildError if the program ends first or time runs out."""
        deadline = time.monotonic() + seconds
        while not condition():
            if not self.running:
                raise ChildError(f"{self.name} ended while starting: {self._last_words()}")
            if time.monotonic() > deadline:
                raise ChildError(f"{self.name} took over {seconds:g} s {what}: {self._last_words()}")
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        if self._program is not None:
            self._program.send_signal(number)

    def pause(self) -> None:
        """Freeze the program (SIGSTOP)."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen program go on (SIGCONT)."""
        self.signal(signal.SIGCONT)

    def wait(self, seconds: float) -> int:
        """The exit code, once the program ends. Raises ChildError if it takes longer."""
        assert self._program is not None
        try:
            return self._program.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise ChildError(f"{self.name} did not end within {seconds:g} s: {self._last_words()}") from error

    def kill(self) -> None:
        """End the program at once (`kill -9` of its session); folder and log stay."""
        if self._program is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._program.pid, signal.SIGKILL)
            self._program.wait()
            self._program = None
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper.wait()
            assert self._keeper.stdin is not None
            with contextlib.suppress(OSError):
                self._keeper.stdin.close()
            self._keeper = None

    def stop(self, seconds: float = 20.0) -> int | None:
        """End the program (SIGTERM, then `kill -9`) and remove its folder. Returns its exit code."""
        code = None
        if self._program is not None:
            self._program.send_signal(signal.SIGCONT)
            self._program.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._program.wait(seconds)
        self.kill()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
        return code

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _folder(self) -> Path:
        if self.folder is None:
            try:
                self.folder = Path(tempfile.mkdtemp(prefix=f"dealpulse-{self.name}-"))
            except OSError as error:
                raise ChildError(f"{self.name} gets no folder: {error}. {_advice(error)}") from error
        return self.folder

    def _last_words(self) -> str:
        lines = [line.strip() for line in self.output().splitlines() if line.strip()]
        telling = [line for line in lines if "error" in line.lower() or "err=" in line.lower()]
        return (telling or lines or ["it said nothing"])[-1][:300]


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"Free space on the disk of {tempfile.gettempdir()}, or set TMPDIR to another folder."
    if error.errno in (errno.ENOENT, errno.EACCES, errno.ENOEXEC):
        return "Install the program, or make it executable."
    return "Repair this and start again."
