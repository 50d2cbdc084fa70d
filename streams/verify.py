"""Proof of the shards: everything is folded anew from the log, up to each shard's own offset, and compared.

Each shard is read from Redis in one atomic step, all of them before the log: so there is one offset per
shard, and workers go on meanwhile. The log is read by a consumer without a group, from the beginning.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from zlib import crc32

from aggregators.compare import (
    Chosen,
    Differences,
    ExactSide,
    Side,
    compare_answers,
    compare_facts,
    compare_statements,
)
from aggregators.meaning import Meaning
from aggregators.state import FORMAT, UNREADABLE, DealState, PartitionState, fingerprint, partition_state
from events.clock import Clock
from events.errors import UnreachableError, UsageError
from events.settings import KafkaSettings
from events.topics import TOPICS
from streams import topics
from streams.held import HeldShard, HeldShards
from streams.log import LogReader, Place
from streams.names import RESULTS
from streams.settings import RedisSettings

EXACT_UP_TO: Final = 250_000
"""Records up to which KPIs are recomputed on the exact road too; beyond, by tables made from the log."""
_SLICE: Final = 20_000

Show = Callable[[int, int], None]
"""Told how many records have been read so far, and of how many entities."""


@dataclass
class Report:
    """What was compared, and what was found."""

    differences: Differences
    offsets: dict[str, int] = field(default_factory=dict)
    """Shard -> the offset up to which it was compared."""
    records: int = 0
    entities: int = 0
    states: int = 0
    """Spans of time of opportunities: the rows of facts."""
    kpis: int = 0
    rows: int = 0
    """Of answers."""
    road: str = ""
    """Of the recomputed answers: `exact` or `tables`; empty if KPIs were not compared."""
    as_of_ms: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether all there is was compared."""
        return bool(self.road)


@dataclass
class _Fold:
    """A shard on its way from the log."""

    state: PartitionState
    until: int
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RESULTS, 0))
    records: int = 0
    first: int | None = None
    next: int = 0

    def fold(self, records: Sequence[Any], chosen: Chosen | None) -> None:
        records = [record for record in records if record.offset < self.until]
        if not records:
            return
        if self.first is None:
            self.first = records[0].offset
        self.records += len(records)
        self.next = records[-1].offset + 1
        if chosen is not None:
            records = [record for record in records if _is_of(record.key, chosen)]
        folded = self.state.fold([record.key for record in records], [record.value for record in records])
        for name, count in zip(
            RESULTS,
            (folded.applied, folded.unchanged, len(folded.misplaced), len(folded.refused)),
            strict=True,
        ):
            self.counts[name] += count


