"""Unpriced opportunities: deals that are counted, and in no amount, for want of an exchange rate (G4)."""

from collections.abc import Iterator

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import DEAL_DIMENSIONS, Contribution, Kpi, Reading, Text
from aggregators.opportunity import NO_RATE


def open_(ask: Ask, _: Span) -> Iterator[Contribution]:
    """Open deals with an amount in a currency without a rate of the as-of day. A level."""
    for deal in ask.deals:
        if deal.is_open and deal.unpriced:
            yield Contribution(deal.record, ask.by_deal(deal, deal.owner, ask.as_of_on), 1, note=NO_RATE)


def won(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Deals won in the window, without a rate of their close date."""
    return _closed(ask, window, "won")


def lost(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Deals lost in the window, without a rate of their close date."""
    return _closed(ask, window, "lost")


def _closed(ask: Ask, window: Span, outcome: str) -> Iterator[Contribution]:
    for deal in ask.deals:
        if deal.outcome == outcome and deal.closed_on in window and deal.unpriced:
            by = ask.by_deal(deal, deal.closer, deal.closed_on)
            yield Contribution(deal.record, by, 1, on=deal.closed_on, note=NO_RATE)


UNPRICED_OPPORTUNITIES = Kpi(
    name="unpriced_opportunities",
    version=1,
    title=Text("Unpriced opportunities", "無匯率可換算的商機"),
    definition=Text(
        "Deals with an amount in a currency that has no exchange rate of their day: counted in every "
        "count, and in no amount. Open at the instant; won and lost in the window.",
        "金額所用幣別在其計價日沒有匯率的商機:計入筆數,但不計入金額。未結案者依查詢時點,贏單與輸單依期間。",
    ),
    dimensions=DEAL_DIMENSIONS,
    readings=(
        Reading("open", Text("open", "未結案"), "count", open_, level=True),
        Reading("won", Text("won", "贏單"), "count", won),
        Reading("lost", Text("lost", "輸單"), "count", lost),
    ),
)
