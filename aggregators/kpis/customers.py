"""Customers: how many there are, come and go."""

from collections.abc import Iterator

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.contracts import DAY
from aggregators.customers import Customers
from aggregators.kpi import Contribution, Kpi, Reading, Text


def active(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Customers active at the window's end, or at the as-of instant if that is earlier (F31)."""
    end_on, customers = min(window.end, ask.as_of_on), Customers(ask)
    for customer in customers:
        if customer.active_on(end_on):
            by = customers.by_customer(customer.id, end_on)
            yield Contribution(customers.record(customer.id), by, 1, on=end_on)


def new(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Active at the end and not at the start, first-time customers or returning ones."""
    return _changed(ask, window, came=True)


def churned(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Active at the start and not at the end; for the owner at the start (F32)."""
    return _changed(ask, window, came=False)


def in_grace(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Not active at the end, but within the grace: churned, as long as no renewal heals it (F33)."""
    end_on, customers = min(window.end, ask.as_of_on), Customers(ask)
    for customer in customers:
        if customer.in_grace_on(end_on, grace_days=customers.grace_days):
            by = customers.by_customer(customer.id, end_on)
            yield Contribution(customers.record(customer.id), by, 1, on=end_on)


def _changed(ask: Ask, window: Span, *, came: bool) -> Iterator[Contribution]:
    if window.start > ask.as_of_on:
        return
    start_on, end_on, customers = window.start - DAY, min(window.end, ask.as_of_on), Customers(ask)
    there_on, gone_on = (end_on, start_on) if came else (start_on, end_on)
    for customer in customers:
        if customer.active_on(there_on) and not customer.active_on(gone_on):
            by = customers.by_customer(customer.id, there_on)
            yield Contribution(customers.record(customer.id), by, 1, on=there_on)


CUSTOMERS = Kpi(
    name="customers",
    version=1,
    title=Text("Customers", "客戶數"),
    definition=Text(
        "Active: customers with at least one contract in force at the window's end, a renewal within the "
        "grace being continuous. New: active at its end and not at its start. Churned: the other way round, "
        "so that start + new - churned = active. In grace: no longer active, but a renewal could still heal it.",
        "有效:期末至少有一份合約生效中的客戶,於寬限期內續約視為連續。新增:期末有效而期初無效。"
        "流失:期初有效而期末無效,故期初 + 新增 − 流失 = 有效。寬限:已非有效,但仍可能於寬限期內續約。",
    ),
    dimensions=("team", "segment", "region"),
    readings=(
        Reading("active", Text("active", "有效"), "count", active, by_days=False),
        Reading("new", Text("new", "新增"), "count", new),
        Reading("churned", Text("churned", "流失"), "count", churned),
        Reading("in_grace", Text("in grace", "續約寬限期客戶"), "count", in_grace, by_days=False),
    ),
)
