"""Tables: CSV files as rows with line numbers, in which a broken row costs only itself."""

import csv
import gzip
import io
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from ..errors import UsageError

_GZIP = b"\x1f\x8b"
_LONGEST_RECORD_LINES = 200
"""A quoted cell may hold line ends; a quote that is still open after so many lines is a fault of its line."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line of the file it begins on (from 1), its text, and its cells by column, stripped."""

    line: int
    text: str
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row or line that is left out, and why."""

    file: str
    line: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is written: what separates cells, and its columns if no first line names them."""

    delimiter: str = ","
    encoding: str = "utf-8-sig"
    columns: tuple[str, ...] = ()


class Source:
    """A file to read, plain or gzipped, that knows how much of it has been read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._raw: IO[bytes] | None = None
        self._read = 0

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size

    @property
    def read(self) -> int:
        """Bytes on disk that have been read so far."""
        return self._raw.tell() if self._raw is not None and not self._raw.closed else self._read

    @contextmanager
    def lines(self) -> Iterator[IO[bytes]]:
        """The file as bytes, unpacked. Raises UsageError if it cannot be read."""
        try:
            with self.path.open("rb") as raw:
                self._raw = raw
                packed = raw.read(2) == _GZIP
                raw.seek(0)
                if packed:
                    with gzip.GzipFile(fileobj=raw) as unpacked:
                        yield cast("IO[bytes]", unpacked)
                else:
                    yield raw
                self._read = raw.tell()
        except (OSError, EOFError) as error:
            raise UsageError(
                f"{self.path} cannot be read: {getattr(error, 'strerror', None) or error}"
            ) from error


class Table:
    """The rows of a CSV file. Iterating gives a Row, or a Refusal for what is none."""

    def __init__(self, source: Source, layout: Layout) -> None:
        self.source, self._layout = source, layout
        self.columns = layout.columns or self._header()

    def __iter__(self) -> Iterator[Row | Refusal]:
        with self.source.lines() as lines:
            yield from self._rows(_Records(lines, self._layout))

    def _rows(self, records: "_Records") -> Iterator[Row | Refusal]:
        named = bool(self._layout.columns)
        for line, text, found in records:
            if isinstance(found, str):
                yield Refusal(str(self.source.path), line, found, text)
            elif not named:
                named = True
            elif not found or found == [""]:
                continue
            elif len(found) != len(self.columns):
                has = "1 cell" if len(found) == 1 else f"{len(found)} cells"
                reason = f"{has}; the table has {len(self.columns)} columns"
                yield Refusal(str(self.source.path), line, reason, text)
            else:
                cells = {name: cell.strip() for name, cell in zip(self.columns, found, strict=True)}
                yield Row(line, text, cells)

    def _header(self) -> tuple[str, ...]:
        with self.source.lines() as lines:
            for _, _, found in _Records(lines, self._layout):
                if isinstance(found, str):
                    raise UsageError(
                        f"{self.source.path}: the first line cannot be read as a header: {found}"
                    )
                names = tuple(cell.strip() for cell in found)
                twice = sorted({name for name in names if name and names.count(name) > 1})
                if twice:
                    raise UsageError(f"{self.source.path}: the header names column {twice[0]!r} twice")
                return names
        raise UsageError(f"{self.source.path} is empty: expected a first line that names the columns")


class _Records:
    """Records of a CSV file: the line, the text, and the cells or why there are none."""

    def __init__(self, lines: IO[bytes], layout: Layout) -> None:
        self._lines, self._layout = lines, layout
        self._pending: deque[tuple[int, str]] = deque()
        # Bytes that are no text are kept as surrogates, and refused with their own record.
        self._text = io.TextIOWrapper(lines, encoding=layout.encoding, errors="surrogateescape", newline="")
        self._numbered = enumerate(self._text, start=1)

    def __iter__(self) -> Iterator[tuple[int, str, Sequence[str] | str]]:
        try:
            while (first := self._next()) is not None:
                yield self._record(*first)
        finally:
            self._text.detach()

    def _record(self, line: int, text: str) -> tuple[int, str, Sequence[str] | str]:
        taken: list[tuple[int, str]] = []
        record = text
        while True:
            found = self._cells(record)
            if found is not None:
                return line, _shown(record), found
            more = self._next() if len(taken) < _LONGEST_RECORD_LINES else None
            if more is None:
                self._pending.extendleft(reversed(taken))
                return line, _shown(text), "a quote is opened and never closed"
            taken.append(more)
            record += more[1]

    def _cells(self, record: str) -> list[str] | str | None:
        """The cells, or what is wrong, or None while a quote is open."""
        try:
            cells = next(csv.reader([record], delimiter=self._layout.delimiter, strict=True), [])
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                return None
            return f"not CSV: {error}"
        if any(
            "\udc80" <= character <= "\udcff" for cell in cells for character in cell if character > "\x7f"
        ):
            return f"not text in {self._layout.encoding.removesuffix('-sig')}"
        return cells

    def _next(self) -> tuple[int, str] | None:
        return self._pending.popleft() if self._pending else next(self._numbered, None)


def _shown(text: str) -> str:
    return text.rstrip("\r\n").encode(errors="surrogateescape").decode(errors="replace")
