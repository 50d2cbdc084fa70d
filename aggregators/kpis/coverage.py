"""Pipeline coverage: the open amount expected in a window, over what is still missing to its target."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import TARGET_DIMENSIONS, Contribution, Kpi, Reading, Text, quotient
from aggregators.kpis import target, won
from aggregators.kpis.weighted_forecast import expected
from aggregators.question import Number


def amount(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Open amount expected to close in the window / (target - amount won in it). Only targets are samples."""
    for deal in expected(ask, window):
        by = ask.by_deal(deal, deal.owner, ask.as_of_on)
        yield Contribution(
            deal.record, by, deal.amount or 0, samples=0, on=deal.expected_on, note=deal.price_note
        )
    for contribution in won.amount(ask, window):
        yield replace(contribution, numerator=0, denominator=-contribution.numerator, samples=0)
    yield from target.as_denominator(ask, window, Fraction(1))


def over_gap(open_amount: Number, gap: Number) -> Number | None:
    """None where there is no gap: no target, or one that is reached."""
    return quotient(open_amount, gap) if gap > 0 else None


COVERAGE = Kpi(
    name="coverage",
    version=1,
    title=Text("Pipeline coverage", "商機覆蓋率"),
    definition=Text(
        "Amount of the open deals whose expected close lies in the window / (target - amount won in it). None "
        "where the target is reached, or there is none.",
        "預計於期間內結案的未結商機金額 /(業績目標 − 期間內贏單金額)。目標已達成或沒有目標則不計。",
    ),
    dimensions=TARGET_DIMENSIONS,
    readings=(
        Reading("amount", Text("by amount", "按金額"), "ratio", amount, ("money", "money"), value=over_gap),
    ),
)
