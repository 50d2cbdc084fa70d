"""New opportunities in the pipeline: how many were created in a window. KPI 3."""

from collections.abc import Iterator

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import DEAL_DIMENSIONS, Contribution, Kpi, Reading, Text


def count(ask: Ask, window: Span) -> Iterator[Contribution]:
    """One for each deal created in the window, for the owner at its creation.

    Whether it has been closed since does not matter; reopened, reassigned or pulled in is not new.
    """
    for deal in ask.deals:
        if deal.created_in(window):
            by = ask.by_deal(deal, deal.creator, deal.created_on)
            yield Contribution(deal.record, by, 1, on=deal.created_on)


def amount(ask: Ask, window: Span) -> Iterator[Contribution]:
    """The amount of each as of the instant (F16): at the rate of its close, or of the as-of day."""
    for deal in ask.deals:
        if deal.created_in(window):
            by = ask.by_deal(deal, deal.creator, deal.created_on)
            yield Contribution(
                deal.record,
                by,
                deal.amount or 0,
                samples=int(deal.priced),
                on=deal.created_on,
                note=deal.price_note,
            )


READINGS = (
    Reading("count", Text("count", "筆數"), "count", count),
    Reading("amount", Text("amount", "金額"), "money", amount),
)

NEW_OPPORTUNITIES = Kpi(
    name="new_opportunities",
    number=3,
    version=1,
    title=Text("New opportunities in the pipeline", "銷售流程中新商機數"),
    definition=Text(
        "Opportunities created in the window, by creation time in the company's zone, credited to the "
        "owner at creation. One that was closed again still counts; one that was reopened, reassigned "
        "or pulled in is not new.",
        "在期間內建立的商機數,依公司時區的建立時間計算,歸屬於建立時的負責人。"
        "期間內又結案者仍計入;重新開啟、轉派或提前者不算新商機。",
    ),
    dimensions=DEAL_DIMENSIONS,
    readings=READINGS,
)
