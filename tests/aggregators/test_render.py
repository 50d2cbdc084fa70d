"""Answers as kpi-definitions.md shows them."""

import csv
import io
import json
from fractions import Fraction
from typing import Any

import pytest

from aggregators.answer import answer
from aggregators.calendar import Calendar
from aggregators.question import Row, Window
from aggregators.render import Renderer, csv_text, table_text, value_text
from aggregators.request import as_of_ms, questions
from events.errors import UsageError
from tests.aggregators.told import company_of, end_of, meaning, ms, opp, rate, rows

TAIPEI = meaning(timezone="Asia/Taipei", currency="TWD")


@pytest.mark.rule("answer")
def test_a_row_is_the_json_of_the_page() -> None:
    company = company_of(
        *(opp(f"w{n}", "2017-05-02", stage="Won", owner_id="Darcel Schlecht") for n in range(96)),
        *(opp(f"l{n}", "2017-05-02", stage="Lost", owner_id="Darcel Schlecht") for n in range(60)),
    )
    found = rows(company, "win_rate", "2017-12-31", by="rep", window="2017-04-01..2017-06-30")

    assert json.loads(json.dumps(Renderer(company.meaning).record(found[0]))) == {
        "kpi": "win_rate",
        "reading": "closed_count",
        "definition_version": 1,
        "by": {"rep": "Darcel Schlecht"},
        "window": {"name": "2017-04-01..2017-06-30", "start": "2017-04-01", "end": "2017-06-30"},
        "as_of": "2017-12-31T23:59:59.999+00:00",
        "value": 0.615384615385,
        "unit": "ratio",
        "numerator": 96,
        "denominator": 156,
        "samples": 156,
    }


@pytest.mark.rule("answer")
def test_money_is_a_decimal_string_rounded_at_the_very_end() -> None:
    company = company_of(
        rate("EUR/TWD", "2026-02-06", "33.333"),
        opp("a", "2026-02-06", stage="Won", amount="0.10", currency="EUR"),
        opp("b", "2026-02-06", stage="Won", amount="0.10", currency="EUR"),
        meaning=TAIPEI,
    )
    render = Renderer(TAIPEI)
    (size,) = render.records(rows(company, "deal_size", "2026-03-31"))
    amount = render.records(rows(company, "won", "2026-03-31"))[1]

    assert (size["value"], size["numerator"], size["denominator"], size["unit"]) == ("3.33", "6.67", 2, "TWD")
    assert (amount["value"], amount["unit"], amount["numerator"]) == ("6.67", "TWD", None)
    assert size["as_of"] == "2026-03-31T23:59:59.999+08:00"


@pytest.mark.rule("answer", "F1")
def test_durations_are_seconds_and_levels_have_no_days() -> None:
    company = company_of(opp("a", "2026-01-01T00:00:00Z", stage="Proposal"))
    found = Renderer(company.meaning).records(
        rows(company, "stagnation", "2026-01-01T00:00:01.500Z", periods=5, window="month")
    )

    assert [each["value"] for each in found] == [1.5, 1.5, 1.5]
    assert found[0]["window"] == {"name": None, "start": None, "end": None}
    assert found[0]["unit"] == "seconds"


@pytest.mark.rule("answer")
def test_an_unfinished_window_shows_all_its_days() -> None:
    company = company_of(opp("a", "2026-01-01", stage="Won"))
    found = Renderer(company.meaning).records(rows(company, "won", "2026-02-10", window="fiscal_quarter"))

    assert found[0]["window"] == {"name": "fiscal_quarter", "start": "2026-01-01", "end": "2026-03-31"}


