r"""One statement about an opportunity as 72 bytes, so that numpy reads those of many deals at once.

A statement is a *key* (bytes that sort in the order of events.md: time, sequence, source, id) and a
*row*. In a row a field is its value, CLEARED, or UNSTATED (not mentioned: unchanged). Texts are codes
of the shard's symbols: labels (stage, pipeline, currency), of which there are few, and names, of which
there are many. An owner is the name `<source>\0<owner id>`, since aliases are of a source (F36). A cleared
text is code 0. Only `.changed` rows (kinds CHANGED, COMPLETE) state fields.
"""

from datetime import date
from decimal import Decimal
from struct import Struct
from typing import Any, Final

import numpy as np
from msgspec import UNSET
from msgspec.structs import asdict, astuple

from aggregators.symbols import Symbols
from events.event import Event
from events.fast import OpportunityChanged, amount_e5, day, decode, share_e6, time_ns

CHANGED: Final = 0
DELETED: Final = 1
RESTORED: Final = 2
MERGED: Final = 3
COMPLETE: Final = 4
KINDS: Final = {"changed": CHANGED, "deleted": DELETED, "restored": RESTORED, "merged": MERGED}
VERBS: Final = ("changed", "deleted", "restored", "merged", "changed")

UNSTATED: Final = -(2**63)
CLEARED: Final = UNSTATED + 1
NO_DAY: Final = -(2**31)
CLEARED_DAY: Final = NO_DAY + 1
TYPES: Final = ("new", "expansion", "cross_sell", "renewal")
CATEGORIES: Final = ("omitted", "pipeline", "best_case", "commit", "closed")
NONE: Final = -1
CLEARED_CODE: Final = -2

ROW: Final = np.dtype(
    [
        ("t", "<i8"),  # ms since 2000
        ("amount", "<i8"),  # 10^-5 of the major unit, beyond that sticky (events.fast.amount_e5)
        ("created", "<i8"),  # ms since 2000
        ("owner", "<i4"),
        ("account", "<i4"),  # of a merge: the survivor
        ("referrer", "<i4"),
        ("name", "<i4"),
        ("lost_reason", "<i4"),
        ("lead_source", "<i4"),
        ("stage", "<i4"),
        ("currency", "<i4"),
        ("pipeline", "<i4"),
        ("close", "<i4"),  # days since 2000
        ("probability", "<i4"),  # 10^-6
        ("type", "i1"),
        ("category", "i1"),
        ("kind", "i1"),
        ("pad", "i1"),
    ]
)
pack_row: Final = Struct("<qqqiiiiiiiiiiibbbx").pack
assert ROW.itemsize == Struct("<qqqiiiiiiiiiiibbbx").size

_NOTHING_RARE: Final = [UNSET, UNSET, UNSET, UNSET, None]  # probability to lead_source, and complete
_TYPE_CODES: Final[dict[str | None, int]] = {
    None: CLEARED_CODE,
    **{name: code for code, name in enumerate(TYPES)},
}
_DAY_ZERO = date(2000, 1, 1).toordinal()
_BIAS = 2**63
_time_key = Struct(">Q").pack


def key_of(time_ns: int, sequence: str, source: str, id_: str) -> bytes:
    """Bytes that sort as (time, sequence, source, id). None of the texts holds a NUL (events.md)."""
    return _time_key(time_ns + _BIAS) + f"{sequence}\0{source}\0{id_}".encode()


def parts_of(key: bytes) -> tuple[int, str, str, str]:
    """The (time_ns, sequence, source, id) of a key."""
    sequence, source, id_ = key[8:].decode().split("\0")
    return int.from_bytes(key[:8]) - _BIAS, sequence, source, id_


