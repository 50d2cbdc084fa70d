"""Any schedule of deliveries, checkpoints, faults and owners ends with the fold of the log, on a real Redis.

Two workers' shards of one partition are driven step by step against a model of the log: batches come
late, twice, after a seek; checkpoints are refused, lost on the way or answered to nobody; Kafka holds
back acknowledgements; Redis forgets everything, goes back to an old snapshot or holds no number where one
should be; workers crash, and own the partition both at once, as a paused one and its successor do. Somebody
rebuilds the shard meanwhile, or gives up just before the end. An exporter's follower looks at it from
time to time, and what it holds must be the facts of a prefix, too.

What the machine can see was tried by breaking its subject, one thing at a time. Each of these failed
`test_hundreds_of_schedules…` within a minute:

    streams/scripts.py     a checkpoint without its fence of offsets
    streams/shards.py      an assignment one record later; a batch that begins one beyond what is folded
    streams/shard.py       records delivered again counted again; durable as soon as a checkpoint is prepared
    streams/checkpoint.py  a write that waits for no acknowledgement; a refused shard that is kept
    streams/follower.py    a gap after which the first missing chunk is left out; a shard loaded of which
                           Redis has dropped chunks; a delta of another generation taken as if it continued; one
                           taken at the offset held that continues another write (in some runs)

A checkpoint without its fence of *generations* passes: the lists of another generation have other
lengths than the shard's account of them, which the script refuses as well.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
import redis
from faust.types import TP
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from aggregators.compare import Differences, compare_facts
from aggregators.meaning import Meaning
from aggregators.state import PartitionState, fingerprint, partition_state
from events.canonical import order_key
from events.clock import Clock
from events.headers import DLQ_OFFSET
from events.keys import Partitioner
from events.log import captured
from events.settings import KafkaSettings
from events.topics import is_dlq
from streams import rebuild
from streams.follower import Follower, ShardState, connect
from streams.metrics import WorkerMetrics
from streams.rebuild import Rebuild, Rebuilt
from streams.settings import RedisSettings, WorkerSettings
from streams.shards import Shards
from streams.store import Outcome, RefusedError, StoreError, Switch, Write
from streams.topic_ids import TopicIds
from streams.transport import Batch
from tests.integration.servers import RedisServer
from tests.integration.traffic import deal, envelope

TOPIC = "crm.opportunity"
PLACE = TP(TOPIC, 0)
SHARD = f"{{{TOPIC}/0}}"
META = f"machine:{SHARD}:meta"
NUMBERS = (
    *(b"offset", b"format", b"partitions", b"statements_chunks", b"facts_chunks"),
    *(b"applied", b"unchanged", b"rekeyed", b"dead_lettered", b"fresh_ms"),
)
NUMBER = re.compile(rb"[0-9]{1,18}")
FAULTS = st.sampled_from(["", "", "", "never sent", "no answer"])


class LogRecord(NamedTuple):
    """One record of the model's log."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Log:
    """Kafka, as far as one partition and its dead letters go."""

    def __init__(self) -> None:
        self.records: list[LogRecord] = []
        self.dead: set[int] = set()
        """Offsets of records whose dead letter is acknowledged."""
        self.held: list[tuple[asyncio.Future[None], str, Any]] | None = None
        self.sent: list[str] = []
        """Topics of what workers have published."""
        self.fault: Exception | None = None
        """What publishing raises."""
        self.topic_id = "one"

    def topic_ids(self) -> dict[str, str]:
        """As Kafka tells them."""
        return {TOPIC: self.topic_id}

    def append(self, key: bytes | None, value: bytes | None, headers: Any = ()) -> None:
        """One more record."""
        self.records.append(LogRecord(len(self.records), int(time.time() * 1000), key, value, tuple(headers)))

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, partition: Any, timestamp: Any, headers: Any
    ) -> Awaitable[None]:
        """What a worker publishes; acknowledged at once, or when nothing is held back any more."""
        if self.fault is not None:
            raise self.fault
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sent = done, topic, (key, value, headers)
        self.sent.append(topic)
        if self.held is None:
            self._arrive(*sent)
        else:
            self.held.append(sent)
        return done

    def release(self) -> None:
        """Acknowledge what was held back."""
        held, self.held = self.held or [], None
        for sent in held:
            if not sent[0].cancelled():
                self._arrive(*sent)

    def _arrive(self, done: "asyncio.Future[None]", topic: str, record: Any) -> None:
        key, value, headers = record
        if is_dlq(topic):
            self.dead.add(int(dict(headers)[DLQ_OFFSET]))
        else:
            self.append(key, value, headers)
        done.set_result(None)


