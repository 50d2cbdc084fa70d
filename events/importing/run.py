"""An import: the files of a folder, row by row, as events; with what was refused, mapped and left out.

Iterating an Import gives one Step per row; nothing is written here. The same files and mapping give the
same events with the same ids, so an import may be repeated, or taken up again after any row.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import BadEventError, ConfigurationError, UsageError
from ..reader import inspect, parse
from ..subjects import ALL
from ..topics import RESYNC, TOPICS, TYPES, topic_of, type_of
from .mapping import FileSpec, ImportMapping, column_fault
from .tables import Refusal, Row, Source, Table
from .translate import Prepared, RefusedRowError, Translator, content_id, holds
from .values import Evaluator


class Position(NamedTuple):
    """How far an import has come: the number of the file, and the line of its last row done."""

    file: int
    line: int


START = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Step:
    """What one row (or line) gave: events, or a refusal."""

    position: Position
    events: Sequence[Prepared]
    refusal: Refusal | None = None


@dataclass(slots=True)
class FileSummary:
    """What became of one file."""

    name: str
    rows: int = 0
    refused: int = 0
    skipped: int = 0
    """Rows done by an earlier run that this one takes up."""
    events: Counter[str] = field(default_factory=Counter)
    """Events by type."""
    columns_mapped: tuple[str, ...] = ()
    columns_not_mapped: tuple[str, ...] = ()
    columns_missing: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "file": self.name,
            "rows": self.rows,
            "refused": self.refused,
            "skipped": self.skipped,
            "events": dict(sorted(self.events.items())),
            "columns_mapped": list(self.columns_mapped),
            "columns_not_mapped": list(self.columns_not_mapped),
            "columns_missing": list(self.columns_missing),
        }


class Import:
    """What the files at a path become by a mapping; `path` is a folder, or the mapping's only file."""

    def __init__(self, path: Path, mapping: ImportMapping) -> None:
        self.mapping = mapping
        self._files = list(_found(path, mapping))
        if not self._files:
            names = ", ".join(file.path for file in mapping.files)
            raise UsageError(f"{path} holds none of the files that the mapping names: {names}")
        self._tables = [(spec, Table(source, spec.layout)) for spec, source in self._files]
        looked_up = [
            frozenset(
                column
                for lookup in mapping.lookups.values()
                if lookup.file == spec.path
                for column in (lookup.key, lookup.value)
            )
            for spec, _ in self._tables
        ]
        self.summaries = [
            _summary(spec, table, columns)
            for (spec, table), columns in zip(self._tables, looked_up, strict=True)
        ]
        evaluator = Evaluator(
            lookups=self._lookups(),
            values=mapping.values,
            formats=mapping.formats,
            nulls=frozenset(mapping.nulls),
            zone=mapping.zone,
        )
        self._translator = Translator(mapping.source, evaluator)
        self._topics: set[str] = set()

    @property
    def bytes_total(self) -> int:
        """Size of all files."""
        return sum(source.size for _, source in self._files)

    @property
    def bytes_read(self) -> int:
        """How much of it has been read."""
        return sum(source.read for _, source in self._files)

    @property
    def refused(self) -> int:
        """Rows refused so far."""
        return sum(summary.refused for summary in self.summaries)

    def digest(self) -> str:
        """Differs whenever a file or the mapping does: what an earlier run did then means nothing."""
        told = [self.mapping.model_dump_json()]
        for _, source in self._files:
            stat = source.path.stat()
            told.append(f"{source.path.name} {stat.st_size} {stat.st_mtime_ns}")
        return hashlib.sha256("\n".join(told).encode()).hexdigest()

    def steps(self, after: Position = START) -> Iterator[Step]:
        """One step per row, from the one behind `after` on."""
        for number, (spec, table) in enumerate(self._tables):
            if not spec.events:
                continue  # only looked up in
            summary = self.summaries[number]
            self._topics |= {topic_of(TYPES[event.type][0]) for event in spec.events}
            for row in table:
                if (number, row.line) <= after:
                    summary.skipped += 1
                    continue
                yield self._step(Position(number, row.line), row, spec, summary)

    def settled(self, exported_at: str) -> list[Prepared]:
        """The `resync.completed` of every topic the files speak of, true for the instant of the export."""
        return [
            _completed(self.mapping.source, topic, exported_at) for topic in TOPICS if topic in self._topics
        ]

    def exported_s(self) -> float:
        """When the newest of the files was written, in Unix seconds."""
        return max(source.path.stat().st_mtime for _, source in self._files)

    def _step(self, position: Position, row: Row | Refusal, spec: FileSpec, summary: FileSummary) -> Step:
        summary.rows += 1
        if isinstance(row, Row):
            try:
                events = self._translator.events(row, spec.events, spec.clean)
            except RefusedRowError as error:
                row = Refusal(summary.name, row.line, str(error), row.text)
            else:
                summary.events.update(event.type for event in events)
                return Step(position, events)
        summary.refused += 1
        return Step(position, (), row)

    def _lookups(self) -> dict[str, dict[str, str]]:
        tables = {spec.path: table for spec, table in self._tables}
        evaluator = Evaluator(
            lookups={}, values={}, formats={}, nulls=frozenset(self.mapping.nulls), zone="UTC"
        )
        found: dict[str, dict[str, str]] = {}
        for name, lookup in self.mapping.lookups.items():
            table = tables.get(lookup.file)
            found[name] = {}
            if table is None:
                continue  # an optional file that is not there
            for column in (lookup.key, lookup.value, *(condition.column for condition in lookup.when)):
                if column not in table.columns:
                    raise ConfigurationError(
                        f"lookups.{name}: {table.source.path}: {column_fault(column, table.columns)}"
                    )
            for row in table:
                if isinstance(row, Row) and all(holds(each, row.cells, evaluator) for each in lookup.when):
                    key, value = row.cells[lookup.key], row.cells[lookup.value]
                    if not evaluator.is_empty(key) and not evaluator.is_empty(value):
                        found[name].setdefault(key, value)
        return found


