"""Canonical events as adapters make them: what was stated, by whom, and when."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from ..errors import BadEventError
from .fields import TOPICS, Dialect, Entity, convert
from .instants import rfc3339
from .judge import good_subject
from .outgoing import Outgoing, encode
from .settings import EntityMapping

_NUMBER = re.compile(r"\d+", re.ASCII)
_AMOUNTS = ("amount", "recurring_amount", "one_time_amount")
_LONGEST_REASON = 255


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """How a vendor's record of one entity reads in our words."""

    entity: Entity
    fields: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]]
    dialect: Dialect
    id_prefix: str = ""
    currency: str = ""

    def stated(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Our fields and values for those of `row` that have a meaning here. None: it was cleared.

        Raises `BadEventError` (`invalid_data`) that names the vendor's field.
        """
        data: dict[str, Any] = {}
        for theirs, ours in self.fields.items():
            if not ours or theirs not in row:
                continue
            value = row[theirs]
            table = self.values.get(ours)
            if table is not None and value is not None:
                value = table.get(_as_key(value), table.get("*", value))
                if value == "":
                    continue
            data[ours] = convert(
                self.entity, ours, value, path=theirs, dialect=self.dialect, id_prefix=self.id_prefix
            )
        if self.currency and any(data.get(field) is not None for field in _AMOUNTS):
            data.setdefault("currency", self.currency)
        return data

    def subject(self, their_id: str) -> str:
        """Our subject for an id of theirs."""
        return self.id_prefix + their_id


def vocabulary(
    entity: Entity,
    mapping: EntityMapping,
    *,
    fields: Mapping[str, str],
    values: Mapping[str, Mapping[str, str]],
    dialect: Dialect,
    id_prefix: str,
    currency: str,
) -> Vocabulary:
    """The built-in words of a vendor with the company's own laid over them."""
    tables = {field: dict(table) for field, table in values.items()}
    for field, table in mapping.values.items():
        tables[field] = {**tables.get(field, {}), **table}
    return Vocabulary(
        entity=entity,
        fields={**fields, **mapping.fields},
        values=tables,
        dialect=dialect,
        id_prefix=id_prefix,
        currency=currency,
    )


@dataclass(frozen=True, slots=True)
class Origin:
    """The source, id, instant and sequence that all events out of one change share."""

    source: str
    id: str
    time: datetime
    sequence: str = ""

    def event(
        self,
        entity: Entity,
        verb: str,
        subject: str,
        data: Mapping[str, Any] | None = None,
        *,
        part: str = "",
    ) -> Outgoing:
        """One good event. `part` tells several events of one change about one entity apart.

        Raises `BadEventError` if the vendor's values make no event of events.md.
        """
        return self._checked(TOPICS[entity], f"{entity}.{verb}", subject, data, part)

    def resync(self, entity: Entity, subject: str, reason: str) -> Outgoing:
        """`resync.required`: the payload does not carry what happened to `subject` (`*`: to anything)."""
        said = {"reason": reason[:_LONGEST_REASON]}
        return self._checked(TOPICS[entity], "resync.required", subject, said, "resync")

    def _checked(
        self, topic: str, kind: str, subject: str, data: Mapping[str, Any] | None, part: str
    ) -> Outgoing:
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": f"{self.id}:{part}" if part else self.id,
            "source": self.source,
            "type": f"dealpulse.{kind}",
            "subject": subject,
            "time": rfc3339(self.time),
        }
        if self.sequence:
            event["sequence"] = self.sequence
        event["datacontenttype"] = "application/json"
        event["data"] = dict(data) if data else {}
        outgoing = Outgoing(topic, subject, encode(event), resync=kind == "resync.required")
        good_subject(outgoing.value, topic)
        return outgoing


def digest(*parts: Any) -> str:
    """A short name for `parts`, the same for the same parts in every process (SHA-256, 32 hex digits)."""
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:32]


def padded(text: str) -> str:
    """`text` with every number in it padded with zeros to 20 digits, so that it compares as text.

    >>> padded("811.24023128")
    '00000000000000000811.00000000000024023128'
    """
    return _NUMBER.sub(lambda found: found[0].zfill(20), text)


def unreadable(origin: Origin, entity: Entity, subject: str, error: BadEventError) -> Outgoing:
    """The resync that stands for a webhook's change whose values cannot be read.

    Refusing it would help nobody: the vendor sends the same bytes until it gives up, and with them
    everything else in the delivery. So the entity is marked as incomplete, and shown as such.
    """
    return origin.resync(entity, subject, f"{error.reason}: {error}")


def _as_key(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
