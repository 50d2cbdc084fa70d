"""Annual contract value (ACV): what a contract brings in a year. KPI 1."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from fractions import Fraction

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.contracts import MICRO, Contract
from aggregators.customers import Customers
from aggregators.kpi import Contribution, Kpi, Reading, Text
from aggregators.question import Number

NO_PRICE = "no price: no rate, a price per term without an end, or a purchase, which has no annual value"


def booked_per_contract(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Annual values / contracts signed in the window, at the rate of the day of signature (F28)."""
    customers = Customers(ask)
    for contract in _booked(ask, customers, window):
        yield _contract(ask, customers, contract, contract.signed_on)


def booked_per_customer(ask: Ask, window: Span) -> Iterator[Contribution]:
    """The same annual values / customers that signed them, each counted once."""
    customers = Customers(ask)
    booked = _booked(ask, customers, window)
    return _per_customer(ask, customers, booked, on=min(window.end, ask.as_of_on), rate_on=None)


def active_per_contract(ask: Ask, window: Span) -> Iterator[Contribution]:
    """Annual values / contracts in force at the instant, at the rate of its day (F28)."""
    del window  # a level
    customers = Customers(ask)
    for contract in _active(ask, customers):
        yield _contract(ask, customers, contract, ask.as_of_on)


def active_per_customer(ask: Ask, window: Span) -> Iterator[Contribution]:
    """The same annual values / customers that have something in force."""
    del window  # a level
    customers = Customers(ask)
    return _per_customer(ask, customers, _active(ask, customers), on=ask.as_of_on, rate_on=ask.as_of_on)


def annual_minor(ask: Ask, contract: Contract, rate_on: date) -> Number | None:
    """A contract's annual value in minor units of the reporting currency; None if it has none, or no price."""
    annual = None if contract.purchase else contract.annual_micro
    converted = None if annual is None else ask.rates.convert(annual, contract.currency, rate_on)
    return None if converted is None else Fraction(converted, MICRO)


def _booked(ask: Ask, customers: Customers, window: Span) -> list[Contract]:
    if customers.by_purchases:
        return []  # a purchase has no annual value (F34)
    return [c for c in customers.contracts if c.signed_on in window and c.signed_on <= ask.as_of_on]


def _active(ask: Ask, customers: Customers) -> list[Contract]:
    if customers.by_purchases:
        return []
    return [contract for contract in customers.contracts if contract.in_force_on(ask.as_of_on)]


def _contract(ask: Ask, customers: Customers, contract: Contract, rate_on: date) -> Contribution:
    value, by = annual_minor(ask, contract, rate_on), customers.by_contract(contract)
    if value is None:
        return Contribution(contract.record, by, samples=0, on=contract.signed_on, note=NO_PRICE)
    return Contribution(contract.record, by, value, 1, on=contract.signed_on)


def _per_customer(
    ask: Ask, customers: Customers, contracts: Iterable[Contract], *, on: date, rate_on: date | None
) -> Iterator[Contribution]:
    """One contribution per customer, split by kind where that is asked for; the account owner's (F32)."""
    split = "kind" in ask.question.by
    held: dict[tuple[str, str], list[Contract]] = defaultdict(list)
    for contract in contracts:
        held[customers.key(contract), contract.kind if split else ""].append(contract)
    for (key, kind), of_one in sorted(held.items()):
        by = customers.by_customer(key, on, kind=kind or None)
        values = [annual_minor(ask, contract, rate_on or contract.signed_on) for contract in of_one]
        priced = [value for value in values if value is not None]
        note = NO_PRICE if len(priced) < len(values) else ""
        counted = int(bool(priced))
        yield Contribution(customers.record(key), by, sum(priced), counted, counted, on, note)


ACV = Kpi(
    name="acv",
    number=1,
    version=1,
    title=Text("Annual contract value (ACV)", "年度合約價值"),
    definition=Text(
        "Recurring value of a contract / (its term in months / 12), one-time fees left out; a term under "
        "12 months is not scaled up, month-to-month is 12 times the month. Averaged per contract, and "
        "per customer. Booked: contracts signed in the window, at the rate of that day. Active: contracts "
        "in force at the instant, at its rate. A contract counts for its owner at signature, else for its "
        "account's; a customer for its account's owner.",
        "合約的經常性收入 /(合約月數 / 12),不含一次性費用;不足 12 個月者不換算為全年,"
        "按月續約者為月費的 12 倍。分別按每份合約與每位客戶平均。簽約:期間內簽訂的合約,採簽約日匯率。"
        "有效:該時點仍有效的合約,採該時點匯率。合約歸屬簽約時的負責人,無則歸屬客戶帳戶負責人;"
        "客戶歸屬帳戶負責人。",
    ),
    dimensions=("team", "rep", "kind", "segment", "region"),
    readings=(
        Reading(
            "booked_per_contract",
            Text("booked, per contract", "簽約,每份合約"),
            "money",
            booked_per_contract,
            ("money", "count"),
        ),
        Reading(
            "booked_per_customer",
            Text("booked, per customer", "簽約,每位客戶"),
            "money",
            booked_per_customer,
            ("money", "count"),
            overlaps=("kind",),
        ),
        Reading(
            "active_per_contract",
            Text("in force, per contract", "有效,每份合約"),
            "money",
            active_per_contract,
            ("money", "count"),
            level=True,
        ),
        Reading(
            "active_per_customer",
            Text("in force, per customer", "有效,每位客戶"),
            "money",
            active_per_customer,
            ("money", "count"),
            level=True,
            overlaps=("kind",),
        ),
    ),
)
