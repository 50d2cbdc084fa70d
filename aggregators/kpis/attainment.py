"""Attainment: what was won of the target."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import (
    TARGET_DIMENSIONS,
    Contribution,
    Contributions,
    Figure,
    Kpi,
    Reading,
    Sums,
    Text,
    Unit,
    quotient,
)
from aggregators.kpis import target, won
from aggregators.kpis.target import part_of

WON = "won"
PART_UNITS: Mapping[str, tuple[Unit, Unit]] = {WON: ("count", "count"), **target.PART_UNITS}


def amount(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Amount won in the window / target amount."""
    return amount_of(ask, window, Fraction(1))


def wins(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Deals won in the window / target wins."""
    return wins_of(ask, window, Fraction(1))


def amount_of(ask: Ask, window: Span, scale: Fraction) -> Iterator[Contribution]:
    """Amount won, and `scale` of the target amount. Only targets are samples."""
    for contribution in won.amount(ask, window):
        yield replace(contribution, samples=0)
    yield from target.as_denominator(ask, window, scale)


def wins_of(ask: Ask, window: Span, scale: Fraction) -> Iterator[Contribution]:
    """The parts of wins / target wins: the wins, `scale` of the target, and the deal size it may need."""
    yield from part_of(won.count(ask, window), WON)
    yield from target.wins_of(ask, window, scale)


def wins_over_target(_: Ask, parts: Mapping[str, Sums]) -> Figure:
    """Wins / target wins; none without a target."""
    wanted, reached = target.of_parts(parts), parts[WON].numerator
    value = None if wanted is None else quotient(reached, wanted)
    return Figure(value, target.targets_in(parts), reached, wanted)


def readings(amount: Contributions, wins: Contributions) -> tuple[Reading, Reading]:
    """What was won over a target, by amount and by wins."""
    by_amount = Reading("amount", Text("by amount", "按金額"), "ratio", amount, ("money", "money"))
    by_wins = Reading(
        "wins",
        Text("by wins", "按贏單數"),
        "ratio",
        wins,
        ("count", "count"),
        compose=wins_over_target,
        part_units=PART_UNITS,
    )
    return by_amount, by_wins


ATTAINMENT = Kpi(
    name="attainment",
    version=1,
    title=Text("Attainment", "業績達標"),
    definition=Text(
        "Amount won in the window / target amount of the window; by wins: deals won / target wins. None where "
        "there is no target.",
        "期間內贏單金額 / 期間業績目標;按贏單數:贏單數 / 目標贏單數。沒有目標則不計。",
    ),
    dimensions=TARGET_DIMENSIONS,
    readings=readings(amount, wins),
)
