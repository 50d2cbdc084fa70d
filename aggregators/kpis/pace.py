"""Pace: what was won of the target pro rata to the instant."""

from collections.abc import Iterator
from fractions import Fraction

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import TARGET_DIMENSIONS, Contribution, Kpi, Text
from aggregators.kpis.attainment import amount_of, readings, wins_of

WHOLE = Fraction(1)
"""The share of a window that has passed when it is over."""


def amount(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Amount won in the window / target amount x the share of the window that has passed."""
    return amount_of(ask, window, passed(ask, window))


def wins(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Deals won in the window / target wins x the share of the window that has passed."""
    return wins_of(ask, window, passed(ask, window))


def passed(ask: Ask, window: Span) -> Fraction:
    """The share of the window that has passed, the as-of instant inside: 0 before it begins, 1 after it."""
    start_ms, end_ms = ask.calendar.start_ms(window.start), ask.calendar.end_ms(window.end)
    elapsed = min(ask.as_of_ms, end_ms) + 1 - start_ms
    return Fraction(max(elapsed, 0), end_ms + 1 - start_ms)


PACE = Kpi(
    name="pace",
    version=1,
    title=Text("Pace", "達標進度"),
    definition=Text(
        "Amount won in the window / target amount x the share of the window that has passed at the instant; "
        "1 is on pace. By wins: deals won / target wins pro rata.",
        "期間內贏單金額 /(期間業績目標 × 該時點已經過的期間比例);1 表示符合進度。按贏單數:贏單數 / 按比例的目標贏單數。",
    ),
    dimensions=TARGET_DIMENSIONS,
    readings=readings(amount, wins),
)
