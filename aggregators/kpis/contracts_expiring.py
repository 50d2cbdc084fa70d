"""Contracts expiring: what ends soon, with nothing in force after it."""

from collections.abc import Iterator
from datetime import date

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.contracts import Contract
from aggregators.customers import Customer, Customers
from aggregators.kpi import Contribution, Kpi, Partition, Reading, Text
from aggregators.kpis.acv import NO_PRICE, annual_minor

BANDS = {"0_30d": 30, "31_60d": 60, "61_90d": 90}
"""Each band and its last day, counted from the as-of day; today is day 0."""


def count(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Contracts in force whose last day lies in the band, the customer's last ones."""
    del window  # a level
    customers = Customers(ask)
    for contract, last, band in _expiring(ask, customers):
        yield Contribution(contract.record, (*customers.by_contract(contract), band), 1, on=last)


def amount(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Their annual values, at the rate of the as-of day."""
    del window  # a level
    customers = Customers(ask)
    for contract, last, band in _expiring(ask, customers):
        value, by = annual_minor(ask, contract, ask.as_of_on), (*customers.by_contract(contract), band)
        note = NO_PRICE if value is None else ""
        yield Contribution(
            contract.record, by, value or 0, samples=int(value is not None), on=last, note=note
        )


def _expiring(ask: Ask, customers: Customers) -> Iterator[tuple[Contract, date, str]]:
    """Each contract that expires, its last day and its band.

    A look ahead: the last day is the one known today, also where a cancellation or a replacement that
    lies after the instant brings it about.
    """
    for customer in customers:
        for contract in customer.in_force_on(ask.as_of_on):
            last = contract.in_force.last if contract.in_force else None
            if last is not None and not _goes_on(customer, last):
                days = (last - ask.as_of_on).days
                band = next((name for name, until in BANDS.items() if days <= until), None)
                if band:
                    yield contract, last, band


def _goes_on(customer: Customer, after: date) -> bool:
    """Whether any contract of the customer is in force on a later day, a renewal not yet begun included."""
    held = [contract.in_force for contract in customer.contracts]
    return any(days is not None and (days.last is None or days.last > after) for days in held)


CONTRACTS_EXPIRING = Kpi(
    name="contracts_expiring",
    version=1,
    title=Text("Expiring contracts", "即將到期合約"),
    definition=Text(
        "Contracts in force that end within 30, 60 or 90 days, of customers that have nothing in force "
        "after that day; their count and annual value.",
        "生效中且將於 30、60 或 90 天內終止、其後該客戶別無有效合約者的份數與年度合約價值。",
    ),
    dimensions=("team", "rep", "kind", "segment", "region"),
    partition=Partition("band", tuple(BANDS)),
    readings=(
        Reading("count", Text("count", "份數"), "count", count, level=True),
        Reading("amount", Text("annual value", "年度合約價值"), "money", amount, level=True),
    ),
)