@pytest.mark.rule("answer", "G9")
def test_no_sample_is_null_in_json_and_a_dash_in_a_table() -> None:
    company = company_of()
    found = Renderer(company.meaning).records(rows(company, "win_rate", "2026-02-10"))

    assert (found[0]["value"], found[0]["samples"], found[0]["denominator"]) == (None, 0, 0)
    assert "—" in table_text(found)
    assert next(csv.DictReader(io.StringIO(csv_text(found))))["value"] == ""


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        ("0.156635937493", "USD/second", "13,533.34 USD/day"),
        (303.645833333333, "count", "303.6458"),
        (0.361990950226, "count", "0.361991"),
        (1234567, "count", "1,234,567"),
        (0.361990950226, "ratio", "36.20%"),
        (253_152.0, "seconds", "2.93 d"),
        ("-1234567.50", "USD", "-1,234,567.50 USD"),
        (None, "USD/second", "—"),
    ],
)
def test_a_table_shows_what_people_read(value: Any, unit: str, shown: str) -> None:
    assert value_text(value, unit) == shown


@pytest.mark.rule("K1")
def test_rows_that_do_not_add_up_say_so() -> None:
    row = Row("x", "y", 1, (), Window("all", None, None), 0, Fraction(1, 3), "ratio", 1, 3, 3, additive=False)

    assert Renderer(TAIPEI).record(row)["additive"] is False


@pytest.mark.rule("answer")
@pytest.mark.parametrize("currency", ["JPY", "KWD", "CLF"])
def test_money_has_the_decimals_of_its_currency(currency: str) -> None:
    decimals = {"JPY": 0, "KWD": 3, "CLF": 4}[currency]
    text = Renderer(meaning(currency=currency)).value(-1234567, "money")

    assert text == f"{-1234567 / 10**decimals:.{decimals}f}"


@pytest.mark.rule("answer")
def test_a_day_means_its_end_and_an_instant_itself() -> None:
    calendar = Calendar(TAIPEI.company)

    assert as_of_ms("2026-03-31", calendar) == end_of("2026-03-31", TAIPEI)
    assert as_of_ms("2026-03-31T18:00:00+08:00", calendar) == ms("2026-03-31T10:00:00Z")
    assert as_of_ms("2026-03-31T18:00:00 08:00", calendar) == ms("2026-03-31T10:00:00Z")
    with pytest.raises(UsageError, match="neither a day such as"):
        as_of_ms("yesterday", calendar)


@pytest.mark.rule("answer")
@pytest.mark.parametrize(
    "asked",
    [
        {"as_of": "0001-01-01"},
        {"as_of": "1900-01-01"},
        {"as_of": "2199-12-31"},
        {"as_of": "0001-01-01T00:00:00Z"},
        {"window": "0001-01-01..9999-12-31"},
        {"window": "1900-01-01..1900-01-02"},
    ],
)
def test_days_that_no_calendar_has_are_refused_and_the_first_and_last_are_answered(
    asked: dict[str, Any],
) -> None:
    company = company_of(opp("a", "2026-01-01", stage="Won", owner_id="ann"))
    with pytest.raises(UsageError, match=r"beyond 1901-01-02\.\.2199-12-30|neither a day"):
        questions(company.calendar, now_ms=0, **asked)

    for question in (
        *questions(company.calendar, now_ms=0, as_of="1901-01-02"),
        *questions(company.calendar, now_ms=0, as_of="2199-12-30"),
        *questions(company.calendar, now_ms=0, window="1901-01-02..2199-12-30"),
    ):
        answer(company, question)


@pytest.mark.rule("answer")
def test_without_a_name_all_kpis_are_asked_that_can_be_split_so() -> None:
    calendar = Calendar(TAIPEI.company)
    every = {question.kpi for question in questions(calendar, now_ms=0)}
    by_stage = {question.kpi for question in questions(calendar, now_ms=0, by="stage")}

    assert by_stage >= {"open", "stagnation", "stalled"}
    assert by_stage < every
    for wrong, said in (
        ({"kpi": "win_rat"}, "Did you mean 'win_rate'"),
        ({"kpi": "won", "by": "stage"}, "it can by rep, team"),
        ({"by": "colour"}, "no KPI can be split by 'colour'; there are"),
        ({"kpi": "won", "window": "quarter"}, "fiscal_quarter"),
    ):
        with pytest.raises(UsageError, match=said):
            questions(calendar, now_ms=0, **wrong)  # type: ignore[arg-type]
