"""What everything is asked through: days, windows, rates and people of one company."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from itertools import takewhile
from typing import Any

from aggregators.meaning import Meaning
from events.currencies import EXPONENTS
from events.event import Event
from tests.aggregators.naive.records import Record, Records

DAY = timedelta(1)
FIRST, LAST = date(2025, 1, 1), date(2028, 12, 31)
"""Wider than anything that is told, by more than every grace and band."""
ALL_DAYS = [FIRST + timedelta(number) for number in range((LAST - FIRST).days + 1)]
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
RATE_DECIMALS = 30
"""A rate is a whole number of 10^-30 (docs/design.md, "Integers")."""


@dataclass
class Spell:
    """A time with the company: first day, and last day if it has one."""

    start: date
    end: date | None = None
    kind: str | None = None

    def __contains__(self, day: date) -> bool:
        return self.start <= day and (self.end is None or day <= self.end)


@dataclass
class Person:
    """One employee."""

    id: str
    aliases: tuple[str, ...] = ()
    spells: list[Spell] = field(default_factory=list)
    dated: dict[str, dict[date, Any]] = field(default_factory=dict)

    def on(self, name: str, day: date) -> Any:
        """The value of a dated field on a day: of the newest effective day by then."""
        by_then = [effective for effective in self.dated[name] if effective <= day]
        return self.dated[name][max(by_then)] if by_then else None


class World:
    """One company as everybody knows it today."""

    def __init__(
        self,
        meaning: Meaning,
        events: Iterable[Event],
        as_of_ms: int,
        attribution: str | None = None,
        now_ms: int | None = None,
    ) -> None:
        """`now_ms` is the present, after which the future lies; by default the as-of instant."""
        self.meaning, self.kpis = meaning, meaning.kpis
        self.records = Records(events)
        self.as_of_ms, self.as_of = as_of_ms, self.day(as_of_ms)
        self.today = self.day(as_of_ms if now_ms is None else now_ms)
        self.attribution = attribution or meaning.kpis.attribution
        self.currency = meaning.company.currency

    # Days

    def day(self, instant_ms: int) -> date:
        """The local day of an instant."""
        return (EPOCH + timedelta(milliseconds=instant_ms)).astimezone(self.meaning.company.zone).date()

    def end_ms(self, day: date) -> int:
        """The last millisecond of a local day: no zone of these tests changes its clock at midnight."""
        after = day + DAY
        midnight = datetime(after.year, after.month, after.day, tzinfo=self.meaning.company.zone)
        return (midnight - EPOCH) // timedelta(milliseconds=1) - 1

    # Money (G4)

    def minor(self, amount: Decimal, currency: str) -> int:
        """A stated amount in minor units."""
        return round(Fraction(amount) * unit(currency))

    def convert(self, minor: int, currency: str, on: date) -> Fraction | None:
        """Minor units in those of the reporting currency at the rate of a day; None without a rate."""
        if currency == self.currency:
            return Fraction(minor)
        rate = self._rate(currency, self.currency, on)
        if rate is None and self.kpis.fx_pivot not in ("", currency, self.currency):
            there = self._rate(currency, self.kpis.fx_pivot, on)
            back = self._rate(self.kpis.fx_pivot, self.currency, on)
            rate = None if there is None or back is None else there * back
        if rate is None:
            return None
        rounded = Fraction(round(rate * 10**RATE_DECIMALS), 10**RATE_DECIMALS)
        return minor * rounded * unit(self.currency) / unit(currency)

    def _rate(self, base: str, quote: str, on: date) -> Fraction | None:
        """The direct rate of a day, else the inverse one."""
        if (direct := self._stated(base, quote, on)) is not None:
            return direct
        inverse = self._stated(quote, base, on)
        return None if inverse is None else 1 / inverse

    def _stated(self, base: str, quote: str, on: date) -> Fraction | None:
        rates = self._rates.get((base, quote), {})
        for age in range((on - FIRST).days):
            if on <= self.today and age > self.kpis.fx_max_age_days:
                return None
            if on - age * DAY in rates:
                return rates[on - age * DAY]
        return None

    @cached_property
    def _rates(self) -> dict[tuple[str, str], dict[date, Fraction]]:
        found: dict[tuple[str, str], dict[date, Fraction]] = {}
        for record in self.records.living("fx_rate"):
            if (rate := record.last("rate")) is not None:
                pair = (record.last("base"), record.last("quote"))
                found.setdefault(pair, {})[record.last("date")] = Fraction(rate)
        return found

    # People

    @cached_property
    def people(self) -> dict[str, Person]:
        """Every living employee, by id."""
        return {record.id: self._person(record) for record in self.records.living("employee")}

    def resolve(self, person: str | None, event: Event) -> str | None:
        """The employee meant by an id that an event's source names (F36)."""
        if person is None:
            return None
        meant = [one.id for one in self.people.values() if f"{event.source}:{person}" in one.aliases]
        return min(meant, default=person)

    def person_said(self, record: Record, name: str) -> str | None:
        """Who is meant by the newest statement of a field that names somebody."""
        said = record.said(name)
        return self.resolve(*said[-1]) if said else None

    def team(self, rep: str | None, on: date) -> str | None:
        """A rep's team on a day."""
        found = self.people[rep].on("team", on) if rep in self.people else None
        return found[0] if found else None

    def manager(self, rep: str | None, on: date) -> str | None:
        """A rep's manager on a day."""
        found = self.people[rep].on("manager_id", on) if rep in self.people else None
        return self.resolve(*found) if found else None

    def sells(self, person: Person, on: date) -> bool:
        """Whether somebody is in a sales role on a day."""
        found = person.on("role", on)
        return any(on in spell for spell in person.spells) and bool(
            found and found[0] in self.meaning.company.sales_roles
        )

    def stints(self, person: Person) -> list[Spell]:
        """The times in a sales role: days in a row, over the gap before a rehire within the grace."""
        found: list[Spell] = []
        for day in ALL_DAYS:
            if not self.sells(person, day):
                continue
            spell = next(one for one in reversed(person.spells) if day in one)
            before = found[-1] if found else None
            hired = before is not None and day == spell.start
            last = None if before is None else before.end
            if before is None or last is None:
                found.append(Spell(day, day))
            elif hired and any(one.end == last for one in person.spells):
                if (day - last).days <= self.kpis.rehire_grace_days:
                    before.end = day
                else:
                    found.append(Spell(day, day))
            elif day - last <= DAY:
                before.end = day
            else:
                found.append(Spell(day, day))
        for stint in found:
            if stint.end is None or stint.end == LAST:
                stint.end = None
                continue
            left = next((one for one in person.spells if one.end == stint.end), None)
            stint.kind = left.kind if left else "left_role"
        return found

    def _person(self, record: Record) -> Person:
        person = Person(record.id, record.last("aliases") or (), _spells(record))
        hired = person.spells[0].start if person.spells else None
        for name in ("role", "team", "manager_id"):
            values = person.dated[name] = {}
            for number, (value, event) in enumerate(record.said(name)):
                effective = event.data.get("effective_on")
                if effective is None and number == 0:
                    effective = hired or date.min  # F22
                elif effective is None:
                    effective = self.day(event.time_ms)
                    effective = max(effective, hired) if hired else effective
                values[effective] = (value, event)
        return person

    # Labels (G5, F15)

    def labels(
        self, by: tuple[str, ...], rep: str | None, on: date | None, **others: str | None
    ) -> tuple[str, ...]:
        """A record's labels: the rep who has the credit, and his team and manager on a day."""
        on = self.as_of if on is None or self.attribution == "current" else on
        found = {"rep": rep, "team": self.team(rep, on), "manager": self.manager(rep, on), **others}
        return tuple(found[name] or "unassigned" for name in by)

    def of_account(self, account_id: str | None) -> dict[str, str | None]:
        """Segment and region of an account."""
        account = self.records.account(account_id)
        return {name: account.last(name) if account else None for name in ("segment", "region")}

    def customer(self, account_id: str | None) -> str | None:
        """The customer that an account is, or belongs to."""
        if self.kpis.customer_level == "parent":
            return self.records.top(account_id)
        return self.records.survivor(account_id)


