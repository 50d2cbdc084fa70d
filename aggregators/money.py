"""Money: amounts in minor units, and the rate of a day (G4).

An amount is scaled once, from the decimal as stated to integer minor units of its currency. A rate is an
integer, in units of 10^-30, so that every conversion is integer arithmetic and its result an exact
fraction; rounding comes last, when an answer is shown.
"""

from bisect import bisect_right
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from aggregators.company import Company, Entity
from aggregators.question import Number
from events.currencies import EXPONENTS

RATE_SCALE = 10**30
"""A rate of 1 as an integer: quotients are rounded half to even to 30 decimals."""


def minor_units(amount: Decimal, currency: str) -> int:
    """A stated amount in minor units of its currency, half to even (events.md, "Sizes").

    >>> minor_units(Decimal("12.345"), "TWD"), minor_units(Decimal("12.345"), "KWD")
    (1234, 12345)
    >>> minor_units(Decimal("2.5"), "JPY")
    2
    """
    return round(Fraction(amount) * _unit(currency))


class Rates:
    """Every exchange rate that was stated, by the day it is of."""

    def __init__(self, company: Company, *, today: date) -> None:
        """`today` is the present local day: a later one is a future day."""
        self._today = today
        self._max_age = timedelta(days=company.meaning.kpis.fx_max_age_days)
        self._pivot = company.meaning.kpis.fx_pivot
        self.reporting = company.meaning.company.currency
        stated: dict[tuple[str, str], dict[date, Fraction]] = defaultdict(dict)
        for entity in company.living("fx_rate"):
            rate = entity.newest("rate")
            if rate is not None and rate > 0:
                base, quote, day = _named(entity)
                stated[base, quote][day] = Fraction(rate)
        self._stated = {pair: (sorted(days), days) for pair, days in stated.items()}

    def rate(self, base: str, quote: str, day: date) -> int | None:
        """What one `base` costs in `quote` on a day, in units of 10^-30; None if no rate is in reach.

        The direct rate, else the inverse of the other direction, else both legs through the pivot.
        """
        if base == quote:
            return RATE_SCALE
        found = self._leg(base, quote, day)
        if found is None and self._pivot and self._pivot not in (base, quote):
            first, second = self._leg(base, self._pivot, day), self._leg(self._pivot, quote, day)
            found = first * second if first and second else None
        return None if found is None else round(found * RATE_SCALE)

    def convert(self, minor: int, currency: str, day: date) -> Number | None:
        """Minor units of a currency in those of the reporting currency, exact; None without a rate."""
        if currency == self.reporting:
            return minor
        rate = self.rate(currency, self.reporting, day)
        if rate is None:
            return None
        up, down = _unit(self.reporting), _unit(currency)
        return Fraction(minor * rate * up, down * RATE_SCALE)

    def _leg(self, base: str, quote: str, day: date) -> Fraction | None:
        direct = self._of_day(base, quote, day)
        if direct is not None:
            return direct
        inverse = self._of_day(quote, base, day)
        return None if inverse is None else 1 / inverse

    def _of_day(self, base: str, quote: str, day: date) -> Fraction | None:
        """The newest rate on or before a day, if it is young enough; of a future day the newest."""
        days, rates = self._stated.get((base, quote), ([], {}))
        before = bisect_right(days, day)
        if not before:
            return None
        newest = days[before - 1]
        if day <= self._today and day - newest > self._max_age:
            return None
        return rates[newest]


def _named(entity: Entity) -> tuple[str, str, date]:
    """Base, quote and day of a rate; what the fields leave out stands in the subject."""
    base, quote, day = entity.id.split("/")
    return (
        entity.newest("base") or base,
        entity.newest("quote") or quote,
        entity.newest("date") or date.fromisoformat(day),
    )


def exact_decimal(number: Number) -> str:
    """A number as a decimal without rounding, if it has one; else as a fraction.

    >>> exact_decimal(Fraction(5, 4)), exact_decimal(7), exact_decimal(Fraction(1, 3))
    ('1.25', '7', '1/3')
    """
    exact = Fraction(number)
    twos, fives = _power(exact.denominator, 2), _power(exact.denominator, 5)
    if 2**twos * 5**fives != exact.denominator:
        return str(exact)
    return fixed(exact, max(twos, fives))


def fixed(number: Number, decimals: int) -> str:
    """A number with that many decimals, half to even.

    >>> fixed(Fraction(-5, 1000), 2), fixed(Fraction(12345, 1000), 2)
    ('0.00', '12.34')
    """
    scaled = round(Fraction(number) * 10**decimals)
    digits = str(abs(scaled)).rjust(decimals + 1, "0")
    sign = "-" if scaled < 0 else ""
    return sign + (f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits)


def _unit(currency: str) -> int:
    """Minor units in one major unit."""
    return int(10 ** EXPONENTS[currency])


def _power(number: int, of: int) -> int:
    power = 0
    while number % of == 0:
        number, power = number // of, power + 1
    return power
