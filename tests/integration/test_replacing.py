"""Who may put a shard in the place of which: rebuilds, workers in the middle of a rewrite, and damaged meta."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import redis
from faust.types import TP

from aggregators.meaning import Meaning
from aggregators.state import fingerprint, pack, partition_state, unpack
from events.keys import Partitioner
from events.log import captured
from events.topics import dlq_of
from streams import shards as shards_module
from streams.follower import Follower, connect
from streams.health import readiness
from streams.settings import RedisSettings
from streams.transport import Batch
from tests.integration.test_schedules import (
    META,
    PLACE,
    SHARD,
    TOPIC,
    Event,
    Held,
    Interrupted,
    Log,
    Worker,
    closed,
    interrupt,
    nothing,
    rebuilt,
)
from tests.integration.traffic import deal, envelope, until


class Stand:
    """A log, a Redis, and the workers of a test."""

    def __init__(self, url: str) -> None:
        self.settings = RedisSettings(url=url, prefix="machine")
        self.redis: Any = redis.Redis.from_url(url)
        self.log = Log()
        self.workers: list[Worker] = []

    def append(self, count: int, *, start: int = 0) -> None:
        for number in range(start, start + count):
            message = deal(number, deals=50)
            self.log.append(message.key, message.value)

    def new_log(self, count: int) -> None:
        """The topic is made anew, with other deals in it."""
        self.log.records.clear()
        for number in range(count):
            subject = f"anew-{number}"
            value = envelope("opportunity", "changed", subject, number, {"name": subject})
            self.log.append(subject.encode(), value)

    async def worker(self, *places: TP, partitioner: Partitioner = "murmur2") -> Worker:
        worker = Worker(self.log, self.settings, partitioner=partitioner)
        self.workers.append(worker)
        for tp, offset in (await worker.shards.assign({PLACE, *places})).items():
            if tp == PLACE:
                worker.consumer.position = offset
        return worker

    async def folds(self, worker: Worker, tp: TP = PLACE) -> None:
        """What is left of the log."""
        (shard,) = [shard for shard in worker.shards.live() if shard.topic == tp.topic]
        if records := self.log.records[shard.next :]:
            await worker.shards.fold(tp, Batch(shard.next, records), Event())
            await asyncio.sleep(0)  # deliveries take a turn

    async def writes(self, worker: Worker, rounds: int = 4) -> None:
        for _ in range(rounds):
            await worker.shards.checkpoints.write(all_due=True)
            await asyncio.sleep(0)  # its tasks take a turn

    async def written(self, count: int = 30) -> Worker:
        """A worker that has folded so much and written it."""
        self.append(count)
        worker = await self.worker()
        await self.folds(worker)
        await self.writes(worker)
        assert worker.shards.durable(PLACE) == count
        return worker

    async def left(self) -> dict[bytes, bytes]:
        """What Redis holds once a worker has written 30 records and is gone."""
        worker = await self.written(30)
        worker.shards.keep_only(())
        return self.meta()

    async def renewed(self) -> dict[bytes, bytes]:
        """What Redis holds once another worker has taken it over."""
        worker = await self.worker()
        await worker.shards.checkpoints.renew()
        return self.meta()

    async def rebuilt(self, before_switch: Callable[[], Awaitable[object]] = nothing) -> None:
        await rebuilt(self.log, self.settings, before_switch=before_switch)

    def meta(self) -> dict[bytes, bytes]:
        held: dict[bytes, bytes] = self.redis.hgetall(META)
        return held

    def subjects(self) -> set[str]:
        """The entities in Redis."""
        state = partition_state(TOPIC, 0, 1, "murmur2", Meaning())
        generation = self.meta()[b"generation"].decode()
        state.load(self.redis.lrange(f"machine:{SHARD}:{generation}:statements", 0, -1))
        return set(state.subjects())

    def require_the_fold_of_the_log(self) -> None:
        """By its own account and by its statements."""
        state = partition_state(TOPIC, 0, 1, "murmur2", Meaning())
        folded = state.fold(
            [record.key for record in self.log.records], [record.value for record in self.log.records]
        )
        meta = self.meta()
        assert self.subjects() == set(state.subjects())
        assert int(meta[b"offset"]) == len(self.log.records)
        assert int(meta[b"applied"]) == folded.applied


def stands(redis_url: str, test: Callable[[Stand], Awaitable[None]]) -> list[dict[str, Any]]:
    """Run a test; what was logged."""

    async def run() -> None:
        stand = Stand(redis_url)
        try:
            async with asyncio.timeout(30):
                await test(stand)
        finally:
            for worker in stand.workers:
                await closed(worker)
            stand.redis.close()

    with captured() as lines:
        asyncio.run(run())
    return lines


def is_durable(worker: Worker, offset: int, tp: TP = PLACE) -> bool:
    return worker.shards.durable(tp) == offset


def test_a_rebuild_of_a_shard_beyond_its_log_changes_nothing_until_its_last_step(redis_url: str) -> None:
    async def test(stand: Stand) -> None:
        await stand.written(30)
        stand.new_log(10)
        before = stand.meta()

        with pytest.raises(Interrupted):
            await stand.rebuilt(interrupt)

        assert stand.meta() == before
        await stand.rebuilt()
        stand.require_the_fold_of_the_log()
        assert stand.meta()[b"replaces"] == before[b"generation"]

    stands(redis_url, test)


def test_a_worker_that_has_not_seen_the_new_log_takes_up_what_was_rebuilt_at_a_lower_offset(
    redis_url: str,
) -> None:
    async def test(stand: Stand) -> None:
        worker = await stand.written(30)
        old = list(stand.log.records)
        for how in ("renews", "writes", "writes anew"):
            stand.log.records[:] = old
            stand.redis.flushdb()
            worker = await stand.worker()
            await stand.folds(worker)
            await stand.writes(worker)
            assert worker.shards.durable(PLACE) == 30
            if how != "renews":
                stand.append(1, start=30)
                await stand.folds(worker)
            if how == "writes anew":
                worker.shards.live()[0].begin_rewrite(alone=True)
            stand.new_log(10)
            await stand.rebuilt()

            if how == "renews":
                await worker.shards.checkpoints.renew()
            await stand.writes(worker)
            await until(partial(is_durable, worker, 10), f"the worker that {how} has the new log")

            stand.require_the_fold_of_the_log()

    told = [line["event"] for line in stands(redis_url, test)]
    assert told.count("shard.write_refused") == 3
    assert "shard.lost" not in told, "nothing is written in full in vain"


def test_a_rebuild_sends_what_nobody_has_sent_of_a_log_that_was_made_anew(redis_url: str) -> None:
    async def test(stand: Stand) -> None:
        await stand.written(30)
        stand.new_log(5)
        stand.log.append(b"k", b"{")

        await stand.rebuilt()

        assert stand.log.sent == [dlq_of(TOPIC)]
        assert stand.log.dead == {5}

    stands(redis_url, test)


def test_a_rebuild_that_a_worker_overtakes_loses_and_doubles_nothing(redis_url: str) -> None:
    async def test(stand: Stand) -> None:
        worker = await stand.written(30)
        times = 0

        async def goes_on() -> None:
            nonlocal times
            times += 1
            if times <= 2:
                stand.append(3, start=100 * times)
                await stand.folds(worker)
                if times == 2:
                    worker.shards.live()[0].begin_rewrite(alone=False)
                await stand.writes(worker)

        await stand.rebuilt(goes_on)
        assert times == 3
        stand.require_the_fold_of_the_log()

        stand.append(3, start=300)
        await stand.folds(worker)
        await stand.writes(worker)
        await until(partial(is_durable, worker, 36), "the rebuild and what came meanwhile")
        await stand.folds(worker)
        await stand.writes(worker)
        stand.require_the_fold_of_the_log()

    assert [line["event"] for line in stands(redis_url, test)].count("shard.write_refused") == 1


def test_a_workers_own_rewrite_does_not_undo_a_rebuild(redis_url: str) -> None:
    async def test(stand: Stand) -> None:
        await stand.written(30)
        statements = f"machine:{SHARD}:{stand.meta()[b'generation'].decode()}:statements"
        document = unpack(stand.redis.lindex(statements, -1))
        corrupted = [b"corrupted-%d" % number for number in range(len(document[2]))]
        stand.redis.lset(statements, -1, pack([*document[:2], corrupted, *document[3:]]))
        worker = await stand.worker()
        (shard,) = worker.shards.live()
        assert "corrupted-1" in shard.state.subjects()

        shard.begin_rewrite(alone=True)  # as after a change of the configuration
        await stand.rebuilt()
        stand.append(5, start=30)
        await stand.folds(worker)
        await stand.writes(worker)
        assert "corrupted-1" not in stand.subjects()
        await until(partial(is_durable, worker, 30), "the shard is written again")
        await stand.folds(worker)
        await stand.writes(worker)

        stand.require_the_fold_of_the_log()

    stands(redis_url, test)


def test_a_worker_writes_anew_over_an_old_snapshot_of_another_generation(redis_url: str) -> None:
    async def test(stand: Stand) -> None:
        worker = await stand.written(20)
        snapshot = {key: stand.redis.dump(key) for key in stand.redis.scan_iter()}
        worker.shards.live()[0].begin_rewrite(alone=False)
        stand.append(10, start=20)
        await stand.folds(worker)
        await stand.writes(worker)
        assert worker.shards.durable(PLACE) == 30
        stand.redis.flushdb()
        for key, dumped in snapshot.items():
            stand.redis.restore(key, 0, dumped)

        await worker.shards.checkpoints.renew()
        await stand.writes(worker)

        stand.require_the_fold_of_the_log()

    told = [line["event"] for line in stands(redis_url, test)]
    assert "shard.lost" in told
    assert "shard.write_refused" not in told


FIELDS = ("offset", "format", "partitions", "statements_chunks", "facts_chunks", "applied", "fresh_ms")


@pytest.mark.parametrize("text", ["x", "", "1e3", "-7", " 4", "9" * 5_000, None])
@pytest.mark.parametrize("field", FIELDS)
def test_a_meta_field_that_is_no_number_is_repaired_by_whoever_meets_it(
    redis_url: str, field: str, text: str | None
) -> None:
    """A live worker, one that loads it, and a rebuild."""

    def damage(stand: Stand) -> None:
        if text is None:
            stand.redis.hdel(META, field)
        else:
            stand.redis.hset(META, field, text)

    async def test(stand: Stand) -> None:
        worker = await stand.written(30)
        for step in ("renews", "writes"):
            damage(stand)
            if step == "writes":
                stand.append(1, start=len(stand.log.records))
                await stand.folds(worker)
            else:
                await worker.shards.checkpoints.renew()
            await stand.writes(worker)
            stand.require_the_fold_of_the_log()
        worker.shards.keep_only(())

        damage(stand)
        worker = await stand.worker()
        assert not worker.shards.fault.done()
        await stand.folds(worker)
        await stand.writes(worker)
        stand.require_the_fold_of_the_log()
        worker.shards.keep_only(())

        damage(stand)
        await stand.rebuilt()
        stand.require_the_fold_of_the_log()

    told = stands(redis_url, test)
    is_a_number = (field, text) == ("fresh_ms", "-7")
    harmless = is_a_number or (field, text) == ("fresh_ms", None)
    why = [line["why"] for line in told if line["event"] == "shard.rebuilt"]
    assert len(why) == (not harmless)
    assert all(field in each for each in why)


def test_an_exporter_leaves_a_shard_out_whose_meta_is_damaged_and_the_others_go_on(redis_url: str) -> None:
    class Told(Held):
        def __init__(self) -> None:
            super().__init__()
            self.reasons: list[tuple[str, str]] = []
            self.offsets: dict[str, int] = {}

        def replace(self, shard: str, chunks: list[bytes], state: Any) -> None:
            self.offsets[shard] = state.offset

        def renew(self, shard: str, state: Any) -> None:
            self.offsets[shard] = state.offset

        def extend(self, shard: str, chunk: bytes, state: Any) -> None:
            self.offsets[shard] = state.offset

        def missing(self, shard: str, reason: str) -> None:
            self.reasons.append((shard, reason))

        stands = missing

    async def test(stand: Stand) -> None:
        other = TP("crm.account", 0)
        worker = await stand.written(30)
        worker = await stand.worker(other)
        await stand.writes(worker)
        sink = Told()
        follower: Any = Follower(
            stand.settings, [(TOPIC, 0), ("crm.account", 0)], fingerprint=fingerprint(Meaning()), sink=sink
        )
        follower._redis = connect(stand.settings)
        try:
            for field in ("offset", "facts_chunks"):
                follower._held.clear()
                follower._unreadable.clear()
                sink.offsets.clear()
                sink.reasons.clear()
                stand.redis.hset(META, field, "x")
                await follower._reconcile()
                await follower._reconcile()
                assert set(sink.reasons) == {(f"{TOPIC}/0", "unreadable")}
                assert sink.offsets == {"crm.account/0": 0}

                await worker.shards.checkpoints.renew()
                await stand.writes(worker)
                await follower._reconcile()
                assert sink.offsets == {"crm.account/0": 0, f"{TOPIC}/0": 30}
        finally:
            await follower._redis.aclose()

    stands(redis_url, test)


def test_what_a_worker_builds_anew_is_not_published_again(redis_url: str) -> None:
    async def test(stand: Stand) -> None:
        for number in range(4):
            stand.log.append(b"k", b"{")
            value = envelope("opportunity", "changed", f"s{number}", number, {"name": "n"})
            stand.log.append(b"elsewhere", value)
        worker = await stand.worker()
        await stand.folds(worker)
        await stand.folds(worker)
        await stand.writes(worker)
        stand.require_the_fold_of_the_log()
        before, sent = stand.meta(), list(stand.log.sent)
        assert sorted(sent) == sorted([TOPIC, dlq_of(TOPIC)] * 4)
        worker.shards.keep_only(())
        stand.log.append(b"k", b"[")  # one that Redis does not know of

        stand.redis.hset(META, "format", 0)
        worker = await stand.worker()
        await stand.folds(worker)
        await stand.writes(worker)

        stand.require_the_fold_of_the_log()
        assert stand.log.sent == [*sent, dlq_of(TOPIC)]
        after = stand.meta()
        assert int(after[b"rekeyed"]) == int(before[b"rekeyed"]) == 4
        assert int(after[b"dead_lettered"]) == int(before[b"dead_lettered"]) + 1 == 5

    stands(redis_url, test)


def test_a_shard_built_anew_whose_log_ends_before_it_is_left_alone(redis_url: str) -> None:
    async def test(stand: Stand) -> None:
        await stand.left()
        stand.redis.hset(META, "applied", "x")
        stand.new_log(10)
        worker = await stand.worker()
        (shard,) = worker.shards.live()
        await stand.folds(worker)
        for told_ms in range(0, 12_000, 1_000):
            shard.see_end(10, told_ms)
        assert shard.log_is_shorter
        watching = asyncio.create_task(worker.shards.watch_log(0.01))
        await until(lambda: PLACE in worker.shards.left_alone, "the shard is left alone")
        watching.cancel()
        why = worker.shards.left_alone[PLACE]
        assert "ends at offset 10, but the shard is true for offset 30" in why
        assert f"`dealpulse rebuild --partition {PLACE.topic}/{PLACE.partition} --yes`" in why

    stands(redis_url, test)


def test_a_log_that_seems_shorter_after_a_change_of_leader_is_not_left_alone(redis_url: str) -> None:
    """A new leader's fetches tell an end that lags behind, for a moment; asked for the end, it waits until it knows."""

    async def test(stand: Stand) -> None:
        worker = await stand.written(30)
        (shard,) = worker.shards.live()
        shard.see_end(30, 0)
        fresh_ms = shard.fresh_ms = 0

        def is_shorter(end: int, *told_ms: int) -> bool:
            for each in told_ms:
                shard.see_end(end, each)
            return shard.log_is_shorter

        assert not is_shorter(10, *range(1_000, 10_500, 500)), "for less than ten seconds"
        assert shard.fresh_ms == fresh_ms, "an end before what is folded says nothing of it"
        assert not is_shorter(30, 10_500)
        assert not is_shorter(10, *range(11_000, 20_500, 500)), "not without interruption"
        assert is_shorter(10, 30_000)

        worker.consumer.fetched_end = 10
        watching = asyncio.create_task(worker.shards.watch_log(0.01))
        await until(lambda: len(worker.consumer.asked) > 2, "Kafka is asked, again and again")
        watching.cancel()
        assert worker.shards.live() == [shard]
        assert worker.shards.left_alone == {}

    stands(redis_url, test)


