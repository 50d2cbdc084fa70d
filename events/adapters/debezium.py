"""Debezium on a CRM's database: each row's change, mapped by a table of columns."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from functools import cached_property
from typing import Any

from ..errors import BadEventError
from .document import identifier, kind_of, mapping_at, read_document
from .fields import FIELDS, Dialect, truth
from .instants import Unit, day_of, epoch_day, from_unix, instant_of, rfc3339, stated_date
from .outgoing import Outgoing
from .settings import DebeziumSettings, DebeziumTable, EntityMapping
from .statement import Origin, Vocabulary, padded, vocabulary

_STATEMENTS = ("c", "u", "r")
_LSN = re.compile(r"[0-9a-fA-F]+(?::[0-9a-fA-F]+)*", re.ASCII)
_DECIMAL_SCHEMA = "org.apache.kafka.connect.data.Decimal"
_SCHEMA_UNITS: Mapping[str, Unit] = {
    "io.debezium.time.Date": "days",
    "org.apache.kafka.connect.data.Date": "days",
    "io.debezium.time.Timestamp": "ms",
    "org.apache.kafka.connect.data.Timestamp": "ms",
    "io.debezium.time.MicroTimestamp": "us",
    "io.debezium.time.NanoTimestamp": "ns",
}
_AMOUNTS = ("decimal", "ratio")


@dataclass(frozen=True)
class Debezium:
    """The translator of one database. `zone` is the company's: an instant becomes a day there."""

    settings: DebeziumSettings
    zone: tzinfo

    def translate(self, body: bytes, key: bytes = b"") -> list[Outgoing]:
        """The canonical events of one change; none for a tombstone or a table that is not mapped.

        `key` is the record's key, needed for deletions whose `before` is empty. Raises `BadEventError`.
        """
        document = read_document(body) if body else None
        schema: Any = None
        if isinstance(document, dict) and "payload" in document and "op" not in document:
            document, schema = document["payload"], document.get("schema")
        if document is None:
            return []  # the tombstone behind a deletion
        source = mapping_at(document, "source")
        operation = document.get("op")
        if operation == "m":
            return []  # a message written into the log, no row
        name, table = self._table(source)
        if table is None:
            return []
        return list(self._events(document, source, name, table, _columns(schema), key))

    @cached_property
    def words(self) -> Mapping[str, Vocabulary]:
        """By table: its columns and values."""
        return {
            name: vocabulary(
                table.entity,
                EntityMapping(values=table.values),
                fields=table.columns,
                values={},
                dialect=Dialect(percent=False),
                id_prefix=self.settings.id_prefix,
                currency=self.settings.currency,
            )
            for name, table in self.settings.tables.items()
        }

    def _table(self, source: Mapping[str, Any]) -> tuple[str, DebeziumTable | None]:
        table = identifier(source.get("table"), "source.table")
        schema = source.get("schema") or source.get("db")
        full = f"{schema}.{table}"
        if full in self.settings.tables:
            return full, self.settings.tables[full]
        return table, self.settings.tables.get(table)

    def _events(
        self,
        document: Mapping[str, Any],
        source: Mapping[str, Any],
        name: str,
        table: DebeziumTable,
        columns: Mapping[str, Mapping[str, Any]],
        key: bytes,
    ) -> Iterator[Outgoing]:
        operation, words = document.get("op"), self.words[name]
        if operation not in (*_STATEMENTS, "d", "t"):
            raise BadEventError(
                "malformed", f"expected c, u, d, r or t, found {kind_of(operation)}", path="op"
            )
        before, after = _row(document, "before"), _row(document, "after")
        position = _position(source)
        row_key = (
            "*" if operation == "t" else self._key(before if operation == "d" else after, table, columns, key)
        )
        origin = Origin(
            source=f"/debezium/{identifier(source.get('name'), 'source.name')}/{identifier(source.get('db'), 'source.db')}",
            id=f"{identifier(source.get('table'), 'source.table')}:{row_key}:{position}",
            time=from_unix(source.get("ts_ms"), "ms", "source.ts_ms"),
            sequence=position,
        )
        subject = words.subject(row_key)
        if operation == "t":
            yield origin.resync(table.entity, "*", f"the table {name} was truncated")
        elif operation == "d":
            yield origin.event(table.entity, "deleted", subject)
        elif after is None:
            raise BadEventError("malformed", "expected the row, found nothing", path="after")
        else:
            old = before if operation == "u" else None
            told = {
                column: value
                for column, value in after.items()
                if not self._unavailable(value) and (old is None or column not in old or old[column] != value)
            }
            yield from self._statement(
                origin, subject, table, words, columns, told, full=operation == "r", inserted=operation == "c"
            )

    def _statement(
        self,
        origin: Origin,
        subject: str,
        table: DebeziumTable,
        words: Vocabulary,
        columns: Mapping[str, Mapping[str, Any]],
        told: Mapping[str, Any],
        *,
        full: bool,
        inserted: bool,
    ) -> Iterator[Outgoing]:
        """What the row says. An insertion also revives: MySQL's REPLACE deletes a row and inserts it anew."""
        entity = table.entity
        row = {
            column: self._plain(
                value, column, FIELDS[entity][words.fields[column]], table, columns.get(column, {})
            )
            for column, value in told.items()
            if words.fields.get(column)
        }
        data = words.stated(row)
        if data or full:
            if full:
                data["complete"] = True
            yield origin.event(entity, "completed" if entity == "activity" else "changed", subject, data)
        survivor = told.get(table.merged_into_column) if table.merged_into_column else None
        if survivor is not None:
            into = words.subject(identifier(survivor, table.merged_into_column))
            yield origin.event(entity, "merged", subject, {"into": into}, part="merged")
        life = _life(table, told) or ("restored" if inserted and survivor is None else "")
        if life:
            yield origin.event(entity, life, subject, part=life)

    def _key(
        self,
        row: Mapping[str, Any] | None,
        table: DebeziumTable,
        columns: Mapping[str, Mapping[str, Any]],
        key: bytes,
    ) -> str:
        value = row.get(table.key) if row is not None else None
        if value is None and key:
            decoded = read_document(key)
            if isinstance(decoded, dict) and isinstance(decoded.get("payload"), dict):
                decoded = decoded["payload"]
            value = decoded.get(table.key) if isinstance(decoded, dict) else decoded
        column = columns.get(table.key, {})
        if column.get("name") == _DECIMAL_SCHEMA or table.key in table.scales:
            value = _unscaled(value, _scale(table.key, table, column), table.key)
        return identifier(value, table.key)

    def _unavailable(self, value: Any) -> bool:
        return value in self._marks if isinstance(value, str) else value == [self.settings.unavailable_value]

    @cached_property
    def _marks(self) -> tuple[str, str]:
        """The mark of a text column, and of one of bytes."""
        mark = self.settings.unavailable_value
        return mark, base64.b64encode(mark.encode()).decode()

    def _plain(
        self, value: Any, column: str, kind: str, table: DebeziumTable, schema: Mapping[str, Any]
    ) -> Any:
        """The value as the vocabulary reads it: decimals out of bytes, days and instants as text."""
        if value is None:
            return None
        if kind in _AMOUNTS:
            return _decimal(value, column, table, schema)
        unit = table.units.get(column) or _SCHEMA_UNITS.get(str(schema.get("name")))
        if kind == "date":
            return self._date(value, column, unit)
        if kind == "instant":
            return rfc3339(
                from_unix(value, unit, column) if unit and unit != "days" else instant_of(value, column)
            )
        return value

    def _date(self, value: Any, column: str, unit: Unit | None) -> str:
        if isinstance(value, str) and unit is None:
            return stated_date(value, column)
        if unit == "days" or (unit is None and isinstance(value, int) and abs(value) < 1_000_000):
            return epoch_day(value, column)
        return day_of(from_unix(value, unit, column) if unit else instant_of(value, column), self.zone)


