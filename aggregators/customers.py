"""Customers: who is one on which day, told from the contracts of an account.

A customer is *active* on the days on which at least one of its contracts is in force, and in the
gaps between two of them that are no longer than the grace (F7). A customer whose last contract has
ended, however recently, is not active: it is *in grace* for as long as a renewal could still heal
the gap (F33). Source: kpi-definitions.md, KPI 9, F3, F7, F33 to F35.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from aggregators.ask import Ask
from aggregators.contracts import Contract, Stretch, read_contracts


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer: an account, or the top of its parents (F35), with all its contracts.

    `id` is the account's; a contract without an account is a customer of its own, by the contract's
    id. `active` are its days as a customer, the gaps within the grace healed.
    """

    id: str
    contracts: tuple[Contract, ...]
    active: tuple[Stretch, ...]

    def active_on(self, day: date) -> bool:
        """Whether it is a customer on that day: something in force, or in a gap that a renewal healed."""
        return any(stretch.holds(day) for stretch in self.active)

    def in_grace_on(self, day: date, *, grace_days: int) -> bool:
        """Whether it is none on that day, but the last day in force lies within the grace before it."""
        lasts = [stretch.last for stretch in self.active if stretch.last is not None and stretch.last < day]
        return not self.active_on(day) and bool(lasts) and (day - max(lasts)).days <= grace_days

    def was_active_by(self, day: date, *, but_for: str) -> bool:
        """Whether it is, or ever was, a customer by that day, even without one of its records.

        A purchase makes a customer of whoever was referred, and of nobody who was one before (F34).
        """
        held = ((one.record, one.in_force) for one in self.contracts)
        return any(days is not None and days.first <= day and record != but_for for record, days in held)

    def in_force_on(self, day: date) -> Iterator[Contract]:
        """Its contracts that are in force on that day."""
        return (contract for contract in self.contracts if contract.in_force_on(day))


def customer(key: str, contracts: Iterable[Contract], *, grace_days: int) -> Customer:
    """A customer of these contracts, in the order of their ids."""
    held = tuple(sorted(contracts, key=lambda contract: contract.id))
    stretchs = [stretch for contract in held if (stretch := contract.in_force) is not None]
    return Customer(key, held, joined(stretchs, grace_days=grace_days))


def joined(stretchs: Iterable[Stretch], *, grace_days: int) -> tuple[Stretch, ...]:
    """The stretchs in order, those joined that overlap, touch, or follow within the grace.

    The gap is counted from the last day in force to the next first day: consecutive days are one
    apart, so that a grace of 0 still joins them (nothing was interrupted).

    >>> december, march = date(2025, 12, 31), date(2026, 3, 1)
    >>> first, second = Stretch(date(2025, 1, 1), december), Stretch(date(2026, 1, 30), march)
    >>> len(joined([second, first], grace_days=30))  # 31 December to 30 January
    1
    >>> len(joined([second, first], grace_days=29))
    2
    """
    ordered = sorted(
        stretchs, key=lambda stretch: (stretch.first, stretch.last is None, stretch.last or stretch.first)
    )
    found: list[Stretch] = []
    for stretch in ordered:
        previous = found[-1] if found else None
        if previous is None or not _follows(previous, stretch, grace_days=grace_days):
            found.append(stretch)
        elif previous.last is not None:
            last = None if stretch.last is None else max(previous.last, stretch.last)
            found[-1] = Stretch(previous.first, last)
    return tuple(found)


def _follows(earlier: Stretch, later: Stretch, *, grace_days: int) -> bool:
    if earlier.last is None:
        return True
    return (later.first - earlier.last).days <= max(grace_days, 1)


def purchase_stretch(closed_on: date, *, active_days: int) -> Stretch:
    """The days for which a purchase keeps its account a customer: from the close, that day inside (F34)."""
    return Stretch(closed_on, closed_on + timedelta(days=active_days - 1))


