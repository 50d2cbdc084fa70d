"""Rates of a day, and amounts in minor units."""

from datetime import date
from fractions import Fraction

import pytest

from aggregators.money import RATE_SCALE, Rates
from events.event import Event
from tests.aggregators.told import company_of, meaning, rate

TODAY = date(2026, 6, 30)


def rates(*events: Event, currency: str = "USD", **kpis: object) -> Rates:
    return Rates(company_of(*events, meaning=meaning(currency=currency, kpis=kpis)), today=TODAY)


@pytest.mark.rule("G4")
def test_the_rate_of_a_day_is_the_newest_on_or_before_it_within_the_age() -> None:
    found = rates(rate("EUR/USD", "2026-02-06", "1.25"), rate("EUR/USD", "2026-02-20", "1.5"))

    assert [found.rate("EUR", "USD", date(2026, 2, each)) for each in (5, 6, 13, 14, 19, 20)] == [
        None,
        *[5 * RATE_SCALE // 4] * 2,
        None,
        None,
        3 * RATE_SCALE // 2,
    ]


@pytest.mark.rule("G4")
def test_a_future_day_has_the_newest_known_rate() -> None:
    found = rates(rate("EUR/USD", "2026-02-06", "1.25"))

    assert found.rate("EUR", "USD", TODAY) is None
    assert found.rate("EUR", "USD", date(2026, 7, 1)) == 5 * RATE_SCALE // 4


@pytest.mark.rule("G4")
def test_direct_comes_before_the_inverse_and_the_inverse_before_the_pivot() -> None:
    direct, inverse = rate("JPY/USD", "2026-02-06", "0.01"), rate("USD/JPY", "2026-02-06", "150")
    legs = [rate("EUR/JPY", "2026-02-06", "160"), rate("EUR/USD", "2026-02-06", "1.2")]
    on = date(2026, 2, 6)

    assert rates(direct, inverse, *legs, fx_pivot="EUR").rate("JPY", "USD", on) == RATE_SCALE // 100
    assert rates(inverse, *legs, fx_pivot="EUR").rate("JPY", "USD", on) == round(Fraction(RATE_SCALE, 150))
    assert rates(*legs, fx_pivot="EUR").rate("JPY", "USD", on) == round(Fraction(12, 10) / 160 * RATE_SCALE)
    assert rates(*legs).rate("JPY", "USD", on) is None, "no other chains"


def test_a_rate_taken_away_prices_nothing() -> None:
    found = rates(rate("EUR/USD", "2026-02-06", "1.25"), rate("EUR/USD", "2026-02-07", None))

    assert found.rate("EUR", "USD", date(2026, 2, 7)) == 5 * RATE_SCALE // 4, "the day before is in reach"


@pytest.mark.rule("G4")
@pytest.mark.trap("JPY, TWD and KWD")
@pytest.mark.parametrize(
    ("reporting", "currency", "minor", "expected"),
    [("JPY", "USD", 12_34, Fraction(1851)), ("KWD", "USD", 1_00, Fraction(150_000)), ("USD", "USD", 7, 7)],
)
def test_conversion_is_exact_across_minor_units(
    reporting: str, currency: str, minor: int, expected: Fraction
) -> None:
    found = rates(rate(f"USD/{reporting}", "2026-02-06", "150"), currency=reporting)

    assert found.convert(minor, currency, date(2026, 2, 6)) == expected
