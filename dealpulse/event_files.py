"""Events from files: JSON Lines, one event a line, also gzipped; `-` is standard input."""

import gzip
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from events.errors import BadEventError, UsageError
from events.event import Event
from events.reader import read

GZIP_MAGIC = b"\x1f\x8b"


class EventFiles:
    """The events of some files; lines that are none are refused and counted, as in the running system."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = tuple(files)
        self.refused = 0
        self.first_refusal = ""
        """File, line, reason and what to mend of the first refused line."""

    def __iter__(self) -> Iterator[Event]:
        """Every good event, in the order of files and lines; empty lines are nothing.

        Raises UsageError for a file that cannot be read.
        """
        self.refused = 0
        for file in self._files:
            try:
                with _opened(file) as lines:
                    yield from self._events(file, lines)
            except (OSError, EOFError) as error:
                raise UsageError(
                    f"{file} cannot be read: {getattr(error, 'strerror', None) or error}. "
                    "Name a file of events, JSON Lines or gzip of it"
                ) from error

    def _events(self, file: Path, lines: Iterable[bytes]) -> Iterator[Event]:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield read(line.rstrip(b"\r\n"))  # the break is not the event's: it may have 1 MiB without it
            except BadEventError as error:
                self.refused += 1
                if self.refused == 1:
                    self.first_refusal = f"{file}, line {number}: {error.reason}: {error}"


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    with file.open("rb") as raw:
        packed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        raw.seek(0)
        if not packed:
            yield raw
            return
        with gzip.GzipFile(fileobj=raw) as unpacked:
            yield cast("IO[bytes]", unpacked)
