"""The state of one partition of one topic: entities, folded from records in any order, any number of times.

Between checkpoints a record costs one read and one insert. The rest happens once per checkpoint: the
statements that are new, and the facts of the entities that changed, each as one chunk of bytes that
says what is new of all it needs (format, symbols, rows). A chunk may be taken in twice, and statements
are a commutative set, but the symbols of a chunk continue those of the chunks before it.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, ClassVar, Final, NamedTuple

import msgspec
import numpy as np

from aggregators.codec import decode_event, encode_event
from aggregators.deal_facts import HEAD, STATE, StageTable, deal_facts
from aggregators.meaning import Meaning
from aggregators.rows import COMPLETE, ROW, event_of, key_of, read_row, row_of
from aggregators.symbols import Symbols
from events.canonical import canonical
from events.errors import BadEventError
from events.event import Event
from events.fast import REFUSED
from events.fast_plain import READERS
from events.keys import Partitioner, partitions_of
from events.reader import read
from events.topics import entity_of

FORMAT: Final = 1
"""Of the chunks. A worker leaves chunks of a newer format alone."""
FACTS_VERSION: Final = 3
"""Of what `deal_facts` computes: raise it with every change of its meaning or columns."""
_MANY_STATEMENTS: Final = 32
"""From here on an entity's event ids are looked up in a set instead of one by one."""

UNREADABLE: Final = (
    msgspec.DecodeError,
    ValueError,
    LookupError,
    TypeError,
    OverflowError,
    ArithmeticError,
)
"""What reading a chunk raises that is not as it was written."""
pack: Final = msgspec.msgpack.Encoder().encode
unpack: Final = msgspec.msgpack.Decoder().decode


class Change(NamedTuple):
    """What one checkpoint adds: opaque bytes to the store."""

    statements: bytes
    facts: bytes
    entities: int


class Folded(NamedTuple):
    """What became of the records of one `fold`; positions count within its arguments."""

    applied: int
    unchanged: int
    misplaced: list[int]
    refused: list[tuple[int, BadEventError]]


def fingerprint(meaning: Meaning) -> str:
    """What the facts depend on: the code's version of them, and the configuration."""
    return sha256(f"{FORMAT}/{FACTS_VERSION}/{meaning.digest}".encode()).hexdigest()[:16]


