"""Both roads give the same rows, over invented companies of every zone, calendar and attribution."""

from hypothesis import assume, given
from hypothesis import strategies as st

from aggregators.answer import answer as exact_answer
from aggregators.company import Company
from aggregators.kpis import find_kpi
from aggregators.meaning import Meaning
from aggregators.question import Question
from aggregators.state import partition_state
from aggregators.tables.answer import FAST, is_of_customers
from aggregators.tables.answer import answer as fast_answer
from aggregators.tables.deals import DealTable
from events.canonical import encode
from events.event import Event
from tests.aggregators import dense
from tests.aggregators.everything import companies, meanings
from tests.aggregators.histories import INSTANTS
from tests.aggregators.lively import lively, some
from tests.compared import compared

KPIS = sorted({kpi for kpi, _ in FAST})
OF_CUSTOMERS = {kpi for kpi in KPIS if is_of_customers(find_kpi(kpi))}
WINDOWS = [
    "day",
    "trailing_29d",
    "week",
    "month",
    "fiscal_quarter",
    "fiscal_year",
    "trailing_90d",
    "trailing_12m",
    "all",
]


def tables(meaning: Meaning, events: list[Event]) -> DealTable:
    """What a worker makes of the events, and an exporter of its changes."""
    state = partition_state("crm.opportunity", 0, 1, "murmur2", meaning)
    state.fold([event.subject.encode() for event in events], [encode(event) for event in events])
    table = DealTable()
    if (change := state.take_change()) is not None:
        table.apply("crm.opportunity/0", [change.facts])
    return table


@given(meanings(), companies(), INSTANTS, st.data())
def test_the_fast_road_answers_like_the_exact_one(
    meaning: Meaning, events: list[Event], as_of: int, data: st.DataObject
) -> None:
    assume(any(event.entity == "opportunity" for event in events))
    kpis = data.draw(st.sets(st.sampled_from(KPIS), min_size=5, max_size=9))
    both_roads(meaning, events, as_of, data, sorted(kpis))


@given(dense.asked(), st.data())
def test_the_fast_road_answers_like_the_exact_one_where_days_meet(
    asked: tuple[Meaning, list[Event], int], data: st.DataObject
) -> None:
    others = data.draw(st.sets(st.sampled_from(KPIS), max_size=4))
    both_roads(*asked, data, sorted(others | OF_CUSTOMERS))


@given(st.integers(0, 10**9), st.data())
@some(0.25)
def test_the_fast_road_answers_like_the_exact_one_where_a_lot_happens(seed: int, data: st.DataObject) -> None:
    both_roads(*lively(seed), data, KPIS)


def both_roads(
    meaning: Meaning, events: list[Event], as_of: int, data: st.DataObject, kpis: list[str]
) -> None:
    deals = [event for event in events if event.entity == "opportunity"]
    around = Company.from_events(meaning, [event for event in events if event.entity != "opportunity"])
    whole, table = Company.from_events(meaning, events), tables(meaning, deals)
    window, periods = data.draw(st.sampled_from(WINDOWS)), data.draw(st.integers(1, 3))
    attribution = data.draw(st.sampled_from([None, "current"]))
    figures = 0
    for kpi in kpis:
        dimensions = st.lists(st.sampled_from(find_kpi(kpi).dimensions), max_size=2, unique=True)
        by = tuple(data.draw(dimensions, label=kpi))
        question = Question(kpi, as_of, window, by, periods, attribution)
        expected = exact_answer(whole, question)
        assert fast_answer(table, around, question) == expected
        figures += len(expected)
    compared("companies: fast road against exact road", figures)
