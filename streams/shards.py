"""The shards that a worker owns: taken over on assignment, folded into, given up on revocation."""

import asyncio
import contextlib
import gc
import time
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any, Final, Protocol

from aiokafka.errors import KafkaError
from faust.types import TP

from aggregators.meaning import Meaning
from aggregators.state import FORMAT, UNREADABLE, Folded, fingerprint, partition_state
from events.clock import Clock
from events.errors import DealpulseError, UnreachableError
from events.event import EPOCH_UNIX_S
from events.log import get_logger
from events.settings import KafkaSettings
from events.topics import TOPICS
from streams import topics
from streams.checkpoint import Checkpoints
from streams.deadletters import dead_letter
from streams.metrics import WorkerMetrics
from streams.outbox import Outgoing, Producer, Unsent, deliver
from streams.placing import other_partitioner
from streams.rekey import rekeyed
from streams.settings import RedisSettings, WorkerSettings
from streams.shard import Shard
from streams.store import Store, Stored, StoreError
from streams.stuck import Stuck
from streams.topic_ids import OLD_S, TopicIds, other_topic
from streams.transport import Batch

log = get_logger("worker")

_READY_AT_ONCE_S: Final = 2.0
"""How long an assignment waits for shards to load before their partitions are paused."""
_RETRY_S: Final = 1.0
_LEFT_ALONE_RETRY_S: Final = 5.0
_COMPARE_EVERY_S: Final = 10.0
_CLOCKS_AGREE_MS: Final = 1_000
"""Clocks of machines that are so far apart count as the same."""
_KAFKA_AWAY_S: Final = 8.0
_ID_FRESH_S: Final = 5.0
_SENDS_AT_ONCE: Final = 32
"""Deliveries of a shard under way (a batch each) beyond which folding waits."""
_FREEZE_EVERY: Final = 50_000
"""Entities after which the garbage collector is told to leave what there is alone."""


class LeftAloneError(DealpulseError):
    """A partition that this worker must not touch; the message says why and what to do."""


class Positions(Protocol):
    """The consumer, as far as shards move it."""

    async def start_at(self, tp: TP, offset: int) -> None:
        """Fetch the partition from this offset on."""

    def topic_partitions(self, topic: str) -> int | None:
        """How many partitions a topic has; None if Kafka has not told yet."""

    def log_end(self, tp: TP) -> tuple[int, int] | None:
        """The end offset of a partition as the last fetch told it, and when (Unix ms)."""

    async def asked_ends(self, tps: Collection[TP]) -> Mapping[TP, int]:
        """The end offsets of partitions as Kafka tells them now; of none if it does not."""


