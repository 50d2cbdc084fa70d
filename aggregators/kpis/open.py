"""Open: the deals in the pipeline at an instant. A level."""

from collections.abc import Iterator

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import OPEN_DEAL_DIMENSIONS, Contribution, Kpi, Reading, Text


def count(ask: Ask, _: Span) -> Iterator[Contribution]:
    """One for each deal that is neither won, lost nor omitted, for its current owner."""
    for deal in ask.deals:
        if deal.is_open:
            yield Contribution(deal.record, ask.by_deal(deal, deal.owner, ask.as_of_on), 1, note=deal.note)


def amount(ask: Ask, _: Span) -> Iterator[Contribution]:
    """The amount of each, at the rate of the as-of day."""
    for deal in ask.deals:
        if deal.is_open:
            by = ask.by_deal(deal, deal.owner, ask.as_of_on)
            yield Contribution(
                deal.record, by, deal.amount or 0, samples=int(deal.priced), note=deal.price_note
            )


OPEN = Kpi(
    name="open",
    version=1,
    title=Text("Opportunities in the pipeline", "銷售流程裡的商機數"),
    definition=Text(
        "Opportunities that are open at the instant, for their current owner, and their amount at the "
        "rate of the as-of day. A stage that the configuration does not know counts as open.",
        "在該時點仍未結案的商機,歸屬於目前的負責人;金額以查詢日匯率換算。設定中未列出的階段視為未結案。",
    ),
    dimensions=OPEN_DEAL_DIMENSIONS,
    readings=(
        Reading("count", Text("count", "筆數"), "count", count, level=True),
        Reading("amount", Text("amount", "金額"), "money", amount, level=True),
    ),
)
