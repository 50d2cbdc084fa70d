"""What a contract is worth, by hand."""

from calendar import monthrange
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregators.contracts import MICRO, Contract, Stretch, annual_value, term_months

DAYS = st.dates(date(1999, 1, 1), date(2040, 12, 31))


def agreed(start: str, end: str | None = None, recurring: int = 0, **others: Any) -> Contract:
    """A contract in minor units of USD, signed on its first day."""
    facts: dict[str, Any] = {
        "id": "c1",
        "account_id": "a1",
        "owner_id": None,
        "signed_on": date.fromisoformat(start),
        "start_on": date.fromisoformat(start),
        "end_on": date.fromisoformat(end) if end else None,
        "recurring_minor": recurring,
        "per": "term",
        "one_time_minor": 0,
        "currency": "USD",
    }
    return Contract(**{**facts, **others})


@pytest.mark.rule("K1")
def test_the_golden_ramp_is_worth_538000_in_total_and_171000_a_year() -> None:
    ramp = agreed(
        "2026-01-01", "2028-12-31", (162_000 + 171_000 + 180_000) * 100, one_time_minor=25_000 * 100
    )

    assert ramp.total_value == 538_000 * 100
    assert ramp.annual_micro == 171_000 * 100 * MICRO


@pytest.mark.rule("F24")
@pytest.mark.parametrize(
    ("start", "end", "months"),
    [
        ("2026-01-01", "2026-12-31", Fraction(12)),
        ("2026-01-31", "2026-02-27", Fraction(1)),
        ("2026-01-31", "2026-03-30", Fraction(2)),
        ("2026-01-31", "2026-03-29", 1 + Fraction(30, 31)),
        ("2024-02-29", "2025-02-27", Fraction(12)),
        ("2026-01-20", "2026-03-05", 1 + Fraction(14, 28)),
        ("2026-05-10", "2026-05-10", Fraction(1, 31)),
        ("2026-01-01", "2027-03-15", 14 + Fraction(15, 31)),
        ("2026-05-10", "2026-05-09", Fraction(0)),
        ("2000-01-01", "9999-12-31", Fraction(96_000)),
        ("9999-12-01", "9999-12-31", Fraction(1)),
    ],
)
def test_a_term_is_whole_months_and_days_of_the_month_they_fall_in(
    start: str, end: str, months: Fraction
) -> None:
    assert term_months(date.fromisoformat(start), date.fromisoformat(end)) == months


@given(DAYS, st.integers(0, 3000))
def test_a_day_more_is_a_longer_term(start: date, days: int) -> None:
    end = start + timedelta(days=days)

    assert term_months(start, end) < term_months(start, end + timedelta(days=1))


@pytest.mark.rule("K1", "F24")
def test_a_term_under_a_year_is_not_scaled_up() -> None:
    quarter = agreed("2026-01-01", "2026-03-31", 300_00)

    assert quarter.annual_micro == 300_00 * MICRO


def test_a_month_priced_term_under_a_year_is_worth_what_is_paid_for_it() -> None:
    quarter = agreed("2026-01-01", "2026-03-31", 100_00, per="month")

    assert quarter.annual_micro == 300_00 * MICRO


@pytest.mark.rule("F4", "K1")
@pytest.mark.parametrize(("per", "yearly"), [("month", 1200_00), ("year", 100_00)])
def test_a_contract_without_end_is_worth_twelve_months_or_the_year(per: str, yearly: int) -> None:
    running = agreed("2026-01-01", None, 100_00, per=per)
    cancelled = agreed("2026-01-01", None, 100_00, per=per, cancelled_on=date(2026, 2, 1))

    assert running.annual_micro == cancelled.annual_micro == yearly * MICRO
    assert running.total_value is None


@pytest.mark.rule("F23")
def test_a_term_price_without_end_is_counted_and_not_priced() -> None:
    odd = agreed("2026-01-01", None, 100_00)

    assert odd.annual_micro is None
    assert odd.accrued_micro(date(2026, 5, 1)) is None
    assert odd.signed_micro(date(2026, 5, 1)) is None
    assert odd.in_force_on(date(2026, 5, 1))


@pytest.mark.rule("F25")
def test_a_contract_of_value_nothing_has_the_annual_value_nothing() -> None:
    assert agreed("2026-01-01").annual_micro == 0
    assert agreed("2026-01-01", "2026-12-31").annual_micro == 0


@pytest.mark.rule("F3")
def test_the_last_day_is_in_force_and_the_day_of_cancellation_is_not() -> None:
    whole = agreed("2026-01-01", "2026-12-31")
    cancelled = agreed("2026-01-01", "2026-12-31", cancelled_on=date(2026, 7, 1))

    assert whole.in_force_on(date(2026, 12, 31))
    assert not whole.in_force_on(date(2027, 1, 1))
    assert cancelled.in_force_on(date(2026, 6, 30))
    assert not cancelled.in_force_on(date(2026, 7, 1))


