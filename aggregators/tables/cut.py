"""All deals as they stood at one instant, as columns: one row for each deal that is alive today."""

from typing import Any

import numpy as np

from aggregators.deal_facts import HEAD, LOST, NEVER, OMITTED, OPEN, UNKNOWN, WON
from aggregators.tables.deals import DealTable


class Cut:
    """The states that stand at `as_of_ms`, column by column, each read at most once.

    A column is an array of shape (deals,), named as in HEAD and STATE of `aggregators.deal_facts`.
    """

    def __init__(self, table: DealTable, as_of_ms: int) -> None:
        self.table, self.as_of_ms = table, as_of_ms
        states = table.states
        rows = np.flatnonzero((states["since"] <= as_of_ms) & (as_of_ms < states["until"]))
        deals = states["deal"][rows]
        alive = table.heads["dead_at"][deals] == NEVER
        self.rows, self.deals = rows[alive], deals[alive]
        self._columns: dict[str, Any] = {}
        self.kept: dict[object, Any] = {}
        """What the readings of one refresh share: which rows lie in a window, say."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> Any:
        column = self._columns.get(name)
        if column is None:
            if HEAD.names is not None and name in HEAD.names:
                column = self.table.heads[name][self.deals]
            else:
                column = self.table.states[name][self.rows]
            self._columns[name] = column
        return column

    @property
    def exists(self) -> Any:
        """Created by then, at a known instant: what a creation window can count."""
        created = self["created"]
        return (created != UNKNOWN) & (created <= self.as_of_ms)

    @property
    def open(self) -> Any:
        """Open at that instant."""
        return self["outcome"] == OPEN

    @property
    def won(self) -> Any:
        """Standing as won at that instant."""
        return self["outcome"] == WON

    @property
    def lost(self) -> Any:
        """Standing as lost at that instant."""
        return self["outcome"] == LOST

    @property
    def omitted(self) -> Any:
        """In a stage that is in no ratio."""
        return self["outcome"] == OMITTED
