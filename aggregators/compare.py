"""Comparing what is held with what the log gives: statement by statement, fact by fact, answer by answer.

`held` is what a store gave, which may be damaged; `wanted` was folded anew from the log. Nothing here
repairs. A difference names the shard, the subject and the field, so that a person can look it up.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from aggregators.answer import answer as exact_answer
from aggregators.company import Company
from aggregators.kpis import find_kpi, registry
from aggregators.meaning import Meaning
from aggregators.question import Question, Row
from aggregators.state import DealState, PartitionState, fact_chunk
from aggregators.symbols import Symbols
from aggregators.tables.answer import answer as fast_answer
from aggregators.tables.answer import is_fast
from aggregators.tables.deals import DealTable
from aggregators.tables.rebuilt import TabledDeals
from events.event import Event

LABELS: Final = frozenset({"stage", "pipeline", "currency"})
NAMES: Final = frozenset(
    {"owner", "creator", "closer", "account", "referrer", "name", "lost_reason", "lead_source"}
)
SPLITS: Final[tuple[tuple[str, ...], ...]] = ((), ("team",), ("rep",))
"""How every KPI is asked: company-wide, and by these dimensions where it has them."""

Chosen = Callable[[str], bool]
"""Whether a subject is compared."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is held and should be otherwise. `kind` is `shard`, `count`, `statement`, `fact`, `kpi`."""

    kind: str
    shard: str
    subject: str
    field: str
    held: str
    wanted: str

    def __str__(self) -> str:
        where = " ".join(part for part in (self.shard, self.subject, self.field) if part)
        return f"{self.kind} {where}: held {self.held}, the log gives {self.wanted}"

    def document(self) -> dict[str, str]:
        """It as JSON."""
        return asdict(self)


@dataclass
class Differences:
    """All differences are counted, the first `most` kept."""

    most: int = 100
    total: int = 0
    kept: list[Difference] = field(default_factory=list)

    def add(self, kind: str, shard: str, subject: str, field_: str, held: object, wanted: object) -> None:
        """Note one."""
        self.total += 1
        if len(self.kept) < self.most:
            self.kept.append(Difference(kind, shard, subject, field_, _shown(held), _shown(wanted)))


def compare_statements(
    shard: str, held: PartitionState, wanted: PartitionState, found: Differences, chosen: Chosen
) -> int:
    """Every statement of every chosen entity. Returns how many entities were compared."""
    is_raw = _share_symbols(held, wanted)
    subjects = sorted({*filter(chosen, held.subjects()), *filter(chosen, wanted.subjects())})
    for subject in subjects:
        if is_raw and held.stored_of(subject) == wanted.stored_of(subject):
            continue
        _compare_events(shard, subject, held, wanted, found)
    return len(subjects)


def compare_facts(
    shard: str, chunks: Sequence[bytes], wanted: Iterable[bytes], found: Differences, chosen: Chosen
) -> int:
    """The facts that count (the last said of each opportunity), field by field. Returns how many states."""
    ours, theirs = _Facts(wanted), _Facts(chunks)
    for subject in sorted({*filter(chosen, ours.last)} ^ {*filter(chosen, theirs.last)}):
        is_held = subject in theirs.last
        found.add("fact", shard, subject, "", "facts" if is_held else "none", "none" if is_held else "facts")
    subjects = sorted({*filter(chosen, ours.last)} & {*filter(chosen, theirs.last)})
    if not subjects:
        return 0
    _compare_rows(shard, subjects, theirs.heads(subjects, ours), ours.heads(subjects, ours), found)
    held_states, held_counts = theirs.states(subjects, ours)
    our_states, our_counts = ours.states(subjects, ours)
    same = held_counts == our_counts
    names = np.array(subjects, dtype=object)
    for at in np.flatnonzero(~same).tolist():
        found.add("fact", shard, subjects[at], "states", int(held_counts[at]), int(our_counts[at]))
    _compare_rows(
        shard,
        np.repeat(names[same], our_counts[same]).tolist(),
        held_states[np.repeat(same, held_counts)],
        our_states[np.repeat(same, our_counts)],
        found,
    )
    return len(our_states)


