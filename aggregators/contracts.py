"""Contracts: how long each is in force, what it is worth a year, and what it has accrued by a day.

Plain values in, plain values out, one contract at a time. Days are inside: the first and the last
day of a `Stretch` are both days in force. Amounts come in integer minor units of the contract's own
currency; annual values and accruals leave in 10^-6 minor units, rounded once per contract, half to
even, so that sums are exact (F5). Source: kpi-definitions.md, KPI 1 and 2, F3 to F5, F23 to F25.
"""

from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Literal, NamedTuple

from aggregators.accounts import Accounts
from aggregators.calendar import add_months
from aggregators.company import Company, Entity
from aggregators.money import minor_units
from aggregators.people import People

MICRO = 10**6
"""Annual values and accruals are integers of 1 / MICRO minor units."""

Per = Literal["term", "year", "month"]
DAY = timedelta(days=1)


def annual_value(recurring_minor: int | Fraction, term: Fraction) -> int:
    """Annual contract value (ACV) of one contract, in 10^-6 minor units of its currency.

    `recurring_minor` is the recurring value of the whole term in minor units, one-time fees left
    out; `term` its length in months, a fraction (F24). A term under 12 months is not scaled up.
    Rounded here alone, half to even, so that sums are exact. Source: kpi-definitions.md, KPI 1.

    >>> annual_value(513_000_00, Fraction(36))  # 162 + 171 + 180 thousand over three years
    17100000000000
    >>> annual_value(100_00, 14 + Fraction(15, 31))  # 14 months and 15 days of a 31-day month
    8285077951
    >>> annual_value(300_00, Fraction(3))  # three months: 300, not four times that
    30000000000
    """
    return round(recurring_minor * 12 * MICRO / max(term, Fraction(12)))


def term_months(start_on: date, end_on: date) -> Fraction:
    """The term in months, the end day inside (F24); 0 where the range is empty.

    Whole months from the start, then the days that remain over the days of the contract month they
    fall in. That month has as many days as the calendar month it begins in, but for a start on a
    day that a month lacks: from 31 January, the month after 28 February runs to 30 March, 31 days.

    >>> term_months(date(2026, 1, 1), date(2028, 12, 31))
    Fraction(36, 1)
    >>> term_months(date(2026, 1, 15), date(2026, 3, 28))  # two months, 14 of the 31 days from 15 March
    Fraction(76, 31)
    """
    if end_on < start_on:
        return Fraction(0)
    if end_on.year == date.max.year:  # "for ever" in many systems; the calendar repeats after 400 years
        years = 400 if start_on.year <= end_on.year - 400 else 0
        began_on = start_on if years else start_on.replace(year=start_on.year - 400)
        return 12 * years + term_months(began_on, end_on.replace(year=end_on.year - 400))
    after = end_on + DAY
    whole = (after.year - start_on.year) * 12 + after.month - start_on.month
    if add_months(start_on, whole) > after:
        whole -= 1
    begins, ends = add_months(start_on, whole), add_months(start_on, whole + 1)
    return whole + Fraction((after - begins).days, (ends - begins).days)


@dataclass(frozen=True, slots=True, order=True)
class Stretch:
    """Whole days in a row, the first and the last one inside; `last` None: still running."""

    first: date
    last: date | None

    def holds(self, day: date) -> bool:
        """Whether the day lies inside."""
        return self.first <= day and (self.last is None or day <= self.last)


