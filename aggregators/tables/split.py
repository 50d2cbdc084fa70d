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

    def reps(self, owners: Any, names: Symbols) -> Int64:
        """The employee, by alias, that each owner code means (F36)."""
        self._reps = _grown(self._reps, len(names.texts))
        for code in _unknown(self._reps, owners):
            source, _, id_ = names.texts[code].rpartition("\0")
            self._reps[code] = self._group(self._people.resolve(id_, source))
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
            known[code] = self._group(account.newest(field) if account else None)
        return known[accounts]

    def texts(self, codes: Any, symbols: Symbols | Sequence[str], default: str | None = None) -> Int64:
        """The groups of codes whose texts are the labels themselves; code 0 is `default`."""
        texts = symbols.texts if isinstance(symbols, Symbols) else symbols
        used = np.unique(codes)
        groups = np.zeros(int(used.max(initial=0)) + 1, dtype=np.int64)
        for code in used.tolist():
            groups[code] = self._group(texts[code] or default)
        return groups[codes]

    def types(self, codes: Any) -> Int64:
        """The groups of opportunity types."""
        return self.texts(codes, TYPES)

    def _group(self, label: str | None) -> int:
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
                rep = self._group(employee.id)
                for day, stated in zip(dated.days, dated.values, strict=True):
                    number = max(day_number(day), 1 - _DAYS // 2)
                    steps.append((rep * _DAYS + number + _DAYS // 2, self._group(value(stated))))
            steps.sort()
            keys = np.array([key for key, _ in steps], dtype=np.int64)
            self._steps[dimension] = keys, np.array([group for _, group in steps], dtype=np.int64)
        return self._steps[dimension]


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
