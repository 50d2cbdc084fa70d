"""Average deal size: the amount of the deals won in a window, per deal."""

from collections.abc import Iterator

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import DEAL_DIMENSIONS, Contribution, Kpi, Reading, Text


def mean(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Amount won / deals won that have a price, each at the rate of its close date."""
    for deal in ask.deals:
        if deal.outcome == "won" and deal.closed_on in window:
            priced = int(deal.priced)
            yield Contribution(
                deal.record,
                ask.by_deal(deal, deal.closer, deal.closed_on),
                deal.amount or 0,
                priced,
                priced,
                on=deal.closed_on,
                note=deal.price_note,
            )


DEAL_SIZE = Kpi(
    name="deal_size",
    version=1,
    title=Text("Average deal size", "平均成交金額"),
    definition=Text(
        "Amount won / deals won in the window, credited to the owner at the close. A deal without an "
        "amount, or without a rate for it, is in neither.",
        "期間內贏單金額 / 贏單數,歸屬於結案時的負責人。沒有金額或沒有匯率的商機,分子分母皆不計。",
    ),
    dimensions=DEAL_DIMENSIONS,
    readings=(Reading("mean", Text("mean", "平均"), "money", mean, ("money", "count")),),
)
