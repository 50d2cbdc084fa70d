"""The motion on real servers: whatever happens, Redis holds what folding the whole log at once gives."""

import itertools
import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import redis
from kafka.admin import KafkaAdminClient

from aggregators.meaning import KpiSettings, Meaning
from dealpulse.child import free_port
from events.headers import DLQ_EXCEPTION, DLQ_OFFSET, DLQ_PARTITION, DLQ_TOPIC, RECORDED
from events.keys import partition_of
from tests.integration.servers import Broker, RedisServer, Tansu
from tests.integration.traffic import (
    PARTITIONS,
    Message,
    Stored,
    deal,
    envelope,
    log_of,
    make_topics,
    mixed,
    publish,
    require_equal_to_batch,
    streaming,
    wait_for_all,
    wait_until,
)
from tests.integration.worker import Worker

ALL = 7 * PARTITIONS
on_tansu_alone = pytest.mark.parametrize("broker", ["tansu"], indirect=True)
"""For what concerns the broker little: the other one would only take its time."""


def owned(worker: Worker) -> int:
    """How many partitions a worker has."""
    return int(worker.metric("dealpulse_worker_assigned_partitions"))


def start_together(stack: ExitStack, *workers: Worker) -> None:
    """Start these at the same time, and stop them with the stack."""
    with ThreadPoolExecutor() as pool:
        for worker in workers:
            stack.callback(worker.stop)
        list(pool.map(Worker.start, workers))


def test_two_workers_killed_and_paused_lose_and_double_nothing(
    empty_broker: Broker, redis_url: str, unique: str
) -> None:
    brokers = empty_broker.brokers
    make_topics(brokers)
    first, second = Worker(brokers, redis_url, group=unique), Worker(brokers, redis_url, group=unique)
    with ExitStack() as stack:
        start_together(stack, first, second)
        sent = stack.enter_context(streaming(brokers, mixed(1_000_000), per_second=500))
        wait_until(lambda: owned(first) + owned(second) == ALL and owned(second) > 0, "both own some")
        wait_until(lambda: sent() > 500, "traffic flows")

        first.kill()
        first.start()
        wait_until(lambda: owned(first) + owned(second) == ALL and owned(first) > 0, "it is back")

        second.pause()
        wait_until(lambda: owned(first) == ALL, "the other one owns everything")
        seen = sent()
        wait_until(lambda: sent() > seen + 200, "traffic flows on")
        second.resume()
        wait_until(lambda: owned(first) + owned(second) == ALL, "the paused worker knows")

        first.stop()
        wait_until(lambda: owned(second) == ALL, "it takes over from one that stops")

    with Worker(brokers, redis_url, group=unique):
        wait_for_all(brokers, redis_url)
    require_equal_to_batch(brokers, redis_url)


def test_batches_of_every_codec_are_folded(empty_broker: Broker, redis_url: str, unique: str) -> None:
    brokers = empty_broker.brokers
    make_topics(brokers)
    messages = [deal(number) for number in range(400)]
    for codec, start in zip(("lz4", "snappy", "zstd", "gzip"), range(0, 400, 100), strict=True):
        publish(brokers, messages[start : start + 100], codec=codec)

    with Worker(brokers, redis_url, group=unique):
        wait_for_all(brokers, redis_url)

    require_equal_to_batch(brokers, redis_url)
    assert (
        sum(Stored(redis_url, "crm.opportunity", p, Meaning()).counts["applied"] for p in range(PARTITIONS))
        == 400
    )


POISON = {
    "malformed": [b"\xff\xfe", b"{", b"[1]", b'{"a":"' + b"x" * (1 << 20) + b'"}'],
    "invalid_envelope": [
        envelope("opportunity", "changed", "opp-1", 1, {}, time="2026-01-01T00:00:00"),
        envelope("opportunity", "changed", "opp-1", 1, {}, id=""),
    ],
    "unknown_type": [
        envelope("opportunity", "exploded", "opp-1", 1, {}),
        envelope("employee", "changed", "opp-1", 1, {}),
    ],
    "invalid_data": [
        envelope("opportunity", "changed", "opp-1", 1, {"amount": "NaN", "currency": "USD"}),
        envelope("opportunity", "changed", "opp-1", 1, {"currency": "XXQ"}),
    ],
}


