"""Faust's Kafka transport, with each partition's fetch as one message: `kafka-batches://host:port`.

A stock agent costs some 100 microseconds a record; here Faust's machinery is paid per batch
(docs/adr/0002). Overridden are the few methods of Faust 0.15.3's consumer that fetch, seek and commit;
rebalances, backpressure, acknowledgements and life-cycle are Faust's own. An app that uses it has an
attribute `owners` that says of each topic who owns its partitions, where they start and how far they are
durable. Every topic comes in batches: what Faust does for single records loses some of them when a fetch
is under way while positions are set (a record beyond the gap counts as acknowledged), and commits beyond
records that are not acknowledged as long as a partition has no committed offset.
"""

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from aiokafka.consumer import fetcher
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.exceptions import ConsumerNotStarted
from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from events.errors import UnreachableError
from events.log import get_logger

log = get_logger("worker")

_FETCH_WAIT_MS: Final = 500
_ASK_BEGIN_EVERY_S: Final = 60.0


class Batch(NamedTuple):
    """The value of a message: every record of its partition from offset `start` to its own."""

    start: int
    records: Sequence[Any]


class Owner(Protocol):
    """What the transport asks of whoever owns the partitions of some topics (`app.owners`)."""

    topics: frozenset[str]

    async def assign(self, tps: set[TP], committed: Mapping[TP, int]) -> dict[TP, int]:
        """Own these; where to start those that are ready. `committed`: the group's offsets, 0 if none."""

    def rebalanced(self, tps: Iterable[TP]) -> None:
        """The group has assigned these: give up all others."""

    def durable(self, tp: TP) -> int | None:
        """The offset up to which a partition is durable."""

    async def settle(self, seconds: float) -> None:
        """Make durable what is folded."""


class _Fetched:
    """A batch in the form of one record, as Faust reads it."""

    __slots__ = (
        "checksum",
        "headers",
        "key",
        "offset",
        "partition",
        "serialized_key_size",
        "serialized_value_size",
        "timestamp",
        "timestamp_type",
        "topic",
        "value",
    )

    def __init__(self, tp: TP, start: int, records: Sequence[Any]) -> None:
        last = records[-1]
        self.topic, self.partition, self.offset = tp.topic, tp.partition, last.offset
        self.timestamp, self.timestamp_type = last.timestamp, last.timestamp_type
        self.value = Batch(start, records)
        self.headers: list[Any] = []
        self.key = self.checksum = None
        self.serialized_key_size = self.serialized_value_size = 0


class _PartitionRecords(fetcher.PartitionRecords):
    """The records of one fetched partition; for our consumers as they were decoded.

    aiokafka copies each record into an object that also names its topic: a tenth of what folding it
    costs. Which consumer asks can be told from its deserializers alone.
    """

    def __init__(
        self,
        tp: Any,
        records: Any,
        aborted: Any,
        offset: int,
        key_deserializer: Any,
        value_deserializer: Any,
        check_crcs: Any,
        isolation: Any,
    ) -> None:
        super().__init__(
            tp, records, aborted, offset, key_deserializer, value_deserializer, check_crcs, isolation
        )
        if value_deserializer is _as_decoded:
            self._consumer_record = _as_decoded


def _as_decoded(_tp: Any, record: Any) -> Any:
    return record