@pytest.mark.rule("F3")
def test_a_contract_cancelled_on_its_first_day_is_booked_and_never_in_force() -> None:
    regretted = agreed("2026-01-01", "2026-12-31", 1200_00, cancelled_on=date(2026, 1, 1))

    assert regretted.in_force is None
    assert regretted.annual_micro == 1200_00 * MICRO
    assert regretted.accrued_micro(date(2026, 6, 1)) == 0
    assert regretted.signed_micro(date(2026, 6, 1)) == 0


def test_a_late_cancellation_does_not_lengthen_a_contract() -> None:
    assert agreed("2026-01-01", "2026-03-31", cancelled_on=date(2027, 1, 1)).in_force == Stretch(
        date(2026, 1, 1), date(2026, 3, 31)
    )


def test_a_replaced_contract_ends_the_day_before_the_other_starts() -> None:
    replaced = agreed("2026-01-01", "2026-12-31", 365_00, replaced_on=date(2026, 4, 11))

    assert replaced.in_force == Stretch(date(2026, 1, 1), date(2026, 4, 10))
    assert replaced.accrued_micro(date(2027, 1, 1)) == 100_00 * MICRO
    assert replaced.signed_micro(date(2026, 4, 10)) == 365_00 * MICRO
    assert replaced.signed_micro(date(2026, 4, 11)) == 100_00 * MICRO


def test_a_range_that_was_turned_round_is_empty() -> None:
    assert agreed("2026-03-01", "2026-02-01", 100_00).in_force is None


@pytest.mark.rule("F5", "K2")
def test_value_accrues_day_by_day_and_the_first_day_counts() -> None:
    year = agreed("2026-01-01", "2026-12-31", 365_00, one_time_minor=50_00, signed_on=date(2025, 12, 1))

    assert year.accrued_micro(date(2025, 11, 30)) == 0
    assert year.accrued_micro(date(2025, 12, 1)) == 50_00 * MICRO
    assert year.accrued_micro(date(2026, 1, 1)) == 51_00 * MICRO
    assert year.accrued_micro(date(2030, 1, 1)) == (365_00 + 50_00) * MICRO


@pytest.mark.rule("F5")
def test_without_an_end_each_month_accrues_a_twelfth_over_its_days() -> None:
    monthly = agreed("2026-01-01", None, 31_00, per="month")

    assert monthly.accrued_micro(date(2026, 1, 10)) == 10_00 * MICRO
    assert monthly.accrued_micro(date(2026, 2, 28)) == 62_00 * MICRO
    assert monthly.accrued_micro(date(2026, 3, 1)) == 63_00 * MICRO


@pytest.mark.rule("F5")
def test_accrual_is_rounded_once_half_to_even() -> None:
    # A third of a minor unit shows the rounding.
    third = agreed("2026-01-01", "2026-01-03", 1)

    assert third.accrued_micro(date(2026, 1, 1)) == 333_333
    assert third.accrued_micro(date(2026, 1, 2)) == 666_667
    assert annual_value(Fraction(1, 2 * MICRO), Fraction(12)) == 0
    assert annual_value(Fraction(3, 2 * MICRO), Fraction(12)) == 2


@pytest.mark.rule("K2")
def test_signed_value_loses_what_a_cancellation_took_away_from_its_day_on() -> None:
    year = agreed("2026-01-01", "2026-12-31", 365_00, one_time_minor=10_00, cancelled_on=date(2026, 4, 11))

    assert year.signed_micro(date(2025, 12, 31)) == 0
    assert year.signed_micro(date(2026, 4, 10)) == 375_00 * MICRO
    assert year.signed_micro(date(2026, 4, 11)) == 110_00 * MICRO


def test_a_contract_signed_late_is_in_force_from_its_start() -> None:
    late = agreed("2026-01-01", "2026-12-31", 365_00, signed_on=date(2026, 2, 1), one_time_minor=1_00)

    assert late.in_force_on(date(2026, 1, 15))
    assert late.bought_on == date(2026, 1, 1)
    assert late.accrued_micro(date(2026, 1, 31)) == 31_00 * MICRO
    assert late.accrued_micro(date(2026, 2, 1)) == 33_00 * MICRO


@pytest.mark.rule("F5")
@given(DAYS, st.integers(0, 2000), st.integers(-(10**13), 10**13), st.integers(0, 2500))
def test_a_finished_contract_has_accrued_exactly_its_value(
    start: date, days: int, recurring: int, later: int
) -> None:
    contract = agreed(str(start), str(start + timedelta(days=days)), recurring)

    assert contract.accrued_micro(start + timedelta(days=days + later)) == recurring * MICRO


@given(DAYS, st.integers(0, 2000))
def test_without_an_end_the_days_add_up_to_what_has_accrued(start: date, days: int) -> None:
    monthly = agreed(str(start), None, 27720, per="month")
    by_day = sum(
        Fraction(27720, monthrange(day.year, day.month)[1])
        for day in (start + timedelta(days=number) for number in range(days + 1))
    )

    assert monthly.accrued_micro(start + timedelta(days=days)) == round(by_day * MICRO)