class Consumer:
    """Where one worker stands in the log."""

    def __init__(self, log: Log) -> None:
        self._log, self.position = log, 0
        self.fetched_end: int | None = None
        """The end that fetches tell; None: the log's."""
        self.asked: list[TP] = []
        """Whose ends were asked for."""

    async def start_at(self, tp: TP, offset: int) -> None:
        self.position = offset

    def topic_partitions(self, topic: str) -> int:
        return 1

    def log_end(self, tp: TP) -> tuple[int, int]:
        end = len(self._log.records) if self.fetched_end is None else self.fetched_end
        return end, int(time.time() * 1000)

    async def asked_ends(self, tps: Collection[TP]) -> dict[TP, int]:
        self.asked += tps
        return {tp: len(self._log.records) for tp in tps}


class Reader:
    """The log, as a rebuild reads it."""

    def __init__(self, log: Log) -> None:
        self._log, self._next = log, 0

    async def __aenter__(self) -> "Reader":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""

    async def fetch(self) -> dict[tuple[str, int], list[LogRecord]]:
        await asyncio.sleep(0)
        records, self._next = self._log.records[self._next :], len(self._log.records)
        return {(TOPIC, 0): records} if records else {}

    async def position(self, place: tuple[str, int]) -> int:
        return self._next

    def end(self, place: tuple[str, int]) -> int:
        return len(self._log.records)


class RebuildProducer:
    """What a rebuild publishes with, into the model's log."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def send(self, topic: str, *, value: Any, key: Any, partition: Any, headers: Any) -> Any:
        return await self._log.send(topic, key, value, partition, None, headers)

    async def stop(self) -> None:
        """Nothing to close."""


async def rebuilt(
    log: Log, redis_settings: RedisSettings, *, before_switch: Callable[[], Awaitable[object]]
) -> Rebuilt:
    """What `dealpulse rebuild` does to the shard; something else comes just before its last step."""
    work = Rebuild(KafkaSettings(partitions=1), redis_settings, Meaning(), Clock())
    work._producer = RebuildProducer(log)
    work._topic_ids = TopicIds(log.topic_ids)
    switches = work._store.switch

    async def at_last(switch: Switch) -> Outcome:
        await before_switch()
        return await switches(switch)

    work._store.switch = at_last  # type: ignore[method-assign]  # the moment that matters
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rebuild, "LogReader", lambda _kafka, _places: Reader(log))
        patch.setattr(rebuild, "_SURE_S", 0.01)
        try:
            return await work._rebuilt((TOPIC, 0), 1)
        finally:
            await work.close()


class Interrupted(Exception):
    """Ctrl-C."""


async def interrupt() -> None:
    """Give up here."""
    raise Interrupted


async def nothing() -> None:
    """Nobody else does anything at that moment."""


class Event:
    """A batch on its way through Faust."""

    def ack(self) -> None:
        """Counted by nobody here: what is committed is what is durable."""


class Worker:
    """One process: its shards, its place, and what the network does to its next write."""

    def __init__(
        self, log: Log, redis_settings: RedisSettings, *, partitioner: Partitioner = "murmur2"
    ) -> None:
        self.consumer = Consumer(log)
        self.shards = Shards(
            kafka=KafkaSettings(partitions=1, partitioner=partitioner),
            redis=redis_settings,
            worker=WorkerSettings(fetch_max_records=1_000),
            meaning=Meaning(),
            clock=Clock(),
            metrics=WorkerMetrics([TOPIC], version="test"),
            topic_ids=TopicIds(log.topic_ids),
        )
        self.shards.attach(self.consumer, log)
        self.fault = ""
        self._write = self.shards.store.write
        self.shards.store.write = self._faulty  # type: ignore[method-assign]

    async def _faulty(self, writes: Sequence[Write]) -> list[Outcome | RefusedError]:
        fault, self.fault = self.fault, ""
        if fault == "never sent":
            raise StoreError("connection refused")
        outcomes = await self._write(writes)
        if fault == "no answer":
            raise StoreError("connection reset")
        return outcomes


class Held:
    """What an exporter holds of the shard: chunks of facts, in the order in which they came."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.state: ShardState | None = None

    def replace(self, shard: str, chunks: list[bytes], state: ShardState) -> None:
        self.chunks, self.state = list(chunks), state

    def extend(self, shard: str, chunk: bytes, state: ShardState) -> None:
        self.chunks.append(chunk)
        self.state = state

    def renew(self, shard: str, state: ShardState) -> None:
        self.state = state

    def missing(self, shard: str, reason: str) -> None:
        self.chunks, self.state = [], None

    def stands(self, shard: str, reason: str) -> None:
        """All workers here are of one configuration."""
        raise AssertionError(reason)

    def store_up(self, up: bool) -> None:
        """Nobody asks here."""


