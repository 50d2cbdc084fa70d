"""Invented companies with every kind of event: those of `histories`, contracts, activities and targets."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from aggregators.meaning import KpiSettings, Meaning
from events.event import Event
from tests.aggregators.histories import DAYS, INSTANTS, MEANINGS, histories

MONEY = st.sampled_from([Decimal(0), Decimal(100), Decimal("1234.56"), Decimal("-3.335"), None])
CURRENCIES = st.sampled_from(["USD", "EUR", "JPY", None])
ACCOUNTS = st.sampled_from(["x", "y", "z", None])
PEOPLE = st.sampled_from(["ann", "bob", "005A", "e7", None])
MAYBE_DAYS = st.one_of(st.none(), DAYS)


@st.composite
def ramps(draw: st.DrawFn) -> tuple[tuple[Any, Any, Decimal], ...]:
    """One to three steps, not always in a row."""
    days = sorted(draw(st.lists(DAYS, min_size=2, max_size=6)))
    pairs = zip(days[::2], days[1::2], strict=False)
    return tuple((first, last, draw(MONEY) or Decimal(7)) for first, last in pairs)


FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "contract": {
        "account_id": ACCOUNTS,
        "owner_id": PEOPLE,
        "signed_on": MAYBE_DAYS,
        "start_date": MAYBE_DAYS,
        "end_date": MAYBE_DAYS,
        "recurring_amount": MONEY,
        "recurring_per": st.sampled_from(["term", "year", "month", None]),
        "one_time_amount": MONEY,
        "currency": CURRENCIES,
        "kind": st.sampled_from(["new", "expansion", "cross_sell", "renewal", None]),
        "supersedes": st.sampled_from(["c1", "c2", "c9", None]),
        "cancelled_on": MAYBE_DAYS,
        "trial": st.sampled_from([False, False, True, None]),
        "ramp": st.one_of(st.none(), ramps()),
    },
    "account": {"owner_id": PEOPLE},
    "opportunity": {"referred_by": st.sampled_from(["x", "y", "z", "unknown", None])},
    "activity": {
        "rep_id": PEOPLE,
        "completed_at": st.one_of(st.none(), INSTANTS),
        "with": st.sampled_from(["prospect", "customer", None]),
    },
    "target": {"amount": MONEY, "currency": CURRENCIES, "wins": st.sampled_from([0, 3, None])},
}
SUBJECTS = {
    "contract": ["c1", "c2", "c3", "c4"],
    "account": ["x", "y", "z"],
    "opportunity": ["a", "b", "c"],
    "activity": ["m1", "m2"],
    "target": [
        "company/2026",
        "team:North/2026-Q1",
        "team:North/2026-02",
        "rep:ann/2026",
        "rep:005A/2026-Q1",
        "rep:bob/2026-Q2",
    ],
}


@st.composite
def statements(draw: st.DrawFn) -> Event:
    """One event about one of a few entities."""
    entity = draw(st.sampled_from(["contract"] * 5 + sorted(FIELDS)))
    verb = draw(st.sampled_from(["changed"] * 12 + ["deleted", "restored"]))
    fields = FIELDS[entity]
    names = draw(st.sets(st.sampled_from(sorted(fields)), min_size=1, max_size=7))
    return Event(
        entity=entity,
        verb=verb,
        subject=draw(st.sampled_from(SUBJECTS[entity])),
        source=draw(st.sampled_from(["/crm", "/other"])),
        id=f"s{draw(st.integers(0, 60))}",
        time_ns=draw(INSTANTS) * 1_000_000,
        sequence="",
        complete=verb == "changed" and draw(st.integers(0, 9)) == 0,
        recorded_ms=None,
        data={name: draw(fields[name]) for name in sorted(names)} if verb == "changed" else {},
    )


def companies(max_size: int = 25) -> st.SearchStrategy[list[Event]]:
    """Events of every kind, in no order."""
    others = st.lists(statements(), max_size=max_size)
    return st.builds(lambda first, second: first + second, histories(max_size), others)


@st.composite
def meanings(draw: st.DrawFn) -> Meaning:
    """The configurations of `histories`, with every basis and level of customers."""
    meaning = draw(MEANINGS)
    kpis: dict[str, Any] = {
        **meaning.kpis.model_dump(),
        "customer_basis": draw(st.sampled_from(["contracts", "purchases"])),
        "customer_level": draw(st.sampled_from(["account", "parent"])),
        "purchase_active_days": draw(st.sampled_from([20, 365])),
        "renewal_grace_days": draw(st.sampled_from([0, 30])),
        "clv_min_customers": 1,
        "tenure_months": 1,
    }
    return meaning.model_copy(update={"kpis": KpiSettings(**kpis)})
