"""Who is a customer on which day."""

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregators.contracts import Stretch
from aggregators.customers import customer, joined, purchase_stretch
from tests.aggregators.test_contracts import agreed

STRETCHES = st.lists(
    st.builds(
        lambda first, days: Stretch(first, None if days is None else first + timedelta(days=days)),
        st.dates(date(2025, 1, 1), date(2026, 12, 31)),
        st.one_of(st.none(), st.integers(0, 200)),
    ),
    max_size=8,
)


@pytest.mark.rule("F7", "K9")
def test_a_renewal_on_the_thirtieth_day_is_continuous_and_on_the_next_is_not() -> None:
    first = agreed("2025-01-01", "2025-12-31")
    in_time, late = agreed("2026-01-30", None, id="c2"), agreed("2026-01-31", None, id="c2")

    assert customer("a", [first, in_time], grace_days=30).active_on(date(2026, 1, 10))
    assert not customer("a", [first, late], grace_days=30).active_on(date(2026, 1, 10))


@pytest.mark.rule("F33")
def test_churn_falls_on_the_end_and_the_grace_is_counted_beside_it() -> None:
    left = customer("a", [agreed("2025-01-01", "2025-12-31")], grace_days=30)

    assert left.active_on(date(2025, 12, 31))
    assert not left.active_on(date(2026, 1, 1))
    assert left.in_grace_on(date(2026, 1, 1), grace_days=30)
    assert left.in_grace_on(date(2026, 1, 30), grace_days=30)
    assert not left.in_grace_on(date(2026, 1, 31), grace_days=30)
    assert not left.in_grace_on(date(2025, 12, 31), grace_days=30)


def test_no_grace_still_joins_consecutive_days() -> None:
    days = [Stretch(date(2025, 1, 1), date(2025, 1, 31)), Stretch(date(2025, 2, 1), None)]

    assert joined(days, grace_days=0) == (Stretch(date(2025, 1, 1), None),)


def test_a_contract_never_in_force_renews_nothing() -> None:
    regretted = agreed("2026-01-15", None, id="c2", cancelled_on=date(2026, 1, 15))

    held = customer("a", [agreed("2025-01-01", "2025-12-31"), regretted], grace_days=30)

    assert not held.active_on(date(2026, 1, 5))


@pytest.mark.rule("F34")
def test_a_purchase_keeps_a_customer_for_its_days_the_first_one_inside() -> None:
    assert purchase_stretch(date(2025, 1, 1), active_days=365) == Stretch(
        date(2025, 1, 1), date(2025, 12, 31)
    )


@given(STRETCHES, st.integers(0, 60), st.randoms())
def test_joining_neither_depends_on_order_nor_loses_a_day(
    stretches: Sequence[Stretch], grace_days: int, random: Random
) -> None:
    shuffled = [*stretches, *stretches[:3]]
    random.shuffle(shuffled)

    found = joined(stretches, grace_days=grace_days)

    assert joined(shuffled, grace_days=grace_days) == found
    for day in (date(2025, 1, 1) + timedelta(days=step) for step in range(0, 1000, 7)):
        covered = any(stretch.holds(day) for stretch in stretches)
        before = [s.last for s in stretches if s.last is not None and s.last < day]
        after = [s.first for s in stretches if s.first > day]
        healed = bool(before and after) and (min(after) - max(before)).days <= max(grace_days, 1)
        assert any(stretch.holds(day) for stretch in found) == (covered or healed)