class LinesImport:
    """Canonical events, one JSON document a line, taken over as they are."""

    def __init__(self, paths: Sequence[Path], *, to_topics: bool) -> None:
        self._sources = [Source(path) for path in paths]
        self._to_topics = to_topics
        self.summaries = [FileSummary(str(path)) for path in paths]

    @property
    def bytes_total(self) -> int:
        """Size of all files."""
        return sum(source.size for source in self._sources)

    @property
    def bytes_read(self) -> int:
        """How much of it has been read."""
        return sum(source.read for source in self._sources)

    @property
    def refused(self) -> int:
        """Lines refused so far."""
        return sum(summary.refused for summary in self.summaries)

    def digest(self) -> str:
        """Differs whenever a file does."""
        stats = [(source.path.name, source.path.stat()) for source in self._sources]
        told = "\n".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats)
        return hashlib.sha256(told.encode()).hexdigest()

    def steps(self, after: Position = START) -> Iterator[Step]:
        """One step per line that is not empty, from the one behind `after` on."""
        for number, source in enumerate(self._sources):
            summary = self.summaries[number]
            with source.lines() as lines:
                for line, value in enumerate(lines, start=1):
                    value = value.strip()
                    if not value:
                        continue
                    if (number, line) <= after:
                        summary.skipped += 1
                        continue
                    yield self._step(Position(number, line), value, summary)

    def _step(self, position: Position, value: bytes, summary: FileSummary) -> Step:
        summary.rows += 1
        try:
            event = inspect(value).event
            topic = self._topic(event.entity, value)
        except BadEventError as error:
            summary.refused += 1
            text = value.decode(errors="replace")
            return Step(position, (), Refusal(summary.name, position.line, f"{error.reason}: {error}", text))
        type_ = type_of(event.entity, event.verb)
        summary.events[type_] += 1
        return Step(position, [Prepared(topic, type_, event.subject, value)])

    def _topic(self, entity: str, value: bytes) -> str:
        if entity != RESYNC:
            return topic_of(entity)
        topic = parse(value).get(_TOPIC_ATTRIBUTE)
        if topic in TOPICS:
            return str(topic)
        if self._to_topics:
            raise BadEventError(
                "invalid_envelope",
                f"a resync says by its attribute {_TOPIC_ATTRIBUTE!r} which topic it is for: {', '.join(TOPICS)}",
                path=_TOPIC_ATTRIBUTE,
            )
        return ""


_TOPIC_ATTRIBUTE = "kafkatopic"
"""A CloudEvents extension: in a file, the topic of a resync, which any topic may carry."""


def _completed(source: str, topic: str, exported_at: str) -> Prepared:
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": "",
        "source": source,
        "type": type_of(RESYNC, "completed"),
        "subject": ALL,
        "time": exported_at,
        "recordedtime": exported_at,
        _TOPIC_ATTRIBUTE: topic,
    }
    document["id"] = content_id(document)
    value = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Prepared(topic, document["type"], ALL, value)


def _found(path: Path, mapping: ImportMapping) -> Iterator[tuple[FileSpec, Source]]:
    if path.is_file():
        if len(mapping.files) > 1:
            names = ", ".join(file.path for file in mapping.files)
            raise UsageError(f"{path} is one file; this mapping reads a folder with {names}")
        yield mapping.files[0], Source(path)
        return
    if not path.is_dir():
        raise UsageError(f"{path} does not exist: give the file or folder to import")
    for spec in mapping.files:
        paths = sorted({*path.glob(spec.path), *path.glob(spec.path + ".gz")})
        if not paths and not spec.optional:
            there = sorted(each.name for each in path.iterdir())[:20]
            raise UsageError(f"{path} has no {spec.path}; it holds {', '.join(there) or 'nothing'}")
        for each in paths:
            yield spec, Source(each)


def _summary(spec: FileSpec, table: Table, looked_up: frozenset[str]) -> FileSummary:
    read, columns = spec.read_columns() | looked_up, table.columns
    missing = sorted(read - set(columns))
    for column in missing:
        if column not in spec.may_miss:
            raise ConfigurationError(f"{table.source.path}: {column_fault(column, columns)}")
    return FileSummary(
        name=str(table.source.path),
        columns_mapped=tuple(column for column in columns if column in read),
        columns_not_mapped=tuple(column for column in columns if column not in read),
        columns_missing=tuple(missing),
    )
