"""Weighted forecast: what the open deals expected in a window are worth, by their chance of being won."""

from collections.abc import Iterator

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import OPEN_DEAL_DIMENSIONS, Contribution, Kpi, Reading, Text
from aggregators.opportunity import Deal


def amount(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Probability x amount of each, at the rate of the as-of day; its own probability, else its stage's."""
    for deal in expected(ask, window):
        yield Contribution(
            deal.record,
            ask.by_deal(deal, deal.owner, ask.as_of_on),
            (deal.amount or 0) * deal.probability,
            samples=int(deal.priced),
            on=deal.expected_on,
            note=deal.price_note,
        )


def expected(ask: Ask, window: Span) -> Iterator[Deal]:
    """The deals open at the instant whose expected close lies in the window, overdue ones included."""
    return (deal for deal in ask.deals if deal.is_open and deal.expected_on in window)


WEIGHTED_FORECAST = Kpi(
    name="weighted_forecast",
    version=1,
    title=Text("Weighted forecast", "加權預測"),
    definition=Text(
        "Probability x amount, summed over the open deals whose expected close lies in the window, for their "
        "current owner: the probability stated for the deal, else that of its stage.",
        "預計於期間內結案之未結商機的機率 × 金額合計,歸屬目前負責人;機率取商機自身所訂,無則取其階段的機率。",
    ),
    dimensions=OPEN_DEAL_DIMENSIONS,
    readings=(Reading("amount", Text("amount", "金額"), "money", amount),),
)
