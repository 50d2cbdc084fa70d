"""Stalled deals: open ones that have been idle for longer than their stage allows. KPI 4. A level."""

from collections.abc import Iterator

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import OPEN_DEAL_DIMENSIONS, Contribution, Kpi, Reading, Text


def count(ask: Ask, _: Span) -> Iterator[Contribution]:
    """One for each open deal past the threshold of its stage (F11), for its current owner."""
    for deal in ask.deals:
        if deal.stalled:
            yield Contribution(deal.record, ask.by_deal(deal, deal.owner, ask.as_of_on), 1)


def amount(ask: Ask, _: Span) -> Iterator[Contribution]:
    """The amount of each, at the rate of the as-of day."""
    for deal in ask.deals:
        if deal.stalled:
            by = ask.by_deal(deal, deal.owner, ask.as_of_on)
            yield Contribution(
                deal.record, by, deal.amount or 0, samples=int(deal.priced), note=deal.price_note
            )


STALLED = Kpi(
    name="stalled",
    number=4,
    version=1,
    title=Text("Stalled deals", "停滯商機"),
    definition=Text(
        "Open deals whose time since the last forward move is longer than the threshold of their stage "
        "(days x 86,400 s). A stage without a threshold never stalls.",
        "未結案商機中,距離上次往前推進的時間超過其階段門檻(天數 x 86,400 秒)者。未設門檻的階段不會停滯。",
    ),
    dimensions=OPEN_DEAL_DIMENSIONS,
    readings=(
        Reading("count", Text("count", "筆數"), "count", count, level=True),
        Reading("amount", Text("amount", "金額"), "money", amount, level=True),
    ),
)
