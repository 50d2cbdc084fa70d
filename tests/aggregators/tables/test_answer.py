"""The fast road answers every question that it takes as the exact road does, row by row."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregators.answer import answer as exact_answer
from aggregators.ask import Ask
from aggregators.calendar import ALWAYS
from aggregators.company import Company
from aggregators.kpis import find_kpi
from aggregators.opportunity import Deal
from aggregators.question import Question
from aggregators.tables.answer import FAST, answer
from aggregators.tables.deals import DealTable
from aggregators.tables.rebuilt import deals_at
from aggregators.tables.sums import exact_sums
from events.event import Event
from tests.aggregators.tables.test_cut import DAY, MEANING, START, deals, instants, state_of, table_of

KPIS = sorted({kpi for kpi, _ in FAST})
WINDOWS = ["day", "week", "fiscal_quarter", "fiscal_year", "trailing_90d", "trailing_12m", "all"]
FIRST = date(2023, 4, 11)  # START, in days


def said(entity: str, subject: str, at: int, data: dict[str, Any], number: int = 0) -> Event:
    return Event(entity, "changed", subject, "/hr", f"{subject}-{number}", at * 10**6, "", False, None, data)


@st.composite
def surroundings(draw: st.DrawFn) -> list[Event]:
    """Employees with aliases and transfers, accounts with merges, rates with gaps."""
    found = []
    days = st.integers(-30, 20).map(lambda n: FIRST + timedelta(days=n))
    for rep in ("r1", "r2"):
        if draw(st.booleans()):
            aliases = draw(st.sampled_from([(), ("/crm/a:u9",), ("/crm/b:u9", "/crm/a:r1")]))
            found.append(
                said("employee", rep, START, {"hired_on": draw(days), "role": "sales", "aliases": aliases})
            )
            for number in range(draw(st.integers(0, 3))):
                data = {
                    "team": draw(st.sampled_from(["north", "south", None])),
                    "manager_id": draw(st.sampled_from(["u9", "m1", None])),
                    "effective_on": draw(days),
                }
                found.append(said("employee", rep, START + number, data, number + 1))
    for account in ("a1", "a2"):
        if draw(st.booleans()):
            segment = draw(st.sampled_from(["smb", "big", None]))
            found += [said("account", account, START, {"segment": segment})]
    if draw(st.booleans()):
        found.append(
            Event(
                "account", "merged", "a1", "/crm", "m", (START + 5) * 10**6, "", False, None, {"into": "a2"}
            )
        )
    for base in ("JPY", "KWD", "USD"):
        for day in draw(st.lists(days, max_size=4, unique=True)):
            rate = draw(st.sampled_from([Decimal("0.2177"), Decimal(3), Decimal("31.5")]))
            pair = draw(st.sampled_from([(base, "TWD"), ("TWD", base)]))
            subject = f"{pair[0]}/{pair[1]}/{day.isoformat()}"
            stated: dict[str, Any] = {"base": pair[0], "quote": pair[1], "date": day, "rate": rate}
            found.append(said("fx_rate", subject, START, stated))
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.tuples(*(deals(f"opp-{n}") for n in range(5))), surroundings(), instants, st.data())
def test_both_roads_answer_alike(
    histories: tuple[list[Event], ...], around: list[Event], as_of: int, data: st.DataObject
) -> None:
    events = [event for history in histories for event in history]
    table: DealTable = table_of(state_of(events))
    whole = Company.from_events(MEANING, events + around)
    rest = Company.from_events(MEANING, around)
    for kpi in KPIS:
        by = data.draw(
            st.lists(st.sampled_from(find_kpi(kpi).dimensions), max_size=2, unique=True).map(tuple), label=kpi
        )
        question = Question(
            kpi,
            as_of + data.draw(st.integers(-DAY, DAY)),
            data.draw(st.sampled_from(WINDOWS)),
            by,
            data.draw(st.integers(1, 3)),
            data.draw(st.sampled_from([None, "current"])),
        )
        assert answer(table, rest, question) == exact_answer(whole, question), question


def test_sums_beyond_64_bits_stay_exact() -> None:
    import numpy as np

    weights = np.array([2**62, 2**62, -(2**61), 5], dtype=np.int64)
    group = np.array([0, 0, 1, 0], dtype=np.int64)
    assert exact_sums(weights, group, 2) == [2**63 + 5, -(2**61)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.tuples(*(deals(f"opp-{n}") for n in range(3))), surroundings(), instants)
def test_deals_rebuilt_from_tables_are_those_of_the_plain_road(
    histories: tuple[list[Event], ...], around: list[Event], as_of: int
) -> None:
    events = [event for history in histories for event in history]
    table = table_of(state_of(events))
    question = Question("won", as_of)
    expected = Ask(Company.from_events(MEANING, events + around), question).deals
    rebuilt = deals_at(table, Ask(Company.from_events(MEANING, around), question), as_of)
    assert [comparable(deal) for deal in rebuilt] == [comparable(deal) for deal in expected]


def comparable(deal: Deal) -> Deal:
    """Without what means nothing there: a creator before the creation, clocks of closed deals."""
    creator = deal.creator if deal.created_in(ALWAYS) else None
    if deal.is_open:
        return replace(deal, creator=creator)
    return replace(deal, creator=creator, idle_ms=0, in_stage_ms=0, stalls_after_ms=None)
