"""Customers and reps counted day by day, from the definitions alone: the answers are the same."""

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregators.answer import answer
from aggregators.ask import Ask
from aggregators.company import Company, Entity
from aggregators.meaning import Meaning
from aggregators.question import Question
from aggregators.tables.answer import answer as fast_answer
from aggregators.tables.deals import DealTable
from events.event import Event
from tests.aggregators import dense
from tests.aggregators.everything import companies, meanings
from tests.aggregators.histories import INSTANTS
from tests.aggregators.test_customer_kpis import contract
from tests.aggregators.told import end_of, meaning
from tests.compared import compared

FIRST = date(2025, 1, 1)
ALL_DAYS = [FIRST + timedelta(number) for number in range(3 * 365)]
"""Wider than anything that is told, by more than every grace."""
DAY = timedelta(1)
WINDOWS = st.sampled_from(["day", "month", "fiscal_quarter", "trailing_29d", "trailing_90d", "trailing_12m"])
ASKED = st.one_of(st.tuples(meanings(), companies(), INSTANTS), dense.asked(), dense.asked())
"""A configuration, what happened, and as of when."""


def start_of(ask: Ask, contract: Entity) -> date:
    ramp = contract.newest("ramp") or ()
    stated = contract.newest("start_date") or min((step[0] for step in ramp), default=None)
    found: date = stated or contract.newest("signed_on") or ask.calendar.day(contract.first_ms)
    return found


def days_bought(ask: Ask) -> dict[str, set[date]]:
    """Customer -> the days for which a purchase keeps it one (F34); of those after the instant, too (F7)."""
    won = {deal.id: deal for deal in ask.deals if deal.outcome == "won"}
    for deal in ask.latest_deals:
        if deal.outcome == "won" and deal.closed_on and deal.closed_on > ask.as_of_on:
            won.setdefault(deal.id, deal)
    found: dict[str, set[date]] = defaultdict(set)
    for deal in won.values():
        assert deal.closed_on is not None
        key = ask.accounts.customer(deal.account_id) or deal.record
        days = range(ask.meaning.kpis.purchase_active_days)
        found[key] |= {deal.closed_on + timedelta(number) for number in days}
    return found


def days_in_force(ask: Ask) -> dict[str, set[date]]:
    """Customer -> the days on which at least one contract is in force (F3), a replaced one no longer."""
    if ask.meaning.kpis.customer_basis == "purchases":
        return days_bought(ask)
    contracts = [one for one in ask.company.living("contract") if not one.newest("trial")]
    found: dict[str, set[date]] = defaultdict(set)
    for one in contracts:
        start, cancelled = start_of(ask, one), one.newest("cancelled_on")
        ramp = one.newest("ramp") or ()
        end = one.newest("end_date") or max((step[1] for step in ramp), default=None)
        replaced = [
            start_of(ask, other)
            for other in contracts
            if other is not one and other.newest("supersedes") == one.id
        ]
        key = ask.accounts.customer(one.newest("account_id")) or f"contract/{one.id}"
        for day in ALL_DAYS:
            if (
                start <= day
                and (end is None or day <= end)
                and (cancelled is None or day < cancelled)
                and all(day < other for other in replaced)
            ):
                found[key].add(day)
    return found


def is_active(in_force: set[date], day: date, grace: int) -> bool:
    """In force, or between two days in force that are no further apart than the grace (F7)."""
    if day in in_force:
        return True
    before = max((one for one in in_force if one < day), default=None)
    after = min((one for one in in_force if one > day), default=None)
    return before is not None and after is not None and (after - before).days <= grace


