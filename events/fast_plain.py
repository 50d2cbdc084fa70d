"""The hot path of the other frequent events, activities and accounts; the rest is left to the canonical reader.

As in `events.fast`: it accepts less than `events.reader`, never more, reads equal values, and raises one of
`events.fast.REFUSED` where the canonical reader shall judge.
"""

from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from .event import Event
from .fast import ATTRIBUTE, NAME, refuse_control_characters
from .lookups import time_ns
from .topics import MAX_VALUE_BYTES


class ActivityData(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The fields of an activity."""

    rep_id: NAME = UNSET
    kind: Literal["call", "meeting", "email", "demo", "other"] | UnsetType | None = UNSET
    completed_at: str | UnsetType | None = UNSET
    with_: Literal["prospect", "customer", "other"] | UnsetType | None = msgspec.field(
        default=UNSET, name="with"
    )
    opportunity_id: NAME = UNSET
    account_id: NAME = UNSET
    complete: bool | None = None


class AccountData(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The fields of an account."""

    name: NAME = UNSET
    owner_id: NAME = UNSET
    parent_id: NAME = UNSET
    segment: NAME = UNSET
    region: NAME = UNSET
    complete: bool | None = None


class _Envelope(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    specversion: Literal["1.0"]
    id: ATTRIBUTE
    source: ATTRIBUTE
    subject: ATTRIBUTE
    time: str
    sequence: ATTRIBUTE | None = None
    recordedtime: str | None = None
    datacontenttype: Literal["application/json"] | None = None


class ActivityCompleted(_Envelope, gc=False, forbid_unknown_fields=True, kw_only=True):
    """A `dealpulse.activity.completed`."""

    type: Literal["dealpulse.activity.completed"]
    data: ActivityData


class AccountChanged(_Envelope, gc=False, forbid_unknown_fields=True, kw_only=True):
    """A `dealpulse.account.changed`."""

    type: Literal["dealpulse.account.changed"]
    data: AccountData


Reader = Callable[[bytes], Event]


def _reader(shape: Any, entity: str, verb: str) -> Reader:
    decode = msgspec.json.Decoder(shape).decode
    fields = [
        (field.name, field.encode_name) for field in msgspec.structs.fields(shape.__annotations__["data"])
    ]
    fields = [pair for pair in fields if pair[0] != "complete"]

    def read(value: bytes) -> Event:
        if len(value) > MAX_VALUE_BYTES:
            raise ValueError("too long")
        event = decode(value)
        refuse_control_characters(value, event)
        recorded, said = event.recordedtime, event.data
        data = {name: stated for field, name in fields if (stated := getattr(said, field)) is not UNSET}
        if data.get("completed_at") is not None:
            data["completed_at"] = time_ns(data["completed_at"]) // 1_000_000
        return Event(
            entity,
            verb,
            event.subject,
            event.source,
            event.id,
            time_ns(event.time),
            event.sequence or "",
            said.complete is True,
            None if recorded is None else time_ns(recorded) // 1_000_000,
            data,
        )

    return read


READERS: Final[dict[str, Reader]] = {
    "crm.activity": _reader(ActivityCompleted, "activity", "completed"),
    "crm.account": _reader(AccountChanged, "account", "changed"),
}
"""Topic -> the fast reader of its most frequent type."""
