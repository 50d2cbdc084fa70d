"""Small companies whose days lie close to each other's limits: a month, a grace, a day more or less.

The events of `everything` are free, and seldom meet a boundary; these are well-formed, and nearly always do.
"""

from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from aggregators.meaning import Company as CompanySettings
from aggregators.meaning import KpiSettings, Meaning
from events.event import Event
from tests.aggregators.told import end_of, rate, told

FIRST = date(2026, 1, 31)
POOL = (0, 1, 28, 29, 30, 31, 58, 59, 60, 61, 89, 90, 91, 120, 121)
DAYS = st.sampled_from([(FIRST + timedelta(number)).isoformat() for number in POOL])
LATER = st.sampled_from([0, 1, 28, 29, 30, 59])
ACCOUNTS = st.sampled_from(["x", "x", "y", "z", None])
PEOPLE = st.sampled_from(["ann", "bob", None])
KINDS = st.sampled_from(["new", "renewal"])

MEANINGS = st.builds(
    Meaning,
    company=st.just(CompanySettings(currency="USD")),
    kpis=st.builds(
        KpiSettings,
        attribution=st.sampled_from(["at_the_time", "current"]),
        customer_level=st.sampled_from(["account", "parent"]),
        customer_basis=st.sampled_from(["contracts", "contracts", "purchases"]),
        purchase_active_days=st.sampled_from([1, 30]),
        renewal_grace_days=st.sampled_from([0, 30]),
        rehire_grace_days=st.sampled_from([0, 30]),
        tenure_months=st.sampled_from([1, 2]),
        fx_max_age_days=st.just(60),
        clv_min_customers=st.just(1),
    ),
)


def after(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days)).isoformat()


@st.composite
def contracts(draw: st.DrawFn) -> list[Event]:
    """Contracts of a few weeks, each told in one statement; often one follows the last about a grace later."""
    found: list[Event] = []
    account, end = draw(ACCOUNTS), draw(DAYS)
    for number in range(draw(st.integers(1, 5))):
        renewed = draw(st.booleans())
        account = account if renewed else draw(ACCOUNTS)
        start = after(end, draw(st.sampled_from([1, 29, 30, 31]))) if renewed else draw(DAYS)
        fields: dict[str, Any] = {}
        end = after(start, draw(LATER))
        if draw(st.integers(0, 4)):
            fields["end_date"] = end
        if draw(st.integers(0, 4)) == 0:
            fields["cancelled_on"] = after(start, draw(LATER))
        if draw(st.integers(0, 4)) == 0:
            fields["supersedes"] = draw(st.sampled_from(["c0", "c1"]))
        if draw(st.integers(0, 2)) == 0:
            fields["signed_on"] = draw(DAYS)
        contract = told(
            "contract",
            f"c{number}",
            start,
            account_id=account,
            owner_id=draw(PEOPLE),
            start_date=start,
            recurring_amount=draw(st.sampled_from(["0", "100", "1234.56", "99999999999.99"])),
            recurring_per=draw(st.sampled_from(["term", "month"])),
            one_time_amount=draw(st.sampled_from([None, "5"])),
            currency=draw(st.sampled_from(["USD", "USD", "EUR", "JPY"])),
            kind=draw(KINDS),
            **fields,
        )
        found.append(contract)
    return found


@st.composite
def employees(draw: st.DrawFn, subject: str) -> list[Event]:
    """Hired, perhaps gone, perhaps back, perhaps in another team or under another manager."""
    hired = draw(DAYS)
    found = [
        told(
            "employee",
            subject,
            "2026-01-01",
            hired_on=hired,
            role="sales",
            team=draw(st.sampled_from(["North", "South"])),
            manager_id=draw(PEOPLE),
        )
    ]
    if draw(st.booleans()):
        left = after(hired, draw(LATER))
        found.append(told("employee", subject, "2026-01-02", left_on=left))
        if draw(st.booleans()):
            back = after(left, draw(st.sampled_from([1, 29, 30, 31])))
            found.append(told("employee", subject, "2026-01-03", hired_on=back))
    if draw(st.booleans()):
        on = draw(DAYS)
        moved: dict[str, Any] = draw(
            st.sampled_from([{"team": "South"}, {"role": "support"}, {"manager_id": "bob"}])
        )
        found.append(told("employee", subject, "2026-01-04", effective_on=on, **moved))
    return found


@st.composite
def companies(draw: st.DrawFn) -> list[Event]:
    """Contracts, their accounts, people, targets, deals and rates."""
    events = draw(contracts())
    for account in ("x", "y", "z"):
        for _ in range(draw(st.integers(0, 2))):
            fields: dict[str, Any] = {
                "owner_id": draw(PEOPLE),
                "segment": draw(st.sampled_from(["small", "large"])),
            }
            if draw(st.integers(0, 3)) == 0:
                fields["parent_id"] = "z"
            events.append(told("account", account, draw(DAYS), **fields))
    for person in ("ann", "bob"):
        events += draw(employees(person))
        if draw(st.booleans()):
            amount, wins = draw(st.sampled_from([("100", None), (None, 3), ("7", 2)]))
            events.append(told("target", f"rep:{person}/2026-Q1", "2026-01-01", amount=amount, wins=wins))
    for number in range(draw(st.integers(0, 4))):
        deal, created = f"o{number}", draw(DAYS)
        events.append(
            told(
                "opportunity",
                deal,
                created,
                stage="Prospecting",
                owner_id=draw(PEOPLE),
                account_id=draw(ACCOUNTS),
                amount=draw(st.sampled_from([None, "50"])),
                currency=draw(st.sampled_from(["USD", "EUR"])),
                close_date=draw(DAYS),
                referred_by=draw(st.sampled_from([None, "x", "y"])),
            )
        )
        if draw(st.booleans()):
            stage = draw(st.sampled_from(["Closed Won", "Closed Won", "Closed Lost"]))
            events.append(told("opportunity", deal, after(created, draw(LATER)), stage=stage))
    for pair, cost in (("EUR/USD", "1.1"), ("EUR/USD", "1.3"), ("JPY/USD", "0.0067")):
        if draw(st.booleans()):
            events.append(rate(pair, draw(DAYS), cost))
    return events


@st.composite
def asked(draw: st.DrawFn) -> tuple[Meaning, list[Event], int]:
    """A configuration, what happened, and as of when: about a grace after something ended or began."""
    events = draw(companies())
    days = [
        str(event.data[field])
        for event in events
        for field in ("end_date", "left_on", "cancelled_on", "start_date", "hired_on")
        if event.data.get(field) is not None
    ]
    near = after(draw(st.sampled_from(days)), draw(st.sampled_from([-1, 0, 1, 15, 30, 31])))
    return draw(MEANINGS), events, end_of(near)