def test_poison_between_good_records_goes_to_the_dead_letters_byte_for_byte(
    empty_broker: Broker, redis_url: str, unique: str
) -> None:
    brokers = empty_broker.brokers
    make_topics(brokers)
    poison = [(reason, value) for reason, values in POISON.items() for value in values]
    partition = partition_of(b"opp-1", PARTITIONS, "murmur2")
    messages: list[Message] = []
    for number, (_, value) in enumerate(poison):
        good = envelope("opportunity", "changed", "opp-1", number, {"stage": "Proposal"}, id=f"g{number}")
        messages += [Message("crm.opportunity", b"opp-1", good, partition)]
        messages += [Message("crm.opportunity", b"opp-1", value, partition)]
    publish(brokers, messages)

    with Worker(brokers, redis_url, group=unique) as worker:
        wait_for_all(brokers, redis_url)
        for reason, values in POISON.items():
            assert worker.metric("dealpulse_dead_letters_total", reason=reason) == len(values)

    require_equal_to_batch(brokers, redis_url)
    log = log_of(brokers, "crm.opportunity")[partition]
    letters = list(itertools.chain.from_iterable(log_of(brokers, "crm.opportunity.dlq").values()))
    found = {}
    for letter in letters:
        headers = dict(letter.headers)
        assert headers[DLQ_TOPIC] == b"crm.opportunity"
        assert headers[DLQ_PARTITION] == b"%d" % partition
        origin = log[int(headers[DLQ_OFFSET])]
        assert (letter.key, letter.value) == (origin.key, origin.value)
        found[int(headers[DLQ_OFFSET])] = headers[DLQ_EXCEPTION].decode()
    assert found == {2 * number + 1: reason for number, (reason, _) in enumerate(poison)}


@pytest.mark.trap("two publishers with different partitioners")
def test_records_under_no_or_a_wrong_key_or_partition_are_put_where_they_belong(
    empty_broker: Broker, redis_url: str, unique: str
) -> None:
    brokers = empty_broker.brokers
    make_topics(brokers)
    home = partition_of(b"opp-1", PARTITIONS, "murmur2")

    def stray(number: int, key: bytes | None, partition: int) -> Message:
        value = envelope("opportunity", "changed", "opp-1", number, {"name": f"n{number}"})
        return Message("crm.opportunity", key, value, partition)

    strays = [
        stray(1, None, home),
        stray(2, None, (home + 1) % PARTITIONS),
        stray(3, b"other", home),
        stray(4, b"opp-1", (home + 2) % PARTITIONS),
    ]
    publish(brokers, strays)

    with Worker(brokers, redis_url, group=unique):
        wait_for_all(brokers, redis_url)
        time_to_come_again = sum(map(len, log_of(brokers, "crm.opportunity").values()))
        assert time_to_come_again == 2 * len(strays)
        wait_for_all(brokers, redis_url)

    require_equal_to_batch(brokers, redis_url)
    shards = [Stored(redis_url, "crm.opportunity", p, Meaning()) for p in range(PARTITIONS)]
    assert sum(shard.counts["rekeyed"] for shard in shards) == len(strays)
    assert shards[home].state.subjects() == ["opp-1"]
    assert len(list(shards[home].state.events())) == len(strays)
    log = log_of(brokers, "crm.opportunity")
    first_times = {
        record.value: record.timestamp for records in log.values() for record in records if not record.headers
    }
    for record in (record for records in log.values() for record in records if record.headers):
        assert record.key == b"opp-1"
        assert dict(record.headers)[RECORDED] == b"%d" % first_times[record.value]


