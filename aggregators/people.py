"""People: who is meant by an id, who works where and as what on a day (F22, F36, G5)."""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from aggregators.company import Company, Entity


@dataclass(frozen=True, slots=True)
class Spell:
    """A time with the company, or in a sales role: first day, and last day if it has one."""

    start: date
    end: date | None
    kind: str | None = None
    """Why it ended: the `leave_kind` stated with or after the leaving, or `left_role`."""

    def __contains__(self, day: object) -> bool:
        """Whether a day lies in it."""
        return isinstance(day, date) and self.start <= day and (self.end is None or day <= self.end)


class Dated:
    """A field that is true from stated days on: its value on a day."""

    def __init__(self, values: dict[date, Any]) -> None:
        self.days = sorted(values)
        self.values = [values[day] for day in self.days]

    def on(self, day: date) -> Any:
        """The value of the newest effective day on or before a day; None before the first."""
        found = bisect_right(self.days, day)
        return self.values[found - 1] if found else None


class People:
    """The employees of a company, and the ids under which CRMs know them."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self.rehire_grace = timedelta(days=company.meaning.kpis.rehire_grace_days)
        self.sales_roles = frozenset(company.meaning.company.sales_roles)
        self.employees = {entity.id: Employee(company, entity) for entity in company.living("employee")}
        self.aliases: dict[str, str] = {}
        for employee in reversed(self.employees.values()):  # the smallest id comes last, and stays
            self.aliases.update(dict.fromkeys(employee.aliases, employee.id))

    def shared_aliases(self) -> dict[str, list[str]]:
        """The aliases that several employees list, and who: the first one, of the smallest id, is meant (F36)."""
        holders: dict[str, list[str]] = defaultdict(list)
        for employee in self.employees.values():
            for alias in dict.fromkeys(employee.aliases):
                holders[alias].append(employee.id)
        return {alias: ids for alias, ids in sorted(holders.items()) if len(ids) > 1}

    def resolve(self, person: str | None, source: str) -> str | None:
        """The employee who is meant by an owner, rep or manager id of a source, else the id itself (F36)."""
        return None if person is None else self.aliases.get(f"{source}:{person}", person)

    def team(self, rep: str | None, on: date) -> str | None:
        """The team of a rep on a day; None for an owner without a team or an employee record."""
        employee = self.employees.get(rep or "")
        team: str | None = employee.team.on(on) if employee else None
        return team

    def manager(self, rep: str | None, on: date) -> str | None:
        """The direct manager of a rep on a day."""
        employee = self.employees.get(rep or "")
        stated = employee.manager.on(on) if employee else None
        return None if stated is None else self.resolve(*stated)

    def sales_spells(self, employee: "Employee") -> list[Spell]:
        """The employee's times in a sales role, oldest first; gaps within the rehire grace are none.

        A spell that the leaving of the role ends, not of the company, has the kind `left_role`.
        """
        found: list[Spell] = []
        for spell in employee.spells:
            found.extend(self._in_role(employee, spell))
        joined: list[Spell] = []
        for spell in found:
            last = joined[-1] if joined else None
            if last and last.end and self._rehired(employee, last.end, spell.start):
                joined[-1] = Spell(last.start, spell.end, spell.kind)
            else:
                joined.append(spell)
        return joined

    def _rehired(self, employee: "Employee", left: date, back: date) -> bool:
        """Left the company on that day, and came back to it within the grace."""
        ends = any(spell.end == left for spell in employee.spells)
        starts = any(spell.start == back for spell in employee.spells)
        return ends and starts and back - left <= self.rehire_grace

    def _in_role(self, employee: "Employee", spell: Spell) -> list[Spell]:
        days = sorted({spell.start, *(day for day in employee.role.days if day in spell)})
        found: list[Spell] = []
        for day in days:
            selling = employee.role.on(day) in self.sales_roles
            in_one = bool(found) and found[-1].end is None
            if selling and not in_one:
                found.append(Spell(day, None))
            elif not selling and in_one:
                found[-1] = Spell(found[-1].start, day - timedelta(days=1), "left_role")
        if found and found[-1].end is None:
            found[-1] = Spell(found[-1].start, spell.end, spell.kind)
        return found


class Employee:
    """One employee: times with the company, and role, team and manager by day."""

    def __init__(self, company: Company, entity: Entity) -> None:
        self._company, self.entity = company, entity
        self.id = entity.id
        self.name: str | None = entity.newest("name")
        self.aliases: tuple[str, ...] = entity.newest("aliases") or ()
        self.spells = self._spells()
        self.hired_on = self.spells[0].start if self.spells else None
        self.role = self._dated("role", first_holds=True)
        self.team = self._dated("team", first_holds=True)
        self.manager = self._dated("manager_id", first_holds=True)
        self.on_leave = self._dated("on_leave", first_holds=False)

    def _dated(self, field: str, *, first_holds: bool) -> Dated:
        """The field by effective day. Of several statements for one day the newest counts.

        The first one ever stated holds from `hired_on` (without one: always), unless it is dated (F22).
        A manager comes with the source that names him, for his alias.
        """
        values: dict[date, Any] = {}
        for number, (value, event) in enumerate(self.entity.history(field)):
            day = event.data.get("effective_on")
            if day is None and number == 0 and first_holds:
                day = self.hired_on or date.min
            if day is None:
                day = self._company.calendar.day(event.time_ms)
                # Said again before the first day at work, it takes the place of what was said first.
                day = max(day, self.hired_on or day) if first_holds else day
            values[day] = (value, event.source) if field == "manager_id" else value
        return Dated(values)

    def _spells(self) -> list[Spell]:
        """Times with the company, oldest first.

        A later `hired_on` is a rehire only if a `left_on` lies before it, else a correction; a
        `left_on` ends the spell it falls into, the newest per spell wins (events.md, "employee").
        A cleared field takes back the last one. What was stated of a leaving before any hiring waits.
        """
        spells: list[_Times] = []
        waiting: date | None = None
        for event in self.entity.statements:
            if "hired_on" in event.data or event.complete:
                _hire(spells, event.data.get("hired_on"))
            if "left_on" in event.data or event.complete:
                waiting = event.data.get("left_on")
            if waiting and (ended := _falls_into(spells, waiting)):
                ended.end, waiting = waiting, None
            elif ("left_on" in event.data or event.complete) and waiting is None and spells:
                spells[-1].end = spells[-1].kind = None
            if ("leave_kind" in event.data or event.complete) and spells:
                spells[-1].kind = event.data.get("leave_kind")
        return [Spell(times.start, times.end, times.kind) for times in spells]


@dataclass(slots=True)
class _Times:
    start: date
    end: date | None = None
    kind: str | None = None


def _hire(spells: list[_Times], day: date | None) -> None:
    if day is None:
        del spells[-1:]
        return
    ended_before = sum(times.end is not None and times.end < day for times in spells)
    if ended_before < len(spells):
        spells[ended_before].start = day
    else:
        spells.append(_Times(day))


def _falls_into(spells: list[_Times], day: date) -> _Times | None:
    """The last spell that began by that day; a leaving before every spell empties the first."""
    begun = [times for times in spells if times.start <= day]
    return begun[-1] if begun else (spells[0] if spells else None)
