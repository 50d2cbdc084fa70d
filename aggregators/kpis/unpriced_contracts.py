"""Unpriced contracts: those that are counted, and in no amount (G4, F23)."""

from collections.abc import Iterator

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import Contribution, Kpi, Reading, Text
from aggregators.kpis.acv import active_per_contract, booked_per_contract


def active(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Contracts in force whose annual value has no rate of the as-of day, or which have none. A level."""
    return _without_price(active_per_contract(ask, window))


def booked(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Contracts signed in the window without a rate of that day, or without an annual value."""
    return _without_price(booked_per_contract(ask, window))


def _without_price(contracts: Iterator[Contribution]) -> Iterator[Contribution]:
    """What the mean of annual values leaves out, each with its reason."""
    for one in contracts:
        if not one.samples:
            yield Contribution(one.record, one.by, 1, on=one.on, note=one.note)


UNPRICED_CONTRACTS = Kpi(
    name="unpriced_contracts",
    version=1,
    title=Text("Unpriced contracts", "無法計價的合約"),
    definition=Text(
        "Contracts that are counted, and in no amount: their currency has no exchange rate of the day, or "
        "they have a price per term and no end. In force at the instant; signed in the window.",
        "計入數量、但不計入金額的合約:所用幣別在計價日沒有匯率,或為整期計價而無到期日。"
        "有效者依查詢時點,簽約者依期間。",
    ),
    dimensions=("team", "rep", "kind", "segment", "region"),
    readings=(
        Reading("active", Text("in force", "有效"), "count", active, level=True),
        Reading("booked", Text("booked", "簽約"), "count", booked),
    ),
)
