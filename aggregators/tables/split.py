"""The dimensions of deals as arrays: which rep, team, segment, ... each row counts for."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any, Final

import numpy as np

from aggregators.accounts import Accounts
from aggregators.company import Company
from aggregators.kpi import UNASSIGNED
from aggregators.people import Dated, People
from aggregators.rows import TYPES
from aggregators.symbols import Symbols
from aggregators.tables.deals import DealTable
from aggregators.zones import Int64

DAY_ZERO: Final = date(2000, 1, 1)
_DAYS: Final = 2**21  # more than there are between 1 and 9999, so that (rep, day) is one integer


def day_number(day: date) -> int:
    """Days since 2000-01-01."""
    return day.toordinal() - DAY_ZERO.toordinal()


def day_of(number: int) -> date:
    """The inverse of `day_number`."""
    return DAY_ZERO + timedelta(days=number)


class Split:
    """Maps codes of the merged symbols to groups, for one state of people and accounts.

    A group is a number; `texts` gives its label. Group 0 is `unassigned`.
    """

    def __init__(self, company: Company, people: People, accounts: Accounts) -> None:
        self._company, self._people, self._accounts = company, people, accounts
        self.groups = Symbols()
        self.groups.texts[0] = UNASSIGNED
        self.groups[UNASSIGNED] = 0
        self._reps: Int64 = np.zeros(1, dtype=np.int64)  # owner name code -> group; -1: not looked up
        self._accounts_by: dict[str, Int64] = {}
        self._steps: dict[str, tuple[Int64, Int64]] = {}
        self._kept: dict[tuple[tuple[str, ...], str, str], _PerState] = {}

    def kept(
        self, table: DealTable, by: tuple[str, ...], owner: str, day: str | int
    ) -> tuple[Int64, Sequence[tuple[str, ...]]]:
        """(per state of the table the group of its rep, team and manager, the labels of each group).

        `owner` names the column of the rep, `day` that of the day, or is a day itself. A state never
        changes once it is there, so only new ones are looked up.
        """
        name = by, owner, day if isinstance(day, str) else ""
        held = self._kept.get(name)
        if held is None or held.table is not table or held.epoch != table.epoch or held.day != day:
            held = self._kept[name] = _PerState(table, table.epoch, day)
        new = slice(len(held.codes), len(table.states))
        if new.start < new.stop:
            states = table.states
            reps = self.reps(states[owner][new], table.names)
            if isinstance(day, int):
                days = np.full(len(reps), day, dtype=np.int64)
            else:
                column = states[day][new] if day in states else table.heads[day][states["deal"][new]]
                days = column.astype(np.int64)
            columns = [reps if one == "rep" else self.on_day(one, reps, days) for one in by]
            held.extend(columns, self.groups.texts)
        return held.codes, held.labels

    def reps(self, owners: Any, names: Symbols) -> Int64:
        """The employee, by alias, that each owner code means (F36)."""
        self._reps = _grown(self._reps, len(names.texts))
        for code in _unknown(self._reps, owners):
            source, _, id_ = names.texts[code].partition("\0")
            self._reps[code] = self.group(self._people.resolve(id_, source))
        return self._reps[owners]

    def on_day(self, dimension: str, reps: Int64, days: Int64) -> Int64:
        """The team or manager of each rep (a group) on a day (days since 2000)."""
        keys, values = self._step(dimension)
        if not len(keys):
            return np.zeros(len(reps), dtype=np.int64)
        found = np.searchsorted(keys, reps * _DAYS + days + _DAYS // 2, side="right") - 1
        same = (found >= 0) & (keys[found] // _DAYS == reps)
        return np.where(same, values[found], 0)

    def of_account(self, field: str, accounts: Any, names: Symbols) -> Int64:
        """The segment or region of the living account that each account code means."""
        known = self._accounts_by[field] = _grown(
            self._accounts_by.get(field, np.zeros(1, dtype=np.int64)), len(names.texts)
        )
        for code in _unknown(known, accounts):
            account = self._accounts.find(names.texts[code])
            known[code] = self.group(account.newest(field) if account else None)
        return known[accounts]

    def texts(self, codes: Any, symbols: Symbols | Sequence[str], default: str | None = None) -> Int64:
        """The groups of codes whose texts are the labels themselves; code 0 is `default`."""
        texts = symbols.texts if isinstance(symbols, Symbols) else symbols
        used = np.unique(codes)
        groups = np.zeros(int(used.max(initial=0)) + 1, dtype=np.int64)
        for code in used.tolist():
            groups[code] = self.group(texts[code] or default)
        return groups[codes]

    def types(self, codes: Any) -> Int64:
        """The groups of opportunity types."""
        return self.texts(codes, TYPES)

    def group(self, label: str | None) -> int:
        """The group of a label; of none, 0."""
        return self.groups[label or UNASSIGNED]

    def _step(self, dimension: str) -> tuple[Int64, Int64]:
        """All changes of the dimension as sorted (rep, day) keys, and the group from then on."""
        if dimension not in self._steps:
            people = self._people
            value: Callable[[Any], str | None]
            if dimension == "team":
                value = lambda stated: stated  # noqa: E731
            else:
                value = lambda stated: None if stated is None else people.resolve(*stated)  # noqa: E731
            steps: list[tuple[int, int]] = []
            for employee in people.employees.values():
                dated: Dated = employee.team if dimension == "team" else employee.manager
                rep = self.group(employee.id)
                for day, stated in zip(dated.days, dated.values, strict=True):
                    number = max(day_number(day), 1 - _DAYS // 2)
                    steps.append((rep * _DAYS + number + _DAYS // 2, self.group(value(stated))))
            steps.sort()
            keys = np.array([key for key, _ in steps], dtype=np.int64)
            self._steps[dimension] = keys, np.array([group for _, group in steps], dtype=np.int64)
        return self._steps[dimension]


class _PerState:
    """Group codes of all states of a table, for one split."""

    def __init__(self, table: DealTable, epoch: int, day: str | int) -> None:
        self.table, self.epoch, self.day = table, epoch, day
        self._held, self._size = np.zeros(1024, dtype=np.int32), 0
        self.labels: list[tuple[str, ...]] = []
        self._known: dict[tuple[int, ...], int] = {}

    @property
    def codes(self) -> Any:
        """The group of each state so far."""
        return self._held[: self._size]

    def extend(self, columns: Sequence[Int64], texts: Sequence[str]) -> None:
        """Take in more states; a group is one combination of the columns."""
        key = columns[0]
        for column in columns[1:]:
            key = key * len(texts) + column
        distinct, which = np.unique(key, return_inverse=True)
        codes = []
        for each in distinct.tolist():
            combination: tuple[int, ...] = ()
            for _ in columns:
                each, group = divmod(each, len(texts))
                combination = (group, *combination)
            code = self._known.get(combination)
            if code is None:
                code = self._known[combination] = len(self.labels)
                self.labels.append(tuple(texts[each] for each in combination))
            codes.append(code)
        until = self._size + len(which)
        if until > len(self._held):
            grown = np.zeros(max(until, 2 * len(self._held)), dtype=np.int32)
            grown[: self._size] = self.codes
            self._held = grown
        self._held[self._size : until] = np.array(codes, dtype=np.int32)[which]
        self._size = until


def _grown(known: Int64, size: int) -> Int64:
    """Codes beyond those looked up so far are marked -1."""
    if len(known) >= size:
        return known
    grown = np.full(size + size // 2, -1, dtype=np.int64)
    grown[: len(known)] = known
    return grown


def _unknown(known: Int64, codes: Any) -> list[int]:
    missing = codes[known[codes] < 0]
    found: list[int] = np.unique(missing).tolist()
    return found
