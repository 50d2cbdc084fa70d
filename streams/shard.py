"""A shard: the state of one partition of one topic, and how far it is durable.

    base <= next         records below `next` are folded; those below `base` are in Redis too

What is between lies in a `Pending` checkpoint, if one has been prepared, and in the state. This module
is plain values: it reads no clock, and neither Kafka nor Redis.
"""

import asyncio
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from aggregators.state import FORMAT, Change, Folded, PartitionState
from streams.names import RESULTS
from streams.store import Fields, Stored, Switch, Write, chunks_in, new_name

NOTHING = Change(b"", b"", 0)
"""A checkpoint that only moves the offset."""
MAX_APPENDED_FACTS = 8 * 1024 * 1024
"""Facts appended since the last rewrite, in bytes, from which a shard may be compacted."""
_SURE, _SURE_MS = 3, 10_000
"""Fetches, and the time between them, that must all tell an end before what is folded: one may be of before the shard
was loaded, or by a leader of the partition that has only just become one and does not know yet how far its log counts.
"""
_DELTA_BYTES_KEPT = 8 * 1024 * 1024
"""Facts kept in the stream of deltas: a big backfill must not fill Redis with what nobody will read."""
_SUBJECTS_TOLD = 100
"""Ids of entities waiting for a full statement that a shard names; there may be more, and their count says so."""