def test_a_shard_of_another_topic_is_left_alone_until_it_is_rebuilt_however_long_the_new_log(
    redis_url: str,
) -> None:
    async def test(stand: Stand) -> None:
        before = await stand.left()
        assert before[b"topic_id"] == b"one"

        stand.new_log(40)
        stand.log.records[3] = stand.log.records[3]._replace(value=b"{")
        stand.log.topic_id = "two"
        worker = await stand.worker()
        assert worker.shards.live() == []
        assert "(its id was one, is two)" in worker.shards.left_alone[PLACE]
        assert "dealpulse rebuild --all --yes" in worker.shards.left_alone[PLACE]
        assert stand.meta() == before

        await stand.rebuilt()
        assert stand.meta()[b"topic_id"] == b"two"
        assert stand.log.dead == {3}, "below the old offset, too, nobody has sent anything of this log"
        worker = await stand.worker()
        assert worker.shards.left_alone == {}
        stand.require_the_fold_of_the_log()

        stand.redis.hdel(META, "topic_id")  # as an older version has written it
        assert (await stand.renewed())[b"topic_id"] == b"two"

        stand.log.topic_id = ""  # a broker that tells none
        assert (await stand.renewed())[b"topic_id"] == b"two"

    stands(redis_url, test)


def test_a_topic_that_is_made_anew_under_a_running_worker_is_left_alone(redis_url: str) -> None:
    async def test(stand: Stand) -> None:
        worker = await stand.written(30)
        (shard,) = worker.shards.live()
        stand.new_log(10)
        stand.log.topic_id = "two"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                shards_module, "_ID_FRESH_S", 0.0
            )  # an end before what is folded: Kafka is asked anew
            watching = asyncio.create_task(worker.shards.watch_log(0.01))
            await until(lambda: PLACE in worker.shards.left_alone, "the shard is left alone", seconds=5)
            watching.cancel()
        assert not shard.log_is_shorter, "sooner than by its length"
        assert "(its id was one, is two)" in worker.shards.left_alone[PLACE]

    stands(redis_url, test)


