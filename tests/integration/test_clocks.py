"""A worker on a machine whose time is wrong: what is said to be true is of the present all the same."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import redis

from events.clock import Clock
from events.topics import TOPICS
from tests.integration.servers import Broker, remove_topics
from tests.integration.traffic import PARTITIONS, make_topics, mixed, publish, wait_for_all, wait_until
from tests.integration.worker import Worker

AHEAD = """
import runpy, sys, time
seconds, time_s, time_ns = int(sys.argv.pop(1)), time.time, time.time_ns
time.time = lambda: time_s() + seconds
time.time_ns = lambda: time_ns() + seconds * 10**9
runpy.run_module("dealpulse", run_name="__main__")
"""


class OnAMachine(Worker):
    """A worker on a machine whose time is so many seconds ahead."""

    def __init__(self, ahead_s: int, brokers: str, redis_url: str, group: str) -> None:
        super().__init__(brokers, redis_url, group=group)
        self._ahead_s = ahead_s

    def command(self, folder: Path) -> Sequence[str]:
        return [sys.executable, "-c", AHEAD, str(self._ahead_s), "worker"]


@pytest.mark.kafka
@pytest.mark.parametrize("ahead_s", [3_600, -3_600])
def test_a_worker_whose_time_is_wrong_goes_by_that_of_redis_and_says_so(
    kafka: Broker, redis_url: str, unique: str, ahead_s: int
) -> None:
    remove_topics(kafka)
    make_topics(kafka.brokers)
    publish(kafka.brokers, mixed(100))

    def ages_s() -> list[float]:
        with redis.Redis.from_url(redis_url) as client:
            told = [
                client.hget(f"dealpulse:{{{topic}/{n}}}:meta", "fresh_ms")
                for topic in TOPICS
                for n in range(PARTITIONS)
            ]
        now_ms = Clock().now_ms()
        return [(now_ms - int(each or 0)) / 1000 for each in told]

    seen: list[list[float]] = []

    def are_all_of_the_present() -> bool:
        seen.append(ages_s())
        return max(seen[-1]) < 5

    with OnAMachine(ahead_s, kafka.brokers, redis_url, unique) as worker:
        wait_for_all(kafka.brokers, redis_url)
        wait_until(are_all_of_the_present, "all shards are true for the present")
        assert min(age for ages in seen for age in ages) > -1.5, "nothing is said of the future"
        assert '"clock.off"' in worker.output()
        assert worker.get("/readyz")[0] == 200


@pytest.mark.kafka
def test_what_a_worker_has_said_of_the_future_is_taken_back_by_the_next(
    kafka: Broker, redis_url: str, unique: str
) -> None:
    remove_topics(kafka)
    make_topics(kafka.brokers)
    publish(kafka.brokers, mixed(100))
    with Worker(kafka.brokers, redis_url, group=unique):
        wait_for_all(kafka.brokers, redis_url)
    meta = "dealpulse:{crm.opportunity/1}:meta"
    with redis.Redis.from_url(redis_url) as client:
        client.hset(meta, "fresh_ms", Clock().now_ms() + 3_600_000)

        with Worker(kafka.brokers, redis_url, group=unique):
            wait_until(
                lambda: abs(Clock().now_ms() - int(client.hget(meta, "fresh_ms") or 0)) < 5_000,
                "it is of the present again",
            )
