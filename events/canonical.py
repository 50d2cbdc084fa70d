"""An event in its one form: the bytes that decide ties, the order of events, and JSON to send."""

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from .decimals import plain
from .event import Event
from .instants import instant_text
from .topics import type_of

INSTANT_FIELDS: Final = frozenset({"created_at", "completed_at"})
"""Fields of `Event.data` that hold instants, in ms since 2000-01-01 UTC."""

OrderKey = tuple[int, str, str, str, bytes]


def order_key(event: Event) -> OrderKey:
    """What orders any two events of an entity, the same for every reader (events.md, "Order")."""
    return (event.time_ns, event.sequence, event.source, event.id, canonical(event))


def canonical(event: Event) -> bytes:
    """Compact JSON of the known fields as read, names sorted; then the verb, so that no two differ unseen.

    Decimals are plain texts, dates ISO 8601, instants ms since 2000-01-01 UTC; `complete` stands among
    the fields where it is true.
    """
    stated = {**event.data, "complete": True} if event.complete else event.data
    return _dumps({name: _told(value) for name, value in stated.items()}) + event.verb.encode()


def document(event: Event) -> dict[str, Any]:
    """The event as a CloudEvents record, to be written as JSON; reading it gives an equal event."""
    found: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": type_of(event.entity, event.verb),
        "subject": event.subject,
        "time": instant_text(event.time_ns),
    }
    if event.sequence:
        found["sequence"] = event.sequence
    if event.recorded_ms is not None:
        found["recordedtime"] = instant_text(event.recorded_ms * 1_000_000)
    if event.verb in ("deleted", "restored") and not event.data:
        return found
    data = {name: _sent(name, value) for name, value in event.data.items()}
    if event.complete:
        data["complete"] = True
    return found | {"datacontenttype": "application/json", "data": data}


def encode(event: Event) -> bytes:
    """The event as a record's value: UTF-8 JSON on one line."""
    return json.dumps(document(event), ensure_ascii=False, separators=(",", ":")).encode()


def _dumps(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _told(value: Any) -> Any:
    match value:
        case Decimal():
            return plain(value)
        case date():
            return value.isoformat()
        case tuple():
            return [_told(each) for each in value]
        case _:
            return value


def _sent(name: str, value: Any) -> Any:
    if name in INSTANT_FIELDS and value is not None:
        return instant_text(value * 1_000_000)
    if name == "ramp" and value is not None:
        return [
            {"start_date": start.isoformat(), "end_date": end.isoformat(), "amount": plain(amount)}
            for start, end, amount in value
        ]
    return _told(value)