def test_a_shard_of_another_partitioner_is_left_alone_and_one_that_does_not_say_is_adopted(
    redis_url: str,
) -> None:
    async def test(stand: Stand) -> None:
        before = await stand.left()
        assert before[b"partitioner"] == b"murmur2"

        other = await stand.worker(partitioner="crc32")
        assert other.shards.live() == []
        assert other.shards.left_alone[PLACE].startswith(
            f"{TOPIC}: its shards were folded with kafka.partitioner = murmur2, configured is crc32"
        )
        assert "dealpulse repartition" in other.shards.left_alone[PLACE]
        assert stand.meta() == before
        ours: tuple[Partitioner, ...] = ("crc32", "murmur2")
        for partitioner in ours:
            held = Held()
            follower: Any = Follower(
                stand.settings,
                [(TOPIC, 0)],
                fingerprint=fingerprint(Meaning()),
                sink=held,
                partitioner=partitioner,
            )
            follower._redis = connect(stand.settings)
            await follower._reconcile()
            await follower._redis.aclose()
            assert (held.state is not None) == (partitioner == "murmur2"), (
                "an exporter does not mix shards of two"
            )

        stand.redis.hdel(META, "partitioner")  # as an older version has written it
        assert (await stand.renewed())[b"partitioner"] == b"murmur2"

    stands(redis_url, test)