def row_of(event: Event, labels: Symbols, names: Symbols) -> bytes:
    """The row of an opportunity's event, by way of its canonical form. The hot path is `read_row`."""
    data = event.data
    complete = event.complete and event.verb == "changed"
    kind = COMPLETE if complete else KINDS[event.verb]
    if kind not in (CHANGED, COMPLETE):
        into = data.get("into")
        data = {} if into is None else {"account_id": into}
    absent = 0 if complete else NONE

    def text(field: str, symbols: Symbols, *, of: str = "") -> int:
        if field not in data:
            return absent
        return symbols[of + data[field]] if data[field] else 0

    def number(field: str, scale: int) -> int:
        if field not in data:
            return CLEARED if complete else UNSTATED
        value = data[field]
        return CLEARED if value is None else sticky(value, scale)

    def choice(field: str, options: tuple[str, ...]) -> int:
        if field not in data:
            return CLEARED_CODE if complete else NONE
        return CLEARED_CODE if data[field] is None else options.index(data[field])

    created: Any = data.get("created_at", CLEARED if complete else UNSTATED)
    close: Any = data.get("close_date", CLEARED_DAY if complete else NO_DAY)
    if isinstance(close, date):
        close = close.toordinal() - _DAY_ZERO
    probability = number("probability", 6)
    return pack_row(
        event.time_ms,
        number("amount", 5),
        CLEARED if created is None else created,
        text("owner_id", names, of=f"{event.source}\0"),
        text("account_id", names),
        text("referred_by", names),
        text("name", names),
        text("lost_reason", names),
        text("lead_source", names),
        text("stage", labels),
        text("currency", labels),
        text("pipeline", labels),
        CLEARED_DAY if close is None else close,
        {UNSTATED: NONE, CLEARED: CLEARED_CODE}.get(probability, probability),
        choice("type", TYPES),
        choice("forecast_category", CATEGORIES),
        kind,
    )


def read_row(value: bytes | None, labels: Symbols, names: Symbols) -> tuple[bytes, int, bytes, bytes, bytes]:
    """The hot path: (subject, time in ms, key, its end from the source on, row) of a record's value.

    Raises one of `events.fast.REFUSED` for whatever the canonical reader shall judge: then nothing is
    said about the record yet.
    """
    event = decode(value)  # type: ignore[arg-type]  # a record without a value is refused there
    data = event.data
    stage, amount, currency, owner, close, created, name, account, pipeline, type_, referrer, *rare = astuple(
        data
    )
    when = event.time
    ns = time_ns(when)
    source = event.source
    tail = f"\0{source}\0{event.id}".encode()
    sequence = event.sequence
    key = _time_key(ns + _BIAS) + (sequence.encode() + tail if sequence else tail)
    if data.complete:
        return event.subject.encode(), ns // 1_000_000, key, tail, _complete_row(event, ns, labels, names)
    if rare == _NOTHING_RARE:
        probability, category, reason, lead = NONE, NONE, NONE, NONE
    else:
        probability, category, reason, lead = _rare(rare, names)
    row = pack_row(
        ns // 1_000_000,
        UNSTATED if amount is UNSET else CLEARED if amount is None else amount_e5(amount, currency or None),
        UNSTATED
        if created is UNSET
        else CLEARED
        if created is None
        else ns // 1_000_000
        if created == when
        else time_ns(created) // 1_000_000,
        -1 if owner is UNSET else names[f"{source}\0{owner}"] if owner else 0,
        -1 if account is UNSET else names[account or ""],
        -1 if referrer is UNSET else names[referrer or ""],
        -1 if name is UNSET else names[name or ""],
        reason,
        lead,
        -1 if stage is UNSET else labels[stage or ""],
        -1 if currency is UNSET else labels[currency or ""],
        -1 if pipeline is UNSET else labels[pipeline or ""],
        NO_DAY if close is UNSET else CLEARED_DAY if close is None else day(close),
        probability,
        -1 if type_ is UNSET else _TYPE_CODES[type_],
        category,
        CHANGED,
    )
    return event.subject.encode(), ns // 1_000_000, key, tail, row