class Side:
    """One side of the comparison of answers: shards taken in one by one, then asked."""

    def __init__(self, meaning: Meaning) -> None:
        self.company, self._table = Company(meaning), DealTable()
        self._states: list[DealState] = []

    def take(self, shard: str, state: PartitionState, facts: Iterable[bytes]) -> None:
        """Take a shard in. `facts` are those of opportunities."""
        if isinstance(state, DealState):
            self._table.apply(shard, facts)
            self._states.append(state)
        else:
            for event in state.events():
                self.company.fold(event)

    def answer(self, question: Question) -> list[Row]:
        """As an exporter answers: by fact tables where there is a fast road."""
        self.company.tabled = TabledDeals(self._table, self._states)
        if is_fast(find_kpi(question.kpi)):
            return fast_answer(self._table, self.company, question)
        return exact_answer(self.company, question)


class ExactSide:
    """The other road: every event folded into a company of plain Python, no tables."""

    def __init__(self, meaning: Meaning) -> None:
        self.company = Company(meaning)

    def take(self, state: PartitionState) -> None:
        """Take a shard in."""
        for event in state.events():
            self.company.fold(event)

    def answer(self, question: Question) -> list[Row]:
        """By the exact road."""
        return exact_answer(self.company, question)


def compare_answers(held: Side, wanted: Side | ExactSide, as_of_ms: int, found: Differences) -> Iterator[int]:
    """Every KPI company-wide and by team and rep, as of an instant. Yields the rows compared, KPI by KPI."""
    for kpi in registry().values():
        compared = 0
        for by in SPLITS:
            if not set(by) <= set(kpi.dimensions):
                continue
            question = Question(kpi.name, as_of_ms, by=by, now_ms=as_of_ms)
            ours = {_place(row): row for row in wanted.answer(question)}
            theirs = {_place(row): row for row in held.answer(question)}
            for place in sorted(ours.keys() | theirs.keys()):
                ours_, theirs_ = ours.get(place), theirs.get(place)
                if ours_ != theirs_:
                    field_, one, other = _first_difference(theirs_, ours_)
                    found.add("kpi", "", " ".join(place), field_, one, other)
            compared += len(ours)
        yield compared


def _place(row: Row) -> tuple[str, ...]:
    window = () if row.window.name is None else (str(row.window.name), str(row.window.start or ""))
    return row.kpi, row.reading, *window, *(f"{name}={label}" for name, label in row.by)


def _first_difference(held: Row | None, wanted: Row | None) -> tuple[str, object, object]:
    if held is None or wanted is None:
        return "", "no row" if held is None else held.value, "no row" if wanted is None else wanted.value
    for name in Row.__slots__:
        if (one := getattr(held, name)) != (other := getattr(wanted, name)):
            return name, one, other
    return "", held, wanted


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, bytes) else str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


# Statements


def _share_symbols(held: PartitionState, wanted: PartitionState) -> bool:
    """Whether equal codes mean equal texts on both sides, so that rows may be compared as bytes."""
    if not isinstance(held, DealState) or not isinstance(wanted, DealState):
        return True
    for one, other in ((held.labels, wanted.labels), (held.names, wanted.names)):
        least = min(len(one.texts), len(other.texts))
        if one.texts[:least] != other.texts[:least]:
            return False
    return True


