"""What one statement says, as a few bytes: for every entity but opportunities, which have rows."""

from datetime import date
from decimal import Decimal
from typing import Any, Final

import msgspec

from aggregators.rows import parts_of
from events.event import Event

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode

DATES: Final = frozenset(
    {"signed_on", "start_date", "end_date", "cancelled_on", "hired_on", "left_on", "effective_on", "date"}
)
DECIMALS: Final = frozenset({"amount", "recurring_amount", "one_time_amount", "value", "rate", "probability"})


def encode_event(event: Event) -> bytes:
    """Verb, completeness and data; decimals and dates as text. The rest of an event is its key."""
    return _encode((event.verb, event.complete, event.recorded_ms, dict(event.data)))


def decode_event(entity: str, subject: str, key: bytes, said: bytes) -> Event:
    """The event that `encode_event` was given."""
    verb, complete, recorded_ms, data = _decode(said)
    time_ns, sequence, source, id_ = parts_of(key)
    values = {field: _value(field, value) for field, value in data.items()}
    return Event(entity, verb, subject, source, id_, time_ns, sequence, complete, recorded_ms, values)


def _value(field: str, value: Any) -> Any:
    if value is None:
        return None
    if field in DECIMALS:
        return Decimal(value)
    if field in DATES:
        return date.fromisoformat(value)
    if field == "aliases":
        return tuple(value)
    if field == "ramp":
        return tuple(
            (date.fromisoformat(start), date.fromisoformat(end), Decimal(amount))
            for start, end, amount in value
        )
    return value
