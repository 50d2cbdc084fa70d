"""Building shards anew from the log, while workers, other partitions and exporters go on.

1. The log is folded from its first record, at least as far as what Redis holds.
2. Records that were published again or dead-lettered beyond what Redis held at the beginning are sent by
   us and acknowledged: the worker, who seeks to our offset, will not meet them again.
3. The state is written in slices under a new generation, which nobody reads yet.
4. One atomic step makes it current, unless a worker has come further meanwhile or has written the shard anew:
   then it starts again at 3. Until that step nothing of the shard has changed, whatever interrupts. A shard that
   is beyond the end of its log gives way as well, if it is the very one that was looked at.
5. The owner's next write or renewal is fenced: it drops its shard, loads ours and seeks to its offset.
   Exporters see the new generation and load it; until then they keep what they have.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from aggregators.meaning import Meaning
from aggregators.state import FORMAT, Folded, fingerprint, partition_state
from events.clock import Clock
from events.errors import FaultFoundError
from events.event import EPOCH_UNIX_S
from events.keys import Partitioner, partition_of
from events.producer import start_producer
from events.settings import KafkaSettings
from streams import topics
from streams.deadletters import dead_letter
from streams.log import LogReader, Place
from streams.outbox import Outgoing, deliver
from streams.placing import other_partitioner
from streams.rekey import rekeyed
from streams.settings import RedisSettings
from streams.shard import Shard
from streams.store import Store, Stored
from streams.topic_ids import OLD_S, TopicIds
from streams.verify import chosen_places, partitions_of

_SLICE_SUBJECTS: Final = 2_000
_ATTEMPTS: Final = 20
_SURE_S: Final = 3.0
"""The log is shorter than a shard's offset if it has not come so far after so many seconds at its end."""

Show = Callable[[str, int, int], None]
"""Told which shard is built, how many records it has folded, and how many there are at least."""


@dataclass(frozen=True)
class Rebuilt:
    """One shard that was built anew. `was` is its offset before, None if Redis held none."""

    shard: str
    offset: int
    entities: int
    was: int | None
    seconds: float
    moved: int = 0
    """Records that were published again on the partition that is theirs under another number of them."""


