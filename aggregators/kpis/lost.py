"""Lost: the deals lost in a window."""

from collections.abc import Iterator

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import DEAL_DIMENSIONS, Contribution, Kpi, Reading, Text
from aggregators.kpis.won import closed_amount, closed_count


def count(ask: Ask, window: Span) -> Iterator[Contribution]:
    """One for each deal lost by the instant, on its close date, for the owner at the close."""
    return closed_count(ask, window, "lost")


def amount(ask: Ask, window: Span) -> Iterator[Contribution]:
    """The amount of each, at the rate of its close date."""
    return closed_amount(ask, window, "lost")


LOST = Kpi(
    name="lost",
    version=1,
    title=Text("Lost", "輸單"),
    definition=Text(
        "Deals lost in the window, by close date, credited to the owner at the close, and their amount "
        "at the rate of that day. A deal that was reopened is not lost.",
        "在期間內失去的商機,依結案日計算,歸屬於結案時的負責人;金額以結案日匯率換算。重新開啟者不算輸單。",
    ),
    dimensions=DEAL_DIMENSIONS,
    readings=(
        Reading("count", Text("count", "筆數"), "count", count),
        Reading("amount", Text("amount", "金額"), "money", amount),
    ),
)