class Customers:
    """Every contract and every customer of a company, as known today, and whose they are (F32)."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.grace_days = ask.meaning.kpis.renewal_grace_days
        self.by_purchases = ask.meaning.kpis.customer_basis == "purchases"
        if self.by_purchases:
            self.contracts: Sequence[Contract] = tuple(_purchases(ask))
            self._customers = self._grouped()
        else:
            self.contracts = known_contracts(ask)
            self._customers = ask.company.derived(Customers, self._grouped, "contract", "account", "employee")
        self._alone = {c.record: c for c in self.contracts if c.account_id is None}

    def __iter__(self) -> Iterator[Customer]:
        """Every customer there is, was or will be, by id."""
        return iter(self._customers.values())

    def of(self, account_id: str | None) -> Customer | None:
        """The customer an account belongs to; None for an account that never had a contract."""
        return self._customers.get(self._ask.accounts.customer(account_id) or "")

    def key(self, contract: Contract) -> str:
        """The id of the contract's customer: its account (F35), else the contract itself."""
        return self._ask.accounts.customer(contract.account_id) or contract.record

    def by_contract(self, contract: Contract) -> tuple[str, ...]:
        """The labels of a contract: its own owner's at signature, else its account owner's (F32)."""
        rep = contract.owner_id or self.owner(contract.account_id, self._end_ms(contract.signed_on))
        return self._labels(rep, contract.signed_on, contract.account_id, contract.kind)

    def by_customer(self, customer_id: str, on: date, *, kind: str | None = None) -> tuple[str, ...]:
        """The labels of a customer: its account owner's at the end of that day, and his team's on it.

        A contract without an account is a customer of its own, and its owner's.
        """
        alone = self._alone.get(customer_id)
        if alone is not None:
            return self._labels(alone.owner_id, on, None, kind)
        return self._labels(self.owner(customer_id, self._end_ms(on)), on, customer_id, kind)

    def record(self, customer_id: str) -> str:
        """What `explain` lists for a customer: its account, or the contract that has none."""
        alone = self._alone.get(customer_id)
        return f"account/{customer_id}" if alone is None else alone.record

    def owner(self, account_id: str | None, instant_ms: int, *, told_then: bool = False) -> str | None:
        """The owner of an account at an instant, or at the as-of instant if that is earlier.

        The first owner ever stated (by then) holds before it, too, as with opportunities (F21):
        accounts are often told of later than the contracts they have long had. Not so where
        `told_then`: there somebody else gets the credit.
        """
        account = self._ask.accounts.find(account_id)
        if account is None:
            return None
        stated = account.stated_at("owner_id", min(instant_ms, self._ask.as_of_ms))
        if stated is None and not told_then:
            told = account.history("owner_id")
            stated = told[0] if told and told[0].event.time_ms <= self._ask.as_of_ms else None
        return stated and self._ask.people.resolve(stated.value, stated.event.source)

    def _end_ms(self, on: date) -> int:
        return self._ask.calendar.end_ms(on)

    def _labels(self, rep: str | None, on: date, account_id: str | None, kind: str | None) -> tuple[str, ...]:
        account = self._ask.accounts.find(account_id)
        segment, region = (account.newest("segment"), account.newest("region")) if account else (None, None)
        return self._ask.by(rep, on, kind=kind, segment=segment, region=region)

    def _grouped(self) -> dict[str, Customer]:
        held: dict[str, list[Contract]] = defaultdict(list)
        for contract in self.contracts:
            held[self.key(contract)].append(contract)
        return {key: customer(key, held[key], grace_days=self.grace_days) for key in sorted(held)}


def known_contracts(ask: Ask) -> Sequence[Contract]:
    """Every living contract that is no trial, by id, read once until something about it changes."""
    return ask.company.derived(
        Contract, lambda: tuple(read_contracts(ask.company)), "contract", "account", "employee"
    )


def _purchases(ask: Ask) -> Iterator[Contract]:
    """Each opportunity won by the as-of instant as a one-time contract of its amount (F34).

    Those won on a later day are there, too: as with contracts, the next purchase heals a gap (F7).
    """
    days = ask.meaning.kpis.purchase_active_days
    bought = {deal.id: deal for deal in ask.deals if deal.outcome == "won"}
    for deal in ask.latest_deals:
        if deal.outcome == "won" and deal.closed_on is not None and deal.closed_on > ask.as_of_on:
            bought.setdefault(deal.id, deal)
    for _, deal in sorted(bought.items()):
        if deal.closed_on is not None:
            held = purchase_stretch(deal.closed_on, active_days=days)
            yield Contract(
                id=deal.id,
                account_id=deal.account_id,
                owner_id=deal.closer,
                signed_on=held.first,
                start_on=held.first,
                end_on=held.last,
                recurring_minor=0,
                per="term",
                one_time_minor=deal.native_amount or 0,
                currency=deal.currency,
                kind=deal.type,
                purchase=True,
            )