class Rebuild:
    """Rebuilds shards. Raises KafkaUnreachableError, StoreError and FaultFoundError."""

    def __init__(
        self,
        kafka: KafkaSettings,
        redis: RedisSettings,
        meaning: Meaning,
        clock: Clock,
        *,
        show: Show = lambda _shard, _records, _of: None,
    ) -> None:
        self._kafka, self._meaning, self._clock, self._show = kafka, meaning, clock, show
        self._store = Store(redis)
        self._topic_ids = TopicIds(partial(topics.ids, kafka))
        self._producer: Any = None
        self._moved = 0

    async def run(self, places: Collection[Place]) -> list[Rebuilt]:
        """Rebuild these partitions, one after the other; none named: all."""
        try:
            partitions = await partitions_of(self._kafka)
            chosen = chosen_places(partitions, places)
            for topic in dict.fromkeys(topic for topic, _ in chosen):
                await self._require_not_moving(topic, partitions[topic])
            return [await self._rebuilt(place, partitions[place[0]]) for place in chosen]
        finally:
            await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._store.close()
        if self._producer is not None:
            await self._producer.stop()

    async def move(self, place: Place, partitions: int) -> Rebuilt | None:
        """Rebuild a shard that was folded under another number of partitions; None if it was not.

        Records of entities that belong elsewhere now are published again there, before the shard that
        lacks them becomes current: whatever interrupts, doing it again does the rest.
        """
        before = await self._store.stored(f"{place[0]}/{place[1]}")
        if before is not None and before.placing.is_under(partitions, self._kafka.partitioner):
            return None
        return await self._rebuilt(place, partitions, moving=True)

    async def _require_not_moving(self, topic: str, partitions: int) -> None:
        """A rebuild for its own sake would leave out what belongs to other partitions now."""
        for under, partitioner, _ in await self._store.placings(topic, partitions):
            if under not in (None, partitions):
                raise FaultFoundError(
                    f"{topic} has {partitions} partitions, but some of its shards were folded under {under}: "
                    f"run `dealpulse repartition --partitions {partitions} --yes`, which rebuilds them and moves "
                    "their records"
                )
            if partitioner not in ("", self._kafka.partitioner):
                why = other_partitioner(partitioner, self._kafka.partitioner, partitions)
                raise FaultFoundError(f"{topic}: {why}")

    async def _rebuilt(self, place: Place, partitions: int, *, moving: bool = False) -> Rebuilt:
        began, name = time.monotonic(), f"{place[0]}/{place[1]}"
        before = await self._store.stored(name)
        if before is not None and before.format > FORMAT:
            raise FaultFoundError(
                f"shard {name} is in format {before.format}, newer than this version's {FORMAT}: "
                "rebuild it with the version that its workers have"
            )
        topic_id = await self._topic_ids.of(place[0], within_s=OLD_S)
        held_id = "" if before is None else before.topic_id
        is_other = bool(held_id and topic_id and held_id != topic_id)  # of this one nobody has sent anything
        if before is None or is_other or (moving and "partitions" in before.damaged):
            sent = _Sent(0, 0, self._kafka.partitioner)
        else:
            under = before.partitioner or self._kafka.partitioner
            sent = _Sent(before.offset, before.partitions if moving else 0, under)
        while True:
            self._moved = 0
            state = partition_state(*place, partitions, self._kafka.partitioner, self._meaning)
            shard = Shard(*place, partitions, state, fingerprint(self._meaning))
            shard.topic_id = topic_id or held_id
            try:
                await self._replaced(shard, place, sent)
            except _OtherLogError:  # of what this one holds nobody has sent anything
                sent = _Sent(0, 0, self._kafka.partitioner)
                continue
            return Rebuilt(
                name,
                shard.base,
                state.entities,
                None if before is None else before.offset,
                time.monotonic() - began,
                self._moved,
            )

    async def _replaced(self, shard: Shard, place: Place, sent: "_Sent") -> None:
        """Fold the log into an empty shard, and put it in the place of what Redis holds."""
        async with LogReader(self._kafka, [place]) as log:
            for _ in range(_ATTEMPTS):
                await self._catch_up(shard, place, log, sent)
                if await self._written(shard, place, log, sent):
                    return
        raise FaultFoundError(
            f"shard {shard.name}: its worker was faster {_ATTEMPTS} times. Nothing has changed; try again "
            "when fewer events come, or stop that worker for a moment"
        )

    async def _catch_up(self, shard: Shard, place: Place, log: LogReader, sent: "_Sent") -> Stored | None:
        """Fold to the end of the log as it is now. Returns what Redis held at the last look.

        That is beyond the end of the log if it has stood there for a while: no fold of it comes so far.
        """
        at_end_since: float | None = None
        seen: Stored | None = None
        while True:
            stored = await self._store.stored(shard.name)
            held = 0 if stored is None else stored.offset
            if seen is not None and stored is not None and stored[:2] != seen[:2]:
                at_end_since = None  # a worker goes on: the log is longer than our last fetch has told
            seen = stored
            for records in (await log.fetch()).values():
                await self._fold(shard, records, sent)
                at_end_since = None
            end = log.end(place)
            self._show(shard.name, shard.next, max(held, end or 0))
            if end is None or await log.position(place) < end:
                continue
            if shard.next >= held:
                return stored
            now = time.monotonic()
            at_end_since = at_end_since or now
            if now - at_end_since > _SURE_S:
                if sent.until > end:
                    raise _OtherLogError
                return stored

    async def _fold(self, shard: Shard, records: Sequence[Any], sent: "_Sent") -> None:
        """Fold a batch, and send what has to go elsewhere, unless a worker has done that already."""
        folded, records = shard.fold(records, self._shown_ms)
        outgoing = self._outgoing(shard, folded, records, sent)
        if outgoing:
            if self._producer is None:
                self._producer = await start_producer(self._kafka)
            await deliver(_Sender(self._producer), outgoing)
        await asyncio.sleep(0)

    def _outgoing(
        self, shard: Shard, folded: Folded, records: Sequence[Any], sent: "_Sent"
    ) -> list[Outgoing]:
        rekeys = [
            rekeyed(
                shard.topic,
                shard.partition,
                record,
                partitions=shard.partitions,
                partitioner=self._kafka.partitioner,
            )
            for record in (records[position] for position in folded.misplaced)
            if not self._was_sent(shard, record, sent)
        ]
        self._moved += len(rekeys)
        return rekeys + [
            dead_letter(shard.topic, shard.partition, record, error)
            for record, error in ((records[position], error) for position, error in folded.refused)
            if record.offset >= sent.until
        ]

    def _was_sent(self, shard: Shard, record: Any, sent: "_Sent") -> bool:
        """Whether a worker has published this misplaced record again: not if it was in place then."""
        if record.offset >= sent.until:
            return False
        if not sent.under or record.key is None:
            return True
        return partition_of(record.key, sent.under, sent.partitioner) != shard.partition

    async def _written(self, shard: Shard, place: Place, log: LogReader, sent: "_Sent") -> bool:
        """Write the shard in full and make it current; False if that has to be done again."""
        generation = shard.begin_rewrite(alone=True).generation
        while (part := shard.next_slice(_SLICE_SUBJECTS)) is not None:
            await self._store.push(shard.name, generation, part)
            shard.pushed(part, _SLICE_SUBJECTS)
        stored = await self._catch_up(shard, place, log, sent)
        if stored is not None:
            shard.fresh_ms = stored.fresh_ms  # what was complete up to an instant still is
        shard.known = "" if stored is None else stored.generation
        beyond = stored.offset if stored is not None and stored.offset > shard.next else None
        switch = shard.prepare_switch(self._clock.now_ms(), replaces=beyond).switch
        # Exporters and workers that hold that generation take ours, although its offset may be lower.
        switch = replace(switch, meta={**switch.meta, "replaces": stored.generation if stored else ""})
        if await self._store.switch(switch) == "written":
            shard.switched(self._clock.now_ms())
            return True
        await self._store.discard(shard.name, generation)
        return False

    def _shown_ms(self, unix_ms: int) -> int:
        return self._clock.shown_ms(unix_ms - EPOCH_UNIX_S * 1000)


class _OtherLogError(Exception):
    """The log ends before what Redis held of it: it was made anew, or has lost records."""


@dataclass(frozen=True)
class _Sent:
    """What a worker has published again or dead-lettered already: everything below offset `until` that
    was misplaced under `under` partitions (0: placed as now) by that partitioner.
    """

    until: int
    under: int
    partitioner: Partitioner


class _Sender:
    """aiokafka's producer, as `deliver` calls one."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,  # noqa: ARG002 - the broker's
        headers: Any,
    ) -> Any:
        return await self._producer.send(topic, value=value, key=key, partition=partition, headers=headers)
