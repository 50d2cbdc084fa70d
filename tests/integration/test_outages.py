"""Servers that die, freeze and come back while events flow: workers go on by themselves, and lose nothing."""

import asyncio
import signal
import time
from contextlib import ExitStack

import pytest

from aggregators.meaning import Meaning
from dealpulse.embedded import RedisServer
from events.clock import Clock
from events.settings import KafkaSettings
from streams.rebuild import Rebuild
from streams.settings import RedisSettings
from streams.verify import Verification
from tests.integration.servers import ApacheKafka, kafka_is_required, remove_topics, why_no_kafka
from tests.integration.traffic import (
    PARTITIONS,
    make_topics,
    mixed,
    publish,
    require_equal_to_batch,
    streaming,
    wait_for_all,
    wait_until,
)
from tests.integration.worker import Worker

pytestmark = [pytest.mark.kafka, pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _kafka_can_run() -> None:
    if (why_not := why_no_kafka()) and not kafka_is_required():
        pytest.skip(why_not)


def _servers(stack: ExitStack) -> tuple[ApacheKafka, RedisServer]:
    """Kafka, with its topics, and Redis."""
    broker, store = stack.enter_context(ApacheKafka()), stack.enter_context(RedisServer())
    make_topics(broker.brokers)
    return broker, store


@pytest.mark.long  # the short form of chaos does the same faults, and more
def test_kafka_and_redis_die_and_freeze_while_events_flow() -> None:
    with ExitStack() as stack:
        broker, store = _servers(stack)
        workers = [stack.enter_context(Worker(broker.brokers, store.url, group="outages")) for _ in range(2)]
        with streaming(broker.brokers, mixed(1_000_000), per_second=500) as sent:

            def folded() -> float:
                return sum(
                    worker.metric("dealpulse_worker_events_total", result="applied") for worker in workers
                )

            def flows_on(what: str) -> None:
                seen, before = sent(), folded()
                wait_until(lambda: sent() > seen + 300, f"events flow after {what}", seconds=60)
                wait_until(lambda: folded() > before + 100, f"workers fold after {what}", seconds=60)

            flows_on("the start")
            broker.kill()
            broker.start()
            flows_on("Kafka was killed")

            store.kill()
            store.start()
            flows_on("Redis was killed")

            broker.pause()
            _pass(6.0)
            broker.resume()
            flows_on("Kafka was frozen")

            store.pause()
            _pass(5.0)
            store.resume()
            flows_on("Redis was frozen")

            store.kill()
            _pass(4.0)
            store.start()
            flows_on("Redis was away")

        wait_for_all(broker.brokers, store.url, seconds=90)
        require_equal_to_batch(broker.brokers, store.url)
        assert all(worker.running for worker in workers)
        assert all("Traceback" not in worker.output() for worker in workers)
        owned = sum(int(worker.metric("dealpulse_worker_assigned_partitions")) for worker in workers)
        assert owned == 7 * PARTITIONS


def _pass(seconds: float) -> None:
    """The fault itself lasts so long; nothing is waited for."""
    time.sleep(seconds)


def test_a_worker_that_is_told_to_stop_while_kafka_does_not_answer_ends_in_time() -> None:
    with ExitStack() as stack:
        broker, store = _servers(stack)
        worker = stack.enter_context(
            Worker(broker.brokers, store.url, group="outages", WORKER__STOP_WITHIN="3s")
        )
        with streaming(broker.brokers, mixed(1_000_000), per_second=500) as sent:
            wait_until(lambda: sent() > 1_000, "events flow")
            broker.pause()
            try:
                worker.signal(signal.SIGTERM)
                assert worker.wait(8) == 0
            finally:
                broker.resume()
        assert '"worker.stop_late"' in worker.output()

        with Worker(broker.brokers, store.url, group="outages"):
            wait_for_all(broker.brokers, store.url, seconds=60)
        require_equal_to_batch(broker.brokers, store.url)


def test_a_log_made_anew_is_left_alone_and_said() -> None:
    with ExitStack() as stack:
        broker, store = _servers(stack)
        publish(broker.brokers, mixed(500))
        with Worker(broker.brokers, store.url, group="anew"):
            wait_for_all(broker.brokers, store.url)
        broker.stop()
        broker.start()
        make_topics(broker.brokers)
        publish(broker.brokers, mixed(10))

        with Worker(broker.brokers, store.url, group="anew", says="shard.left_alone") as worker:
            wait_until(lambda: "made anew" in worker.get("/readyz")[1], "it is said")
            assert worker.get("/readyz")[0] == 503
            worker.signal(signal.SIGTERM)
            assert worker.wait(20) == 0


def test_topics_made_anew_are_seen_however_many_records_they_hold_by_now() -> None:
    with ExitStack() as stack:
        broker, store = _servers(stack)
        publish(broker.brokers, mixed(300))
        with Worker(broker.brokers, store.url, group="anew"):
            wait_for_all(broker.brokers, store.url)
        remove_topics(broker)
        make_topics(broker.brokers)
        publish(broker.brokers, mixed(900, seed=2))

        with Worker(broker.brokers, store.url, group="anew", says="shard.left_alone") as worker:
            wait_until(
                lambda: worker.get("/readyz")[1].count("another topic of this name") == 7 * PARTITIONS,
                "it is said of every shard",
            )
            kafka, redis = KafkaSettings(brokers=broker.brokers), RedisSettings(url=store.url)
            found = asyncio.run(Verification(kafka, redis, Meaning(), Clock()).run()).differences
            assert {each.field for each in found.kept} >= {"topic_id"}

            asyncio.run(Rebuild(kafka, redis, Meaning(), Clock()).run(()))

            wait_until(lambda: worker.get("/readyz")[0] == 200, "the worker goes on with the new topics")
        require_equal_to_batch(broker.brokers, store.url)
