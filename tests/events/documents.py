"""Events as CRMs would write them: hypothesis strategies of good JSON documents, and of spoiled ones."""

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import date
from functools import cache
from typing import Any

from hypothesis import strategies as st

from events.currencies import EXPONENTS
from events.topics import TYPES

Document = dict[str, Any]

_ODD = st.sampled_from(["a", "中文", "🂡", "é", "x" * 255, " ", "'\"\\/", "-", "0"])
_PLAIN = st.characters(exclude_categories=["Cs", "Cc", "Cn"])
attributes = st.one_of(_ODD, st.text(_PLAIN, min_size=1, max_size=12))
names = st.one_of(_ODD, st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12))
ids = st.sampled_from(["a-1", "a-2", "b-1"]) | names


_DAYS = st.dates(date(1971, 1, 1), date(2098, 12, 31)).map(str) | st.sampled_from(
    ["1970-01-02", "2000-01-01", "2000-02-29", "2099-12-30"]
)
_FRACTIONS = st.just("") | st.from_regex(r"\A\.[0-9]{1,12}\Z")
_OFFSETS = st.sampled_from(["Z", "z", "+08:00", "-05:30", "+00:00", "-00:00", "+23:59", "-12:00"])


@st.composite
def instants(draw: st.DrawFn) -> str:
    """RFC 3339 in all its forms, 1970 to 2099, edges often."""
    day = draw(_DAYS)
    hour, minute, second = (draw(st.integers(0, top)) for top in (23, 59, 59))
    fraction, offset = draw(_FRACTIONS), draw(_OFFSETS)
    return f"{day}{draw(st.sampled_from('TTTt'))}{hour:02d}:{minute:02d}:{second:02d}{fraction}{offset}"


dates = st.dates().map(str)
currencies = st.sampled_from(sorted(EXPONENTS))


@cache
def decimals(limit: int) -> st.SearchStrategy[Any]:
    """Numbers up to a limit, as decimal texts, whole numbers and (written by `dump`) exact JSON numbers."""
    whole = st.integers(-limit, limit) | st.sampled_from([0, limit, -limit])
    below = st.integers(-limit + 1, limit - 1)
    fraction = st.from_regex(r"\A[0-9]{1,20}\Z")
    text = whole.map(str) | st.tuples(below, fraction).map(lambda both: f"{both[0]}.{both[1]}")
    small = st.sampled_from(["-0", "-0.0", "0.000005", "1e-7", "2.5E-6", "1.25e4", "0.1000000000000000055"])
    small = small if limit >= 20_000 else st.sampled_from(["-0", "0.0", "1e-7"])
    return whole | text | text.map(Exact) | small | small.map(Exact)


class Exact(str):
    """A number that `dump` writes as a JSON number, digit by digit."""

    __slots__ = ()


def dump(document: Any, *, ascii_only: bool = False) -> bytes:
    """JSON, in which `Exact` texts are numbers."""
    marked: list[str] = []

    def mark(value: Any) -> Any:
        if isinstance(value, Exact):
            marked.append(str(value))
            return f"\x02{len(marked) - 1}\x03"
        if isinstance(value, dict):
            return {key: mark(each) for key, each in value.items()}
        return [mark(each) for each in value] if isinstance(value, list) else value

    marked_document = mark(document)
    text = json.dumps(marked_document, ensure_ascii=ascii_only)
    if not ascii_only and any("\ud800" <= letter <= "\udfff" for letter in text):
        text = json.dumps(marked_document)  # half a surrogate pair can only be written as an escape
    for i, number in enumerate(marked):
        text = text.replace(f'"\\u0002{i}\\u0003"', number)
    return text.encode()


@st.composite
def money(draw: st.DrawFn, *fields: str) -> Document:
    """Amounts with a currency, or with none, in its range."""
    currency = draw(st.none() | currencies)
    limit = 10**13 // 10 ** (EXPONENTS[currency] if currency else 0)
    data = {field: draw(decimals(limit)) for field in fields if draw(st.booleans())}
    return data | ({"currency": currency} if currency or draw(st.booleans()) else {})


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Document]:
    """Any of these fields, any of them null."""
    return st.fixed_dictionaries({}, optional={name: st.none() | each for name, each in fields.items()})


kinds = st.sampled_from(["new", "expansion", "cross_sell", "renewal"])
shares = st.sampled_from([0, 1, "0.5", Exact("0.35"), Exact("1e-3"), "0.0000005", "0.0000015", Exact("1.0")])
flags = st.booleans()


_CATEGORIES = ["omitted", "pipeline", "best_case", "commit", "closed"]
_OPPORTUNITY = some(
    name=names,
    account_id=ids,
    owner_id=ids,
    stage=names,
    pipeline=names,
    created_at=instants(),
    close_date=dates,
    type=kinds,
    referred_by=ids,
    probability=shares,
    forecast_category=st.sampled_from(_CATEGORIES),
    lost_reason=names,
    lead_source=names,
    complete=flags,
)
_CONTRACT = some(
    account_id=ids,
    owner_id=ids,
    signed_on=dates,
    recurring_per=st.sampled_from(["term", "year", "month"]),
    kind=kinds,
    supersedes=ids,
    cancelled_on=dates,
    trial=flags,
    complete=flags,
)
_SPANS = st.tuples(dates, dates).map(sorted)
_RAMPS = st.lists(_SPANS, min_size=1, max_size=3)


@st.composite
def opportunity(draw: st.DrawFn) -> Document:
    return draw(_OPPORTUNITY) | draw(money("amount"))