def unit(currency: str) -> int:
    """Minor units in one major unit."""
    return int(10 ** EXPONENTS[currency])


def _spells(record: Record) -> list[Spell]:
    """Hirings and leavings (events.md, "employee"): a walk along the days that were told."""
    days: list[_Day] = []
    kind: str | None = None
    """Told before the leaving that it is of."""
    for event in record.statements:
        left = None
        if event.complete or "hired_on" in event.data:
            hired = event.data.get("hired_on")
            if hired is None:
                start = _starts(days)[-1:]
                days = [one for one in days if not start or one.day < start[0]]
            else:
                corrected = takewhile(
                    lambda one: one.hired, sorted((one for one in days if one.day >= hired), key=_order)
                )
                gone = {id(one) for one in corrected}
                days = [one for one in days if id(one) not in gone]
                days.append(_Day(hired, hired=True))
        if event.complete or "left_on" in event.data:
            day = event.data.get("left_on")
            if day is None:
                starts = _starts(days)
                days = [
                    one
                    for one in days
                    if one.hired or (starts and starts[0] <= one.day and one.day < starts[-1])
                ]
            else:
                old = [one for one in days if not one.hired and _hired(days, one) == _hired(days, day)]
                left = _Day(day, hired=False, kind=old[0].kind if old else kind)
                kind = None
                days = [one for one in days if one not in old] + [left]
        if event.complete or "leave_kind" in event.data:
            why = event.data.get("leave_kind")
            leavings = [one for one in days if not one.hired]
            runs = not (_walk(days) and _walk(days)[-1].end)
            if left is None and leavings and not (runs and leavings[-1].kind):
                left = leavings[-1]
            if left is None:
                kind = why
            else:
                left.kind = why
    return _walk(days)


@dataclass(eq=False)
class _Day:
    """A first or a last day at work; a list of them is in the order of telling."""

    day: date
    hired: bool
    kind: str | None = None


def _order(one: _Day) -> tuple[date, bool]:
    return one.day, not one.hired


def _hired(days: list[_Day], by: "_Day | date") -> date | None:
    day = by.day if isinstance(by, _Day) else by
    return max((one.day for one in days if one.hired and one.day <= day), default=None)


def _starts(days: list[_Day]) -> list[date]:
    """The earliest day told of each spell."""
    found: list[date] = []
    there = False
    for one in sorted(days, key=_order):
        if one.hired and not there:
            found.append(one.day)
        there = one.hired
    return found


def _walk(days: list[_Day]) -> list[Spell]:
    spells: list[Spell] = []
    told = {id(one): number for number, one in enumerate(days)}
    newest = -1
    there = False
    for one in sorted(days, key=_order):
        if one.hired and not there:
            spells.append(Spell(one.day))
            newest = told[id(one)]
        elif one.hired and told[id(one)] > newest:
            spells[-1].start, newest = one.day, told[id(one)]
        elif not one.hired and spells and (there or told[id(one)] > newest):
            spells[-1].end, spells[-1].kind = one.day, one.kind
            newest = told[id(one)]
        there = one.hired
    return spells
