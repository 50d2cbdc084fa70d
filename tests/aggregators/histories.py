"""Invented companies for property tests: every kind of statement about deals, people, accounts and rates."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from aggregators.meaning import Company as CompanySettings
from aggregators.meaning import KpiSettings, Meaning, Pipeline, Stage
from events.event import Event
from tests.aggregators.told import STAGES, ms

DAY_MS = 86_400_000
FIRST = date(2026, 1, 1)
DAYS = st.integers(0, 200).map(lambda number: FIRST + timedelta(days=number))
INSTANTS = st.integers(0, 200 * 48).map(lambda half_hours: ms("2026-01-01") + half_hours * 1_800_000)

PARTNER = (
    Stage(name="Prospecting", stalled_after_days=7),
    Stage(name="Closing", stalled_after_days=0),
    Stage(name="Won", kind="won"),
    Stage(name="Lost", kind="lost"),
)
MEANINGS = st.builds(
    Meaning,
    company=st.builds(
        CompanySettings,
        timezone=st.sampled_from(["UTC", "Asia/Taipei", "America/New_York"]),
        currency=st.sampled_from(["USD", "JPY"]),
        fiscal_year_start_month=st.sampled_from([1, 2]),
        calendar=st.sampled_from(["gregorian", "4-4-5"]),
    ),
    pipelines=st.just({"default": Pipeline(stages=STAGES), "partner": Pipeline(stages=PARTNER)}),
    kpis=st.builds(
        KpiSettings,
        attribution=st.sampled_from(["at_the_time", "current"]),
        fx_max_age_days=st.sampled_from([7, 60]),
        fx_pivot=st.sampled_from(["", "EUR"]),
    ),
)

_OWNERS = st.sampled_from(["ann", "bob", "005A", "nobody", None])
_AMOUNTS = st.sampled_from([Decimal(100), Decimal("0.005"), Decimal("-3.335"), Decimal("1234.56"), None])
_FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "opportunity": {
        "account_id": st.sampled_from(["x", "y", "z", None]),
        "owner_id": _OWNERS,
        "stage": st.sampled_from([stage.name for stage in STAGES] + ["Closing", "Unheard of", None]),
        "pipeline": st.sampled_from(["default", "partner", "other", None]),
        "amount": _AMOUNTS,
        "currency": st.sampled_from(["USD", "EUR", "JPY", "KWD", None]),
        "created_at": st.one_of(st.none(), INSTANTS),
        "close_date": st.one_of(st.none(), DAYS),
        "type": st.sampled_from(["new", "renewal", None]),
        "lead_source": st.sampled_from(["web", None]),
        "probability": st.sampled_from([Decimal("0.35"), None]),
        "forecast_category": st.sampled_from(["commit", "omitted", None]),
    },
    "account": {
        "segment": st.sampled_from(["small", "large", None]),
        "region": st.sampled_from(["east", None]),
        "parent_id": st.sampled_from(["x", "y", "z", None]),
    },
    "employee": {
        "aliases": st.sampled_from([("/crm:005A",), ("/other:005A", "/crm:ann"), None]),
        "hired_on": st.one_of(st.none(), DAYS),
        "left_on": st.one_of(st.none(), DAYS),
        "effective_on": DAYS,
        "role": st.sampled_from(["sales", "support", None]),
        "team": st.sampled_from(["North", "South", None]),
        "manager_id": st.sampled_from(["bob", "005A", None]),
    },
}
_SUBJECTS = {"opportunity": ["a", "b", "c"], "account": ["x", "y", "z"], "employee": ["ann", "bob", "e7"]}


@st.composite
def statements(draw: st.DrawFn, entity: str) -> Event:
    """One event about one of a few entities; some share their time, some even their id."""
    verb = draw(st.sampled_from(["changed"] * 12 + ["deleted", "restored", "merged"]))
    subject = draw(st.sampled_from(_SUBJECTS[entity]))
    data: dict[str, Any] = {}
    if verb == "merged" and entity != "employee":
        data = {"into": draw(st.sampled_from(_SUBJECTS[entity]))}
    elif verb in ("changed", "merged"):
        verb = "changed"
        names = draw(st.sets(st.sampled_from(sorted(_FIELDS[entity])), min_size=1, max_size=5))
        data = {name: draw(_FIELDS[entity][name]) for name in sorted(names)}
    return Event(
        entity=entity,
        verb=verb,
        subject=subject,
        source=draw(st.sampled_from(["/crm", "/other"])),
        id=f"e{draw(st.integers(0, 60))}",
        time_ns=draw(INSTANTS) * 1_000_000,
        sequence=draw(st.sampled_from(["", "1", "2"])),
        complete=verb == "changed" and draw(st.integers(0, 7)) == 0,
        recorded_ms=None,
        data=data,
    )


@st.composite
def rates(draw: st.DrawFn) -> Event:
    """One rate of one day."""
    base, quote = draw(st.sampled_from([("EUR", "USD"), ("JPY", "USD"), ("JPY", "EUR"), ("USD", "KWD")]))
    day = draw(DAYS)
    data = {
        "base": base,
        "quote": quote,
        "date": day,
        "rate": draw(st.sampled_from([Decimal("1.07"), Decimal("0.0093"), Decimal(3), None])),
    }
    number = draw(st.integers(0, 5))
    subject = f"{base}/{quote}/{day.isoformat()}"
    return Event("fx_rate", "changed", subject, "/bank", f"r{number}", number, "", False, None, data)


def histories(max_size: int = 40) -> st.SearchStrategy[list[Event]]:
    """Events of a company, in no order."""
    deals = statements("opportunity")
    return st.lists(
        st.one_of(deals, deals, deals, statements("employee"), statements("account"), rates()),
        max_size=max_size,
    )