@st.composite
def contract(draw: st.DrawFn) -> Document:
    data = draw(_CONTRACT) | draw(money("recurring_amount", "one_time_amount"))
    if draw(flags):
        data["start_date"], data["end_date"] = draw(_SPANS)
    if draw(flags):
        data["ramp"] = [
            {"start_date": start, "end_date": end, "amount": draw(decimals(10**9))}
            for start, end in draw(_RAMPS)
        ]
    return data


@st.composite
def rate(draw: st.DrawFn, subject: str) -> Document:
    base, quote, day = subject.split("/")
    said = draw(some(rate=st.sampled_from(["1.15", Exact("0.000031"), 7, "31.5"])))
    return said | {
        name: value for name, value in (("base", base), ("quote", quote), ("date", day)) if draw(flags)
    }


_DATA: dict[str, st.SearchStrategy[Document]] = {
    "opportunity": opportunity(),
    "contract": contract(),
    "account": some(name=names, owner_id=ids, parent_id=ids, segment=names, region=names, complete=flags),
    "activity": some(
        **{
            "rep_id": ids,
            "kind": st.sampled_from(["call", "meeting", "email", "demo", "other"]),
            "completed_at": instants(),
            "with": st.sampled_from(["prospect", "customer", "other"]),
            "opportunity_id": ids,
            "account_id": ids,
            "complete": flags,
        }
    ),
    "employee": some(
        name=names,
        aliases=st.lists(st.sampled_from(["/crm/acme:005B7", "https://crm.example:8080/x:9", "a:b"])),
        hired_on=dates,
        left_on=dates,
        leave_kind=st.sampled_from(["voluntary", "involuntary", "other"]),
        effective_on=dates,
        role=names,
        team=names,
        manager_id=ids,
        on_leave=flags,
        complete=flags,
    ),
    "target": st.tuples(
        money("amount"),
        some(wins=st.integers(0, 10**9) | st.just("12"), value=decimals(10**15)),
    ).map(lambda both: both[0] | both[1]),
    "resync": some(reason=names),
}
_TARGETS = [
    "rep:emp-1/2026-Q4",
    "team:North/2026",
    "company/2026-11",
    "rep:a/b/2026-01/win_rate/closed_count",
]
_RATES = ["EUR/USD/2026-11-23", "TWD/JPY/2024-02-29", "KWD/CLF/1999-12-31"]
_IDS, _ALL = ids.filter(str.isprintable), st.just("*")
_ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "sequence": attributes | st.none(),
        "recordedtime": instants() | st.none(),
        "datacontenttype": st.sampled_from(["application/json", None]),
        "traceparent": attributes,
    },
)
_NO_DATA: st.SearchStrategy[Document] = st.sampled_from([{}, {"data": None}, {"data": {"anything": [1]}}])
_SUBJECTS = {"target": st.sampled_from(_TARGETS), "fx_rate": st.sampled_from(_RATES)}


@st.composite
def documents(draw: st.DrawFn, types: tuple[str, ...] = tuple(TYPES)) -> Document:
    """A good event of one of these types."""
    type_ = draw(st.sampled_from(types))
    entity, verb = TYPES[type_]
    subject = draw(_SUBJECTS.get(entity, _ALL if entity == "resync" else _IDS))
    document: Document = {
        "specversion": "1.0",
        "id": draw(attributes),
        "source": draw(attributes),
        "type": type_,
        "subject": subject,
        "time": draw(instants()),
    }
    document |= draw(_ATTRIBUTES)
    if verb in ("deleted", "restored") or (entity, verb) == ("resync", "completed"):
        return document | draw(_NO_DATA)
    if verb == "merged":
        return document | {"data": {"into": draw(ids)}}
    return document | {"data": draw(rate(subject) if entity == "fx_rate" else _DATA[entity])}


_NONSENSE: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        "",
        0,
        -1,
        [],
        {},
        "\x00",
        "a\x7f",
        "\x85",
        "\ud800",
        "x" * 256,
        Exact("1e400"),
        Exact("-1e-400"),
        Exact("123456789012345678901234567890.5"),
        "1_000",
        "٣",
        " 5",
        "+5",
        "5.",
        ".5",
        "1e5",
        "Infinity",
        "NaN",
        "2026-02-30",
        "2026-W01-1",
        "20261123",
        "2026-11-23T09:30:60Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23 09:30:00Z",
        "2026-11-23T09:30:00",
        "2026-11-23T09:30:00+0800",
        "2026-11-23T09:30:00.Z",
        "2026-11-23T09:30Z",
        "1969-12-31T23:59:59.999999999Z",
        "1970-01-01T00:00:00+00:01",
        "1969-12-31T23:59:59-00:01",
        "2099-12-31T23:59:59.9999999999Z",
        "2100-01-01T00:00:00Z",
        "2100-01-01T00:00:00+00:01",
        "2026-11-23T09:30:00+24:00",
        "2026-11-23T09:30:00+08:60",
    ]
)


@st.composite
def spoiled(draw: st.DrawFn, types: tuple[str, ...] = tuple(TYPES)) -> Document:
    """An event in which one place, or two, may hold nonsense, or be missing, or be unknown."""
    document = deepcopy(draw(documents(types)))
    for _ in range(draw(st.integers(0, 2))):
        data = document.get("data")
        place = data if isinstance(data, dict) and data and draw(flags) else document
        name = draw(st.sampled_from([*place, "unknown", "amount", "into", "data_base64"]))
        change: Callable[[], Any] = lambda: place.pop(name, None)  # noqa: B023, E731
        if draw(st.integers(0, 4)):
            place[name] = deepcopy(draw(_NONSENSE))
        else:
            change()
    return document