fetcher.PartitionRecords = _PartitionRecords


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that speaks to Kafka. A commit that fails is tried again, instead of ending the app."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust fixes 1,500 ms. Each empty fetch tells the end of the log: the freshness of idle partitions.
        consumer._fetch_max_wait_ms = _FETCH_WAIT_MS
        consumer._value_deserializer = _as_decoded
        return consumer

    async def seek_here(self, tp: TP, offset: int) -> None:
        """Seek in this thread. Faust seeks from the other one, and while a fetch goes through what has
        arrived, what it looks at next may be gone: a KeyError, which ends the worker.
        """
        await self.call_thread(self._sought, tp, offset)

    async def _sought(self, tp: TP, offset: int) -> None:
        if tp in self.assignment():  # else it was given up meanwhile
            self._ensure_consumer().seek(tp, offset)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        try:
            assigned = self.assignment()
            ours = {tp: offset for tp, offset in offsets.items() if tp in assigned}
            await self._ensure_consumer().commit(
                {driver.ensure_aiokafka_TP(tp): OffsetAndMetadata(offset, "") for tp, offset in ours.items()}
            )
            # Faust looks there, and says it is stuck if nothing was committed for long.
            self.tp_last_committed_at.update(dict.fromkeys(ours, time.monotonic()))
        except KafkaError as error:  # the next commit says the same and more; shards hold the truth
            log.warning("commit.failed", error=error)
            return False
        return True


