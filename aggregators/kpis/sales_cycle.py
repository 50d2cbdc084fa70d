"""Average sales cycle: from the creation to the close of the deals won in a window."""

from collections.abc import Iterator

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import DEAL_DIMENSIONS, Contribution, Kpi, Reading, Text

UNKNOWN_CREATION = "creation unknown"


def mean(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Whole days where the close was given a date, else instant to instant (F8), for the owner at the close.

    A negative one counts as it is.
    """
    for deal in ask.deals:
        if deal.outcome == "won" and deal.closed_on in window:
            by = ask.by_deal(deal, deal.closer, deal.closed_on)
            if deal.cycle_ms is None:
                yield Contribution(deal.record, by, samples=0, on=deal.closed_on, note=UNKNOWN_CREATION)
            else:
                yield Contribution(deal.record, by, deal.cycle_ms, 1, on=deal.closed_on, note=deal.note)


SALES_CYCLE = Kpi(
    name="sales_cycle",
    version=1,
    title=Text("Average sales cycle", "平均銷售週期"),
    definition=Text(
        "Mean time from creation to close over the deals won in the window: whole local days where the "
        "close was given a date, else from instant to instant. Deals of unknown creation are left out.",
        "期間內贏單的商機,從建立到結案的平均時間:結案附有日期者以當地整日計,否則以時點計。建立時間不明者不計。",
    ),
    dimensions=DEAL_DIMENSIONS,
    readings=(Reading("mean", Text("mean", "平均"), "seconds", mean, ("seconds", "count")),),
)
