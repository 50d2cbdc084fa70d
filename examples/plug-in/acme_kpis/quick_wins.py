"""Quick wins: of the deals won in a window, the share that took at most 30 days."""

from collections.abc import Iterator

from aggregators.ask import Ask
from aggregators.calendar import DAY_MS, Span
from aggregators.kpi import DEAL_DIMENSIONS, Contribution, Kpi, Reading, Text

QUICK_MS = 30 * DAY_MS


def share(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Deals won within 30 days of their creation / deals won whose creation is known."""
    for deal in ask.deals:
        if deal.outcome == "won" and deal.closed_on in window and deal.cycle_ms is not None:
            yield Contribution(
                record=deal.record,
                by=ask.by_deal(deal, deal.closer, deal.closed_on),
                numerator=int(deal.cycle_ms <= QUICK_MS),
                denominator=1,
                on=deal.closed_on,
            )


QUICK_WINS = Kpi(
    name="quick_wins",
    version=1,
    title=Text("Quick wins", "快速贏單"),
    definition=Text(
        "Of the deals won in the window, the share that was won within 30 days of its creation.",
        "期間內贏單的商機中,於建立後 30 天內贏得的比例。",
    ),
    dimensions=DEAL_DIMENSIONS,
    readings=(Reading("share", Text("share", "比例"), "ratio", share, parts=("count", "count")),),
)