class Schedules(RuleBasedStateMachine):
    """One partition, two workers, one Redis."""

    url = ""
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.log = Log()
        self.settings = RedisSettings(url=self.url, prefix="machine")
        # Shorter than anybody may set it, so that what an exporter has missed is often gone.
        self.settings = self.settings.model_copy(update={"delta_stream_length": 3})
        self.redis: Any = redis.Redis.from_url(self.url)
        self.redis.flushdb()
        self.snapshot: dict[bytes, bytes] = {}
        self.damaged: set[str] = set()
        """Generations that Redis has dropped chunks of: only these may lack some."""
        self.highest = 0
        """The highest offset that Redis has ever held."""
        self.numbers: Iterator[int] = iter(range(10**9))

    def run(self, doing: Awaitable[Any]) -> Any:
        """Do it, and let everything that it set off come to rest."""

        async def rest() -> Any:
            done = await doing
            for _ in range(5):
                await asyncio.sleep(0)
            return done

        return self.loop.run_until_complete(rest())

    @initialize()
    def two_workers(self) -> None:
        self.workers = [self.run(self._new()), self.run(self._new())]
        self.append(6, "twice")
        for who in range(2):
            self.membership(who, "assign")
        self.checkpoint(0, "", 4)

        self.held = Held()
        self.follower: Any = Follower(
            self.settings, [(TOPIC, 0)], fingerprint=fingerprint(Meaning()), sink=self.held
        )
        self.follower._redis = connect(self.settings)

    async def _new(self) -> Worker:
        return Worker(self.log, self.settings)

    @rule(count=st.integers(1, 6), kind=st.sampled_from(["good", "twice", "poison", "stray", "skipped"]))
    def append(self, count: int, kind: str) -> None:
        for _ in range(count):
            number = next(self.numbers)
            message = deal(number, deals=5)
            if kind == "poison":
                self.log.append(message.key, b"{")
            elif kind == "skipped":
                subject = f"opp-{number % 5}"
                value = envelope("resync", "required", subject, number, {"reason": "gap"})
                self.log.append(subject.encode(), value)
            elif kind == "stray":
                value = envelope("opportunity", "changed", f"s{number % 3}", number, {"name": "n"})
                self.log.append(None if number % 2 else b"other", value)
            else:
                for _ in range(2 if kind == "twice" else 1):
                    self.log.append(message.key, message.value)

    @rule(who=st.integers(0, 1), what=st.sampled_from(["assign", "assign", "revoke", "crash"]))
    def membership(self, who: int, what: str) -> None:
        worker = self.workers[who]
        if what == "revoke":
            worker.shards.keep_only(())
            self.run(asyncio.sleep(0))  # loads that are given up let go of their connections
        if what == "crash":
            self.run(closed(worker))
            self.workers[who] = self.run(self._new())
        if what == "assign":
            for tp, offset in self.run(worker.shards.assign({PLACE})).items():
                self.run(worker.consumer.start_at(tp, offset))
            for shard in worker.shards.live():
                assert worker.consumer.position == shard.next, "fetching goes on where folding does"

    @rule(
        who=st.integers(0, 1),
        count=st.integers(1, 8),
        fault=FAULTS,
        rounds=st.integers(1, 4),
        seen=st.sampled_from(["", "looks", "follows", "follows"]),
    )
    def deliver_and_checkpoint(self, who: int, count: int, fault: str, rounds: int, seen: str) -> None:
        self._deliver(self.workers[who], count)
        self.checkpoint(who, fault, rounds)
        if seen:
            self.exporter(seen)

    @rule(who=st.integers(0, 1), count=st.integers(1, 8))
    def deliver(self, who: int, count: int) -> None:
        self._deliver(self.workers[who], count)

    @rule(who=st.integers(0, 1), back=st.integers(1, 5))
    def deliver_again(self, who: int, back: int) -> None:
        worker = self.workers[who]
        worker.consumer.position = max(0, worker.consumer.position - back)
        self._deliver(worker, back + 1)

    @rule(who=st.integers(0, 1), lost=st.integers(1, 5))
    def lose_a_batch_on_the_way(self, who: int, lost: int) -> None:
        worker = self.workers[who]
        worker.consumer.position = min(len(self.log.records), worker.consumer.position + lost)

    def _deliver(self, worker: Worker, count: int) -> None:
        start = worker.consumer.position
        records = self.log.records[start : start + count]
        if records:
            worker.consumer.position = start + len(records)
            self.run(worker.shards.fold(PLACE, Batch(start, records), Event()))

    @rule(who=st.integers(0, 1), fault=FAULTS, rounds=st.integers(1, 4))
    def checkpoint(self, who: int, fault: str, rounds: int) -> None:
        self.workers[who].fault = fault
        for _ in range(rounds):
            self.run(self.workers[who].shards.checkpoints.write(all_due=True))

    @rule(who=st.integers(0, 1))
    def renew(self, who: int) -> None:
        self.run(self.workers[who].shards.checkpoints.renew())

    @rule(held=st.booleans())
    def kafka_holds_back(self, held: bool) -> None:
        if not held:
            self.log.release()
            self.run(asyncio.sleep(0))
        elif self.log.held is None:
            self.log.held = []

    @rule(what=st.sampled_from(["forgets", "is saved", "goes back", "drops statements", "drops facts"]))
    def redis_fault(self, what: str) -> None:
        if what == "is saved":
            self.snapshot = {key: self.redis.dump(key) for key in self.redis.scan_iter()}
        if what in ("forgets", "goes back"):
            self.redis.flushdb()
        if what == "goes back":
            for key, dumped in self.snapshot.items():
                self.redis.restore(key, 0, dumped)
        if what.startswith("drops"):
            for key in self.redis.keys(f"*:{what.split()[1]}"):
                self.damaged.add(key.decode().split(":")[-2])
                self.redis.delete(key)

    @rule(
        field=st.sampled_from(
            ["offset", "format", "partitions", "statements_chunks", "facts_chunks", "applied", "fresh_ms"]
        ),
        text=st.sampled_from(["", "x", "1e3", "0x10"]),
    )
    def a_number_of_the_meta_is_none(self, field: str, text: str) -> None:
        if self.redis.exists(META):
            self.redis.hset(META, field, text)

    @rule(
        who=st.integers(0, 1),
        count=st.integers(0, 4),
        meanwhile=st.sampled_from(["", "writes", "writes and compacts", "Ctrl-C"]),
    )
    def rebuild(self, who: int, count: int, meanwhile: str) -> None:
        """A worker goes on beside it, just before its last step; or it is given up there."""
        self.log.release()
        worker = self.workers[who]
        times = iter(range(2))

        async def writes() -> None:
            if next(times, None) is None:
                return  # or it would be faster for ever
            start = worker.consumer.position
            if records := self.log.records[start : start + count]:
                worker.consumer.position = start + len(records)
                await worker.shards.fold(PLACE, Batch(start, records), Event())
            for shard in worker.shards.live():
                if "compacts" in meanwhile and shard.rewrite is None and shard.generation:
                    shard.begin_rewrite(alone=False)
            for _ in range(4):
                await worker.shards.checkpoints.write(all_due=True)

        before = self.redis.hgetall(META)
        if meanwhile == "Ctrl-C":
            with pytest.raises(Interrupted):
                self.run(rebuilt(self.log, self.settings, before_switch=interrupt))
            assert self.redis.hgetall(META) == before, "interrupted, it changes nothing"
            return
        done = self.run(rebuilt(self.log, self.settings, before_switch=writes if meanwhile else nothing))
        assert self.redis.hget(META, "offset") == b"%d" % done.offset

    @rule(what=st.sampled_from(["looks", "follows", "follows"]))
    def exporter(self, what: str) -> None:
        """It compares what it holds with what is stored, or takes the deltas that have come."""
        if what == "looks":
            self.run(self.follower._reconcile())
        elif self.follower._held:
            streams = {
                self.follower._key(shard, "deltas"): read for shard, read in self.follower._read.items()
            }
            self.run(self.follower._take_news(streams, block_ms=None))

    @rule(who=st.integers(0, 1), times=st.integers(4, 6))
    def exporter_falls_behind(self, who: int, times: int) -> None:
        """More checkpoints than the stream keeps deltas."""
        self.exporter("looks")
        for _ in range(times):
            self.append(1, "good")
            self._deliver(self.workers[who], 1)
            self.checkpoint(who, "", 1)
        self.exporter("follows")

    @invariant()
    def the_exporter_holds_the_facts_of_a_prefix(self) -> None:
        if self.held.state is None:
            return
        wanted, counts = self._fold(self.held.state.offset)
        found = Differences()
        compare_facts(SHARD, self.held.chunks, _facts(wanted), found, lambda _subject: True)
        assert not found.total, found.kept
        assert self.held.state.counts == counts

    @rule(who=st.integers(0, 1), count=st.integers(0, 4))
    def compact(self, who: int, count: int) -> None:
        """A rewrite of a shard that is current, with news before its last step."""
        self.checkpoint(who, "", 1)
        for what in ("looks", "follows"):
            self.exporter(what)
        for shard in self.workers[who].shards.live():
            if shard.rewrite is None and shard.generation:
                shard.begin_rewrite(alone=False)
        self.checkpoint(who, "", 1)
        if count:
            self._deliver(self.workers[who], count)
        self.checkpoint(who, "", 2)
        self.exporter("follows")

    @invariant()
    def redis_holds_the_fold_of_a_prefix(self) -> None:
        """Or says by its own account of chunks that it does not, if Redis has dropped some."""
        meta = self.redis.hgetall(META)
        if not meta or not all(NUMBER.fullmatch(meta[field]) for field in NUMBERS):
            return
        generation = meta[b"generation"].decode()
        chunks = self.redis.lrange(f"machine:{SHARD}:{generation}:statements", 0, -1)
        facts = self.redis.llen(f"machine:{SHARD}:{generation}:facts")
        offset = int(meta[b"offset"])
        self.highest = max(self.highest, offset)
        if generation in self.damaged or meta[b"partitions"] != b"1":
            return
        assert len(chunks) == int(meta[b"statements_chunks"])
        assert facts == int(meta[b"facts_chunks"])
        stored = partition_state(TOPIC, 0, 1, "murmur2", Meaning())
        stored.load(chunks)
        wanted, counts = self._fold(offset)
        assert _events(stored) == _events(wanted)
        assert stored._resyncs == wanted._resyncs
        pending = meta[b"resync_pending"].decode()
        assert pending == "".join(f"{name}={count}" for name, count in wanted.resync_pending().items())
        assert {name: int(meta[name.encode()]) for name in counts} == counts
        assert sum(counts.values()) == offset

    @invariant()
    def nothing_counts_as_durable_that_redis_never_held(self) -> None:
        held = self.redis.hget(META, "offset") or b""
        self.highest = max(self.highest, int(held) if NUMBER.fullmatch(held) else 0)
        for worker in self.workers:
            assert (worker.shards.durable(PLACE) or 0) <= self.highest

    @invariant()
    def no_dead_letter_is_missing_below_what_is_durable(self) -> None:
        held = self.redis.hget(META, "offset") or b""
        until = int(held) if NUMBER.fullmatch(held) else 0
        refused = {record.offset for record in self.log.records[:until] if record.value == b"{"}
        assert refused <= self.log.dead

    def teardown(self) -> None:
        if not hasattr(self, "workers"):
            return
        self.log.release()
        last = self.workers[0]
        self.workers[1].shards.keep_only(())
        for _ in range(60):
            self.membership(0, "assign")
            self._deliver(last, 1_000)
            self.run(last.shards.checkpoints.write(all_due=True))
            self.run(last.shards.checkpoints.renew())
            if self._is_done():
                break
        self.redis_holds_the_fold_of_a_prefix()
        assert self._is_done()
        for what in ("looks", "follows", "looks"):
            self.exporter(what)
        self.the_exporter_holds_the_facts_of_a_prefix()
        assert self.held.state is not None
        assert self.held.state.offset == len(self.log.records)
        self.run(self.follower._redis.aclose())
        for worker in self.workers:
            self.run(closed(worker))
        self.redis.close()

    def _is_done(self) -> bool:
        meta = self.redis.hgetall(META)
        if not meta or not all(NUMBER.fullmatch(meta[field]) for field in NUMBERS):
            return False
        if int(meta[b"offset"]) != len(self.log.records):
            return False
        name = f"machine:{SHARD}:{int(meta[b'generation'])}"
        return all(
            self.redis.llen(f"{name}:{part}") == int(meta[f"{part}_chunks".encode()])
            for part in ("statements", "facts")
        )

    def _fold(self, offset: int) -> tuple[PartitionState, dict[str, int]]:
        state = partition_state(TOPIC, 0, 1, "murmur2", Meaning())
        records = self.log.records[:offset]
        folded = state.fold([record.key for record in records], [record.value for record in records])
        return state, {
            "applied": folded.applied,
            "unchanged": folded.unchanged,
            "rekeyed": len(folded.misplaced),
            "dead_lettered": len(folded.refused),
        }


