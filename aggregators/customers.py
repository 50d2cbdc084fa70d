"""Customers: who is one on which day, told from the contracts of an account.

A customer is *active* on the days on which at least one of its contracts is in force, and in the
gaps between two of them that are no longer than the grace (F7). A customer whose last contract has
ended, however recently, is not active: it is *in grace* for as long as a renewal could still heal
the gap (F33). Source: kpi-definitions.md, KPI 9, F3, F7, F33 to F35.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from aggregators.contracts import Contract, Stretch


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

    def was_active_by(self, day: date) -> bool:
        """Whether it is, or ever was, a customer by that day."""
        return any(stretch.first <= day for stretch in self.active)

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