class Verification:
    """One run of `dealpulse verify`. Raises KafkaUnreachableError and StoreError."""

    def __init__(
        self,
        kafka: KafkaSettings,
        redis: RedisSettings,
        meaning: Meaning,
        clock: Clock,
        *,
        places: Collection[Place] = (),
        sample: float = 1.0,
        most: int = 100,
        show: Show = lambda _records, _of: None,
    ) -> None:
        """`places`: only these partitions. `sample`: that share of the entities. `most`: differences kept."""
        self._kafka, self._redis, self._meaning, self._clock = kafka, redis, meaning, clock
        self._places, self._sample, self._show = frozenset(places), sample, show
        self._report = Report(Differences(most))
        self._topic_ids: dict[str, str] = {}

    async def run(self) -> Report:
        """Read, recompute, compare; leave the outcome in Redis."""
        report = self._report
        report.as_of_ms = self._clock.now_ms()
        partitions = await partitions_of(self._kafka)
        places = chosen_places(partitions, self._places)
        self._topic_ids = await asyncio.to_thread(topics.ids, self._kafka)
        shards = HeldShards(self._redis)
        try:
            held = {place: await shards.read(_name(place)) for place in places}
            folds = {
                place: fold
                for place, shard in held.items()
                if (fold := self._begun(place, partitions[place[0]], shard)) is not None
            }
            await self._fold(folds)
            await self._compare(held, folds)
            # Part of it proves nothing of the rest; but what it finds is found.
            if report.is_whole or report.differences.total:
                await shards.tell(mismatches=report.differences.total, now_ms=self._clock.now_ms())
        finally:
            await shards.close()
        return report

    def _begun(self, place: Place, partitions: int, shard: HeldShard | None) -> _Fold | None:
        """An empty fold up to the offset of a shard; None if the shard cannot be compared at all."""
        name, found = _name(place), self._report.differences
        if shard is None:
            found.add("shard", name, "", "", "nothing", "a shard (is a worker running?)")
            return None
        try:
            stored = shard.stored
        except ValueError as error:
            found.add("shard", name, "", "meta", str(error), "numbers")
            return None
        wanted, topic_id = fingerprint(self._meaning), self._topic_ids.get(place[0], "")
        for field_, held, due in (
            ("format", stored.format, FORMAT),
            ("partitions", stored.partitions, partitions),
            ("topic_id", stored.topic_id or topic_id, topic_id or stored.topic_id),
            ("partitioner", stored.partitioner or self._kafka.partitioner, self._kafka.partitioner),
            ("fingerprint", stored.fingerprint, wanted),
            ("statements_chunks", len(shard.statements), stored.statements_chunks),
            ("facts_chunks", len(shard.facts), stored.facts_chunks),
        ):
            if held != due:
                found.add("shard", name, "", field_, held, due)
        if stored.format != FORMAT:
            return None
        self._report.offsets[name] = stored.offset
        return _Fold(
            partition_state(*place, partitions, self._kafka.partitioner, self._meaning), stored.offset
        )

    async def _fold(self, folds: dict[Place, _Fold]) -> None:
        """Fold each partition up to its offset, or to the end of its log if that comes first."""
        waiting = {place for place, fold in folds.items() if fold.until > 0}
        if not waiting:
            return
        total, chosen = (
            sum(folds[place].until for place in waiting),
            self._chosen if self._is_sample else None,
        )
        async with LogReader(self._kafka, waiting) as log:
            while waiting:
                for place, records in (await log.fetch()).items():
                    if place in waiting:
                        folds[place].fold(records, chosen)
                        await asyncio.sleep(0)
                for place in list(waiting):
                    position, end = await log.position(place), log.end(place)
                    if position >= folds[place].until or (end is not None and position >= end):
                        folds[place].next = min(position, folds[place].until)
                        waiting.discard(place)
                        log.leave(place)
                self._report.records = sum(fold.records for fold in folds.values())
                self._show(self._report.records, total)

    async def _compare(self, held: dict[Place, HeldShard | None], folds: dict[Place, _Fold]) -> None:
        theirs, ours = Side(self._meaning), Side(self._meaning)
        is_exact = self._report.records <= EXACT_UP_TO
        exact = ExactSide(self._meaning)
        wants_kpis = not self._places and not self._is_sample and len(folds) == len(held)
        for place, fold in folds.items():
            shard, name = held[place], _name(place)
            assert shard is not None
            self._compare_counts(name, shard, fold)
            state = self._loaded(place, shard, fold)
            if state is None:
                wants_kpis = False
                continue
            facts = _facts(fold.state)
            wants_kpis &= self._compare_state(name, shard, state, fold, facts)
            if wants_kpis:
                try:
                    theirs.take(name, state, shard.facts)
                except UNREADABLE as error:
                    self._report.differences.add("fact", name, "", "chunks", f"unreadable ({error})", "facts")
                    wants_kpis = False
                if is_exact:
                    exact.take(fold.state)
                else:
                    ours.take(name, fold.state, facts)
            await asyncio.sleep(0)
        if wants_kpis:
            self._report.road = "exact" if is_exact else "tables"
            wanted: Side | ExactSide = exact if is_exact else ours
            for rows in compare_answers(theirs, wanted, self._report.as_of_ms, self._report.differences):
                self._report.kpis += 1
                self._report.rows += rows
                await asyncio.sleep(0)

    def _compare_counts(self, name: str, shard: HeldShard, fold: _Fold) -> None:
        found, stored = self._report.differences, shard.stored
        if fold.first:
            text = f"its first record has offset {fold.first}"
            found.add("shard", name, "", "log", "folded from offset 0", text)
        if fold.next < fold.until:
            found.add("shard", name, "", "offset", fold.until, f"a log that ends at {fold.next}")
        total = sum(stored.counts.values())
        if total != fold.records:
            found.add("count", name, "", "+".join(RESULTS), total, f"{fold.records} records")
        if self._is_sample:
            return
        for result in RESULTS:
            if stored.counts[result] != fold.counts[result]:
                found.add("count", name, "", result, stored.counts[result], fold.counts[result])

    def _loaded(self, place: Place, shard: HeldShard, fold: _Fold) -> PartitionState | None:
        """The held statements as a state; None if they cannot be read."""
        state = partition_state(*place, shard.stored.partitions, self._kafka.partitioner, self._meaning)
        try:
            state.load(shard.statements)
            state.subjects()
        except UNREADABLE as error:
            text = f"unreadable ({error})"
            wanted = f"{fold.state.entities} entities"
            self._report.differences.add("statement", _name(place), "", "chunks", text, wanted)
            return None
        return state

    def _compare_state(
        self, name: str, shard: HeldShard, state: PartitionState, fold: _Fold, facts: list[bytes]
    ) -> bool:
        """Statements and facts of one shard; False if they could not all be read."""
        found = self._report.differences
        self._report.entities += compare_statements(name, state, fold.state, found, self._chosen)
        if not self._is_sample:
            for field_, held, wanted in (
                ("entities", int(shard.fields.get(b"entities", 0)), fold.state.entities),
                ("resync_pending", state.resync_pending(), fold.state.resync_pending()),
            ):
                if held != wanted:
                    found.add("shard", name, "", field_, held, wanted)
        if not isinstance(state, DealState) or shard.stored.fingerprint != fingerprint(self._meaning):
            return True
        try:
            self._report.states += compare_facts(name, shard.facts, facts, found, self._chosen)
        except UNREADABLE as error:
            found.add(
                "fact", name, "", "chunks", f"unreadable ({error})", f"{fold.state.entities} opportunities"
            )
            return False
        return True

    @property
    def _is_sample(self) -> bool:
        return self._sample < 1.0

    def _chosen(self, subject: str) -> bool:
        return is_in_sample(subject.encode(), self._sample)