@pytest.mark.rule("K9", "F7", "F33", "F34")
@given(ASKED, WINDOWS)
def test_customers_counted_day_by_day_are_those_of_the_answers(
    asked: tuple[Meaning, list[Event], int], window: str
) -> None:
    meaning, events, as_of = asked
    company = Company.from_events(meaning, events)
    ask = Ask(company, Question("customers", as_of))
    (named, span), grace = company.calendar.windows(window, ask.as_of_on)[0], meaning.kpis.renewal_grace_days
    start, end = span.start - DAY, min(span.end, ask.as_of_on)
    held = days_in_force(ask)
    at_start = {key for key, days in held.items() if is_active(days, start, grace)}
    at_end = {key for key, days in held.items() if is_active(days, end, grace)}
    in_grace = {
        key
        for key, days in held.items()
        if key not in at_end and any(0 < (end - day).days <= grace for day in days)
    }

    found = figures(company, "customers", as_of, window)
    assert {name: row.value for name, row in found.items()} == {
        "active": len(at_end),
        "new": len(at_end - at_start),
        "churned": len(at_start - at_end),
        "in_grace": len(in_grace),
    }, named
    logo = figures(company, "customer_retention", as_of, window)["logo"]
    assert (logo.numerator, logo.denominator) == (len(at_start & at_end), len(at_start))
    churned = figures(company, "churn", as_of, window)["logo"]
    assert (churned.numerator, churned.denominator) == (len(at_start - at_end), len(at_start))
    compared("companies: customers counted day by day", 8)


@pytest.mark.rule("F7")
@pytest.mark.parametrize("grace", [0, 1, 30])
@pytest.mark.parametrize("gap", [1, 2, 29, 30, 31, 32])
def test_a_gap_is_healed_up_to_the_grace_and_no_further_on_both_roads(gap: int, grace: int) -> None:
    end = date(2026, 3, 31)
    events = [
        contract("c1", "2026-03-01", str(end), "10", account_id="a"),
        contract("c2", str(end + timedelta(gap)), "2026-06-30", "10", account_id="a"),
        contract("c3", "2026-03-01", str(end), "10", account_id="b"),
    ]
    chosen = meaning(kpis={"renewal_grace_days": grace})
    company = Company.from_events(chosen, events)
    held = days_in_force(Ask(company, Question("customers", end_of("2026-06-30"))))

    for number in range(-1, 40):
        day = end + timedelta(number)
        active = sum(is_active(days, day, grace) for days in held.values())
        ended = sum(
            not is_active(days, day, grace) and any(0 < (day - one).days <= grace for one in days)
            for days in held.values()
        )
        question = Question("customers", end_of(str(day)), "day")
        for rows in (answer(company, question), fast_answer(DealTable(), company, question)):
            found = {row.reading: row.value for row in rows}
            assert (found["active"], found["in_grace"]) == (active, ended), day


def days_in_role(ask: Ask, employee: Any) -> set[date]:
    """The days in a sales role; the gap before a rehire within the grace is none."""
    here = {day for day in ALL_DAYS if any(day in spell for spell in employee.spells)}
    selling = {day for day in here if employee.role.on(day) in ask.meaning.company.sales_roles}
    for earlier in employee.spells:
        for later in employee.spells:
            if earlier.end is None or later.start <= earlier.end:
                continue
            gap = (later.start - earlier.end).days
            if gap <= ask.meaning.kpis.rehire_grace_days and {earlier.end, later.start} <= selling:
                selling |= {earlier.end + timedelta(number) for number in range(gap)}
    return selling


@pytest.mark.rule("K6")
@given(ASKED, WINDOWS)
def test_reps_counted_day_by_day_are_those_of_the_answers(
    asked: tuple[Meaning, list[Event], int], window: str
) -> None:
    meaning, events, as_of = asked
    company = Company.from_events(meaning, events)
    ask = Ask(company, Question("rep_retention", as_of))
    span = company.calendar.windows(window, ask.as_of_on)[0][1]
    start, end = span.start - DAY, min(span.end, ask.as_of_on)
    there = kept = 0
    for employee in ask.people.employees.values():
        days = days_in_role(ask, employee)
        if start in days:
            there += 1
            kept += all(start + timedelta(number) in days for number in range((end - start).days + 1))

    row = figures(company, "rep_retention", as_of, window)["trailing"]
    assert (row.numerator, row.denominator) == (kept, there)
    compared("companies: reps counted day by day", 2)


def figures(company: Company, kpi: str, as_of: int, window: str) -> dict[str, Any]:
    return {row.reading: row for row in answer(company, Question(kpi, as_of, window))}