def _compare_events(
    shard: str, subject: str, held: PartitionState, wanted: PartitionState, found: Differences
) -> None:
    ours = {(event.source, event.id): event for event in wanted.events_of(subject)}
    try:
        theirs = {(event.source, event.id): event for event in held.events_of(subject)}
    except (ValueError, LookupError, ArithmeticError, TypeError, OverflowError) as error:
        found.add("statement", shard, subject, "", f"unreadable ({error})", f"{len(ours)} statements")
        return
    for name in sorted(ours.keys() | theirs.keys()):
        one, other = theirs.get(name), ours.get(name)
        if one is None or other is None:
            text = f"event {name[1]!r} of {name[0]}"
            found.add("statement", shard, subject, text, "one" if one else "none", "one" if other else "none")
        else:
            for field_, held_value, our_value in _event_differences(one, other):
                found.add("statement", shard, subject, f"{name[1]}.{field_}", held_value, our_value)


def _event_differences(held: Event, wanted: Event) -> Iterator[tuple[str, object, object]]:
    for name in ("verb", "time_ns", "sequence", "complete", "recorded_ms"):
        if (one := getattr(held, name)) != (other := getattr(wanted, name)):
            yield name, one, other
    for name in sorted(held.data.keys() | wanted.data.keys()):
        if (one := held.data.get(name, _ABSENT)) != (other := wanted.data.get(name, _ABSENT)):
            yield f"data.{name}", one, other


_ABSENT: Final = "(not stated)"


# Facts


class _Facts:
    """The chunks of one shard, and where in them the last word on each opportunity stands."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.labels, self.names = Symbols(), Symbols()
        self.last: dict[str, tuple[int, int, int]] = {}  # subject -> chunk, row of heads, first state
        self._heads: list[Any] = []
        self._states: list[Any] = []
        for number, chunk in enumerate(chunks):
            symbols, subjects, heads, states = fact_chunk(chunk)
            self.labels.extend(symbols[0], symbols[1])
            self.names.extend(symbols[2], symbols[3])
            counts = heads["states"].astype(np.int64)
            if len(subjects) != len(heads) or int(counts.sum()) != len(states) or (counts < 0).any():
                raise ValueError(
                    f"chunk {number} has {len(subjects)} subjects, {len(heads)} heads and {len(states)} "
                    f"states for {int(counts.sum())}"
                )
            firsts = (np.cumsum(counts) - counts).tolist()
            self._heads.append(heads)
            self._states.append(states)
            for row, (subject, first) in enumerate(zip(subjects, firsts, strict=True)):
                self.last[subject.decode()] = number, row, first

    def heads(self, subjects: Sequence[str], like: "_Facts") -> Any:
        """The heads of these, with the codes of `like`."""
        rows = [self._heads[chunk][row : row + 1] for chunk, row, _ in map(self.last.__getitem__, subjects)]
        return self._coded(np.concatenate(rows), like)

    def states(self, subjects: Sequence[str], like: "_Facts") -> tuple[Any, Any]:
        """The states of these, one after the other with the codes of `like`; and how many each has."""
        rows = []
        for chunk, row, first in map(self.last.__getitem__, subjects):
            rows.append(self._states[chunk][first : first + int(self._heads[chunk]["states"][row])])
        counts = np.array([len(each) for each in rows], dtype=np.int64)
        return self._coded(np.concatenate(rows), like), counts

    def _coded(self, rows: Any, like: "_Facts") -> Any:
        if self is like:
            return rows
        coded = rows.copy()
        for name in rows.dtype.names:
            if name in LABELS:
                own, other = self.labels, like.labels
            elif name in NAMES:
                own, other = self.names, like.names
            else:
                continue
            codes = np.array([other.get(text, -1) for text in own.texts], dtype=np.int64)
            held = rows[name]
            known = (held >= 0) & (held < len(codes))
            # A code that means nothing here, or a text that the other side lacks, equals no code at all.
            coded[name] = np.where(known, codes[np.where(known, held, 0)], -2 - np.abs(held.astype(np.int64)))
        return coded


def _compare_rows(shard: str, subjects: Sequence[str], held: Any, wanted: Any, found: Differences) -> None:
    for name in wanted.dtype.names:
        for at in np.flatnonzero(held[name] != wanted[name]).tolist():
            found.add("fact", shard, subjects[at], name, int(held[name][at]), int(wanted[name][at]))
