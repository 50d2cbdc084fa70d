"""Whose opportunities there are: owners that no employee record tells of, and those without a team (F22)."""

from datetime import date
from typing import Any, NamedTuple

import numpy as np

from aggregators.deal_facts import NEVER, OPEN
from aggregators.people import People
from aggregators.tables.deals import DealTable


class Owners(NamedTuple):
    """Ids of owners, sorted."""

    without_record: list[str]
    """Who ever owned a deal that is there, and is no employee by id or alias."""
    without_team: list[str]
    """Employees who own an open deal, and have no team on the day."""


def owners(table: DealTable, people: People, today: date) -> Owners:
    """The owners of all deals that are there, open and closed."""
    states = table.states
    stand = (states["since"] != NEVER) & (table.heads["dead_at"][states["deal"]] == NEVER)
    ever = _people(table, people, *(states[name][stand] for name in ("owner", "creator", "closer")))
    open_now = stand & (states["until"] == NEVER) & (states["outcome"] == OPEN)
    now = _people(table, people, states["owner"][open_now])
    return Owners(
        sorted(ever - people.employees.keys()),
        sorted(one for one in now & people.employees.keys() if people.team(one, today) is None),
    )


def _people(table: DealTable, people: People, *columns: Any) -> set[str]:
    """Who is meant by the codes of some columns of people; 0 is nobody."""
    codes: set[int] = set()
    for column in columns:
        codes.update(np.unique(column).tolist())
    found = set()
    for code in codes - {0}:
        source, _, id_ = table.names.texts[code].partition("\0")
        found.add(people.resolve(id_, source))
    return {one for one in found if one}
