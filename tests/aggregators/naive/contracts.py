"""Contracts and customers, day by day."""

from calendar import monthrange
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from tests.aggregators.naive.deals import Deal
from tests.aggregators.naive.records import Record
from tests.aggregators.naive.world import ALL_DAYS, DAY, LAST, World

MICRO = 10**6


@dataclass
class Contract:
    """One contract; amounts in minor units of its currency, days in force one by one."""

    record: str
    account: str | None
    owner: str | None
    signed: date
    start: date
    end: date | None
    recurring: int
    per: str
    once: int
    currency: str
    kind: str
    stopped: date | None = None
    """The first day not in force, by cancellation or because another one has replaced it."""
    days: set[date] = field(default_factory=set)
    purchase: bool = False

    @property
    def annual(self) -> int | None:
        """Annual value in 10^-6 minor units (KPI 1, F4, F5, F23, F25, F34); None: none, or no price."""
        if self.purchase:
            return None
        if self.end is None:
            times = {"month": 12, "year": 1, "term": 0 if self.recurring == 0 else None}[self.per]
            return None if times is None else self.recurring * times * MICRO
        return round(self.total * MICRO / max(Fraction(1), months(self.start, self.end) / 12))

    @property
    def total(self) -> Fraction:
        """What it brings over its whole term, one-time fees left out."""
        assert self.end is not None
        term = months(self.start, self.end)
        return self.recurring * {"term": Fraction(1), "year": term / 12, "month": term}[self.per]

    def accrued(self, until: date) -> int | None:
        """What it has brought by the end of a day, in 10^-6 minor units (F5)."""
        value = self._recurring_until(until)
        return None if value is None else round((value + self._once(until)) * MICRO)

    def signed_value(self, at: date) -> int | None:
        """Its value as signed by a day, less what a cancellation took away by then."""
        if self.signed > at:
            return 0
        if self.end is None:
            value = self._recurring_until(at)
        elif self.stopped is None or self.stopped > at:
            value = self.total
        else:
            value = self._recurring_until(self.end)
        return None if value is None else round((value + self._once(at)) * MICRO)

    def _once(self, at: date) -> int:
        return self.once if self.signed <= at else 0

    def _recurring_until(self, until: date) -> Fraction | None:
        if self.annual is None and not self.purchase:
            return None
        held = [day for day in self.days if day <= until]
        if self.end is not None:
            term = (self.end - self.start).days + 1
            return self.total * len(held) / term if held else Fraction(0)
        months_held: dict[tuple[int, int], int] = {}
        for day in held:
            months_held[day.year, day.month] = months_held.get((day.year, day.month), 0) + 1
        twelfths = sum(
            (Fraction(count, monthrange(*month)[1]) for month, count in months_held.items()), Fraction()
        )
        return Fraction(self.annual or 0, 12 * MICRO) * twelfths


@dataclass
class Customer:
    """One customer: its contracts, its days with something in force, and its days as a customer."""

    key: str
    alone: Contract | None
    contracts: list[Contract] = field(default_factory=list)
    in_force: set[date] = field(default_factory=set)
    active: set[date] = field(default_factory=set)

    @property
    def record(self) -> str:
        return self.alone.record if self.alone else f"account/{self.key}"


