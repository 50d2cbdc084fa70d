"""What must always be true of the exact road, whatever the events."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregators.answer import answer
from aggregators.ask import Ask
from aggregators.company import Company
from aggregators.kpis import registry
from aggregators.meaning import Meaning
from aggregators.question import Question
from events.event import Event
from tests.aggregators.histories import INSTANTS, MEANINGS, histories
from tests.aggregators.told import ms

KPIS = (
    "created",
    "open",
    "won",
    "lost",
    "win_rate",
    "stagnation",
    "stalled",
    "sales_cycle",
    "deal_size",
    "unpriced_opportunities",
)
SPLITS = st.sampled_from(
    [(), ("rep",), ("team",), ("manager",), ("currency", "type"), ("segment", "region"), ("rep", "team")]
)
WINDOWS = st.sampled_from(["all", "fiscal_quarter", "month", "week", "trailing_90d", "trailing_12m"])


@given(MEANINGS, histories(), INSTANTS, SPLITS, st.randoms())
def test_answers_do_not_depend_on_order_or_repetition(
    meaning: Meaning, events: list[Event], as_of: int, by: tuple[str, ...], random: Random
) -> None:
    arrived = events + random.choices(events, k=5) if events else []
    random.shuffle(arrived)
    told, again = Company.from_events(meaning, events), Company.from_events(meaning, arrived)

    for kpi in KPIS:
        question = Question(kpi, as_of, "fiscal_quarter", by, periods=2)
        assert answer(told, question) == answer(again, question)


@given(MEANINGS, histories(), INSTANTS, SPLITS, WINDOWS)
def test_the_groups_of_a_split_add_up_to_the_company(
    meaning: Meaning, events: list[Event], as_of: int, by: tuple[str, ...], window: str
) -> None:
    company = Company.from_events(meaning, events)
    for kpi in KPIS:
        whole = answer(company, Question(kpi, as_of, window))
        parts = answer(company, Question(kpi, as_of, window, by))
        for row in whole:
            mine = [part for part in parts if part.reading == row.reading]
            if row.numerator is None:
                assert sum(part.value or 0 for part in mine) == row.value
            else:
                assert sum(part.numerator or 0 for part in mine) == row.numerator
                assert sum(part.denominator or 0 for part in mine) == row.denominator


@pytest.mark.rule("F1")
@given(MEANINGS, histories(), INSTANTS)
def test_start_plus_in_minus_out_is_end_for_open_deals(
    meaning: Meaning, events: list[Event], as_of: int
) -> None:
    company = Company.from_events(meaning, events)
    ask = Ask(company, Question("open", as_of))
    day = ask.as_of_on
    start_ms, end_ms = company.calendar.start_ms(day) - 1, company.calendar.end_ms(day)

    def state(instant_ms: int) -> dict[str, str]:
        return {deal.id: deal.outcome for deal in ask.deals_at(instant_ms)}

    before, after = state(start_ms), state(end_ms)
    is_open = {
        kind: {id_ for id_, outcome in found.items() if outcome == "open"}
        for kind, found in (("before", before), ("after", after))
    }
    came = is_open["after"] - is_open["before"]
    went = is_open["before"] - is_open["after"]
    assert len(is_open["before"]) + len(came) - len(went) == len(is_open["after"])
    for deal in ask.deals_at(end_ms):
        if deal.id in went:
            assert deal.closed_on is not None
            assert deal.closed_on <= day
    assert all(id_ in after for id_ in before), "a deal that exists does not vanish"


@pytest.mark.rule("F2")
@given(MEANINGS, histories(), INSTANTS, INSTANTS)
def test_what_happens_later_does_not_change_an_earlier_as_of(
    meaning: Meaning, events: list[Event], first: int, second: int
) -> None:
    """Stage moves, owners and amounts after an instant are not in a question as of it (F2).

    Fields without history, life, and dates stated later (close dates, effective days, rates) are: so
    only plain statements of fields with history are dropped here.
    """
    early, late = min(first, second), max(first, second)
    plain = {"stage", "owner_id", "amount", "currency", "pipeline"}
    dropped = [
        event
        for event in events
        if event.entity == "opportunity"
        and event.verb == "changed"
        and not event.complete
        and event.time_ms > late
        and set(event.data) <= plain
        and any(
            other.subject == event.subject and other.verb == "changed" and other.time_ms <= early
            for other in events
        )
        and not any(
            "close_date" in o.data or "created_at" in o.data or o.complete
            for o in events
            if o.subject == event.subject
        )
    ]
    ids = {(event.subject, event.source, event.id) for event in dropped}
    twice = [e for e in events if (e.subject, e.source, e.id) in ids and e not in dropped]
    if twice:
        return
    kept = [event for event in events if event not in dropped]
    before, after = Company.from_events(meaning, kept), Company.from_events(meaning, events)
    for kpi in KPIS:
        question = Question(kpi, early, "all", ("rep",))
        assert answer(before, question) == answer(after, question)


@pytest.mark.rule("K4")
@given(MEANINGS, histories(), INSTANTS)
def test_durations_of_open_deals_grow_with_the_clock_alone(
    meaning: Meaning, events: list[Event], as_of: int
) -> None:
    company = Company.from_events(meaning, events)
    later = max([as_of, *(event.time_ms for event in events), ms("2027-01-01")])
    ask = Ask(company, Question("stagnation", later))
    now = {deal.id: deal for deal in ask.deals_at(later) if deal.is_open}
    then = {deal.id: deal for deal in ask.deals_at(later + 1_000) if deal.is_open}

    assert now.keys() == then.keys()
    for id_, deal in now.items():
        assert then[id_].idle_ms == deal.idle_ms + 1_000
        assert deal.idle_ms >= 0
        assert deal.in_stage_ms >= 0


def test_every_kpi_answers_an_empty_company_with_a_row_for_each_reading() -> None:
    company = Company(Meaning())
    for name, kpi in registry().items():
        if kpi.rows:
            continue  # goals: none is stated
        found = answer(company, Question(name, ms("2026-06-30")))
        assert {row.reading for row in found} >= {reading.name for reading in kpi.readings}, name
        assert all(row.value in (None, 0) for row in found), name