def test_a_write_that_redis_refuses_holds_up_no_other_shard(redis_url: str) -> None:
    async def test(stand: Stand) -> None:
        other = TP("crm.account", 0)
        worker = await stand.worker(other)
        await stand.writes(worker)
        stand.append(5)
        meta = "machine:{crm.account/0}:meta"
        stand.redis.rename(meta, "aside")
        stand.redis.set(meta, "no hash")
        account = envelope("account", "changed", "a", 1, {"name": "n"})
        log = Log()
        log.append(b"a", account)

        await worker.shards.fold(other, Batch(0, log.records), Event())
        await stand.folds(worker)
        assert await worker.shards.checkpoints.write()

        assert (worker.shards.durable(PLACE), worker.shards.durable(other)) == (5, 0)
        count = worker.shards.metrics.registry.get_sample_value
        name = "dealpulse_worker_checkpoints_total"
        assert count(name, {"result": "failed"}) == 1
        (redis_check,) = [check for check in readiness(worker.shards) if check.name == "redis"]
        assert not redis_check.ok
        assert redis_check.detail.startswith("crm.account/0 not written: Redis at ")

        # It is tried again by itself, while the other goes on.
        running = asyncio.create_task(worker.shards.checkpoints.run())
        stand.append(5, start=5)
        await stand.folds(worker)
        await until(partial(is_durable, worker, 10), "the other shard goes on")
        assert worker.shards.durable(other) == 0
        stand.redis.rename("aside", meta)
        await until(partial(is_durable, worker, 1, other), "the refused one is tried again")
        running.cancel()
        assert worker.shards.checkpoints.refused == {}

    told = stands(redis_url, test)
    refused = [line for line in told if line["event"] == "shard.not_written"]
    assert [(line["shard"], "WRONGTYPE" in str(line["error"])) for line in refused] == [
        ("crm.account/0", True)
    ]