def is_in_sample(subject: bytes, share: float) -> bool:
    """Whether an entity is in a sample of that share: always the same ones."""
    return share >= 1.0 or crc32(subject) < share * 2**32


async def partitions_of(kafka: KafkaSettings) -> dict[str, int]:
    """How many partitions each topic of entities has. Raises KafkaUnreachableError, UsageError if one is missing."""
    found = {topic.name: topic.partitions for topic in await asyncio.to_thread(topics.topics, kafka, TOPICS)}
    missing = [name for name, partitions in found.items() if not partitions]
    if missing:
        raise UnreachableError(
            f"Kafka at {kafka.brokers} has no topic {missing[0]}: is this the right cluster? "
            "Else run `dealpulse topics ensure`."
        )
    return found


def chosen_places(partitions: dict[str, int], wanted: Collection[Place]) -> list[Place]:
    """These partitions, or all. Raises UsageError for one that there is not."""
    every = [(topic, partition) for topic in TOPICS for partition in range(partitions[topic])]
    for place in wanted:
        if place not in every:
            raise UsageError(
                f"there is no partition {_name(place)}. Topics: "
                + ", ".join(f"{topic} (0 to {count - 1})" for topic, count in partitions.items())
            )
    return [place for place in every if not wanted or place in wanted]


def place_of(text: str) -> Place:
    """`crm.opportunity/3` -> its topic and partition. Raises UsageError."""
    topic, _, partition = text.rpartition("/")
    if not topic or not (partition.isascii() and partition.isdecimal()):
        raise UsageError(f"--partition: {text!r} is none. Example: crm.opportunity/3")
    return topic, int(partition)


def _facts(state: PartitionState) -> list[bytes]:
    """All facts of a state of opportunities, computed now; nothing of another one."""
    if not isinstance(state, DealState):
        return []
    subjects = state.subjects()
    return [
        state.dump(subjects[start : start + _SLICE], first=start == 0).facts
        for start in range(0, max(1, len(subjects)), _SLICE)
    ]


def _is_of(key: bytes | None, chosen: Chosen) -> bool:
    try:
        return key is not None and chosen(key.decode())
    except UnicodeDecodeError:
        return False


def _name(place: Place) -> str:
    return f"{place[0]}/{place[1]}"