@dataclass(frozen=True)
class Contract:
    """One contract as agreed, and how it ended. No trial: a trial is in no KPI.

    `start_on` and `end_on` are the first and last day of the term as agreed, `end_on` None until
    cancelled. `recurring_minor` is what is paid per `per`; a ramp is its sum, per `term`.
    `cancelled_on` and `replaced_on` are the first day not in force, by cancellation (F3) and because
    another contract `supersedes` this one from its own start.
    """

    id: str
    account_id: str | None
    owner_id: str | None
    signed_on: date
    start_on: date
    end_on: date | None
    recurring_minor: int
    per: Per
    one_time_minor: int
    currency: str
    kind: str = "new"
    cancelled_on: date | None = None
    replaced_on: date | None = None
    purchase: bool = False

    @property
    def record(self) -> str:
        """What `explain` lists: the contract, or the opportunity that stands for one (F34)."""
        return f"{'opportunity' if self.purchase else 'contract'}/{self.id}"

    @property
    def bought_on(self) -> date:
        """The day from which its customer has bought: signed, or already in force and signed late."""
        return min(self.signed_on, self.start_on)

    @property
    def stopped_on(self) -> date | None:
        """The first day not in force because of a cancellation or a replacement; None: neither."""
        stops = [day for day in (self.cancelled_on, self.replaced_on) if day is not None]
        return min(stops, default=None)

    @cached_property
    def term(self) -> Fraction | None:
        """The agreed term in months (F24); None without an end."""
        return None if self.end_on is None else term_months(self.start_on, self.end_on)

    @cached_property
    def recurring_total(self) -> Fraction | None:
        """The recurring value of the whole agreed term in minor units; None without an end."""
        if self.term is None:
            return None
        months = {"term": Fraction(1), "year": self.term / 12, "month": self.term}
        return self.recurring_minor * months[self.per]

    @property
    def total_value(self) -> Fraction | None:
        """Total contract value (TCV): recurring and one-time, in minor units; None without an end."""
        recurring = self.recurring_total
        return None if recurring is None else recurring + self.one_time_minor

    @cached_property
    def annual_micro(self) -> int | None:
        """The annual value in 10^-6 minor units, one-time fees left out.

        Without an end it is 12 times the month, or the year, whatever happens later (F4); per `term`
        it has none then: the contract is counted, not priced (F23), unless it is worth nothing (F25).
        """
        recurring, term = self.recurring_total, self.term
        if recurring is not None and term is not None:
            return annual_value(recurring, term)
        if self.recurring_minor == 0:
            return 0
        times = {"term": None, "year": 1, "month": 12}[self.per]
        return None if times is None else self.recurring_minor * times * MICRO

    @cached_property
    def in_force(self) -> Stretch | None:
        """The days in force: from the start to the end, a cancellation or a replacement; None: no day."""
        if self.stopped_on is not None and self.stopped_on <= self.start_on:
            return None
        lasts = [self.end_on, None if self.stopped_on is None else self.stopped_on - DAY]
        last = min((day for day in lasts if day is not None), default=None)
        return None if last is not None and last < self.start_on else Stretch(self.start_on, last)

    def in_force_on(self, day: date) -> bool:
        """Whether that day is a day in force."""
        span = self.in_force
        return span is not None and span.holds(day)

    def accrued_micro(self, day: date) -> int | None:
        """What it has accrued by the end of `day`, in 10^-6 minor units; None without a price (F23).

        With an end: evenly over the days of its term. Without: a twelfth of the annual value each
        calendar month, evenly over that month's days (F5). The first day counts, a cancellation or a
        replacement stops it. One-time fees count from the signature.
        """
        recurring = self._accrued(day)
        return None if recurring is None else round((recurring + self._one_time(day)) * MICRO)

    def signed_micro(self, day: date) -> int | None:
        """Its total value if signed by `day`, in 10^-6 minor units; None without a price (F23).

        A contract without end counts what has accrued by then. A cancellation or a replacement takes
        away, from its day on, what would have accrued after it.
        """
        if self.signed_on > day:
            return 0
        stopped_on = self.stopped_on
        if self.end_on is not None and (stopped_on is None or stopped_on > day):
            recurring = self.recurring_total
        else:
            recurring = self._accrued(self.end_on or day)
        return None if recurring is None else round((recurring + self._one_time(day)) * MICRO)

    def _one_time(self, day: date) -> int:
        return self.one_time_minor if self.signed_on <= day else 0

    def _accrued(self, day: date) -> Fraction | None:
        """The recurring part accrued from the start to `day` or the stop, in minor units."""
        annual, total, span = self.annual_micro, self.recurring_total, self.in_force
        if annual is None:
            return None
        if span is None or day < span.first:
            return Fraction(0)
        last = day if span.last is None else min(day, span.last)
        if total is not None and self.end_on is not None:
            days = (self.end_on - self.start_on).days + 1
            return total * Fraction((last - span.first).days + 1, days)
        return Fraction(annual, 12 * MICRO) * _months_of_days(span.first, last)