def _row(document: Mapping[str, Any], side: str) -> Mapping[str, Any] | None:
    row = document.get(side)
    if row is not None and not isinstance(row, dict):
        raise BadEventError("malformed", f"expected a row, found {kind_of(row)}", path=side)
    return row


def _columns(schema: Any) -> Mapping[str, Mapping[str, Any]]:
    """By column: its Connect schema, out of that of the envelope; empty without one."""
    parts = schema.get("fields") if isinstance(schema, dict) else None
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict) and part.get("field") == "after" and isinstance(part.get("fields"), list):
            return {
                str(column["field"]): column
                for column in part["fields"]
                if isinstance(column, dict) and "field" in column
            }
    return {}


def _position(source: Mapping[str, Any]) -> str:
    """Where in the database's log the change stands, its numbers padded so that it compares as text."""
    if source.get("lsn") is not None:  # PostgreSQL
        return padded(
            f"{_number(source, 'lsn')}.{_number(source, 'txId') if source.get('txId') is not None else 0}"
        )
    if source.get("file") is not None:  # MySQL, MariaDB
        row = _number(source, "row") if source.get("row") is not None else 0
        return padded(f"{identifier(source['file'], 'source.file')}:{_number(source, 'pos')}:{row}")
    lsn = source.get("change_lsn") or source.get("commit_lsn")
    if isinstance(lsn, str) and _LSN.fullmatch(lsn):  # SQL Server: hexadecimal, of one width already
        serial = _number(source, "event_serial_no") if source.get("event_serial_no") is not None else 0
        return f"{lsn.lower()}:{serial:020d}"
    if source.get("scn") is not None:  # Oracle
        number = _number(source, "ssn") if source.get("ssn") is not None else 0
        return padded(f"{_number(source, 'scn')}.{number}")
    if source.get("snapshot") not in (None, False, "false"):  # rows of a snapshot may come before the log
        return padded(str(_number(source, "ts_ms")))
    raise BadEventError(
        "malformed", "no position in the log: expected lsn, file and pos, change_lsn or scn", path="source"
    )


