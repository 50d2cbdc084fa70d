"""How long the partitions of a worker stand still after `kill -9`, at default settings, on Apache Kafka."""

import asyncio
import json
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import redis

from dealpulse.embedded import RedisServer
from events.topics import TOPICS
from streams.settings import WorkerSettings
from tests.bench.end_to_end import PARTITIONS, publish
from tests.bench.log import lines
from tests.integration.servers import ApacheKafka
from tests.integration.traffic import deal, make_topics, streaming
from tests.integration.worker import Worker

_PATIENCE_S = 60.0


def run(*, kills: int = 5, rate: int = 500) -> dict[str, Any]:
    """Kill one of two workers again and again; seconds until every shard of deals moves on again."""
    with ExitStack() as stack:
        broker = stack.enter_context(ApacheKafka(heap_megabytes=512))
        store = stack.enter_context(RedisServer())
        url = f"redis://127.0.0.1:{store.port}/0"
        timeout = str(WorkerSettings().session_timeout)
        make_topics(broker.brokers)
        asyncio.run(publish(broker.brokers, lines(20_000), topics=False))
        workers = [Worker(broker.brokers, url, WORKER__SESSION_TIMEOUT=timeout) for _ in range(2)]
        for worker in workers:
            stack.enter_context(worker)
        deals = (deal(number) for number in range(10**9))
        outages = []
        with streaming(broker.brokers, deals, per_second=rate):
            for number in range(kills):
                victim = workers[number % 2]
                _until(lambda: all(_owned(worker) for worker in workers), "both workers own partitions")
                began = time.monotonic()
                victim.kill()
                offsets = _offsets(url)
                _until(partial(_all_beyond, url, offsets), "every shard moves on")
                outages.append(time.monotonic() - began)
                victim.start()
    return {
        "session_timeout_s": float(timeout),
        "kills": kills,
        "p50_s": round(statistics.median(outages), 2),
        "max_s": round(max(outages), 2),
    }


def _owned(worker: Worker) -> bool:
    return worker.metric("dealpulse_worker_assigned_partitions") > 0


def _offsets(url: str) -> dict[int, int]:
    with redis.Redis.from_url(url) as client:
        held: list[Any] = [
            client.hget(f"dealpulse:{{{TOPICS[0]}/{number}}}:meta", "offset") for number in range(PARTITIONS)
        ]
    return {number: int(each or 0) for number, each in enumerate(held)}


def _all_beyond(url: str, held: dict[int, int]) -> bool:
    return all(offset > held[number] for number, offset in _offsets(url).items())


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not after {_PATIENCE_S:g} s: {what}")
        time.sleep(0.02)


if __name__ == "__main__":
    print(json.dumps(run()))