class Shards:
    """The shards of one worker. The transport and the agent call it; `checkpoints` writes it."""

    topics = frozenset(TOPICS)

    def __init__(
        self,
        *,
        kafka: KafkaSettings,
        redis: RedisSettings,
        worker: WorkerSettings,
        meaning: Meaning,
        clock: Clock,
        metrics: WorkerMetrics,
        topic_ids: TopicIds | None = None,
    ) -> None:
        """`topic_ids` None: Kafka is asked for them."""
        self._topic_ids = topic_ids or TopicIds(partial(topics.ids, kafka))
        self._kafka, self._meaning, self._clock, self.metrics = kafka, meaning, clock, metrics
        self._fingerprint = fingerprint(meaning)
        self.store = Store(redis)
        self.checkpoints = Checkpoints(
            self, self.store, worker=worker, redis=redis, clock=clock, metrics=metrics
        )
        self.unsent = Unsent()
        self.assigned: set[TP] = set()
        self.left_alone: dict[TP, str] = {}
        """Partitions that are not folded, and why."""
        self._shards: dict[TP, Shard] = {}
        self._restores: dict[TP, asyncio.Task[None]] = {}
        self._consumer: Positions
        self._producer: Producer
        self._stuck = Stuck()
        self._beyond_log: dict[TP, tuple[str, int, str]] = {}
        """Generation and offset of shards that are beyond the end of their log, and what was said of it."""
        self._asking: asyncio.Task[None] | None = None
        self._frozen = 0
        self._comparing, self._compared_at = asyncio.Lock(), -_COMPARE_EVERY_S
        self._began = time.monotonic()
        self.folded_at = time.monotonic()
        """When a record was last folded (monotonic seconds)."""
        self.log_seen_at: float | None = None
        """When Kafka last told the end of a log (monotonic seconds)."""
        self.joined = False
        """Whether the consumer group has assigned anything yet, be it nothing."""
        self.fault: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        """Why this worker must not go on: a batch that could not be folded, which is a fault of ours."""
        metrics.watch(self.live, lambda: len(self.assigned), clock)

    def attach(self, consumer: Positions, producer: Producer) -> None:
        """The consumer to move, and the producer to send with."""
        self._consumer, self._producer = consumer, producer

    # What the transport asks.

    async def assign(self, tps: set[TP], committed: Mapping[TP, int] | None = None) -> dict[TP, int]:  # noqa: ARG002 - Redis knows better
        """Own these partitions. Returns where to go on for those whose shard is loaded by now.

        The others load on, and start their partition themselves (`Positions.start_at`).
        """
        self.keep_only(tps)
        for tp in tps - self._shards.keys() - self._restores.keys():
            self._restore(tp)
        waiting = [task for tp, task in self._restores.items() if tp in tps]
        if waiting:
            await asyncio.wait(waiting, timeout=_READY_AT_ONCE_S)
        return {tp: shard.next for tp, shard in self._shards.items() if tp in tps}

    def rebalanced(self, tps: Iterable[TP]) -> None:
        """The group has assigned these partitions, perhaps none."""
        self.joined = True
        self.metrics.rebalances.inc()
        self.keep_only(tps)

    def keep_only(self, tps: Iterable[TP]) -> None:
        """Give up every partition but these."""
        self.assigned = set(tps)
        for tp in self._restores.keys() - self.assigned:
            self._restores.pop(tp).cancel()
        for tp in self._shards.keys() - self.assigned:
            self._shards.pop(tp).let_go()
        for tp in self.left_alone.keys() - self.assigned:
            del self.left_alone[tp]

    def durable(self, tp: TP) -> int | None:
        """The offset up to which a partition is durable; None if its shard is not loaded."""
        shard = self._shards.get(tp)
        return None if shard is None else shard.durable

    async def settle(self, seconds: float) -> None:
        """Make everything that is folded durable, or give up after so many seconds."""
        if not await self.checkpoints.settle(seconds):
            log.warning("checkpoint.late", seconds=seconds, next="the next owner folds these records again")
        for shard in self.live():
            shard.release()

    # What the agent asks.

    async def fold(self, tp: TP, batch: Batch, event: Any) -> None:
        """Fold one batch; `event` is acknowledged once it is durable."""
        shard = self._shards.get(tp)
        if shard is None or batch.start > shard.next:
            event.ack()
            if shard is not None:
                log.warning("batch.out_of_place", shard=shard.name, offset=batch.start, next=shard.next)
                await self._consumer.start_at(tp, shard.next)
            return
        began = time.monotonic()
        try:
            folded, records = shard.fold(batch.records, self._shown_ms)
        except Exception as error:
            # Half of the batch may be in the state: no checkpoint may be made of it.
            self._shards.pop(tp).let_go()
            if not self.fault.done():
                self.fault.set_result(error)
            raise
        shard.unacknowledged.append((shard.next, event.ack))
        self._see_end(tp, shard)
        self.folded_at = time.monotonic()
        self.metrics.batch_seconds.labels(tp.topic).observe(self.folded_at - began)
        self._count(tp.topic, folded)
        if letters := self._letters(shard, folded, records):
            send = asyncio.create_task(deliver(self._producer, letters, unsent=self.unsent))
            send.add_done_callback(self._ends_well)
            shard.sends.append(send)
            if len(under_way := [each for each in shard.sends if not each.done()]) > _SENDS_AT_ONCE:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        self.checkpoints.wake()

    def _count(self, topic: str, folded: Folded) -> None:
        counter = self.metrics.events
        counter.labels(topic, "applied").inc(folded.applied)
        counter.labels(topic, "unchanged").inc(folded.unchanged)
        if folded.misplaced:
            counter.labels(topic, "rekeyed").inc(len(folded.misplaced))
        if folded.refused:
            counter.labels(topic, "dead_lettered").inc(len(folded.refused))
            for _, error in folded.refused:
                self.metrics.dead_letters.labels(topic, error.reason).inc()

    def _letters(self, shard: Shard, folded: Folded, records: Any) -> list[Outgoing]:
        """What has to go elsewhere. A shard that is built anew sends nothing again: Redis held it up to an
        offset, so what lay below had been sent and acknowledged.
        """
        rekeys = [
            rekeyed(
                shard.topic,
                shard.partition,
                records[position],
                partitions=shard.partitions,
                partitioner=self._kafka.partitioner,
            )
            for position in folded.misplaced
            if records[position].offset >= shard.rebuild_until
        ]
        return rekeys + [
            dead_letter(shard.topic, shard.partition, records[position], error)
            for position, error in folded.refused
            if records[position].offset >= shard.rebuild_until
        ]

    # What the checkpoints ask.

    def live(self) -> list[Shard]:
        """The shards that are loaded."""
        return list(self._shards.values())

    def fenced(self, shard: Shard) -> None:
        """Drop a shard that somebody else has written, and load it again if it is still ours."""
        tp = TP(shard.topic, shard.partition)
        if self._shards.get(tp) is shard:
            del self._shards[tp]
            shard.let_go()
            if tp in self.assigned and tp not in self._restores:
                self._restore(tp)

    async def watch_log(self, every_s: float) -> None:
        """Look at the ends of the logs again and again: for lag, and to stay fresh when nothing comes."""
        while True:
            for tp, shard in list(self._shards.items()):
                self._see_end(tp, shard)
                partitions = self._consumer.topic_partitions(tp.topic)
                if partitions and partitions != shard.partitions:
                    self._regrown(tp, shard, partitions)
                elif self._stuck(tp, shard.next, shard.lag):
                    log.warning("partition.stuck", shard=shard.name, next=shard.next)
                    await self._consumer.start_at(tp, shard.next)
            self._suspect()
            if self._shards and self.log_age_s() > _KAFKA_AWAY_S:
                log.warning("kafka.away", since="fetches are not answered")
            await self._compare_clocks()
            await self.checkpoints.renew()
            await asyncio.sleep(every_s)

    async def _compare_clocks(self) -> None:
        """Go by Redis' clock if this machine's is off: what is said to be true must not be of the future.

        Redis is the one machine that all workers and exporters share.
        """
        async with self._comparing:
            if time.monotonic() - self._compared_at < _COMPARE_EVERY_S:
                return
            self._compared_at = time.monotonic()
            try:
                ahead_ms = await self.store.ahead_ms(self._clock.machine_ms)
            except StoreError:
                return  # whoever writes says so
            before_ms = self._clock.ahead_ms
            if abs(ahead_ms - before_ms) <= _CLOCKS_AGREE_MS:
                return
            self._clock.ahead_ms = ahead_ms = ahead_ms if abs(ahead_ms) > _CLOCKS_AGREE_MS else 0
            log.warning(
                "clock.off" if ahead_ms else "clock.right",
                seconds=ahead_ms / 1000,
                next="this worker goes by the clock of Redis; set the time of its machine"
                if ahead_ms
                else None,
            )
            for shard in self.live():
                shard.distrust_time(self._clock.now_ms())

    def log_age_s(self) -> float:
        """Seconds since Kafka last told the end of a log, or since this worker began."""
        return time.monotonic() - (self.log_seen_at or self._began)

    def _see_end(self, tp: TP, shard: Shard) -> None:
        end = self._consumer.log_end(tp)
        if end is not None and shard.see_end(end[0], self._shown_ms(end[1] - self._clock.ahead_ms)):
            self.log_seen_at = time.monotonic()

    def _regrown(self, tp: TP, shard: Shard, partitions: int) -> None:
        """Give up a shard whose topic has another number of partitions now, until its records are moved."""
        log.warning("topic.partitions_changed", shard=shard.name, was=shard.partitions, now=partitions)
        self._shards.pop(tp).let_go()
        self._restore(tp)

    def _suspect(self) -> None:
        """Ask Kafka itself of topics and logs that may be others, aside: it may take long to answer."""
        if self._shards and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._leave_others())
            self._asking.add_done_callback(self._ends_well)

    async def _leave_others(self) -> None:
        seems = any(shard.log_seems_shorter for shard in self._shards.values())
        with contextlib.suppress(UnreachableError):
            await self._topic_ids.refresh(within_s=_ID_FRESH_S if seems else OLD_S)
        for tp, shard in list(self._shards.items()):
            found = self._topic_ids.known(tp.topic)
            if shard.topic_id and found and shard.topic_id != found:
                self._give_up(tp, shard, other_topic(shard.name, shard.topic_id, found))
        await self._leave_shorter()

    async def _leave_shorter(self) -> None:
        """A leader answers this when it knows how far its log counts; what a fetch tells may lag behind that."""
        suspects = {tp for tp, shard in self._shards.items() if shard.log_is_shorter}
        if not suspects:
            return
        for tp, end in (await self._consumer.asked_ends(suspects)).items():
            shard = self._shards.get(tp)
            if shard is not None and shard.log_is_shorter and end < shard.true_for:
                self._leave_alone(tp, shard, end)

    def _leave_alone(self, tp: TP, shard: Shard, end: int) -> None:
        why = (
            f"the log ends at offset {end}, but the shard is true for offset {shard.true_for}: the topic was "
            f"made anew or has lost records. If that was meant, run "
            f"`dealpulse rebuild --partition {shard.name} --yes`"
        )
        self._beyond_log[tp] = shard.known, shard.true_for, why
        self._give_up(tp, shard, why)

    def _give_up(self, tp: TP, shard: Shard, why: str) -> None:
        log.error("shard.left_alone", shard=shard.name, error=why)
        self._shards.pop(tp).let_go()
        self.left_alone[tp] = why
        self._restore(tp)  # waits until somebody has rebuilt it

    # Loading.

    def _restore(self, tp: TP) -> None:
        task = asyncio.create_task(self._restored(tp))
        self._restores[tp] = task
        task.add_done_callback(lambda done: self._restore_ends(tp, done))

    def _restore_ends(self, tp: TP, task: "asyncio.Task[None]") -> None:
        if self._restores.get(tp) is task:
            del self._restores[tp]
        self._ends_well(task)

    def _ends_well(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception) and not self.fault.done():
            self.fault.set_result(error)  # or the partition would stand still, and nobody would say so

    async def _restored(self, tp: TP) -> None:
        """Load a shard, however long Redis or Kafka take to answer, and start its partition."""
        while True:
            began = time.monotonic()
            try:
                await self._compare_clocks()
                shard = await self._loaded(tp)
                break
            except (UnreachableError, KafkaError, OSError) as error:
                self.checkpoints.store_answers = not isinstance(error, StoreError)
                log.warning("shard.waits", shard=f"{tp.topic}/{tp.partition}", error=error)
                await asyncio.sleep(_RETRY_S)
            except LeftAloneError as error:
                if self.left_alone.get(tp) != str(error):
                    log.warning("shard.left_alone", shard=f"{tp.topic}/{tp.partition}", error=error)
                self.left_alone[tp] = str(error)
                await asyncio.sleep(_LEFT_ALONE_RETRY_S)
        self.left_alone.pop(tp, None)
        self.checkpoints.store_answers = True
        self.metrics.restore_seconds.labels(tp.topic).observe(time.monotonic() - began)
        self._shards[tp] = shard
        self._freeze()
        self.checkpoints.wake()
        await self._consumer.start_at(tp, shard.next)

    async def _loaded(self, tp: TP) -> Shard:
        shard = self._empty(tp)
        stored = await self.store.stored(shard.name)
        shard.topic_id = await self._require_ours(tp, shard.partitions, stored)
        if stored is None:
            shard.wants_rewrite = True  # also of nothing: exporters must see that the shard is there
            return shard
        if stored.damaged:
            return self._rebuilt(shard, stored, why=f"its meta is damaged: {stored.damage}")
        if stored.format < FORMAT:
            return self._rebuilt(shard, stored, why="written in an older format")
        chunks = []
        async for some in self.store.statements(shard.name, stored):
            chunks += some
        if len(chunks) != stored.statements_chunks:
            again = await self.store.stored(shard.name)
            if again is None or again.generation != stored.generation:
                return await self._loaded(tp)  # somebody has just written it anew
            return self._rebuilt(shard, stored, why="some of its chunks are lost")
        try:
            await asyncio.to_thread(shard.state.load, chunks)
        except UNREADABLE as error:
            empty = self._empty(tp)
            empty.topic_id = shard.topic_id
            return self._rebuilt(empty, stored, why=f"its chunks cannot be read: {error}")
        shard.adopt(stored)
        shard.distrust_time(self._clock.now_ms())  # another worker's clock may have been ahead
        if shard.wants_rewrite:
            log.info("shard.facts_recomputed", shard=shard.name, entities=shard.state.entities)
        return shard

    def _empty(self, tp: TP) -> Shard:
        partitions = self._consumer.topic_partitions(tp.topic)
        if partitions is None or partitions <= tp.partition:
            # The leader of the group may have heard of a partition before this member has.
            raise UnreachableError(f"Kafka has not told this worker yet how many partitions {tp.topic} has")
        state = partition_state(tp.topic, tp.partition, partitions, self._kafka.partitioner, self._meaning)
        return Shard(tp.topic, tp.partition, partitions, state, self._fingerprint)

    def _rebuilt(self, shard: Shard, stored: Stored, *, why: str) -> Shard:
        """An empty shard that folds the log from its beginning, and replaces what Redis holds."""
        log.warning("shard.rebuilt", shard=shard.name, why=why, until_offset=stored.offset)
        shard.rebuild_until, shard.known = stored.offset, stored.generation
        shard.wants_rewrite = True
        return shard

    async def _require_ours(self, tp: TP, partitions: int, stored: Stored | None) -> str:
        """Raise LeftAloneError if the shard must not be touched by this worker, as things are.

        Returns the id of its topic.
        """
        if stored is not None and "partitions" not in stored.damaged:
            under = stored.placing
        else:
            (under,) = await self.store.placings(tp.topic, 1)
        if under.partitions not in (None, partitions):
            raise LeftAloneError(
                f"{tp.topic} has {partitions} partitions, but its shards were folded under {under.partitions}: "
                f"run `dealpulse repartition --partitions {partitions} --yes`"
            )
        if under.partitioner not in ("", self._kafka.partitioner):
            why = other_partitioner(under.partitioner, self._kafka.partitioner, partitions)
            raise LeftAloneError(f"{tp.topic}: {why}")
        topic_id = await self._topic_id(tp, "" if stored is None else stored.topic_id)
        if stored is None:
            return topic_id
        if stored.format > FORMAT:
            raise LeftAloneError(
                f"the shard is in format {stored.format}, newer than this worker's {FORMAT}: "
                "a newer worker shall own it; upgrade this one"
            )
        if (known := self._beyond_log.get(tp)) is not None:
            if (stored.generation, stored.offset) == known[:2]:
                raise LeftAloneError(known[2])
            del self._beyond_log[tp]
        return topic_id

    async def _topic_id(self, tp: TP, held: str) -> str:
        """The id of a topic. Raises LeftAloneError if the shard, which says `held`, is of another one."""
        found = await self._topic_ids.of(tp.topic, within_s=2 * OLD_S)
        if found != held:  # before anything is said or written of it
            found = await self._topic_ids.of(tp.topic, within_s=_ID_FRESH_S)
        if held and found and held != found:
            raise LeftAloneError(other_topic(f"{tp.topic}/{tp.partition}", held, found))
        return found or held

    def _freeze(self) -> None:
        """Keep the garbage collector from walking over entities that live for ever."""
        entities = sum(shard.state.entities for shard in self._shards.values())
        if entities - self._frozen >= _FREEZE_EVERY:
            gc.freeze()
            self._frozen = entities

    def _shown_ms(self, unix_ms: int) -> int:
        """Kafka's time stamp in ms since 2000, as this worker's clock showed that instant."""
        return self._clock.shown_ms(unix_ms - EPOCH_UNIX_S * 1000)