class PartitionState(ABC):
    """The entities of one partition. Make one with `partition_state`."""

    def __init__(
        self, topic: str, partition: int, partitions: int, partitioner: Partitioner, meaning: Meaning
    ) -> None:
        self.topic, self.partition, self.meaning = topic, partition, meaning
        self.newest_event_ms: int | None = None
        self.size_bytes = 0
        self._partitions, self.partitioner = partitions, partitioner
        self._ids: dict[bytes, set[bytes]] = {}  # of entities with many statements
        self._changed: set[bytes] = set()
        self._resyncs: dict[tuple[str, str, str], bytes] = {}  # (subject, source, verb) -> newest key
        self._untold: dict[tuple[str, str, str], None] = {}  # those that no change has told yet
        self._asked: dict[bytes, set[str]] = {}  # subject -> sources that have skipped something of it
        self._waiting: dict[tuple[str, str], None] = {}  # (source, subject), as far as it is known
        self._unsure: set[tuple[str, bytes]] = set()  # and of which it has to be found out anew

    @property
    @abstractmethod
    def entities(self) -> int:
        """How many entities are known here, deleted ones included."""

    @abstractmethod
    def fold(self, keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> Folded:
        """Fold records that lie one after the other in the log; any order gives the same state.

        Records with another key than their subject, or on a partition that is not their key's, are
        *misplaced*; records that are no events are *refused*. Neither changes anything here.
        """

    @abstractmethod
    def take_change(self) -> Change | None:
        """What has changed since the last call; None if nothing has."""

    @abstractmethod
    def load(self, chunks: Iterable[bytes]) -> None:
        """Take in chunks of statements that a state has given out, in their order, any of them twice."""

    @abstractmethod
    def subjects(self) -> list[str]:
        """All entities, in no order."""

    @abstractmethod
    def dump(self, subjects: Sequence[str], *, first: bool) -> Change:
        """The full state of these entities, for a rewrite; the first chunk carries all symbols."""

    @abstractmethod
    def events(self) -> Iterator[Event]:
        """All statements as events: what the exact road takes."""

    @abstractmethod
    def events_of(self, subject: str) -> Iterator[Event]:
        """The statements about one entity, in their order; none if it is not here."""

    @abstractmethod
    def stored_of(self, subject: str) -> tuple[Sequence[bytes], Any]:
        """The same as they are kept: keys, and what each says in this state's own codes."""

    @abstractmethod
    def _newest_complete(self, subject: str) -> bytes:
        """The key of the newest full statement about an entity; empty if there is none."""

    def resync_pending(self) -> dict[str, int]:
        """Per source: how many entities (an open `*` counts as one) wait for a full statement."""
        return dict(Counter(source for source, _ in self.open_resyncs()))

    def open_resyncs(self) -> Iterator[tuple[str, str]]:
        """(source, subject) of each entity, or `*`, that waits for a full statement."""
        self._doubt(self._changed)
        for source, subject in self._unsure:
            if self._waits(source, subject):
                self._waiting[source, subject.decode()] = None
            else:
                self._waiting.pop((source, subject.decode()), None)
        self._unsure.clear()
        return iter(self._waiting)

    def _waits(self, source: str, subject: bytes) -> bool:
        name = subject.decode()
        settled = self._resyncs.get((name, source, "completed"), b"")
        if name != "*":
            settled = max(settled, self._newest_complete(name))
        return settled < self._resyncs[name, source, "required"]

    def _doubt(self, changed: set[bytes]) -> None:
        """What was found out of these entities may be so no more: a checkpoint looks at no others."""
        for subject in self._asked.keys() & changed:
            self._unsure.update((source, subject) for source in self._asked[subject])

    def _fold_resync(self, event: Event, key: bytes) -> bool:
        name = event.subject, event.source, event.verb
        if self._resyncs.get(name, b"") >= key:
            return False
        self._keep_resync(name, key)
        self._untold[name] = None
        return True

    def _keep_resync(self, name: tuple[str, str, str], key: bytes) -> None:
        subject, source, verb = name[0].encode(), name[1], name[2]
        self._resyncs[name] = key
        if verb == "required":
            self._asked.setdefault(subject, set()).add(source)
        if source in self._asked.get(subject, ()):
            self._unsure.add((source, subject))

    def _take_resyncs(self) -> list[tuple[str, str, str, bytes]]:
        """Those that are new since the last call: of one that is told twice the greater key stands."""
        told, self._untold = self._untold, {}
        return [(*name, self._resyncs[name]) for name in told]

    def _all_resyncs(self) -> list[tuple[str, str, str, bytes]]:
        return [(*name, key) for name, key in self._resyncs.items()]

    def _load_resyncs(self, resyncs: Iterable[tuple[str, str, str, bytes]]) -> None:
        for subject, source, verb, key in resyncs:
            name = subject, source, verb
            self._keep_resync(name, max(key, self._resyncs.get(name, b"")))

    def _as_told(self) -> None:
        """Everything here comes from chunks: no change has to tell it."""
        self._doubt(self._changed)
        self._changed, self._untold = set(), {}

    def _saw(self, time_ms: int) -> None:
        if self.newest_event_ms is None or time_ms > self.newest_event_ms:
            self.newest_event_ms = time_ms

    def _elsewhere(self, keys: Sequence[bytes | None], known: Any) -> set[bytes]:
        """Keys of entities not known here whose partition is another one. A known one is in place."""
        fresh = [key for key in {*keys} if key is not None and key not in known]
        if not fresh:
            return set()
        wrong = partitions_of(fresh, self._partitions, self.partitioner) != self.partition
        return {fresh[i] for i in np.flatnonzero(wrong)}

    def _is_known(self, subject: bytes, keys: Sequence[bytes], tail: bytes) -> int:
        """Where among an entity's keys the event with that source and id stands; -1 if nowhere."""
        if len(keys) >= _MANY_STATEMENTS:
            ids = self._ids.get(subject)
            if ids is None:
                ids = self._ids[subject] = {key[key.index(0, 8) :] for key in keys}
            if tail not in ids:
                ids.add(tail)
                return -1
        for place, key in enumerate(keys):
            if key.endswith(tail):  # a tail holds the last two NULs of its key, so it can match but there
                return place
        return -1


def partition_state(
    topic: str, partition: int, partitions: int, partitioner: Partitioner, meaning: Meaning
) -> PartitionState:
    """The empty state of a partition of that topic."""
    kind = DealState if entity_of(topic) == "opportunity" else PlainState
    return kind(topic, partition, partitions, partitioner, meaning)


class _Entity(msgspec.Struct, gc=False):
    """The statements about one entity, in their order: keys, and what each says."""

    keys: tuple[bytes, ...]
    rows: Any


def _place(keys: Sequence[bytes], key: bytes) -> int:
    """Where a key belongs among ordered ones: nearly always near the end."""
    place = len(keys)
    while place and keys[place - 1] > key:
        place -= 1
    return place


class DealState(PartitionState):
    """Opportunities: each the keys of its statements and their rows, one after the other."""

    itemsize: ClassVar[int] = ROW.itemsize

    def __init__(
        self, topic: str, partition: int, partitions: int, partitioner: Partitioner, meaning: Meaning
    ) -> None:
        super().__init__(topic, partition, partitions, partitioner, meaning)
        self.labels, self.names = Symbols(), Symbols()
        self._table = StageTable(meaning, self.labels)
        self._deals: dict[bytes, _Entity] = {}
        self._told: tuple[list[bytes], list[bytes], list[bytes]] = ([], [], [])  # subject, key, row
        self._given = 1, 1  # how many labels and names the chunks so far carry
        self._dumped = 1, 1  # and the first chunk of the last dump

    @property
    def entities(self) -> int:
        return len(self._deals)

    def fold(self, keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> Folded:
        deals, labels, names = self._deals, self.labels, self.names
        elsewhere = self._elsewhere(keys, deals)
        insert = self._insert
        applied = unchanged = 0
        misplaced: list[int] = []
        refused: list[tuple[int, BadEventError]] = []
        newest = -(2**62) if self.newest_event_ms is None else self.newest_event_ms
        for position, value in enumerate(values):
            key = keys[position]
            try:
                subject, when, order, tail, row = read_row(value, labels, names)
            except REFUSED:  # not for the hot path: a rare form, a resync, or no event at all
                try:
                    event = read(value, self.topic)
                except BadEventError as error:
                    refused.append((position, error))
                    continue
                subject = event.subject.encode()
                if key != subject or key in elsewhere:
                    misplaced.append(position)
                    continue
                order = key_of(event.time_ns, event.sequence, event.source, event.id)
                if event.entity == "resync":
                    changed = self._fold_resync(event, order)
                    applied, unchanged = applied + changed, unchanged + (not changed)
                    newest = max(newest, event.time_ms)
                    continue
                when, row = event.time_ms, row_of(event, labels, names)
                tail = order[order.index(0, 8) :]
            else:
                if key != subject or key in elsewhere:
                    misplaced.append(position)
                    continue
            if when > newest:  # noqa: PLR1730 - a call of max for every record costs more
                newest = when
            if insert(subject, order, tail, row):
                applied += 1
            else:
                unchanged += 1
        if newest > -(2**62):
            self.newest_event_ms = newest
        return Folded(applied, unchanged, misplaced, refused)

    def _insert(self, subject: bytes, key: bytes, tail: bytes, row: bytes) -> bool:
        """Put a statement at its place, unless it (or a greater one of its source and id) is there."""
        deal = self._deals.get(subject)
        if deal is None:
            self._deals[subject] = _Entity((key,), row)
        else:
            keys = deal.keys
            if len(keys) < _MANY_STATEMENTS:
                known = -1
                for number, held_key in enumerate(keys):
                    if held_key.endswith(tail):  # a tail holds the last two NULs of its key: no other match
                        known = number
                        break
            else:
                known = self._is_known(subject, keys, tail)
            if known >= 0:
                cut = known * self.itemsize
                held = keys[known], deal.rows[cut : cut + self.itemsize]
                if not self._is_greater(key, row, *held):
                    return False
                keys = deal.keys = keys[:known] + keys[known + 1 :]
                deal.rows = deal.rows[:cut] + deal.rows[cut + self.itemsize :]
            if not keys or key > keys[-1]:
                deal.keys = (*keys, key)
                deal.rows += row
            else:
                place = _place(keys, key)
                cut = place * self.itemsize
                deal.keys = (*keys[:place], key, *keys[place:])
                deal.rows = deal.rows[:cut] + row + deal.rows[cut:]
        told = self._told
        told[0].append(subject)
        told[1].append(key)
        told[2].append(row)
        self._changed.add(subject)
        self.size_bytes += len(key) + self.itemsize
        return True

    def _is_greater(self, key: bytes, row: bytes, held_key: bytes, held_row: bytes) -> bool:
        """Of two statements with one source and id, does the first one stand, being the greater?"""
        if key != held_key:
            return key > held_key
        if row == held_row:
            return False
        return self._canonical(key, row) > self._canonical(held_key, held_row)

    def _canonical(self, key: bytes, row: bytes) -> bytes:
        record = np.frombuffer(row, dtype=ROW)[0]
        event = event_of("", key, record, self.labels.texts, self.names.texts)
        return canonical(event)

    def take_change(self) -> Change | None:
        resyncs = self._take_resyncs()
        # A record that was refused or misplaced may have left a symbol behind. Once a dump carries it, whoever
        # loads that goes on behind it: so must those who follow from change to change.
        if not self._changed and not resyncs and self._given >= self._dumped:
            return None
        subjects, keys, rows = self._told
        statements = self._chunk(self._given, subjects, [], keys, rows, resyncs)
        changed = list(self._changed)
        facts = self._facts(self._given, changed)
        self._given = len(self.labels.texts), len(self.names.texts)
        self._told = [], [], []
        self._doubt(self._changed)
        self._changed = set()
        return Change(statements, facts, len(changed))

    def dump(self, subjects: Sequence[str], *, first: bool) -> Change:
        names = [subject.encode() for subject in subjects]
        found = [self._deals[name] for name in names]
        # A change may have been taken since the dump began, and lie behind this chunk or nowhere yet.
        given = (1, 1) if first else self._dumped
        if first:
            self._dumped = len(self.labels.texts), len(self.names.texts)
        statements = self._chunk(
            given,
            names,
            [len(deal.keys) for deal in found],
            [key for deal in found for key in deal.keys],
            [deal.rows for deal in found],
            # What is new stays to be told: a checkpoint beside the rewrite goes to the old lists, too.
            self._all_resyncs() if first else [],
        )
        return Change(statements, self._facts(given, names), len(names))

    def _chunk(
        self,
        given: tuple[int, int],
        subjects: list[bytes],
        counts: list[int],
        keys: list[bytes],
        rows: list[bytes],
        resyncs: list[tuple[str, str, str, bytes]],
    ) -> bytes:
        symbols = [given[0], self.labels.since(given[0]), given[1], self.names.since(given[1])]
        return pack([FORMAT, symbols, subjects, counts, keys, b"".join(rows), resyncs])

    def _facts(self, given: tuple[int, int], subjects: list[bytes]) -> bytes:
        deals = self._deals
        found = [deals[subject] for subject in subjects]
        heads, states = b"", b""
        if found:
            rows = np.frombuffer(b"".join([deal.rows for deal in found]), dtype=ROW)
            heads_, states_ = deal_facts(rows, [len(deal.keys) for deal in found], self._table)
            heads, states = heads_.tobytes(), states_.tobytes()
        symbols = [given[0], self.labels.since(given[0]), given[1], self.names.since(given[1])]
        return pack([FORMAT, symbols, subjects, heads, states])

    def load(self, chunks: Iterable[bytes]) -> None:
        deals = self._deals
        for chunk in chunks:
            _, symbols, subjects, counts, keys, rows, resyncs = unpack(chunk)
            self.labels.extend(symbols[0], symbols[1])
            self.names.extend(symbols[2], symbols[3])
            self._load_resyncs(resyncs)
            if self._asked:
                self._doubt({*subjects})
            size, at = self.itemsize, 0
            if not counts:
                counts = [1] * len(subjects)
            for subject, count in zip(subjects, counts, strict=True):
                until = at + count
                if subject not in deals:
                    deals[subject] = _Entity(tuple(keys[at:until]), rows[at * size : until * size])
                    self.size_bytes += count * size + sum(map(len, keys[at:until]))
                else:
                    for i in range(at, until):
                        key = keys[i]
                        tail = key[key.index(0, 8) :]
                        self._insert(subject, key, tail, rows[i * size : (i + 1) * size])
                at = until
            if len(rows):
                self._saw(int(np.frombuffer(rows, dtype=ROW)["t"].max()))
        self._told = [], [], []
        self._as_told()
        self._given = len(self.labels.texts), len(self.names.texts)

    def subjects(self) -> list[str]:
        return [subject.decode() for subject in self._deals]

    def events(self) -> Iterator[Event]:
        for subject in self._deals:
            yield from self.events_of(subject.decode())

    def stored_of(self, subject: str) -> tuple[Sequence[bytes], Any]:
        deal = self._deals.get(subject.encode())
        return ((), b"") if deal is None else (deal.keys, deal.rows)

    def events_of(self, subject: str) -> Iterator[Event]:
        deal = self._deals.get(subject.encode())
        if deal is None:
            return
        for key, row in zip(deal.keys, np.frombuffer(deal.rows, dtype=ROW), strict=True):
            yield event_of(subject, key, row, self.labels.texts, self.names.texts)

    def _newest_complete(self, subject: str) -> bytes:
        deal = self._deals.get(subject.encode())
        if deal is None:
            return b""
        full = np.flatnonzero(np.frombuffer(deal.rows, dtype=ROW)["kind"] == COMPLETE)
        return deal.keys[full[-1]] if len(full) else b""


class PlainState(PartitionState):
    """Every other kind of entity: each the keys of its statements, and their data as msgpack."""

    def __init__(
        self, topic: str, partition: int, partitions: int, partitioner: Partitioner, meaning: Meaning
    ) -> None:
        super().__init__(topic, partition, partitions, partitioner, meaning)
        self.entity = entity_of(topic)
        self._found: dict[bytes, _Entity] = {}
        self._told: tuple[list[bytes], list[bytes], list[bytes]] = ([], [], [])  # subject, key, data

    @property
    def entities(self) -> int:
        return len(self._found)

    def fold(self, keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> Folded:
        elsewhere = self._elsewhere(keys, self._found)
        fast_read = READERS.get(self.topic, _not_fast)
        applied = unchanged = 0
        misplaced: list[int] = []
        refused: list[tuple[int, BadEventError]] = []
        for position, value in enumerate(values):
            try:
                event = fast_read(value)  # type: ignore[arg-type]  # one without a value is refused there
            except REFUSED:
                try:
                    event = read(value, self.topic)
                except BadEventError as error:
                    refused.append((position, error))
                    continue
            key, subject = keys[position], event.subject.encode()
            if key != subject or key in elsewhere:
                misplaced.append(position)
                continue
            self._saw(event.time_ms)
            order = key_of(event.time_ns, event.sequence, event.source, event.id)
            if event.entity == "resync":
                changed = self._fold_resync(event, order)
            else:
                changed = self._insert(subject, order, order[order.index(0, 8) :], encode_event(event))
            applied, unchanged = applied + changed, unchanged + (not changed)
        return Folded(applied, unchanged, misplaced, refused)

    def _insert(self, subject: bytes, key: bytes, tail: bytes, said: bytes) -> bool:
        entity = self._found.get(subject)
        if entity is None:
            self._found[subject] = _Entity((key,), (said,))
        else:
            known = self._is_known(subject, entity.keys, tail)
            if known >= 0:
                if not self._is_greater(key, said, entity.keys[known], entity.rows[known]):
                    return False
                entity.keys = entity.keys[:known] + entity.keys[known + 1 :]
                entity.rows = entity.rows[:known] + entity.rows[known + 1 :]
            place = _place(entity.keys, key)
            entity.keys = (*entity.keys[:place], key, *entity.keys[place:])
            entity.rows = (*entity.rows[:place], said, *entity.rows[place:])
        told = self._told
        told[0].append(subject)
        told[1].append(key)
        told[2].append(said)
        self._changed.add(subject)
        self.size_bytes += len(key) + len(said)
        return True

    def _is_greater(self, key: bytes, said: bytes, held_key: bytes, held: bytes) -> bool:
        if key != held_key:
            return key > held_key
        if said == held:
            return False
        decode: Callable[[bytes], Event] = lambda data: decode_event(self.entity, "", key, data)  # noqa: E731
        return canonical(decode(said)) > canonical(decode(held))

    def take_change(self) -> Change | None:
        resyncs = self._take_resyncs()
        if not self._changed and not resyncs:
            return None
        chunk = pack([FORMAT, *self._told, resyncs])
        changed = len(self._changed)
        self._told = [], [], []
        self._doubt(self._changed)
        self._changed = set()
        return Change(chunk, chunk, changed)

    def dump(self, subjects: Sequence[str], *, first: bool) -> Change:
        names: list[bytes] = []
        keys: list[bytes] = []
        said: list[bytes] = []
        for subject in subjects:
            name = subject.encode()
            entity = self._found[name]
            names += [name] * len(entity.keys)
            keys += entity.keys
            said += entity.rows
        chunk = pack([FORMAT, names, keys, said, self._all_resyncs() if first else []])
        return Change(chunk, chunk, len(subjects))

    def load(self, chunks: Iterable[bytes]) -> None:
        for chunk in chunks:
            _, subjects, keys, said, resyncs = unpack(chunk)
            self._load_resyncs(resyncs)
            for subject, key, data in zip(subjects, keys, said, strict=True):
                self._insert(subject, key, key[key.index(0, 8) :], data)
                self._saw((int.from_bytes(key[:8]) - 2**63) // 1_000_000)
        self._told = [], [], []
        self._as_told()

    def take(self, statements: Iterable["Statement"]) -> list[bytes]:
        """Take statements in; whose entities those are that were not known. No change tells of them."""
        for subject, key, data in statements:
            self._insert(subject, key, key[key.index(0, 8) :], data)
        changed = self._told[0]
        self._told = [], [], []
        self._as_told()
        return changed

    def subjects(self) -> list[str]:
        return [subject.decode() for subject in self._found]

    def events(self) -> Iterator[Event]:
        for subject in self._found:
            yield from self.events_of(subject.decode())

    def events_of(self, subject: str) -> Iterator[Event]:
        keys, rows = self.stored_of(subject)
        for key, said in zip(keys, rows, strict=True):
            yield decode_event(self.entity, subject, key, said)

    def stored_of(self, subject: str) -> tuple[Sequence[bytes], Any]:
        entity = self._found.get(subject.encode())
        return ((), ()) if entity is None else (entity.keys, entity.rows)

    def _newest_complete(self, subject: str) -> bytes:
        entity = self._found.get(subject.encode())
        if entity is None:
            return b""
        full = [
            key
            for key, said in zip(entity.keys, entity.rows, strict=True)
            if decode_event(self.entity, subject, key, said).complete
        ]
        return full[-1] if full else b""


def _not_fast(_: bytes) -> Event:
    raise ValueError("left to the canonical reader")


class Statement(NamedTuple):
    """One statement of an entity without symbols (all but opportunities), as a chunk carries it."""

    subject: bytes
    key: bytes
    said: bytes

    @property
    def name(self) -> tuple[bytes, bytes]:
        """Its subject, and its source and id: of two of one name the greater stands."""
        return self.subject, self.key[self.key.index(0, 8) :]

    def event(self, entity: str) -> Event:
        """The event that it came from, about an entity of that kind."""
        return decode_event(entity, self.subject.decode(), self.key, self.said)


def statements_in(chunk: bytes) -> Iterator[Statement]:
    """What a chunk of statements of a topic without symbols (all but opportunities) carries."""
    _, subjects, keys, said, _ = unpack(chunk)
    return map(Statement._make, zip(subjects, keys, said, strict=True))


def fact_chunk(chunk: bytes) -> tuple[list[Any], list[bytes], Any, Any]:
    """(symbols, subjects, heads, states) of a chunk of opportunity facts; arrays of HEAD and STATE."""
    _, symbols, subjects, heads, states = unpack(chunk)
    return symbols, subjects, np.frombuffer(heads, dtype=HEAD), np.frombuffer(states, dtype=STATE)
