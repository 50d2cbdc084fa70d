"""The array road gives each deal, at each instant, what the plain road gives."""

import random
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregators.ask import Ask
from aggregators.calendar import ALWAYS
from aggregators.company import Company
from aggregators.deal_facts import HEAD, NEVER, NO_DATE, UNKNOWN, fact_outcome
from aggregators.meaning import Company as CompanySettings
from aggregators.meaning import Meaning, Pipeline, Stage
from aggregators.question import Question
from aggregators.rows import CATEGORIES, TYPES
from aggregators.state import PartitionState, partition_state
from aggregators.tables.cut import Cut
from aggregators.tables.deals import STATE_WITH_DEAL, DealTable
from aggregators.tables.split import day_number
from events.canonical import encode
from events.event import Event

DAY = 86_400_000
START = 8_500 * DAY

MEANING = Meaning(
    company=CompanySettings(timezone="America/Sao_Paulo", currency="TWD"),
    pipelines={
        "default": Pipeline(
            stages=(
                Stage(name="A", probability=0.1, stalled_after_days=2),
                Stage(name="B", probability=0.3, forecast_category="commit", stalled_after_days=3),
                Stage(name="C", probability=0.5),
                Stage(name="Won", kind="won"),
                Stage(name="Won too", kind="won"),
                Stage(name="Lost", kind="lost"),
                Stage(name="Junk", kind="omitted"),
            )
        ),
        "partner": Pipeline(
            stages=(
                Stage(name="B", stalled_after_days=1),
                Stage(name="A", stalled_after_days=1),
                Stage(name="Won", kind="won"),
            )
        ),
    },
)

