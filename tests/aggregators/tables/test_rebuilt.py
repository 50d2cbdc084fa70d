"""Every KPI, asked of fact tables and packed statements, answers as it does of the events themselves."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregators.answer import answer as exact_answer
from aggregators.company import Company
from aggregators.kpis import registry
from aggregators.meaning import Meaning
from aggregators.question import Question
from aggregators.state import DealState, partition_state
from aggregators.tables.deals import DealTable
from aggregators.tables.rebuilt import TabledDeals
from events.canonical import encode
from events.event import Event
from tests.aggregators.everything import companies, meanings
from tests.aggregators.histories import INSTANTS
from tests.aggregators.lively import lively, some
from tests.compared import compared

WINDOWS = ["day", "month", "fiscal_quarter", "fiscal_year", "trailing_12m"]


def tabled(meaning: Meaning, events: list[Event]) -> Company:
    """The company with its opportunities in tables."""
    state = partition_state("crm.opportunity", 0, 1, "murmur2", meaning)
    deals = [event for event in events if event.entity == "opportunity"]
    folded = state.fold([event.subject.encode() for event in deals], [encode(event) for event in deals])
    assert not folded.refused, folded.refused
    assert isinstance(state, DealState)
    table = DealTable()
    if (change := state.take_change()) is not None:
        table.apply("crm.opportunity/0", [change.facts])
    company = Company.from_events(meaning, (event for event in events if event.entity != "opportunity"))
    company.tabled = TabledDeals(table, [state])
    return company


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(meanings(), companies(), INSTANTS, st.data())
def test_every_kpi_answers_alike_from_tables(
    meaning: Meaning, events: list[Event], as_of: int, data: st.DataObject
) -> None:
    alike(meaning, events, as_of, data)


@some(0.25)
@given(st.integers(0, 10**9), st.data())
def test_every_kpi_answers_alike_from_tables_where_a_lot_happens(seed: int, data: st.DataObject) -> None:
    alike(*lively(seed), data)


def alike(meaning: Meaning, events: list[Event], as_of: int, data: st.DataObject) -> None:
    whole, rest = Company.from_events(meaning, events), tabled(meaning, events)
    window = data.draw(st.sampled_from(WINDOWS))
    figures = 0
    for name, kpi in registry().items():
        by = data.draw(
            st.lists(st.sampled_from([*kpi.dimensions, *kpi.dimensions[:1]]), max_size=2, unique=True)
        )
        question = Question(name, as_of, window, tuple(by), now_ms=as_of)
        expected = exact_answer(whole, question)
        assert exact_answer(rest, question) == expected, question
        figures += len(expected)
    compared("companies: every KPI from tables against events", figures)
