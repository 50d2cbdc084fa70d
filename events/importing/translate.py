"""Rows to events: the events that one row of a table gives, with ids derived from what they say."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import BadEventError
from ..reader import check
from ..topics import TYPES, topic_of
from .mapping import Condition, EventSpec
from .tables import Row
from .values import ABSENT, Cells, Evaluator, RefusedValueError, Value


class Prepared(NamedTuple):
    """An event ready to be published or written: its topic, its key and its bytes."""

    topic: str
    type: str
    key: str
    value: bytes


class RefusedRowError(Exception):
    """A row that gives no events; the message says which value is at fault."""


class Translator:
    """Turns rows into events of one source."""

    def __init__(self, source: str, evaluator: Evaluator) -> None:
        self._source, self._evaluator = source, evaluator
        self._seen: set[str] = set()

    def events(
        self, row: Row, specs: tuple[EventSpec, ...], cleaned: Mapping[str, Mapping[str, str]]
    ) -> list[Prepared]:
        """All events of a row. Raises RefusedRowError: a row is taken whole or not at all."""
        cells: Cells = row.cells
        if cleaned:
            cells = dict(cells) | {
                name: cells_as_meant.get(cells[name], cells[name])
                for name, cells_as_meant in cleaned.items()
                if name in cells
            }
        found = [self._event(spec, cells) for spec in specs if self._holds(spec.when, cells)]
        return [each for each in found if each is not None]

    def _holds(self, conditions: tuple[Condition, ...], cells: Cells) -> bool:
        return all(holds(condition, cells, self._evaluator) for condition in conditions)

    def _event(self, spec: EventSpec, cells: Cells) -> Prepared | None:
        document: dict[str, Any] = {
            "specversion": "1.0",
            "id": "",
            "source": self._source,
            "type": spec.type,
            "subject": self._text("subject", spec.subject, cells),
            "time": self._text("time", spec.time, cells),
        }
        if spec.sequence is not None:
            document["sequence"] = self._text("sequence", spec.sequence, cells)
        recorded = document["time"] if spec.recorded is None else self._text("recorded", spec.recorded, cells)
        document["recordedtime"] = recorded
        document["datacontenttype"] = "application/json"
        data: dict[str, Any] = {"complete": True} if spec.complete else {}
        for name, value in spec.data.items():
            stated = self._evaluate(name, value, cells)
            if stated is not ABSENT:
                data[name] = stated
        document["data"] = data
        entity = TYPES[spec.type][0]
        document["id"] = content_id(document)
        if spec.distinct:
            if document["id"] in self._seen:
                return None
            self._seen.add(document["id"])
        try:
            check(document)
        except BadEventError as error:
            raise RefusedRowError(f"{spec.type}: {error}") from error
        value_bytes = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        return Prepared(topic_of(entity), spec.type, document["subject"], value_bytes)

    def _text(self, name: str, value: Value, cells: Cells) -> str:
        found = self._evaluate(name, value, cells)
        if found is ABSENT or found is None:
            raise RefusedRowError(f"{name} is empty{_origin(value)}")
        return found if isinstance(found, str) else str(found)

    def _evaluate(self, name: str, value: Value, cells: Cells) -> Any:
        try:
            return self._evaluator.evaluate(value, cells)
        except RefusedValueError as error:
            raise RefusedRowError(f"{name}{_origin(value)}: {error}") from error


def holds(condition: Condition, cells: Cells, evaluator: Evaluator) -> bool:
    """Whether a condition holds for a row."""
    cell = cells.get(condition.column, "")
    if condition.present is not None and condition.present == evaluator.is_empty(cell):
        return False
    if condition.one_of and cell not in condition.one_of:
        return False
    return cell not in condition.none_of


def content_id(document: Mapping[str, Any]) -> str:
    """An id that is the same whenever the same is said, whatever order its fields were given in."""
    said = {name: value for name, value in document.items() if name not in ("id", "recordedtime")}
    text = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _origin(value: Value) -> str:
    if value.column:
        return f" (column {value.column})"
    return f" ({', '.join(sorted(value.columns))})" if value.columns else ""
