"""What must always be true of every KPI, in companies with every kind of event."""

from collections import defaultdict
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregators.answer import answer
from aggregators.company import Company
from aggregators.kpi import Kpi
from aggregators.kpis import registry
from aggregators.meaning import Meaning
from aggregators.question import Number, Question, Row
from events.event import Event
from tests.aggregators.everything import companies, meanings
from tests.aggregators.histories import INSTANTS

KPIS = st.sampled_from([kpi for kpi in registry().values() if not kpi.rows])
WINDOWS = st.sampled_from(["all", "fiscal_quarter", "month", "trailing_12m", "fiscal_year", None])
OWN_STATEMENTS = ("target", "attainment", "pace", "needed", "coverage")
"""A group's target is its own, and need not be the sum of its members'."""


@pytest.mark.rule("G1")
@given(KPIS, meanings(), companies(), INSTANTS, WINDOWS, st.randoms(), st.data())
@settings(max_examples=150)
def test_answers_do_not_depend_on_order_or_repetition(
    kpi: Kpi,
    meaning: Meaning,
    events: list[Event],
    as_of: int,
    window: str | None,
    random: Random,
    data: st.DataObject,
) -> None:
    by = tuple(data.draw(st.sets(st.sampled_from(kpi.dimensions), max_size=2))) if kpi.dimensions else ()
    arrived = events + random.choices(events, k=5) if events else []
    random.shuffle(arrived)
    question = Question(kpi.name, as_of, window, by)

    assert answer(Company.from_events(meaning, arrived), question) == answer(
        Company.from_events(meaning, events), question
    )


@pytest.mark.rule("G9", "F15")
@given(KPIS.filter(lambda kpi: kpi.name not in OWN_STATEMENTS), meanings(), companies(), INSTANTS, WINDOWS)
@settings(max_examples=150)
def test_the_rows_of_each_split_that_say_so_add_up_to_the_company(
    kpi: Kpi, meaning: Meaning, events: list[Event], as_of: int, window: str | None
) -> None:
    company = Company.from_events(meaning, events)
    if kpi.partition and kpi.partition.name == "change":
        return  # between the groups of a waterfall there are transfers: it has laws of its own
    whole = {_key(row, ""): row for row in answer(company, Question(kpi.name, as_of, window))}
    for dimension in kpi.dimensions:
        parts: defaultdict[tuple[object, ...], list[Row]] = defaultdict(list)
        for row in answer(company, Question(kpi.name, as_of, window, (dimension,))):
            if row.additive:
                parts[_key(row, dimension)].append(row)
        for key, rows in parts.items():
            assert [sum(column) for column in zip(*map(_sums, rows), strict=True)] == _sums(whole[key]), (
                dimension
            )


def _key(row: Row, dimension: str) -> tuple[object, ...]:
    return row.reading, row.window, tuple(label for label in row.by if label[0] != dimension)


def _sums(row: Row) -> list[Number]:
    """What adds up: of a quotient its parts, else the value itself; and the samples of what has a value."""
    if row.numerator is None or row.denominator is None:
        return [row.value or 0, row.samples]
    return [row.numerator, row.denominator]


DEAL = ("rep", "team", "manager", "type", "pipeline", "currency", "segment", "region", "lead_source")
CONTRACT = ("team", "rep", "kind", "segment", "region")
CUSTOMER = ("team", "segment", "region")
PERSON = ("rep", "team")
PLAN = ("rep", "team", "manager")
PAGE: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "acv": (
        ("booked_per_contract", "booked_per_customer", "active_per_contract", "active_per_customer"),
        CONTRACT,
        "fiscal_quarter",
    ),
    "clv": (("historic", "signed", "projected"), CONTRACT, "fiscal_quarter"),
    "rep_retention": (("trailing", "tenured", "tenure"), ("team", "leave_kind"), "trailing_12m"),
    "ramp_up": (("first_contact", "first_opportunity", "first_win"), PERSON, "fiscal_quarter"),
    "ramping_reps": (("count", "age"), PERSON, "fiscal_quarter"),
    "referrals": (("from_customers", "from_others", "won"), PERSON, "fiscal_quarter"),
    "customer_retention": (("logo", "grr", "nrr"), CUSTOMER, "trailing_12m"),
    "churn": (("logo", "revenue"), CUSTOMER, "trailing_12m"),
    "customers": (("active", "new", "churned", "in_grace"), CUSTOMER, "fiscal_quarter"),
    "contracts_expiring": (("count", "amount"), CONTRACT, "fiscal_quarter"),
    "target": (("amount", "wins"), PLAN, "fiscal_quarter"),
    "attainment": (("amount", "wins"), PLAN, "fiscal_quarter"),
    "pace": (("amount", "wins"), PLAN, "fiscal_quarter"),
    "needed": (("count",), PLAN, "fiscal_quarter"),
    "coverage": (("amount",), PLAN, "fiscal_quarter"),
    "velocity": (("amount",), DEAL, "fiscal_quarter"),
    "weighted_forecast": (("amount",), (*DEAL, "stage"), "fiscal_quarter"),
    "forecast": (("commit", "best_case", "pipeline"), (*DEAL, "stage"), "fiscal_quarter"),
    "waterfall": (("amount", "count"), DEAL, "fiscal_quarter"),
}
"""Readings, dimensions and default windows as kpi-definitions.md has them."""


@pytest.mark.rule("answer")
@pytest.mark.parametrize("name", PAGE)
def test_readings_dimensions_and_windows_are_those_of_the_contract(name: str) -> None:
    kpi, (readings, dimensions, window) = registry()[name], PAGE[name]

    assert tuple(reading.name for reading in kpi.readings) == readings
    assert kpi.dimensions == dimensions
    assert kpi.window == window
