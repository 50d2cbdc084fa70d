"""Every row of docs/events.md's table of bad input, as bytes that a careless system might send."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from events.topics import MAX_VALUE_BYTES

Event = dict[str, Any]


class Poison(NamedTuple):
    """One way to be no event."""

    name: str
    reason: str
    """The dead letter's."""
    spoil: Callable[[Event], bytes | None]
    """A good event with data -> the value that is sent in its place."""
    is_large: bool = False

    @property
    def topic(self) -> str | None:
        """The topic on which it has that reason; None: any."""
        if self.reason != "invalid_data":
            return None
        return "crm.contract" if self.name == "a range turned round" else "crm.opportunity"


def _with(**attributes: Any) -> Callable[[Event], bytes]:
    return lambda event: text(event | attributes)


def _without(name: str) -> Callable[[Event], bytes]:
    return lambda event: text({key: value for key, value in event.items() if key != name})


def _data(**fields: Any) -> Callable[[Event], bytes]:
    return lambda event: text(event | {"type": "dealpulse.opportunity.changed", "data": fields})


def text(document: Mapping[str, Any]) -> bytes:
    """Compact JSON. Surrogates stand as they are escaped."""
    try:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(document, separators=(",", ":")).encode()


def padded(event: Event, size: int) -> bytes:
    """The same event with a field that nobody knows, so that its value has exactly that size."""
    known = event.get("data") or {}
    empty = len(text(event | {"data": {**known, "x_padding": ""}}))
    return text(event | {"data": {**known, "x_padding": "x" * (size - empty)}})


def _other_types_topic(event: Event) -> bytes:
    """A type that stands on another topic than the one of this event."""
    entity = event["type"].split(".")[1]
    return text(event | {"type": f"dealpulse.{'account' if entity != 'account' else 'employee'}.changed"})


POISONS: Final = (
    Poison("not utf-8", "malformed", lambda event: b"\xff\xfe" + text(event)),
    Poison("utf-16", "malformed", lambda event: text(event).decode().encode("utf-16")),
    Poison("cut short", "malformed", lambda event: text(event)[:-7]),
    Poison("empty", "malformed", lambda _: b""),
    Poison("no value", "malformed", lambda _: None),
    Poison("a list", "malformed", lambda event: b"[" + text(event) + b"]"),
    Poison("a text", "malformed", lambda _: b'"hello"'),
    Poison("a number", "malformed", lambda _: b"42"),
    Poison("two objects", "malformed", lambda event: text(event) * 2),
    Poison("a line of csv", "malformed", lambda _: b"opp-1,Proposal,12500.00\r\n"),
    Poison(
        "too deep", "malformed", lambda event: _with(deep=None)(event)[:-5] + b"[" * 99 + b"]" * 99 + b"}"
    ),
    Poison("over 1 MiB", "malformed", lambda event: padded(event, MAX_VALUE_BYTES + 1), is_large=True),
    Poison("another specversion", "invalid_envelope", _with(specversion="0.3")),
    Poison("no specversion", "invalid_envelope", _without("specversion")),
    Poison("no id", "invalid_envelope", _without("id")),
    Poison("an empty id", "invalid_envelope", _with(id="")),
    Poison("a long id", "invalid_envelope", _with(id="i" * 256)),
    Poison("an id that is a number", "invalid_envelope", _with(id=7)),
    Poison("half a surrogate", "invalid_envelope", _with(id="\ud83d")),
    Poison("no source", "invalid_envelope", _without("source")),
    Poison("no type", "invalid_envelope", _without("type")),
    Poison("no subject", "invalid_envelope", _without("subject")),
    Poison("a long subject", "invalid_envelope", _with(subject="s" * 256)),
    Poison("no time", "invalid_envelope", _without("time")),
    Poison("time without offset", "invalid_envelope", _with(time="2026-01-05T09:00:00")),
    Poison("time in 1969", "invalid_envelope", _with(time="1969-12-31T23:59:59Z")),
    Poison("time in 2100", "invalid_envelope", _with(time="2100-01-01T00:00:00Z")),
    Poison("time on 30 February", "invalid_envelope", _with(time="2026-02-30T00:00:00Z")),
    Poison("recordedtime without offset", "invalid_envelope", _with(recordedtime="2026-01-05T09:00:00")),
    Poison("an unknown verb", "unknown_type", _with(type="dealpulse.opportunity.exploded")),
    Poison("another company's type", "unknown_type", _with(type="com.example.order.created")),
    Poison("another type's topic", "unknown_type", _other_types_topic),
    Poison("a stage that is a number", "invalid_data", _data(stage=5)),
    Poison("an unknown currency", "invalid_data", _data(amount="1", currency="XXQ")),
    Poison("an amount that is not finite", "invalid_data", _data(amount="NaN", currency="USD")),
    Poison("an amount out of range", "invalid_data", _data(amount="9" * 20, currency="USD")),
    Poison("a probability of two", "invalid_data", _data(probability=2)),
    Poison("no such day", "invalid_data", _data(close_date="2026-02-30")),
    Poison("an instant without offset", "invalid_data", _data(created_at="2026-01-05T09:00:00")),
    Poison(
        "a range turned round",
        "invalid_data",
        lambda event: text(
            event
            | {
                "type": "dealpulse.contract.changed",
                "data": {"start_date": "2026-05-01", "end_date": "2026-04-01"},
            }
        ),
    ),
)
"""Every row of the table."""