async def closed(worker: Worker) -> None:
    """Give up everything and end a worker's connections, once loads under way have let go of theirs."""
    loading = list(worker.shards._restores.values())
    worker.shards.keep_only(())
    await asyncio.gather(*loading, return_exceptions=True)
    for _ in range(5):
        await asyncio.sleep(0)
    await worker.shards.store.close()


def _facts(state: PartitionState) -> list[bytes]:
    return [state.dump(state.subjects(), first=True).facts]


def _events(state: PartitionState) -> list[Any]:
    return sorted((event.subject, order_key(event)) for event in state.events())


def run_schedules(redis_url: str, *, examples: int, steps: int) -> None:
    """So many schedules of so many steps. What the workers log is not told."""
    with captured():
        _run_schedules(redis_url, examples, steps)


def _run_schedules(redis_url: str, examples: int, steps: int) -> None:
    loop = asyncio.new_event_loop()
    Schedules.url, Schedules.loop = redis_url, loop
    try:
        run_state_machine_as_test(
            Schedules, settings=settings(max_examples=examples, stateful_step_count=steps)
        )
    finally:
        loop.close()


def test_what_is_folded_while_a_checkpoint_waits_is_written_right_behind_it(redis_url: str) -> None:
    async def flow() -> None:
        log = Log()
        worker = Worker(log, RedisSettings(url=redis_url, prefix="machine"))
        shards = worker.shards
        writing = asyncio.create_task(shards.checkpoints.run())
        try:
            await shards.assign({PLACE})
            log.append(b"opp-1", b"{")
            log.append(b"opp-1", b"{")
            async with asyncio.timeout(10):
                while not shards.live()[0].generation:  # noqa: ASYNC110 - the shard is plain values
                    await asyncio.sleep(0.01)
                log.held = []
                for start in (0, 1):
                    await shards.fold(PLACE, Batch(start, log.records[start : start + 1]), Event())
                    while not log.held:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                    await asyncio.sleep(0.1)  # rounds in which nothing can be written
                log.release()
                while shards.durable(PLACE) != 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        finally:
            writing.cancel()
            shards.keep_only(())
            await shards.store.close()

    with captured():
        asyncio.run(flow())


def test_hundreds_of_schedules_end_with_the_fold_of_the_log(redis_url: str) -> None:
    run_schedules(redis_url, examples=150, steps=30)


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_thousands_of_schedules_end_with_the_fold_of_the_log(redis_url: str) -> None:
    run_schedules(redis_url, examples=2_000, steps=50)


@pytest.fixture(scope="module", autouse=True)
def _own_redis(redis_server: RedisServer) -> None:
    """The server of the session; each test has its own database in it."""
