"""Where a command writes events: a file (complete or not there at all), or standard output."""

import gzip
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from events.errors import UsageError


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A file for lines of events, `-` being standard output and a name in .gz packed.

    It is written beside its place and moved there at the end, so that an interrupted command leaves no
    half a file. Raises UsageError if it cannot be written.
    """
    if str(path) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as raw:
            if path.suffix == ".gz":
                # Without name and time in it, the same events make the same file.
                with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0, compresslevel=6) as packed:
                    yield cast("IO[bytes]", packed)
            else:
                yield raw
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)
