"""Conversion rate (win rate): of the deals closed in a window, the share that was won. KPI 5."""

from collections.abc import Iterator

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import DEAL_DIMENSIONS, Contribution, Kpi, Reading, Text


def closed_count(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Won / (won + lost), by close date, for the owner at the close. Omitted stages are in neither."""
    for deal in ask.deals:
        if deal.outcome in ("won", "lost") and deal.closed_on in window:
            by = ask.by_deal(deal, deal.closer, deal.closed_on)
            won = int(deal.outcome == "won")
            yield Contribution(deal.record, by, won, 1, on=deal.closed_on, note=deal.note)


def cohort(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Won / (created less omitted), by creation day, for the owner at creation."""
    return _cohort(ask, window, "won")


def cohort_open(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Still open / (created less omitted): how much of the cohort's rate is still to come."""
    return _cohort(ask, window, "open")


def _cohort(ask: Ask, window: Span, outcome: str) -> Iterator[Contribution]:
    for deal in ask.deals:
        if deal.created_in(window) and deal.outcome != "omitted":
            by = ask.by_deal(deal, deal.creator, deal.created_on)
            yield Contribution(deal.record, by, int(deal.outcome == outcome), 1, on=deal.created_on)


def closed_amount(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Amount won / amount won or lost, each deal at the rate of its close date."""
    for deal in ask.deals:
        if deal.outcome in ("won", "lost") and deal.closed_on in window:
            by = ask.by_deal(deal, deal.closer, deal.closed_on)
            amount, won = deal.amount or 0, deal.outcome == "won"
            yield Contribution(
                deal.record,
                by,
                amount if won else 0,
                amount,
                int(deal.priced),
                deal.closed_on,
                deal.price_note,
            )


WIN_RATE = Kpi(
    name="win_rate",
    number=5,
    version=1,
    title=Text("Conversion rate (win rate)", "轉換率(贏率)"),
    definition=Text(
        "Deals won / (won + lost), of those closed in the window, credited to the owner at the close. "
        "Beside it: won / created of the deals created in the window, the share of these still open, "
        "and the rate by amount. Deals in an omitted stage are in none of them.",
        "在期間內結案的商機中,贏單數 /(贏單數 + 輸單數),歸屬於結案時的負責人。"
        "另列:期間內建立之商機的贏單比例、其中仍未結案的比例,以及按金額計算的贏率。"
        "處於略過階段的商機一律不計入。",
    ),
    dimensions=DEAL_DIMENSIONS,
    readings=(
        Reading("closed_count", Text("by count", "按筆數"), "ratio", closed_count, ("count", "count")),
        Reading("cohort", Text("by creation cohort", "按建立期間"), "ratio", cohort, ("count", "count")),
        Reading(
            "cohort_open",
            Text("cohort still open", "建立期間未結案"),
            "ratio",
            cohort_open,
            ("count", "count"),
        ),
        Reading("closed_amount", Text("by amount", "按金額"), "ratio", closed_amount, ("money", "money")),
    ),
)
