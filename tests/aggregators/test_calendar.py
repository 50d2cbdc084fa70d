"""Days, fiscal periods and windows of a company."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregators.calendar import ALWAYS, Calendar, Span, add_months, instant_ms
from aggregators.meaning import Company
from events.errors import UsageError
from tests.aggregators.told import utc

DAYS = st.dates(date(1990, 1, 1), date(2080, 12, 31))


def calendar(**company: object) -> Calendar:
    return Calendar(Company(**company))


def span(start: str, end: str) -> Span:
    return Span(date.fromisoformat(start), date.fromisoformat(end))


def days(found: Calendar, name: str, as_of: str, periods: int = 1) -> list[tuple[str, str]]:
    return [
        (each.start.isoformat(), each.end.isoformat())
        for _, each in found.windows(name, date.fromisoformat(as_of), periods)
    ]


@pytest.mark.rule("G2")
@pytest.mark.trap("daylight-saving night")
def test_a_daylight_saving_night_has_23_hours_and_one_25() -> None:
    berlin = calendar(timezone="Europe/Berlin")

    hours = [
        (berlin.end_ms(day) + 1 - berlin.start_ms(day)) / 3_600_000
        for day in (date(2026, 3, 28), date(2026, 3, 29), date(2026, 10, 25))
    ]
    assert hours == [24, 23, 25]


def test_a_day_starts_with_the_change_where_midnight_is_skipped() -> None:
    cairo = calendar(timezone="Africa/Cairo")  # 2024-04-26 begins at 01:00
    start = cairo.start_ms(date(2024, 4, 26))

    assert start == instant_ms(utc(2024, 4, 25, 22))
    assert cairo.local(start).hour == 1
    assert cairo.day(start - 1) == date(2024, 4, 25)


def test_a_day_that_a_zone_skipped_is_empty() -> None:
    apia = calendar(timezone="Pacific/Apia")
    skipped = date(2011, 12, 30)

    assert apia.start_ms(skipped) == apia.start_ms(skipped + timedelta(days=1))
    assert apia.end_ms(skipped) < apia.start_ms(skipped)


@pytest.mark.rule("G2")
def test_an_instant_belongs_to_the_company_not_to_utc() -> None:
    assert calendar(timezone="Asia/Taipei").day(instant_ms(utc(2026, 3, 31, 16))) == date(2026, 4, 1)
    assert calendar(timezone="America/Lima").day(instant_ms(utc(2026, 4, 1, 4, 59))) == date(2026, 3, 31)


@pytest.mark.rule("G3")
@pytest.mark.trap("fiscal year from February")
def test_a_fiscal_year_from_february() -> None:
    ended = calendar(fiscal_year_start_month=2)
    started = calendar(fiscal_year_start_month=2, fiscal_year_named_by="start")

    assert days(ended, "fiscal_quarter", "2026-01-31") == [("2025-11-01", "2026-01-31")]
    assert days(ended, "fiscal_year", "2026-02-01") == [("2026-02-01", "2027-01-31")]
    assert ended.fiscal_year_name(date(2026, 2, 1)) == 2027
    assert started.fiscal_year_name(date(2026, 2, 1)) == 2026
    assert ended.named_period("2027-Q1") == ("fiscal_quarter", span("2026-02-01", "2026-04-30"))
    assert started.named_period("2026") == ("fiscal_year", span("2026-02-01", "2027-01-31"))
    assert ended.named_period("2026-11") == ("month", span("2026-11-01", "2026-11-30"))
    assert ended.named_period("2026-01") == ("month", span("2026-01-01", "2026-01-31"))


@pytest.mark.rule("G3", "F30")
def test_4_4_5_weeks_and_a_53rd_week_in_the_last_period() -> None:
    weeks = calendar(calendar="4-4-5")

    assert days(weeks, "fiscal_year", "2026-06-30") == [("2025-12-29", "2027-01-03")], "53 weeks"
    assert days(weeks, "fiscal_year", "2027-06-30") == [("2027-01-04", "2028-01-02")], "52 weeks"
    assert days(weeks, "month", "2026-03-01") == [("2026-02-23", "2026-03-29")], "five weeks"
    assert days(weeks, "fiscal_quarter", "2027-01-03") == [("2026-09-28", "2027-01-03")], "14 weeks"
    assert days(weeks, "month", "2027-01-03") == [("2026-11-23", "2027-01-03")], "six weeks"
    assert weeks.fiscal_year_name(date(2025, 12, 29)) == 2026
    assert weeks.named_period("2026-12") == ("month", span("2026-11-23", "2027-01-03"))


@pytest.mark.rule("F30")
@pytest.mark.parametrize(
    ("as_of", "start"),
    [
        ("2026-11-24", "2025-11-25"),
        ("2025-02-28", "2024-03-01"),
        ("2024-02-27", "2023-02-28"),
        ("2024-02-28", "2023-02-28"),
        ("2024-02-29", "2023-03-01"),
        ("2026-12-31", "2026-01-01"),
    ],
)
def test_trailing_12m_starts_twelve_months_before_the_next_day(as_of: str, start: str) -> None:
    assert days(calendar(), "trailing_12m", as_of) == [(start, as_of)]


@pytest.mark.rule("G3", "answer")
def test_windows_come_oldest_first_and_end_with_the_current_one() -> None:
    found = calendar()

    assert days(found, "day", "2026-03-01", 2) == [("2026-02-28", "2026-02-28"), ("2026-03-01", "2026-03-01")]
    assert days(found, "week", "2026-11-24") == [("2026-11-23", "2026-11-29")]
    assert days(found, "month", "2026-03-31", 2) == [
        ("2026-02-01", "2026-02-28"),
        ("2026-03-01", "2026-03-31"),
    ]
    assert days(found, "trailing_90d", "2026-03-31") == [("2026-01-01", "2026-03-31")]
    assert days(found, "2017-04-01..2017-06-30", "2026-03-31") == [("2017-04-01", "2017-06-30")]
    (window, whole) = found.windows("all", date(2026, 1, 1), 7)[0]
    assert (window.name, window.start, window.end, whole) == ("all", None, None, ALWAYS)


@pytest.mark.rule("answer")
@pytest.mark.parametrize(
    "name",
    ["quarter", "trailing_0d", "trailing_6m", "2026-02-30..2026-03-01", "2026-03-02..2026-03-01", ".."],
)
def test_a_wrong_window_is_an_error_that_says_what_there_is(name: str) -> None:
    with pytest.raises(UsageError, match=r"fiscal_quarter|2017-04-01\.\.2017-06-30|both days are inside"):
        calendar().windows(name, date(2026, 1, 1))


@pytest.mark.rule("G8")
def test_business_days_skip_weekends_and_holidays() -> None:
    found = calendar(holidays=(date(2026, 1, 1),))

    assert found.add_business_days(date(2025, 12, 31), 4) == date(2026, 1, 7)
    assert not found.is_business_day(date(2026, 1, 1))


@pytest.mark.rule("G3")
@given(
    DAYS,
    st.sampled_from(["month", "fiscal_quarter", "fiscal_year"]),
    st.integers(1, 12),
    st.sampled_from(["gregorian", "4-4-5"]),
)
def test_fiscal_periods_follow_each_other_without_gap_or_overlap(
    day: date, kind: str, month: int, style: str
) -> None:
    found = calendar(fiscal_year_start_month=month, calendar=style)
    period = found.period(kind, day)  # type: ignore[arg-type]

    assert day in period
    assert found.period(kind, period.start) == found.period(kind, period.end) == period  # type: ignore[arg-type]
    following = found.period(kind, period.end + timedelta(days=1))  # type: ignore[arg-type]
    assert following.start == period.end + timedelta(days=1)


@given(DAYS, st.sampled_from(["UTC", "Asia/Taipei", "America/St_Johns", "Africa/Cairo", "Pacific/Apia"]))
def test_days_follow_each_other_and_hold_their_instants(day: date, zone: str) -> None:
    found = calendar(timezone=zone)
    start = found.start_ms(day)

    assert found.end_ms(day) == found.start_ms(day + timedelta(days=1)) - 1
    assert found.day(start) >= day
    assert found.day(start - 1) < day


@given(DAYS, st.integers(-240, 240))
def test_months_are_added_and_clamped(day: date, months: int) -> None:
    found = add_months(day, months)

    assert (found.year * 12 + found.month) - (day.year * 12 + day.month) == months
    assert found.day == day.day or (found + timedelta(days=1)).day == 1