class Book:
    """All contracts and customers of a company."""

    def __init__(self, world: World, deals: list[Deal]) -> None:
        self.world = world
        self.by_purchases = world.kpis.customer_basis == "purchases"
        self.contracts = [_purchase(world, deal) for deal in deals if deal.outcome == "won"]
        if not self.by_purchases:
            self.contracts = _contracts(world)
        for contract in self.contracts:
            last = min(contract.end or LAST, contract.stopped - DAY if contract.stopped else LAST)
            contract.days = {day for day in ALL_DAYS if contract.start <= day <= last}
        self.customers = self._customers()

    def key(self, contract: Contract) -> str:
        return self.world.customer(contract.account) or contract.record

    def of_contract(self, by: tuple[str, ...], contract: Contract, **others: str | None) -> tuple[str, ...]:
        """Its own owner's at signature, else its account owner's (F32)."""
        world = self.world
        rep = contract.owner or self.owner(contract.account, world.end_ms(contract.signed))
        account = world.of_account(contract.account)
        return world.labels(by, rep, contract.signed, kind=contract.kind, **account, **others)

    def of_customer(
        self, by: tuple[str, ...], customer: Customer, on: date, kind: str | None
    ) -> tuple[str, ...]:
        """Its account owner's at the end of a day."""
        world = self.world
        if customer.alone:
            nowhere = {"segment": None, "region": None}
            return world.labels(by, customer.alone.owner, on, kind=kind, **nowhere)
        account = world.of_account(customer.key)
        return world.labels(by, self.owner(customer.key, world.end_ms(on)), on, kind=kind, **account)

    def owner(self, account_id: str | None, instant_ms: int, *, by_then: bool = False) -> str | None:
        """An account's owner at an instant, or at the as-of one; the first one stated held before, too."""
        world, account = self.world, self.world.records.account(account_id)
        told = [
            said
            for said in (account.said("owner_id") if account else [])
            if said[1].time_ms <= world.as_of_ms
        ]
        then = [said for said in told if said[1].time_ms <= instant_ms]
        if not then and by_then:
            return None
        said = then[-1:] or told[:1]
        return world.resolve(*said[0]) if said else None

    def _customers(self) -> list[Customer]:
        found: dict[str, Customer] = {}
        for contract in self.contracts:
            key, alone = self.key(contract), contract if contract.account is None else None
            customer = found.setdefault(key, Customer(key, alone))
            customer.contracts.append(contract)
            customer.in_force |= contract.days
        for customer in found.values():
            held = sorted(customer.in_force)
            customer.active = set(held)
            for before, after in pairwise(held):
                if (after - before).days <= self.world.kpis.renewal_grace_days:  # F7
                    customer.active |= {before + number * DAY for number in range((after - before).days)}
        return [found[key] for key in sorted(found)]


def months(start: date, end: date) -> Fraction:
    """The length of a term in months, the end day inside (F24)."""
    if end < start:
        return Fraction(0)
    whole = 0
    while later(start, whole + 1) <= end + DAY:
        whole += 1
    begins = later(start, whole)
    return whole + Fraction((end + DAY - begins).days, (later(start, whole + 1) - begins).days)


def later(day: date, number: int) -> date:
    """The same day of the month so many months later, clamped to that month."""
    year, month = divmod(day.year * 12 + day.month - 1 + number, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _contracts(world: World) -> list[Contract]:
    records = [one for one in world.records.living("contract") if not one.last("trial")]
    starts = {one.id: _start(world, one) for one in records}
    found = []
    for one in records:
        currency, ramp = one.last("currency") or world.currency, one.last("ramp") or ()
        recurring = [step[2] for step in ramp] or [one.last("recurring_amount") or Decimal(0)]
        stops = [starts[by.id] for by in records if by.last("supersedes") == one.id and by is not one]
        stops += [one.last("cancelled_on")] if one.last("cancelled_on") else []
        contract = Contract(
            record=f"contract/{one.id}",
            account=world.records.survivor(one.last("account_id")),
            owner=world.person_said(one, "owner_id"),
            signed=one.last("signed_on") or starts[one.id],
            start=starts[one.id],
            end=one.last("end_date") or max((step[1] for step in ramp), default=None),
            recurring=sum(world.minor(amount, currency) for amount in recurring),
            per="term" if ramp else one.last("recurring_per") or "term",
            once=world.minor(one.last("one_time_amount") or Decimal(0), currency),
            currency=currency,
            kind=one.last("kind") or "new",
            stopped=min(stops, default=None),
        )
        found.append(contract)
    return found


def _start(world: World, record: Record) -> date:
    ramp = record.last("ramp") or ()
    stated = [
        record.last("start_date"),
        min((step[0] for step in ramp), default=None),
        record.last("signed_on"),
    ]
    day: date = next((one for one in stated if one), world.day(record.events[0].time_ms))
    return day


def _purchase(world: World, deal: Deal) -> Contract:
    """F34."""
    assert deal.closed is not None
    return Contract(
        record=deal.record,
        account=deal.account,
        owner=deal.closed.closer,
        signed=deal.closed.on,
        start=deal.closed.on,
        end=deal.closed.on + (world.kpis.purchase_active_days - 1) * DAY,
        recurring=0,
        per="term",
        once=deal.native or 0,
        currency=deal.currency,
        kind=deal.labels["type"] or "new",
        purchase=True,
    )