def _number(source: Mapping[str, Any], name: str) -> int:
    value = source.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**20:
        return value
    raise BadEventError(
        "malformed", f"expected a whole number, found {kind_of(value)}", path=f"source.{name}"
    )


def _decimal(value: Any, column: str, table: DebeziumTable, schema: Mapping[str, Any]) -> Any:
    """A decimal column: text, a number, `{scale, value}`, or bytes in base64 whose scale is known."""
    if isinstance(value, dict):
        scale, unscaled = value.get("scale"), value.get("value")
        if isinstance(scale, int) and not isinstance(scale, bool) and 0 <= scale <= 38:
            return _unscaled(unscaled, scale, column)
    elif isinstance(value, str) and (schema.get("name") == _DECIMAL_SCHEMA or column in table.scales):
        return _unscaled(value, _scale(column, table, schema), column)
    elif isinstance(value, str):
        try:
            Decimal(value)
        except ArithmeticError as error:
            raise BadEventError(
                "invalid_data",
                f"{value[:40]!r} is no decimal number. If these are bytes, set decimal.handling.mode=string at "
                f"the connector, or give the scale of {column} under scales",
                path=column,
            ) from error
    return value


def _scale(column: str, table: DebeziumTable, schema: Mapping[str, Any]) -> int:
    parameters = schema.get("parameters")
    stated = parameters.get("scale") if isinstance(parameters, dict) else None
    if isinstance(stated, str) and stated.isascii() and stated.isdigit() and len(stated) <= 2:
        return int(stated)
    return table.scales.get(column, 0)


def _unscaled(value: Any, scale: int, column: str) -> str:
    """Big-endian two's complement bytes in base64, shifted by `scale` decimal places."""
    try:
        raw = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        raw = b""
    if not 0 < len(raw) <= 16:
        raise BadEventError(
            "invalid_data", f"expected a decimal as base64 bytes, found {kind_of(value)}", path=column
        )
    return format(Decimal(int.from_bytes(raw, "big", signed=True)).scaleb(-scale), "f")


def _life(table: DebeziumTable, told: Mapping[str, Any]) -> str:
    """What the row's own columns say about whether it counts; empty if they were not told, or it merged."""
    signs = set()
    if table.merged_into_column and table.merged_into_column in told:
        if told[table.merged_into_column] is not None:
            return ""
        signs.add("restored")
    if table.deleted_column and table.deleted_column in told:
        gone = _is_set(told[table.deleted_column], table.deleted_column)
        signs.add("deleted" if gone else "restored")
    if table.shown_column and table.shown_column in told:
        shown = str(told[table.shown_column]) in table.shown_values
        signs.add("restored" if shown else "deleted")
    return "deleted" if "deleted" in signs else "restored" if signs else ""


def _is_set(mark: Any, column: str) -> bool:
    """A flag that is true, or an instant of deletion that is there."""
    if mark is None or isinstance(mark, bool):
        return bool(mark)
    try:
        return truth(mark, column)
    except BadEventError:
        return True
