"""The bars of a waterfall as they are shown: together they come to the shown end, to the last digit."""

from decimal import Decimal
from fractions import Fraction
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregators.answer import answer
from aggregators.bars import shown
from aggregators.company import Company
from aggregators.explain_page import explained
from aggregators.kpis.waterfall import CHANGES
from aggregators.question import Question, Row, Window
from aggregators.render import Renderer
from tests.aggregators.lively import lively, some
from tests.aggregators.told import company_of, end_of, opp, rate

NOW = "2026-02-20"
QUARTER = "2026-01-01..2026-03-31"


def euros() -> Company:
    """100.05 euros at 1.1, then at 1.3: 110.055 and 130.065, shown as 110.06 and 130.06, and 20.01 between."""
    return company_of(
        rate("EUR/USD", "2025-12-31", "1.1"),
        rate("EUR/USD", "2026-02-20", "1.3"),
        opp("a", "2025-12-20", stage="Proposal", amount="100.05", currency="EUR", close_date="2026-03-01"),
    )


@pytest.mark.rule("Executive")
def test_what_is_shown_adds_up_where_each_rounded_alone_would_not() -> None:
    exact = {
        row.by[-1][1]: row.value
        for row in answer(euros(), Question("waterfall", end_of(NOW), QUARTER))
        if row.reading == "amount"
    }
    alone = {change: round(Fraction(value or 0)) for change, value in exact.items()}
    assert alone["start"] + alone["revalued"] != alone["end"], "else this shows nothing"

    found = Renderer(euros().meaning).records(answer(euros(), Question("waterfall", end_of(NOW), QUARTER)))
    bars = {each["by"]["change"]: Decimal(each["value"]) for each in found if each["reading"] == "amount"}
    assert bars["start"] + bars["revalued"] == bars["end"]
    assert bars["start"] * 100 == alone["start"]
    assert bars["end"] * 100 == alone["end"]


def test_an_explanation_shows_the_bar_and_keeps_the_exact_amount() -> None:
    found = explained(euros(), now_ms=end_of(NOW), kpi="waterfall", where=["change=revalued"], window=QUARTER)

    assert (found["value"], found["exact"]["numerator"]) == ("20.00", "20.01")
    assert [each["numerator"] for each in found["records"]["list"]] == ["20.01"]
    assert found["arithmetic"] == "sum of 1 records = 20.00 USD"


@given(st.integers(0, 10**9), st.sampled_from([(), ("team",), ("rep", "currency")]))
@some(0.2)
def test_every_groups_bars_come_to_its_end(seed: int, by: tuple[str, ...]) -> None:
    meaning, events, as_of = lively(seed)
    rows = answer(Company.from_events(meaning, events), Question("waterfall", as_of, "fiscal_year", by))
    found = shown(rows)

    assert [replaced.by for replaced in found] == [row.by for row in rows]
    assert all(
        abs(Fraction(new.value or 0) - (old.value or 0)) <= 1 for new, old in zip(found, rows, strict=True)
    )
    for _, bars in groupby(sorted(found, key=group), key=group):
        values = {row.by[-1][1]: row.value or 0 for row in bars}
        end = values.pop("end", 0)
        assert sum(values.values()) == end


def group(row: Row) -> tuple[str, tuple[tuple[str, str], ...]]:
    return row.reading, row.by[:-1]


@given(
    st.lists(
        st.fractions(-(10**4), 10**4, max_denominator=10**3),
        min_size=len(CHANGES) - 1,
        max_size=len(CHANGES) - 1,
    )
)
def test_any_amounts_add_up_and_stay_within_a_minor_unit(amounts: list[Fraction]) -> None:
    values = [*amounts, sum(amounts, Fraction(0))]
    rows = [
        Row(
            "waterfall",
            "amount",
            1,
            (("change", change),),
            Window("all", None, None),
            0,
            value,
            "USD",
            None,
            None,
            1,
        )
        for change, value in zip(CHANGES, values, strict=True)
    ]
    found = [row.value or 0 for row in shown(rows)]

    assert sum(found[:-1]) == found[-1] == round(values[-1])
    assert found[0] == round(values[0])
    assert all(abs(new - old) <= 1 for new, old in zip(found, values, strict=True))


def test_rows_of_other_kpis_are_as_they_were() -> None:
    rows = answer(euros(), Question("open", end_of(NOW)))

    assert shown(rows) == rows