class Consumer(driver.Consumer):
    """Fetches batches, starts partitions where their shards are, and commits what is durable."""

    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fetched_to: dict[TP, int] = {}
        """The offset from which each partition's next fetch goes on without a gap."""
        self._sought: set[TP] = set()
        """Partitions of which nothing has been fetched since they were sought."""
        self._jumps: dict[TP, tuple[int, int]] = {}
        self._partitions: dict[str, int] = {}
        self._asked_begin_at: dict[TP, float] = {}

    @property
    def owners(self) -> Sequence[Owner]:
        """Who owns the partitions, by topics."""
        app: Any = self.app
        owners: Sequence[Owner] = app.owners
        return owners

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _seek(self, partition: TP, offset: int) -> None:
        await self._thread.seek_here(partition, offset)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[TP, list[Any]]:  # noqa: ASYNC109
        fetched = await super()._getmany(active_partitions, timeout)
        if not fetched:
            return fetched
        batches: dict[TP, list[Any]] = {}
        for tp, records in fetched.items():
            if records:
                start = await self._continued(ensure_TP(tp), records[0].offset)
                if start is not None:
                    self._fetched_to[ensure_TP(tp)] = records[-1].offset + 1
                    batches[tp] = [_Fetched(ensure_TP(tp), start, records)]
        return batches

    async def _continued(self, tp: TP, first: int) -> int | None:
        """The offset from which a fetch that begins with record `first` lacks nothing; None: drop it.

        The fetcher runs in another thread, so the first fetch after a seek may still be one of before.
        Then it begins somewhere else. A log may truly have a gap there (retention, transactions): that
        is believed once the same gap comes up again after another seek.
        """
        expected = self._fetched_to.get(tp)
        if expected is None:
            return None
        if tp not in self._sought:
            if first > expected:
                await self._tell_of_loss(tp, expected, first)
            return min(expected, first)
        if first > expected and self._jumps.get(tp) != (expected, first):
            self._jumps[tp] = expected, first
            await self.seek(tp, expected)
            return None
        if first > expected:
            log.warning("log.gap", topic=tp.topic, partition=tp.partition, offset=expected, next=first)
        self._sought.discard(tp)
        self._jumps.pop(tp, None)
        return min(expected, first)

    async def _tell_of_loss(self, tp: TP, expected: int, first: int) -> None:
        """Say so if Kafka has deleted records that were not fetched: its client goes on without a word.

        Transactions and compaction leave gaps, too, and lose nothing: only the log's begin tells them apart.
        """
        now = time.monotonic()
        if now - self._asked_begin_at.get(tp, -_ASK_BEGIN_EVERY_S) < _ASK_BEGIN_EVERY_S:
            return
        self._asked_begin_at[tp] = now
        try:
            begin = (await self.earliest_offsets(tp)).get(tp, 0)
        except (KafkaError, OSError):
            return
        if begin > expected:
            log.warning("log.gap", topic=tp.topic, partition=tp.partition, offset=expected, next=first)

    async def perform_seek(self) -> None:
        """Start each partition where its owner is; partitions whose shard still loads are paused.

        Every path of Faust 0.15.3 that sets positions comes through here.
        """
        # Longer than the timeout, and Faust gives up the app's flow for good, without a word.
        patience_s = 0.75 * self.app.conf.broker_request_timeout
        try:
            async with asyncio.timeout(patience_s):
                await super().perform_seek()
        except TimeoutError as error:
            raise UnreachableError(
                f"Kafka has not told the committed offsets within {patience_s:.0f} s: start this worker again"
            ) from error
        assigned = self.assignment()
        self.pause_partitions(assigned)
        for owner in self.owners:
            mine = {tp for tp in assigned if tp.topic in owner.topics}
            committed = {tp: self._committed_offset[tp] or 0 for tp in mine}
            for tp, offset in (await owner.assign(mine, committed)).items():
                await self.start_at(tp, offset)

    async def start_at(self, tp: TP, offset: int) -> None:
        """Fetch the partition from this offset on."""
        if tp not in self.assignment():
            return
        self._fetched_to[tp] = offset
        self._sought.add(tp)
        self._jumps.pop(tp, None)
        await self.seek(tp, offset)
        if tp in self.assignment():
            self._committed_offset[tp] = offset or None
            self.resume_partitions({tp})

    def topic_partitions(self, topic: str) -> int | None:
        """How many partitions a topic has, as Kafka told this process last; None: it has not told yet.

        Faust asks the coordinator of the group, which knows it in the leader of the group only.
        """
        consumer = self._thread._consumer
        found = None if consumer is None else consumer._client.cluster.partitions_for_topic(topic)
        if found:  # a broker that does not know the topic at the moment makes none of what is known
            self._partitions[topic] = len(found)
        return self._partitions.get(topic)

    def log_end(self, tp: TP) -> tuple[int, int] | None:
        """The end offset of a partition as the last fetch told it, and when (Unix ms); None: not yet."""
        consumer = self._thread._ensure_consumer()
        try:
            # In this order: the other thread may write between, and a later end is the safe side.
            told_ms: int | None = consumer.last_poll_timestamp(tp)
            end: int | None = consumer.highwater(tp)
        except (AssertionError, KafkaError):  # aiokafka asserts that it is assigned
            return None
        return None if told_ms is None or end is None else (end, told_ms)

    async def asked_ends(self, tps: Collection[TP]) -> Mapping[TP, int]:
        """The end offsets of partitions as their leaders tell them now; of none if one does not."""
        try:
            found = await self.highwaters(*tps)
        except (KafkaError, ConsumerNotStarted) as error:
            log.warning("log.end_unknown", partitions=len(tps), error=error)
            return {}
        return {ensure_TP(tp): end for tp, end in found.items()}

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Give up what is not ours any more, even if nothing is assigned instead."""
        for owner in self.owners:
            owner.rebalanced({tp for tp in assigned if tp.topic in owner.topics})
        await super().on_partitions_assigned(assigned, generation_id)

    async def wait_empty(self) -> None:
        """Before partitions are given up: make durable what is folded, then as Faust does."""
        patience_s = self.app.conf.broker_session_timeout / 2
        await asyncio.gather(*(owner.settle(patience_s) for owner in self.owners))
        await super().wait_empty()

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing: gaps between batches are the rule, and what is durable is known without them."""

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        """What its owner has made durable is what may be committed: lag tools never see more than that."""
        committable: dict[TP, int] = {}
        owners = {topic: owner for owner in self.owners for topic in owner.topics}
        for tp in set(tps):
            self._acked[tp].clear()
            self._acked_index[tp].clear()
            durable = owners[tp.topic].durable(tp)
            if durable and durable > (self._committed_offset[tp] or 0):
                committable[tp] = durable
        return committable


class Transport(driver.Transport):
    """What Faust loads for the scheme `kafka-batches`."""

    Consumer = Consumer