@on_tansu_alone
def test_a_redis_that_forgets_everything_is_written_again_while_events_flow(
    empty_broker: Broker, redis_url: str, unique: str
) -> None:
    brokers = empty_broker.brokers
    make_topics(brokers)
    with (
        Worker(brokers, redis_url, group=unique) as worker,
        streaming(brokers, mixed(1_000_000), per_second=1_000) as sent,
        redis.Redis.from_url(redis_url) as client,
    ):
        for _ in range(2):
            seen = sent()
            wait_until(lambda seen=seen: sent() > seen + 1_000, "traffic flows")  # type: ignore[misc]
            client.flushdb()
        wait_until(lambda: bool(worker.said("shard.rewritten")), "shards are written again")
        seen = sent()
        wait_until(lambda: sent() > seen + 500, "traffic flows on")
        assert worker.said("shard.lost")
    with Worker(brokers, redis_url, group=unique):
        wait_for_all(brokers, redis_url)
    require_equal_to_batch(brokers, redis_url)


@on_tansu_alone
def test_another_configuration_recomputes_facts_without_replay(
    empty_broker: Broker, redis_url: str, unique: str
) -> None:
    brokers = empty_broker.brokers
    make_topics(brokers)
    publish(brokers, [deal(number) for number in range(500)])
    with Worker(brokers, redis_url, group=unique):
        wait_for_all(brokers, redis_url)
    before = Stored(redis_url, "crm.opportunity", 0, Meaning())

    with Worker(brokers, redis_url, group=unique, KPIS__TENURE_MONTHS="6") as worker:
        wait_until(
            lambda: (
                Stored(redis_url, "crm.opportunity", 0, Meaning()).meta["fingerprint"]
                != before.meta["fingerprint"]
            ),
            "the facts are those of the new configuration",
        )
        assert worker.metric("dealpulse_worker_events_total", result="applied") == 0

    after = Meaning(kpis=KpiSettings(tenure_months=6))
    require_equal_to_batch(brokers, redis_url, after)
    assert Stored(redis_url, "crm.opportunity", 0, after).meta["offset"] == before.meta["offset"]


def test_sigterm_leaves_everything_durable_committed_and_the_group_empty(
    empty_broker: Broker, redis_url: str, unique: str
) -> None:
    brokers = empty_broker.brokers
    make_topics(brokers)
    worker = Worker(brokers, redis_url, group=unique).start()
    try:
        publish(brokers, mixed(2_000))
        wait_for_all(brokers, redis_url)
        assert json.loads(worker.get("/healthz")[1])["ok"]

        began = time.monotonic()
        code = worker.stop()
    finally:
        worker.stop()

    assert code == 0
    assert time.monotonic() - began < 20
    admin = KafkaAdminClient(bootstrap_servers=brokers)
    try:
        ((_, committed),) = admin.list_group_offsets([unique]).items()
    finally:
        admin.close()
    for tp, committed_offset in committed.items():
        assert committed_offset.offset == Stored(redis_url, tp.topic, tp.partition, Meaning()).offset
    require_equal_to_batch(brokers, redis_url)


def test_a_worker_waits_for_kafka_and_redis_with_one_line_and_no_traceback(unique: str) -> None:
    broker_port, redis_port = free_port(), free_port()
    store_url = f"redis://127.0.0.1:{redis_port}/0"
    worker = Worker(f"127.0.0.1:{broker_port}", store_url, group=unique, says="kafka.away")
    with ExitStack() as stack:
        stack.callback(worker.stop)
        worker.start()
        stack.enter_context(Tansu(broker_port))
        stack.enter_context(RedisServer(redis_port))
        wait_until(lambda: worker.get("/readyz")[0] == 200, "the worker is ready once both are there")

        assert "Traceback" not in worker.output()
        assert worker.stop() == 0


@on_tansu_alone
def test_a_second_signal_ends_at_once(empty_broker: Broker, redis_url: str, unique: str) -> None:

    worker = Worker(empty_broker.brokers, redis_url, group=unique).start()
    try:
        with redis.Redis.from_url(redis_url) as client:
            publish(empty_broker.brokers, [deal(1)])
            client.client_pause(3_000)  # the last checkpoint would wait for it
            publish(empty_broker.brokers, [deal(2)])
            worker.signal(signal.SIGTERM)
            wait_until(lambda: bool(worker.said("worker.stops")), "it was told")
            worker.signal(signal.SIGTERM)
            began = time.monotonic()
            worker.wait(2.0)
            assert time.monotonic() - began < 2.0
            client.client_unpause()
    finally:
        worker.stop()
