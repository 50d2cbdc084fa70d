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
        """Times with the company, oldest first, whenever they were told (events.md, "employee").

        A later `hired_on` is a rehire only if a `left_on` lies before it, else a correction; a `left_on`
        ends the spell it falls into, the newest per spell wins. A cleared field takes back the last one.
        """
        told = _Told()
        for number, event in enumerate(self.entity.statements):
            if "hired_on" in event.data or event.complete:
                told.hiring(number, event.data.get("hired_on"))
            if "left_on" in event.data or event.complete:
                told.leaving(number, event.data.get("left_on"))
            if "leave_kind" in event.data or event.complete:
                told.kind(number, event.data.get("leave_kind"))
        return told.spells()


@dataclass(slots=True)
class _Leaving:
    told: int
    day: date
    kind: str | None


class _Told:
    """What was told of hirings and leavings, each with the number of the statement that told it."""

    def __init__(self) -> None:
        self._hirings: dict[date, int] = {}
        self._leavings: list[_Leaving] = []
        """One for each spell at most; one that falls into none waits for a hiring before it."""
        self._kind: str | None = None
        """Of a leaving that is still to be told."""

    def hiring(self, told: int, day: date | None) -> None:
        """First day at work; None takes back the last spell."""
        if day is None:
            for first in self._spell_hirings()[-1:]:
                self._leavings = [each for each in self._leavings if each.day < first[0]]
                for one in first:
                    del self._hirings[one]
            return
        # Only a later day can be a rehire: an earlier one corrects those that no leaving keeps apart from it.
        for later in [one for one in self._hirings if one > day and not self._is_left(day, one)]:
            del self._hirings[later]
        self._hirings[day] = told

    def leaving(self, told: int, day: date | None) -> None:
        """Last day at work; None takes back that of the last spell."""
        last = self._spell_hirings()[-1:]
        if day is None:
            began = last[0][0] if last else date.min
            self._leavings = [
                each for each in self._leavings if each.day < began and self._hired_by(each.day)
            ]
            return
        hired = self._hired_by(day)
        before = [each for each in self._leavings if self._hired_by(each.day) == hired]
        kind = before[-1].kind if before else self._kind
        self._kind = None
        self._leavings = [each for each in self._leavings if each not in before]
        self._leavings.append(_Leaving(told, day, kind))

    def kind(self, told: int, kind: str | None) -> None:
        """Why: of the leaving told with it, else of the last one, else of the next."""
        newest = max(self._leavings, key=lambda each: each.told, default=None)
        last = self._spell_hirings()[-1:]
        has_ended = bool(last) and any(each.day >= last[0][0] for each in self._leavings)
        if newest is not None and (newest.told == told or has_ended or newest.kind is None):
            newest.kind = kind
        else:
            self._kind = kind

    def spells(self) -> list[Spell]:
        """The times that result."""
        spells = []
        hirings = self._spell_hirings()
        for number, days in enumerate(hirings):
            until = hirings[number + 1][0] if number + 1 < len(hirings) else date.max
            left = [each for each in self._leavings if days[0] <= each.day < until]
            last = max(left, key=lambda each: each.told, default=None)
            start = max(days, key=self._hirings.__getitem__)
            spells.append(Spell(start, last.day, last.kind) if last else Spell(start, None))
        return spells

    def _spell_hirings(self) -> list[list[date]]:
        """The first days told of each spell, oldest first: a leaving between two of them keeps them apart."""
        found: list[list[date]] = []
        for day in sorted(self._hirings):
            if found and not self._is_left(found[-1][-1], day):
                found[-1].append(day)
            else:
                found.append([day])
        return found

    def _is_left(self, since: date, before: date) -> bool:
        return any(since <= each.day < before for each in self._leavings)

    def _hired_by(self, day: date) -> date | None:
        return max((one for one in self._hirings if one <= day), default=None)
