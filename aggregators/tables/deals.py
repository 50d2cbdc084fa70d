"""All opportunities of all shards as two tables: heads (one row a deal) and states (one a span of time).

A change of a deal replaces its states: the old rows are struck out, the new ones appended, at a cost
that grows with the change. Struck rows are dropped when they are the larger part.
"""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from aggregators.deal_facts import HEAD, NEVER, STATE
from aggregators.state import fact_chunk
from aggregators.symbols import Symbols
from aggregators.zones import Int64

_LABELS: Final = ("stage", "pipeline", "currency")
_NAMES: Final = ("owner", "creator", "closer")
_HEAD_NAMES: Final = ("account", "referrer", "name", "lost_reason", "lead_source")
STATE_WITH_DEAL: Final = np.dtype([*STATE.descr, ("deal", "<i4")])


class Columns:
    """A table that grows at its end: one array per field of `dtype`, so that a mask reads only what it needs."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype, self.size = dtype, 0
        self._held = {name: np.zeros(1024, dtype=dtype[name]) for name in dtype.names or ()}

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, name: str) -> Any:
        """The column of that name, to read or to change in place."""
        return self._held[name][: self.size]

    def __contains__(self, name: object) -> bool:
        """Whether there is a column of that name."""
        return name in self._held

    def append(self, rows: Any) -> None:
        """Add rows, a structured array of `dtype`."""
        until = self.size + len(rows)
        for name, held in self._held.items():
            if until > len(held):
                grown = np.zeros(max(until, 2 * len(held)), dtype=held.dtype)
                grown[: self.size] = held[: self.size]
                held = self._held[name] = grown
            held[self.size : until] = rows[name]
        self.size = until

    def put(self, at: Int64, rows: Any) -> None:
        """Replace the rows of those numbers."""
        for name, held in self._held.items():
            held[at] = rows[name]

    def keep(self, mask: Any) -> None:
        """Drop the rows that are not in the mask; the others move up."""
        for held in self._held.values():
            kept = held[: self.size][mask]
            held[: len(kept)] = kept
        self.size = int(np.count_nonzero(mask))


class _Codes:
    """A shard's symbol codes -> the codes of the merged table."""

    def __init__(self) -> None:
        self.own = Symbols()
        self.merged: Int64 = np.zeros(1, dtype=np.int64)

    def extend(self, start: int, texts: list[str], into: Symbols) -> None:
        self.own.extend(start, texts)
        new = self.own.texts[len(self.merged) :]
        self.merged = np.append(self.merged, np.array([into[text] for text in new], dtype=np.int64))


class DealTable:
    """The opportunities of all shards, with one merged table of symbols."""

    def __init__(self) -> None:
        self.labels, self.names = Symbols(), Symbols()
        self.ids: list[str] = []
        self._number: dict[bytes, int] = {}  # subject -> its row in heads
        self._shard_deals: dict[str, set[int]] = {}
        self._codes: dict[str, tuple[_Codes, _Codes]] = {}
        self._heads, self._states = Columns(HEAD), Columns(STATE_WITH_DEAL)
        self._first: Int64 = np.zeros(0, dtype=np.int64)  # of each head: its first state
        self._struck = 0
        self.version = 0
        self.epoch = 0
        """Grows when states move to other rows; else a row, once there, only ever stops standing."""

    @property
    def heads(self) -> Columns:
        """HEAD, one row a deal; `ids[i]` is the subject of row i."""
        return self._heads

    @property
    def states(self) -> Columns:
        """STATE and `deal` (a row of heads). Struck rows have `since` NEVER: they never stand."""
        return self._states

    def apply(self, shard: str, chunks: Iterable[bytes]) -> None:
        """Take in chunks of facts of one shard, in their order: the later one of a deal wins."""
        labels, names = self._codes.setdefault(shard, (_Codes(), _Codes()))
        mine = self._shard_deals.setdefault(shard, set())
        for chunk in chunks:
            symbols, subjects, heads, states = fact_chunk(chunk)
            labels.extend(symbols[0], symbols[1], self.labels)
            names.extend(symbols[2], symbols[3], self.names)
            if not subjects:
                continue
            heads = heads.copy()
            for field in _HEAD_NAMES:
                heads[field] = names.merged[heads[field]]
            rows = np.empty(len(states), dtype=STATE_WITH_DEAL)
            for field in STATE.names or ():
                rows[field] = states[field]
            for field in _LABELS:
                rows[field] = labels.merged[states[field]]
            for field in _NAMES:
                rows[field] = names.merged[states[field]]
            deals = self._deal_numbers(subjects)
            mine.update(deals.tolist())
            rows["deal"] = np.repeat(deals, heads["states"])
            self._strike(deals)
            self._first[deals] = self._states.size + np.cumsum(heads["states"]) - heads["states"]
            self._states.append(rows)
            self._heads.put(deals, heads)
        self._compact()
        self.version += 1

    def drop(self, shard: str) -> None:
        """Forget a shard: before it is loaded anew, or when it is of another fingerprint."""
        deals = np.array(sorted(self._shard_deals.pop(shard, ())), dtype=np.int64)
        self._codes.pop(shard, None)
        if len(deals):
            self._strike(deals)
            self._heads["states"][deals] = 0
            self._heads["dead_at"][deals] = -NEVER
        self.version += 1

    def _deal_numbers(self, subjects: list[bytes]) -> Int64:
        number = self._number
        new = [subject for subject in subjects if subject not in number]
        if new:
            for subject in new:
                number[subject] = len(self.ids)
                self.ids.append(subject.decode())
            self._heads.append(np.zeros(len(new), dtype=HEAD))
            self._first = np.append(self._first, np.zeros(len(new), dtype=np.int64))
        return np.array([number[subject] for subject in subjects], dtype=np.int64)

    def _strike(self, deals: Int64) -> None:
        counts = self._heads["states"][deals].astype(np.int64)
        total = int(counts.sum())
        if total:
            ends = np.cumsum(counts)
            rows = np.arange(total) + np.repeat(self._first[deals] - ends + counts, counts)
            self._states["since"][rows] = NEVER
            self._states["until"][rows] = NEVER
            self._struck += total

    def _compact(self) -> None:
        if self._struck < 4096 or self._struck * 2 < self._states.size:
            return
        self._states.keep(self._states["since"] != NEVER)
        self._struck, self.epoch = 0, self.epoch + 1
        deals = self._states["deal"]
        starts = np.flatnonzero(np.append(True, deals[1:] != deals[:-1])) if len(deals) else np.zeros(0, int)
        self._first[deals[starts]] = starts
