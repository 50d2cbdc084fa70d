"""Churn rate: of the customers at a window's start, the share no longer there at its end. KPI 9."""

from collections.abc import Iterator

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import Contribution, Kpi, Reading, Text
from aggregators.kpis.customer_retention import at_the_start, revenue


def logo(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Customers at the start that are not active at the end / customers active at the start."""
    for one in at_the_start(ask, window):
        yield Contribution(one.record, one.by, int(not one.stayed), 1, on=one.start_on)


def revenue_churn(ask: Ask, window: Span) -> Iterator[Contribution]:
    """1 - GRR: the revenue that each customer at the start brings less of / revenue at the start."""
    for one in at_the_start(ask, window):
        start, end, note = revenue(ask, one)
        yield Contribution(one.record, one.by, start - min(start, end), start, on=one.start_on, note=note)


CHURN = Kpi(
    name="churn",
    number=9,
    version=1,
    title=Text("Churn rate", "客戶流失率"),
    definition=Text(
        "1 - customer retention: customers active at the window's start that are not active at its end / "
        "customers active at its start. It falls on the contract's end, not on the notice. By revenue: 1 - GRR.",
        "1 − 客戶留存率:期初有效而期末已非有效的客戶數 / 期初有效客戶數。"
        "流失計於合約終止日,而非通知日。按收入:1 − GRR。",
    ),
    dimensions=("team", "segment", "region"),
    window="trailing_12m",
    readings=(
        Reading("logo", Text("by customers", "按客戶數"), "ratio", logo, ("count", "count")),
        Reading("revenue", Text("by revenue", "按收入"), "ratio", revenue_churn, ("money", "money")),
    ),
)