def read_contracts(company: Company) -> Iterator[Contract]:
    """Every living contract that is no trial, as known today, by id.

    Without a `start_date` it starts with its ramp, else on `signed_on`, else on the day of its
    earliest event. Of several contracts that supersede one the earliest start counts; a trial, a
    deleted contract and the contract itself replace nothing.
    """
    people, accounts, agreed = People(company), Accounts(company), agreements(company)
    starts: dict[str, date] = {}
    for contract_id, each in agreed.items():
        if each.supersedes is not None and each.supersedes != contract_id:
            start_on = each.contract.start_on
            starts[each.supersedes] = min(start_on, starts.get(each.supersedes, date.max))
    for contract_id, each in sorted(agreed.items()):
        yield replace(
            each.contract,
            account_id=accounts.survivor(each.contract.account_id),
            owner_id=people.resolve(each.contract.owner_id, each.owner_source),
            replaced_on=starts.get(contract_id),
        )


class Agreement(NamedTuple):
    """What the statements about one contract say, by themselves: no account or person is looked up for it."""

    contract: Contract
    """With the ids of account and owner as they were told."""
    owner_source: str
    supersedes: str | None


def agreements(company: Company) -> Mapping[str, Agreement]:
    """Of every living contract that is no trial, by id, in no order."""

    def agreement(entity: Entity) -> Agreement | None:
        if not entity.alive or entity.newest("trial"):
            return None
        ramp = entity.newest("ramp") or ()
        currency = entity.newest("currency") or company.meaning.company.currency
        amounts = [step[2] for step in ramp] or [entity.newest("recurring_amount") or Decimal(0)]
        owners, start_on = entity.history("owner_id"), _start_on(company, entity)
        contract = Contract(
            id=entity.id,
            account_id=entity.newest("account_id"),
            owner_id=owners[-1].value if owners else None,
            signed_on=entity.newest("signed_on") or start_on,
            start_on=start_on,
            end_on=entity.newest("end_date") or max((step[1] for step in ramp), default=None),
            recurring_minor=sum(minor_units(amount, currency) for amount in amounts),
            per="term" if ramp else entity.newest("recurring_per") or "term",
            one_time_minor=minor_units(entity.newest("one_time_amount") or Decimal(0), currency),
            currency=currency,
            kind=entity.newest("kind") or "new",
            cancelled_on=entity.newest("cancelled_on"),
        )
        source = owners[-1].event.source if owners else ""
        return Agreement(contract, source, entity.newest("supersedes"))

    return company.each("agreement", agreement, "contract")


def _start_on(company: Company, entity: Entity) -> date:
    ramp = entity.newest("ramp") or ()
    stated = entity.newest("start_date") or min((step[0] for step in ramp), default=None)
    found: date = stated or entity.newest("signed_on") or company.calendar.day(entity.first_ms)
    return found


def _months_of_days(first: date, last: date) -> Fraction:
    """The days from `first` to `last`, both inside, each as its share of its calendar month."""
    if last < first:
        return Fraction(0)
    between = (last.year - first.year) * 12 + last.month - first.month - 1
    if between < 0:
        return Fraction((last - first).days + 1, monthrange(first.year, first.month)[1])
    begun = monthrange(first.year, first.month)[1]
    return (
        Fraction(begun - first.day + 1, begun)
        + between
        + Fraction(last.day, monthrange(last.year, last.month)[1])
    )
