"""Won: the deals won in a window."""

from collections.abc import Iterator

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import DEAL_DIMENSIONS, Contribution, Kpi, Reading, Text


def count(ask: Ask, window: Span) -> Iterator[Contribution]:
    """One for each deal won by the instant, on its close date, for the owner at the close."""
    return closed_count(ask, window, "won")


def amount(ask: Ask, window: Span) -> Iterator[Contribution]:
    """The amount of each, at the rate of its close date."""
    return closed_amount(ask, window, "won")


def closed_count(ask: Ask, window: Span, outcome: str) -> Iterator[Contribution]:
    """One for each deal with that outcome and a close date in the window, for the owner at the close."""
    for deal in ask.deals:
        if deal.outcome == outcome and deal.closed_on in window:
            by = ask.by_deal(deal, deal.closer, deal.closed_on)
            yield Contribution(deal.record, by, 1, on=deal.closed_on, note=deal.note)


def closed_amount(ask: Ask, window: Span, outcome: str) -> Iterator[Contribution]:
    """The amount of each, at the rate of its close date."""
    for deal in ask.deals:
        if deal.outcome == outcome and deal.closed_on in window:
            yield Contribution(
                deal.record,
                ask.by_deal(deal, deal.closer, deal.closed_on),
                deal.amount or 0,
                samples=int(deal.priced),
                on=deal.closed_on,
                note=deal.price_note,
            )


WON = Kpi(
    name="won",
    version=1,
    title=Text("Won", "贏單"),
    definition=Text(
        "Deals won in the window, by close date, credited to the owner at the close, and their amount "
        "at the rate of that day. A deal that was reopened is not won.",
        "在期間內贏得的商機,依結案日計算,歸屬於結案時的負責人;金額以結案日匯率換算。重新開啟者不算贏單。",
    ),
    dimensions=DEAL_DIMENSIONS,
    readings=(
        Reading("count", Text("count", "筆數"), "count", count),
        Reading("amount", Text("amount", "金額"), "money", amount),
    ),
)
