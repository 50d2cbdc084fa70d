"""Customer retention: of the customers at a window's start, the share still there at its end. KPI 9."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.contracts import DAY, MICRO
from aggregators.customers import Customer, Customers
from aggregators.kpi import Contribution, Kpi, Reading, Text
from aggregators.kpis.acv import NO_PRICE
from aggregators.question import Number


def logo(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Customers at the start that are active at the end / customers active at the start."""
    for one in at_the_start(ask, window):
        yield Contribution(one.record, one.by, int(one.stayed), 1, on=one.start_on)


def grr(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Gross revenue retention: revenue kept, at most each customer's own at the start / revenue at the start."""
    for one in at_the_start(ask, window):
        start, end, note = revenue(ask, one)
        yield Contribution(one.record, one.by, min(start, end), start, on=one.start_on, note=note)


def nrr(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Net revenue retention: revenue at the end of the same customers / revenue at the start."""
    for one in at_the_start(ask, window):
        start, end, note = revenue(ask, one)
        yield Contribution(one.record, one.by, end, start, on=one.start_on, note=note)


@dataclass(frozen=True, slots=True)
class Started:
    """A customer that was active at a window's start, for whom it counts, and whether it stayed."""

    customer: Customer
    record: str
    by: tuple[str, ...]
    start_on: date
    end_on: date
    stayed: bool


def at_the_start(ask: Ask, window: Span) -> Iterator[Started]:
    """Every customer active at the end of the day before the window (F1), its owner's of that day (F32).

    The window ends at its last day or at the as-of instant, whichever is earlier (F31); one that has
    not begun has nobody at its start.
    """
    if window.start > ask.as_of_on:
        return
    start_on, end_on = window.start - DAY, min(window.end, ask.as_of_on)
    customers = Customers(ask)
    for customer in customers:
        if customer.active_on(start_on):
            record, by = customers.record(customer.id), customers.by_customer(customer.id, start_on)
            yield Started(customer, record, by, start_on, end_on, customer.active_on(end_on))


def revenue(ask: Ask, one: Started) -> tuple[Fraction, Fraction, str]:
    """Annual values in force at the start and at the end, both at the rate of the last day (F6, F28).

    A customer kept only by the grace has none. The note says if a contract has no price.
    """
    start: Number = 0
    end: Number = 0
    note = ""
    for contract in one.customer.contracts:
        at_start, at_end = contract.in_force_on(one.start_on), contract.in_force_on(one.end_on)
        if at_start or at_end:
            annual = contract.annual_micro
            value = None if annual is None else ask.rates.convert(annual, contract.currency, one.end_on)
            note = NO_PRICE if value is None else note
            start += (value or 0) if at_start else 0
            end += (value or 0) if at_end else 0
    return Fraction(start, MICRO), Fraction(end, MICRO), note


CUSTOMER_RETENTION = Kpi(
    name="customer_retention",
    number=9,
    version=1,
    title=Text("Customer retention", "客戶留存率"),
    definition=Text(
        "Customers active at the window's start that are active at its end / customers active at its start. "
        "Active: at least one contract in force; a renewal within the grace is continuous. By revenue: the "
        "annual value in force of the same customers at the end / at the start, for GRR at most each "
        "customer's own at the start.",
        "期初有效且期末仍有效的客戶數 / 期初有效客戶數。有效:至少有一份合約生效中;"
        "於寬限期內續約視為連續。按收入:同一批客戶期末 / 期初的年度有效合約價值;"
        "GRR 以每位客戶期初的金額為上限。",
    ),
    dimensions=("team", "segment", "region"),
    window="trailing_12m",
    readings=(
        Reading("logo", Text("by customers", "按客戶數"), "ratio", logo, ("count", "count")),
        Reading("grr", Text("gross revenue (GRR)", "總收入留存(GRR)"), "ratio", grr, ("money", "money")),
        Reading("nrr", Text("net revenue (NRR)", "淨收入留存(NRR)"), "ratio", nrr, ("money", "money")),
    ),
)
