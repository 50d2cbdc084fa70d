"""Forecast: the open deals expected in a window, by forecast category."""

from collections.abc import Iterator

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import OPEN_DEAL_DIMENSIONS, Contribution, Kpi, Reading, Text
from aggregators.kpis.weighted_forecast import expected


def commit(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Amounts of the deals that are committed."""
    return _category(ask, window, "commit")


def best_case(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Amounts of the deals that may be won if all goes well."""
    return _category(ask, window, "best_case")


def pipeline(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Amounts of the other deals that are counted."""
    return _category(ask, window, "pipeline")


def _category(ask: Ask, window: Span, category: str) -> Iterator[Contribution]:
    for deal in expected(ask, window):
        if deal.forecast_category == category:
            yield Contribution(
                deal.record,
                ask.by_deal(deal, deal.owner, ask.as_of_on),
                deal.amount or 0,
                samples=int(deal.priced),
                on=deal.expected_on,
                note=deal.price_note,
            )


FORECAST = Kpi(
    name="forecast",
    version=1,
    title=Text("Commit / best case / pipeline", "承諾/樂觀/商機"),
    definition=Text(
        "Amounts of the open deals whose expected close lies in the window, unweighted, by forecast category: "
        "the one stated for the deal, else that of its stage.",
        "預計於期間內結案之未結商機金額,不加權,依預測類別分列;類別取商機自身所訂,無則取其階段的類別。",
    ),
    dimensions=OPEN_DEAL_DIMENSIONS,
    readings=(
        Reading("commit", Text("commit", "承諾"), "money", commit),
        Reading("best_case", Text("best case", "樂觀"), "money", best_case),
        Reading("pipeline", Text("pipeline", "商機"), "money", pipeline),
    ),
)