instants = st.integers(0, 40).map(lambda step: START + step * (DAY // 3))
days = st.integers(-2, 16).map(lambda n: date(2000, 1, 1) + timedelta(days=8_500 + n))
amounts = st.sampled_from(
    [Decimal("12.345"), Decimal("0.005"), Decimal(100), Decimal("-7.5"), Decimal("99.999995")]
)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(strategy, strategy, st.none())


fields = st.fixed_dictionaries(
    {},
    optional={
        "stage": optional(st.sampled_from(["A", "B", "C", "Won", "Won too", "Lost", "Junk", "Unheard of"])),
        "pipeline": optional(st.sampled_from(["default", "partner", "no such"])),
        "amount": optional(amounts),
        "currency": optional(st.sampled_from(["TWD", "JPY", "KWD", "USD"])),
        "owner_id": optional(st.sampled_from(["r1", "r2", "u9"])),
        "close_date": optional(days),
        "created_at": optional(instants),
        "type": optional(st.sampled_from(TYPES)),
        "account_id": optional(st.sampled_from(["a1", "a2"])),
        "lead_source": optional(st.sampled_from(["web", "fair"])),
        "probability": optional(st.sampled_from([Decimal("0.25"), Decimal("0.333333")])),
        "forecast_category": optional(st.sampled_from(CATEGORIES)),
        "name": optional(st.sampled_from(["Toys", "Dolls"])),
    },
)


@st.composite
def deals(draw: st.DrawFn, subject: str = "opp-1") -> list[Event]:
    found = []
    for number in range(draw(st.integers(1, 7))):
        verb = draw(st.sampled_from(["changed"] * 12 + ["deleted", "restored", "merged"]))
        data = draw(fields) if verb == "changed" else {"into": "opp-9"} if verb == "merged" else {}
        complete = verb == "changed" and draw(st.integers(0, 9)) == 0
        at = draw(instants)
        found.append(
            Event(
                "opportunity",
                verb,
                subject,
                draw(st.sampled_from(["/crm/a", "/crm/b"])),
                f"e{number}",
                at * 1_000_000 + draw(st.integers(0, 1)),
                "",
                complete,
                None,
                data,
            )
        )
    return found


def state_of(events: list[Event], topic: str = "crm.opportunity") -> PartitionState:
    state = partition_state(topic, 0, 1, "murmur2", MEANING)
    folded = state.fold([event.subject.encode() for event in events], [encode(event) for event in events])
    assert not folded.refused, folded.refused
    assert not folded.misplaced
    return state


def table_of(state: PartitionState) -> DealTable:
    table = DealTable()
    change = state.take_change()
    assert change is not None
    table.apply("crm.opportunity/0", [change.facts])
    return table


def exact(company: Company, instant: int) -> dict[str, dict[str, Any]]:
    ask = Ask(company, Question("won", instant))
    return {
        deal.id: {
            "name": deal.name,
            "type": deal.type,
            "lead_source": deal.lead_source,
            "pipeline": deal.pipeline,
            "stage": deal.stage,
            "outcome": deal.outcome,
            "created_at": deal.created_at,
            "created_on": deal.created_on,
            "creator": deal.creator if deal.created_in(ALWAYS) else None,
            "owner": deal.owner,
            "closer": deal.closer,
            "closed_at": deal.closed_at,
            "closed_on": deal.closed_on,
            "cycle_ms": deal.cycle_ms,
            "expected_on": deal.expected_on,
            "currency": deal.currency,
            "native_amount": deal.native_amount,
            "probability": deal.probability,
            "forecast_category": deal.forecast_category,
            "idle_ms": deal.idle_ms if deal.is_open else None,
            "in_stage_ms": deal.in_stage_ms if deal.is_open else None,
            "stalled": deal.stalled,
        }
        for deal in ask.deals
    }


def fast(table: DealTable, instant: int) -> Iterator[tuple[str, dict[str, Any]]]:
    cut = Cut(table, instant)
    labels, names = table.labels.texts, table.names.texts

    def day(number: int) -> date | None:
        return None if number == NO_DATE else date(2000, 1, 1) + timedelta(days=int(number))

    def person(code: int) -> str | None:
        return names[code].rpartition("\0")[2] or None

    for i in range(len(cut)):
        one = {name: cut[name][i] for name in (*(HEAD.names or ()), *(STATE_WITH_DEAL.names or ()))}
        is_open = one["outcome"] == -1
        yield (
            table.ids[one["deal"]],
            {
                "name": names[one["name"]] or None,
                "type": TYPES[one["type"]],
                "lead_source": names[one["lead_source"]] or None,
                "pipeline": labels[one["pipeline"]],
                "stage": labels[one["stage"]] or None,
                "outcome": fact_outcome(one["outcome"]),
                "created_at": None if one["created"] == UNKNOWN else one["created"],
                "created_on": day(one["created_day"]),
                "creator": person(one["creator"]) if cut.exists[i] or one["created"] == UNKNOWN else None,
                "owner": person(one["owner"]),
                "closer": None if is_open else person(one["closer"]),
                "closed_at": None if is_open else one["closed_at"],
                "closed_on": day(one["closed_day"]),
                "cycle_ms": None if one["cycle"] == UNKNOWN else one["cycle"],
                "expected_on": day(one["expected_day"]),
                "currency": labels[one["currency"]],
                "native_amount": None if one["amount"] == UNKNOWN else one["amount"],
                "probability": Fraction(int(one["probability"]), 10**6),
                "forecast_category": CATEGORIES[one["category"]],
                "idle_ms": instant - one["forward"] if is_open else None,
                "in_stage_ms": instant - one["entered"] if is_open else None,
                "stalled": bool(is_open and one["stalls_at"] != NEVER and instant > one["stalls_at"]),
            },
        )


def same_cuts(events: list[Event], table: DealTable) -> None:
    company = Company.from_events(MEANING, events)
    for step in range(-1, 44):
        for instant in (START + step * (DAY // 3), START + step * (DAY // 3) - 1):
            assert dict(fast(table, instant)) == exact(company, instant), instant - START


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(deals())
def test_every_state_of_a_deal_is_that_of_the_plain_road(events: list[Event]) -> None:
    same_cuts(events, table_of(state_of(events)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(deals(), deals("opp-2"), st.randoms(use_true_random=False))
def test_order_duplicates_and_checkpoints_do_not_show(
    first: list[Event], second: list[Event], chance: random.Random
) -> None:
    events = first + second
    told = events + chance.choices(events, k=3)
    chance.shuffle(told)
    state = partition_state("crm.opportunity", 0, 1, "murmur2", MEANING)
    table, chunks = DealTable(), []
    while told:
        size = chance.randint(1, 4)
        part, told = told[:size], told[size:]
        state.fold([event.subject.encode() for event in part], [encode(event) for event in part])
        change = state.take_change()
        if change is not None:
            table.apply("crm.opportunity/0", [change.facts])
            chunks.append(change.statements)
    same_cuts(events, table)
    again = partition_state("crm.opportunity", 0, 1, "murmur2", MEANING)
    again.load(chunks + chunks)
    same_cuts(events, _dumped(again))


def _dumped(state: PartitionState) -> DealTable:
    """The tables of a state that was loaded, by a rewrite in slices of one deal."""
    table = DealTable()
    subjects = state.subjects()
    slices = [state.dump([subject], first=number == 0) for number, subject in enumerate(subjects)]
    table.apply("crm.opportunity/0", [change.facts for change in slices])
    return table


def test_a_close_dated_before_the_last_reopening_was_a_close_all_that_time() -> None:
    noon = 734_515_200_000_000_000  # 2023-04-11

    def said(name: str, time_ns: int, **data: Any) -> Event:
        return Event("opportunity", "changed", "opp-1", "/crm/a", name, time_ns, "", True, None, data)

    events = [
        said("created", noon - DAY * 10**6),
        said("e0", noon, stage="Won"),
        said("e1", noon),
        said("e2", noon, stage="Won", close_date=date(2023, 4, 10)),
        said("e3", noon + 1),
    ]
    same_cuts(events, table_of(state_of(events)))


def test_day_number_is_counted_from_2000() -> None:
    assert day_number(date(2000, 1, 2)) == 1


@pytest.mark.parametrize("many", [1, 40])
def test_a_statement_that_comes_again_changes_nothing(many: int) -> None:
    events = [
        Event(
            "opportunity",
            "changed",
            "opp-1",
            "/crm",
            f"e{n}",
            (START + n) * 10**6,
            "",
            False,
            None,
            {"name": "x"},
        )
        for n in range(many)
    ]
    state = state_of(events)
    state.take_change()
    folded = state.fold([b"opp-1"] * many, [encode(event) for event in events])
    assert (folded.applied, folded.unchanged) == (0, many)
    assert state.take_change() is None
