"""Which target holds for a window."""

from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregators.calendar import Calendar, Span
from aggregators.meaning import Company
from aggregators.targets import Target, shares

CALENDAR = Calendar(Company(fiscal_year_start_month=2))


def target(period: str, amount: int = 0) -> Target:
    return Target(f"rep:e1/{period}", "rep", "e1", CALENDAR.named_period(period)[1], amount)


def amount(targets: list[Target], start: str, end: str) -> Fraction | None:
    found = shares(targets, Span(date.fromisoformat(start), date.fromisoformat(end)))
    return sum((Fraction(s.target.amount_minor or 0) * s.part for s in found), Fraction()) if found else None


@pytest.mark.rule("Targets")
def test_a_window_takes_the_target_of_exactly_its_period() -> None:
    stated = [target("2026-Q1", 900), target("2025-02", 1), target("2025-03", 1), target("2025-04", 1)]

    assert amount(stated, "2025-02-01", "2025-04-30") == 900


@pytest.mark.rule("Targets")
def test_finer_targets_count_if_they_cover_the_window() -> None:
    stated = [target("2026", 4000), target("2025-02", 1), target("2025-03", 2), target("2025-04", 3)]

    assert amount(stated, "2025-02-01", "2025-04-30") == 6


@pytest.mark.rule("Targets")
def test_a_coarser_target_counts_by_days_where_the_finer_ones_leave_a_gap() -> None:
    stated = [target("2026", 365), target("2025-02", 1), target("2025-03", 2)]

    assert amount(stated, "2025-02-01", "2025-04-30") == 89


def test_the_nearest_coarser_target_counts() -> None:
    stated = [target("2026", 365), target("2026-Q1", 890)]

    assert amount(stated, "2025-03-01", "2025-03-31") == 310


def test_a_year_is_made_of_quarters_and_where_one_is_missing_of_its_months() -> None:
    stated = [
        *(target(f"2026-Q{quarter}", 100) for quarter in (1, 2, 4)),
        *(target(f"2025-{month:02}", 7) for month in (8, 9, 10)),
        target("2025-02", 10_000),
    ]

    assert amount(stated, "2025-02-01", "2026-01-31") == 321


def test_of_quarters_and_months_that_both_cover_a_window_the_quarters_count() -> None:
    stated = [
        *(target(f"2026-Q{quarter}", 100) for quarter in (1, 2)),
        *(target(f"2025-{month:02}", 7) for month in (2, 3, 4, 5, 6, 7)),
    ]

    assert amount(stated, "2025-02-01", "2025-07-31") == 200


def test_a_window_across_two_periods_takes_its_days_of_each() -> None:
    stated = [target("2026-Q1", 89), target("2026-Q2", 920)]

    assert amount(stated, "2025-04-21", "2025-05-10") == 10 + 100


def test_a_window_with_days_without_a_target_has_none() -> None:
    assert amount([target("2026-Q1", 89)], "2025-04-21", "2025-05-10") is None
    assert amount([], "2025-04-21", "2025-05-10") is None


@given(
    st.lists(
        st.sampled_from(
            [
                "2026",
                "2026-Q1",
                "2026-Q2",
                "2026-Q3",
                "2026-Q4",
                *(f"2025-{month:02}" for month in range(2, 13)),
                "2026-01",
            ]
        ),
        unique=True,
    ),
    st.integers(0, 364),
    st.integers(0, 364),
)
def test_shares_cover_the_window_once_or_not_at_all(periods: list[str], first: int, last: int) -> None:
    first, last = sorted((first, last))
    window = Span(date(2025, 2, 1) + timedelta(first), date(2025, 2, 1) + timedelta(last))
    stated = [target(period, 1000) for period in periods]

    found = shares(stated, window)

    assert shares(reversed(stated), window) == found
    if found:
        days = [share.span.start + timedelta(n) for share in found for n in range(share.span.days)]
        assert days == [window.start + timedelta(n) for n in range(window.days)]
        assert all(share.target.span.start <= share.span.start for share in found)
    else:
        covered = [any(window.start + timedelta(n) in one.span for one in stated) for n in range(window.days)]
        assert not all(covered)
