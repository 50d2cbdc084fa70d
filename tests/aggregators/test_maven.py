"""The golden figures of the Maven data, as kpi-definitions.md gives them."""

from dataclasses import replace
from fractions import Fraction
from time import process_time

import pytest

from aggregators.answer import answer
from aggregators.company import Company
from aggregators.question import Question
from tests.aggregators import maven
from tests.aggregators.told import end_of, ms, row, rows, value

YEAR_END = "2017-12-31"
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def company() -> Company:
    return Company.from_events(maven.MEANING, maven.events())


@pytest.mark.rule("golden")
def test_won_lost_and_open_are_those_of_the_page(company: Company) -> None:
    assert value(company, "won", "count", YEAR_END, window="all") == 4_238
    assert value(company, "lost", "count", YEAR_END, window="all") == 2_473
    assert value(company, "open", "count", YEAR_END, by="stage", group="Engaging") == 1_589
    assert value(company, "open", "count", YEAR_END, by="stage", group="Prospecting") == 500
    assert value(company, "won", "amount", YEAR_END, window="all") == 10_005_534_00


@pytest.mark.rule("golden")
def test_the_win_rate_of_closed_and_of_all_deals(company: Company) -> None:
    closed = value(company, "win_rate", "closed_count", YEAR_END, window="all")

    assert round(closed, 6) == Fraction("0.631501")
    every = value(company, "win_rate", "cohort", YEAR_END, window="all")
    assert round(every, 6) == Fraction("0.481591")
    known = value(company, "win_rate", "cohort", YEAR_END, window="2016-01-01..2017-12-31")
    assert known == Fraction(4_238, 8_300), "deals of unknown creation are in no window of days"


@pytest.mark.rule("golden")
@pytest.mark.parametrize(
    ("quarter", "won", "lost", "amount", "rate", "cycle"),
    [
        ("2017-01-01..2017-03-31", 531, 116, 1_134_672, ".8207", "65.6252"),
        ("2017-04-01..2017-06-30", 1_254, 778, 3_086_111, ".6171", "51.0104"),
        ("2017-07-01..2017-09-30", 1_257, 790, 2_982_255, ".6141", "48.8170"),
        ("2017-10-01..2017-12-31", 1_196, 789, 2_802_496, ".6025", "49.5610"),
        ("all", 4_238, 2_473, 10_005_534, ".6315", "51.7820"),
    ],
)
def test_each_close_quarter(
    company: Company, quarter: str, won: int, lost: int, amount: int, rate: str, cycle: str
) -> None:
    assert value(company, "won", "count", YEAR_END, window=quarter) == won
    assert value(company, "lost", "count", YEAR_END, window=quarter) == lost
    assert value(company, "won", "amount", YEAR_END, window=quarter) == amount * 100
    assert round(value(company, "win_rate", "closed_count", YEAR_END, window=quarter), 4) == Fraction(rate)
    days = value(company, "sales_cycle", "mean", YEAR_END, window=quarter) / DAY_MS
    assert round(days, 4) == Fraction(cycle)


@pytest.mark.rule("golden", "F16")
def test_created_by_quarter(company: Company) -> None:
    found = rows(company, "created", YEAR_END, window="fiscal_quarter", periods=5)

    assert [each.value for each in found if each.reading == "count"] == [358, 1_619, 2_388, 2_770, 1_165]
    same = rows(company, "new_opportunities", YEAR_END, window="fiscal_quarter", periods=5)
    assert [replace(each, kpi="created") for each in same] == found


@pytest.mark.rule("golden")
def test_the_age_of_engaging_deals_grows_by_a_day_in_a_day(company: Company) -> None:
    for as_of, days in ((f"{YEAR_END}T00:00:00Z", "198.8162"), (YEAR_END, "199.8162")):
        age = row(company, "stagnation", "age", as_of, by="stage", group="Engaging")
        assert age.value is not None
        assert round(Fraction(age.value) / DAY_MS, 4) == Fraction(days)
        assert age.samples == 1_589
    assert row(company, "stagnation", "age", YEAR_END).samples == 1_589, "prospecting deals have no age"
    assert row(company, "stagnation", "stagnation", YEAR_END).samples == 2_089


@pytest.mark.rule("golden")
def test_engaging_deals_older_than_90_days_are_stalled(company: Company) -> None:
    assert value(company, "stalled", "count", f"{YEAR_END}T00:00:00Z") == 1_479


@pytest.mark.rule("golden")
def test_darcel_schlecht_by_quarter_and_rosie_papadopoulos(company: Company) -> None:
    found = rows(company, "win_rate", YEAR_END, by="rep", window="fiscal_quarter", periods=4)
    closed = [each for each in found if each.reading == "closed_count"]
    darcel = [each for each in closed if each.by == (("rep", "Darcel Schlecht"),)]

    assert [(each.numerator, each.samples - (each.numerator or 0)) for each in darcel] == [
        (44, 13),
        (96, 60),
        (115, 66),
        (94, 65),
    ]
    third = "2017-07-01..2017-09-30"
    rosie = row(
        company,
        "win_rate",
        "closed_count",
        YEAR_END,
        by="rep",
        group="Rosie Papadopoulos",
        window=third,
    )
    assert (rosie.numerator, rosie.denominator) == (23, 31)
    assert round(Fraction(rosie.value or 0), 4) == Fraction("0.7419")


@pytest.mark.parametrize("dimension", ["rep", "team", "manager", "segment", "region", "type", "currency"])
def test_a_split_adds_up_to_the_company(company: Company, dimension: str) -> None:
    for kpi in ("won", "created", "open", "win_rate"):
        whole = [each for each in rows(company, kpi, YEAR_END, window="all") if each.additive]
        parts = rows(company, kpi, YEAR_END, by=dimension, window="all")
        for each in whole:
            mine = [part for part in parts if part.reading == each.reading]
            assert sum(part.samples for part in mine) == each.samples
            if each.numerator is None:
                assert sum(part.value or 0 for part in mine) == each.value
            else:
                assert sum(part.numerator or 0 for part in mine) == each.numerator


def test_the_teams_of_maven_against_its_raw_rows(company: Company) -> None:
    office = {rep["sales_agent"]: rep["regional_office"] for rep in maven.raw("sales_teams")}
    by_hand: dict[str, int] = {}
    for deal in maven.raw("sales_pipeline"):
        if deal["deal_stage"] == "Won":
            team = office[deal["sales_agent"]]
            by_hand[team] = by_hand.get(team, 0) + int(deal["close_value"]) * 100

    found = rows(company, "won", YEAR_END, by="team", window="all")
    assert {each.by[0][1]: each.value for each in found if each.reading == "amount"} == by_hand


def test_win_rate_by_rep_takes_well_under_a_second(company: Company) -> None:
    answer(company, Question("win_rate", end_of("2017-11-30"), "all", ("rep",)))
    company.fold(maven.events()[0])
    started = process_time()
    answer(company, Question("win_rate", ms("2017-12-30"), "all", ("rep",)))
    assert process_time() - started < 2