def _rare(fields: list[Any], names: Symbols) -> tuple[int, int, int, int]:
    probability, category, reason, lead, _ = fields
    return (
        NONE if probability is UNSET else CLEARED_CODE if probability is None else share_e6(probability),
        NONE if category is UNSET else CLEARED_CODE if category is None else CATEGORIES.index(category),
        NONE if reason is UNSET else names[reason or ""],
        NONE if lead is UNSET else names[lead or ""],
    )


def _complete_row(event: OpportunityChanged, ns: int, labels: Symbols, names: Symbols) -> bytes:
    """A full statement's row: what it does not name is cleared. Rare enough to go by the canonical form."""
    data: dict[str, Any] = {
        field: value
        for field, value in asdict(event.data).items()
        if value is not UNSET and field != "complete"
    }
    if data.get("amount") is not None:
        data["amount"] = Decimal(amount_e5(data["amount"], data.get("currency"))).scaleb(-5)
    if data.get("probability") is not None:
        data["probability"] = Decimal(share_e6(data["probability"])).scaleb(-6)
    if data.get("created_at") is not None:
        data["created_at"] = time_ns(data["created_at"]) // 1_000_000
    if data.get("close_date") is not None:
        data["close_date"] = date.fromordinal(day(data["close_date"]) + _DAY_ZERO)
    said = Event("opportunity", "changed", event.subject, event.source, event.id, ns, "", True, None, data)
    return row_of(said, labels, names)


def sticky(value: Decimal, digits: int) -> int:
    """`value` x 10^digits as an integer; what is cut leaves a trace in the last digit.

    A last digit 0 or 5 becomes 1 or 6 when something was cut (ROUND_05UP), so that rounding later to
    fewer digits, half to even, gives what rounding the full value would have given.
    """
    sign, coefficient, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    whole = int("".join(map(str, coefficient)))
    if (shift := exponent + digits) >= 0:
        whole *= 10**shift
    else:
        whole, cut = divmod(whole, 10**-shift)
        if cut and whole % 5 == 0:
            whole += 1
    return -int(whole) if sign else int(whole)


def event_of(subject: str, key: bytes, row: Any, labels: list[str], names: list[str]) -> Event:
    """The event that a statement came from (without unknown fields): `row` is one ROW record."""
    time_ns, sequence, source, id_ = parts_of(key)
    kind = int(row["kind"])
    data: dict[str, Any] = {}
    if kind == MERGED and row["account"] > 0:
        data["into"] = names[row["account"]]
    if kind in (CHANGED, COMPLETE):
        for field, column, texts in _TEXTS:
            if (code := int(row[column])) > 0:
                found = (labels if texts == "labels" else names)[code]
                data[field] = found.partition("\0")[2] if field == "owner_id" else found
            elif code == 0:
                data[field] = None
        amount, created, close = int(row["amount"]), int(row["created"]), int(row["close"])
        if amount != UNSTATED:
            data["amount"] = None if amount == CLEARED else Decimal(amount).scaleb(-5)
        if created != UNSTATED:
            data["created_at"] = None if created == CLEARED else created
        if close != NO_DAY:
            data["close_date"] = None if close == CLEARED_DAY else date.fromordinal(close + _DAY_ZERO)
        probability, type_, category = int(row["probability"]), int(row["type"]), int(row["category"])
        if probability != NONE:
            data["probability"] = None if probability == CLEARED_CODE else Decimal(probability).scaleb(-6)
        if type_ != NONE:
            data["type"] = None if type_ == CLEARED_CODE else TYPES[type_]
        if category != NONE:
            data["forecast_category"] = None if category == CLEARED_CODE else CATEGORIES[category]
    return Event(
        "opportunity", VERBS[kind], subject, source, id_, time_ns, sequence, kind == COMPLETE, None, data
    )


_TEXTS = (
    ("owner_id", "owner", "names"),
    ("account_id", "account", "names"),
    ("referred_by", "referrer", "names"),
    ("name", "name", "names"),
    ("lost_reason", "lost_reason", "names"),
    ("lead_source", "lead_source", "names"),
    ("stage", "stage", "labels"),
    ("currency", "currency", "labels"),
    ("pipeline", "pipeline", "labels"),
)