class Record(Protocol):
    """One record as Kafka's client gives it. `timestamp` is Unix ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class LogEnd(NamedTuple):
    """The end offset of a partition, and an instant (ms since 2000) before which nothing lies beyond it."""

    offset: int
    asked_ms: int


@dataclass(frozen=True)
class Pending:
    """A checkpoint that has been prepared, until Redis has taken it."""

    write: Write
    sends: tuple["asyncio.Task[None]", ...]
    """Deliveries of records that were published again or dead-lettered, to be acknowledged before."""


@dataclass(frozen=True)
class Switching:
    """The last step of a rewrite that has been prepared, until Redis has taken it."""

    switch: Switch
    sends: tuple["asyncio.Task[None]", ...]


@dataclass
class Rewrite:
    """A shard on its way into Redis in full: slices of its subjects, under a new generation."""

    generation: str
    subjects: list[str] = field(default_factory=list)
    done: int = 0
    chunks: tuple[int, int] = (0, 0)
    facts_bytes: int = 0


@dataclass
class Shard:
    """One partition's state, offsets and counts. Instants are ms since 2000-01-01 UTC."""

    topic: str
    partition: int
    partitions: int
    state: PartitionState
    fingerprint: str
    base: int = 0
    next: int = 0
    generation: str = ""
    known: str = ""
    """The generation of it that was last seen in Redis: a rewrite replaces no other."""
    last_write: str = ""
    """The name of the write that made Redis hold `base`."""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RESULTS, 0))
    rebuild_until: int = 0
    """Redis holds an older state up to this offset: it stays there until this shard has come as far. What has
    to go elsewhere of the records below it was sent by whoever folded them.
    """
    topic_id: str = ""
    """Of which topic it is the fold (`streams.topic_ids`); "" if Kafka tells none."""
    fresh_ms: int = 0
    last_append_ms: int = 0
    written_ms: int | None = None
    end: LogEnd | None = None
    pending: Pending | None = None
    rewrite: Rewrite | None = None
    switching: Switching | None = None
    wants_rewrite: bool = False
    sends: list["asyncio.Task[None]"] = field(default_factory=list)
    unacknowledged: deque[tuple[int, Callable[[], object]]] = field(default_factory=deque)
    """(offset after it, how to acknowledge it) of each batch that is folded and not durable."""
    _told_ms: int | None = None
    _shorter_since_ms: int | None = None
    _times_shorter: int = 0
    _lists: tuple[int, int] = (0, 0)
    _facts_bytes: int = 0
    _full_bytes: int = 0
    _delta_bytes: deque[int] = field(default_factory=deque)
    _first_append_ms: int | None = None

    @property
    def name(self) -> str:
        """`<topic>/<partition>`."""
        return f"{self.topic}/{self.partition}"

    @property
    def durable(self) -> int:
        """Redis holds the fold of every record below it: Kafka's committed offset may go so far."""
        return self.base

    @property
    def lag(self) -> int | None:
        """Records behind the end of the log; None if that is not known."""
        return None if self.end is None else max(0, self.end.offset - self.next)

    @property
    def changed(self) -> bool:
        """Whether Redis lacks something of this shard."""
        return self.next > self.base or self.pending is not None or self.switching is not None

    def adopt(self, stored: Stored) -> None:
        """Be, once the statements are loaded, what Redis holds."""
        self.base = self.next = stored.offset
        self.generation, self.last_write = stored.generation, stored.write
        self.known = stored.generation
        self.counts = dict(stored.counts)
        self.fresh_ms = stored.fresh_ms
        self._lists = stored.statements_chunks, stored.facts_chunks
        self._facts_bytes, self._full_bytes = stored.facts_bytes, stored.full_bytes
        self.wants_rewrite = stored.fingerprint != self.fingerprint

    def distrust_time(self, now_ms: int) -> None:
        """Forget what was told by a clock that was wrong; it is no later than `now_ms`."""
        self.fresh_ms = min(self.fresh_ms, now_ms)
        self._told_ms = self.end = None

    def fold(
        self, records: Sequence[Record], append_ms: Callable[[int], int]
    ) -> tuple[Folded, Sequence[Record]]:
        """Fold those of the records that are not folded yet, and count them.

        `append_ms` turns Kafka's time stamps into ms since 2000. Returns what became of them, and the
        records that its positions count in.
        """
        if records[0].offset < self.next:
            records = records[bisect_left(records, self.next, key=lambda record: record.offset) :]
            if not records:
                return Folded(0, 0, [], []), records
        folded = self.state.fold([record.key for record in records], [record.value for record in records])
        counts = self.counts
        counts["applied"] += folded.applied
        counts["unchanged"] += folded.unchanged
        counts["rekeyed"] += len(folded.misplaced)
        counts["dead_lettered"] += len(folded.refused)
        last = records[-1]
        self.next = last.offset + 1
        self.last_append_ms = append_ms(last.timestamp)
        if self._first_append_ms is None:
            self._first_append_ms = append_ms(records[0].timestamp)
        return folded, records

    def is_behind(self, by: int) -> bool:
        """Whether more than so many records wait to be folded, as far as is known."""
        return self.end is not None and self.next + by < self.end.offset

    def see_end(self, offset: int, told_ms: int) -> bool:
        """Take note of the end of the log, as a fetch has told it. Whether that is news.

        A fetch is sent after the one before has been answered, so the end it tells is at or beyond all
        that was appended before that answer. At the end, everything appended before it is folded. An end before
        what is folded proves nothing.
        """
        before_ms, self._told_ms = self._told_ms, told_ms
        if before_ms is None or before_ms == told_ms:
            return False
        if offset < self.true_for:
            self._shorter_since_ms = told_ms if self._shorter_since_ms is None else self._shorter_since_ms
            self._times_shorter += 1
        else:
            self._shorter_since_ms, self._times_shorter = None, 0
        self.end = LogEnd(offset, self.fresh_ms if offset < self.next else before_ms)
        if self.next >= offset:
            self.fresh_ms = max(self.fresh_ms, self.end.asked_ms)
        return True

    @property
    def log_seems_shorter(self) -> bool:
        """Whether the last fetch told an end before what is folded."""
        return self._shorter_since_ms is not None

    @property
    def log_is_shorter(self) -> bool:
        """Whether the log has long ended before what is folded here, or in Redis, as fetches tell it: made anew, say."""
        if self._told_ms is None or self._shorter_since_ms is None:
            return False
        return self._times_shorter > _SURE and self._told_ms - self._shorter_since_ms >= _SURE_MS

    @property
    def true_for(self) -> int:
        """The offset up to which it was folded, by this shard or by the one in Redis that it will replace."""
        return max(self.next, self.rebuild_until)

    def prepare(self, now_ms: int, *, deltas_kept: int) -> Pending | None:
        """The checkpoint to write now: the one that failed, if any, else what has changed since."""
        if self.pending is None and self.next > self.base and self.generation and not self.switching:
            change = self.state.take_change() or NOTHING
            self._grow(change)
            name = new_name()
            write = Write(
                shard=self.name,
                base=self.base,
                to=self.next,
                generation=self.generation,
                change=change,
                meta=self._fields(now_ms),
                delta=self._delta(change, now_ms, name),
                deltas_kept=self._deltas_kept(len(change.facts), deltas_kept),
                name=name,
                after=self.last_write,
                rewrite=self.rewrite.generation if self.rewrite and self.rewrite.done else None,
            )
            self.pending = Pending(write, tuple(self.sends))
            self.sends = []
            self._first_append_ms = None
        return self.pending

    def wrote(self, now_ms: int) -> None:
        """Redis has taken the pending checkpoint."""
        assert self.pending is not None
        self.base, self.last_write = self.pending.write.to, self.pending.write.name
        self.written_ms = now_ms
        self.pending = None
        self.acknowledge()

    def acknowledge(self) -> None:
        """Acknowledge the batches that are durable."""
        while self.unacknowledged and self.unacknowledged[0][0] <= self.base:
            self.unacknowledged.popleft()[1]()

    def release(self) -> None:
        """Acknowledge every batch: Faust waits for them, and Kafka's commits do not depend on it."""
        for _, acknowledge in self.unacknowledged:
            acknowledge()
        self.unacknowledged.clear()

    def let_go(self) -> None:
        """Acknowledge every batch and give up every delivery: this shard is dropped."""
        self.release()
        self._withdraw()
        for send in self.sends:
            send.cancel()

    # The rewrite: begin -> slices -> switch.

    def begin_rewrite(self, *, alone: bool) -> Rewrite:
        """Begin to write everything anew. `alone`: there is no checkpoint beside it until it is done,
        since what Redis holds is gone, or of another fingerprint.
        """
        if alone:
            self._withdraw()
            self.state.take_change()  # whatever it says, the slices say too
            self.generation = ""
        self.wants_rewrite = False
        self.rewrite = Rewrite(new_name())
        return self.rewrite

    def next_slice(self, size: int) -> Change | None:
        """The next slice of the rewrite; None if all subjects are written."""
        rewrite = self.rewrite
        assert rewrite is not None
        if not rewrite.done:  # an entity that comes later is in a checkpoint beside, or in the last step
            rewrite.subjects = self.state.subjects()
        elif rewrite.done >= len(rewrite.subjects):
            return None
        subjects = rewrite.subjects[rewrite.done : rewrite.done + size]
        return self.state.dump(subjects, first=rewrite.done == 0)

    def pushed(self, change: Change, size: int) -> None:
        """Redis has taken a slice of so many subjects (0: a checkpoint's chunks, beside the slices)."""
        rewrite = self.rewrite
        assert rewrite is not None
        statements, facts, facts_bytes = chunks_in(change)
        rewrite.done += size
        rewrite.chunks = rewrite.chunks[0] + statements, rewrite.chunks[1] + facts
        rewrite.facts_bytes += facts_bytes

    def prepare_switch(self, now_ms: int, *, deltas_kept: int = 1, replaces: int | None = None) -> Switching:
        """The last step of the rewrite, with what has changed since its slices.

        After a compaction whoever follows goes on with a delta, one of `deltas_kept`. If what Redis holds is
        at offset `replaces`, beyond the end of the log, it gives way to a lower one.
        """
        if self.switching is None:
            rewrite = self.rewrite
            assert rewrite is not None
            assert self.pending is None
            change = self.state.take_change() or NOTHING
            pushed = rewrite.chunks
            self.pushed(change, 0)
            self._lists = rewrite.chunks
            self._facts_bytes = self._full_bytes = rewrite.facts_bytes
            continued, self.generation = self.generation, rewrite.generation
            lists = {"statements_chunks": self._lists[0], "facts_chunks": self._lists[1]}
            switch = Switch(
                shard=self.name,
                to=self.next,
                generation=rewrite.generation,
                change=change,
                pushed=pushed,
                meta=self._fields(now_ms),
                base=self.base,
                continues=continued,
                delta={**self._delta(change, now_ms, rewrite.generation), "continues": continued, **lists},
                deltas_kept=self._deltas_kept(len(change.facts), deltas_kept),
                known=self.known,
                replaces=replaces,
            )
            self.switching = Switching(switch, tuple(self.sends))
            self.sends = []
        return self.switching

    def switched(self, now_ms: int) -> None:
        """Redis has made the rewrite current."""
        assert self.switching is not None
        self.base = self.switching.switch.to
        self.last_write = self.known = self.switching.switch.generation
        self.written_ms = now_ms
        self.switching = self.rewrite = None
        self.rebuild_until = 0
        self._first_append_ms = None
        self._delta_bytes.clear()
        self.acknowledge()

    def _withdraw(self) -> None:
        """Take back what was prepared and not written: its records stay in the state."""
        for prepared in (self.pending, self.switching):
            if prepared is not None:
                self.sends = [*prepared.sends, *self.sends]
        self.pending = self.switching = None

    @property
    def wants_compaction(self) -> bool:
        """Whether superseded facts outweigh the rest: time for a rewrite."""
        grown = self._facts_bytes - self._full_bytes
        return self.rewrite is None and grown > 3 * self._full_bytes + MAX_APPENDED_FACTS

    def renewal(self, now_ms: int) -> tuple[str, int, str, Fields] | None:
        """What says that nothing is missing up to `fresh_ms`; None while there is something to write.

        It says all fields again, so that one that was damaged is not left so until something changes.
        """
        if self.changed or not self.generation:
            return None
        fields = {**self._fields(now_ms), "checkpoint_ms": self.written_ms or now_ms}
        return self.name, self.base, self.generation, fields

    def _grow(self, change: Change) -> None:
        statements, facts, facts_bytes = chunks_in(change)
        self._lists = self._lists[0] + statements, self._lists[1] + facts
        self._facts_bytes += facts_bytes
        # Only behind the first slice, which carries the symbols that later chunks build on.
        if self.rewrite is not None and self.rewrite.done:
            self.pushed(change, 0)

    def _freshness(self, now_ms: int) -> dict[str, int | str | bytes]:
        if self.end is not None and self.next >= self.end.offset:
            self.fresh_ms = max(self.fresh_ms, self.end.asked_ms)
        else:  # all that was appended before the last record folded is in: a log is in order
            self.fresh_ms = max(self.fresh_ms, min(self.last_append_ms, now_ms))
        newest = self.state.newest_event_ms
        waiting = list(self.state.open_resyncs())
        pending = Counter(source for source, _ in waiting)
        return {
            "fresh_ms": self.fresh_ms,
            "newest_event_ms": "" if newest is None else newest,
            "resync_pending": "\n".join(f"{source}={count}" for source, count in pending.items()),
            "resync_subjects": "\n".join("\t".join(each) for each in waiting[:_SUBJECTS_TOLD]),
            **self.counts,
        }

    def _deltas_kept(self, size: int, most: int) -> int:
        """How many deltas the stream shall keep, the new one of `size` bytes included."""
        self._delta_bytes.append(size)
        if len(self._delta_bytes) > most:
            self._delta_bytes.popleft()
        if sum(self._delta_bytes) <= _DELTA_BYTES_KEPT:
            return most
        while len(self._delta_bytes) > 2 and sum(self._delta_bytes) > _DELTA_BYTES_KEPT:
            self._delta_bytes.popleft()
        return len(self._delta_bytes)

    def _fields(self, now_ms: int) -> Fields:
        return {
            "offset": self.next,
            "generation": self.generation,
            "fingerprint": self.fingerprint,
            "format": FORMAT,
            "partitions": self.partitions,
            "partitioner": self.state.partitioner,
            "topic_id": self.topic_id,
            "entities": self.state.entities,
            "checkpoint_ms": now_ms,
            "statements_chunks": self._lists[0],
            "facts_chunks": self._lists[1],
            "facts_bytes": self._facts_bytes,
            "full_bytes": self._full_bytes,
            **self._freshness(now_ms),
        }

    def _delta(self, change: Change, now_ms: int, write: str) -> Fields:
        first = self.last_append_ms if self._first_append_ms is None else self._first_append_ms
        return {
            "from": self.base,
            "to": self.next,
            "write": write,
            "after": self.last_write,
            "generation": self.generation,
            "fingerprint": self.fingerprint,
            "facts": change.facts,
            "first_append_ms": first,
            "last_append_ms": self.last_append_ms,
            **self._freshness(now_ms),
        }
