"""How long partitions stand still after `kill -9` of their worker, at default settings.

Two workers share the partitions under load; one is killed. The outage of a partition ends when Redis
holds it for an instant after the kill: everything up to then is folded and durable again.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from random import Random
from statistics import median
from typing import Any

import redis

from dealpulse.embedded import RedisServer
from events.clock import Clock
from events.topics import TOPICS
from streams.settings import WorkerSettings
from tests.chaos.record import machine, now_text
from tests.chaos.system import ALL
from tests.integration.servers import ApacheKafka
from tests.integration.traffic import PARTITIONS, make_topics, mixed, streaming, wait_until
from tests.integration.worker import Worker

AIM_S = 15.0


def outage(*, rounds: int, rate: int, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Kill so many times, in turn left alone and started again at once; the record."""
    session_s = WorkerSettings().session_timeout
    found: dict[str, list[float]] = {"left dead": [], "started again at once": []}
    with ExitStack() as stack:
        broker = stack.enter_context(ApacheKafka(heap_megabytes=512))
        store = stack.enter_context(RedisServer())
        client: Any = stack.enter_context(redis.Redis.from_url(store.url))
        make_topics(broker.brokers)
        workers = [
            stack.enter_context(
                Worker(broker.brokers, store.url, group="outage", WORKER__SESSION_TIMEOUT=f"{session_s:g}s")
            )
            for _ in range(2)
        ]
        stack.enter_context(streaming(broker.brokers, mixed(10_000_000), per_second=rate))
        random = Random("outage")
        for number in range(2 * rounds):
            wait_until(lambda: _balanced(workers), "both own some", seconds=60)
            worker = random.choice(workers)
            worker.kill()
            killed_at, killed_ms = time.monotonic(), Clock().now_ms()
            how = "left dead" if number % 2 == 0 else "started again at once"
            with ThreadPoolExecutor(1) as pool:
                if how != "left dead":
                    pool.submit(worker.start)
                goes_on = partial(_is_beyond, client, killed_ms)
                wait_until(goes_on, "all partitions go on", seconds=120)
                found[how].append(round(time.monotonic() - killed_at, 2))
            say(f"{how}: {found[how][-1]:.2f} s")
            if how == "left dead":
                worker.start()
    longest = max(map(max, found.values()))
    return {
        "started": now_text(),
        "machine": machine(),
        "session_timeout_s": session_s,
        "rate": rate,
        "outage_s": {
            how: {"p50": median(times), "max": max(times), "all": times} for how, times in found.items()
        },
        "aim_s": AIM_S,
        "within_aim": longest < AIM_S,
    }


def _balanced(workers: list[Worker]) -> bool:
    owned = [int(worker.metric("dealpulse_worker_assigned_partitions")) for worker in workers]
    return sum(owned) == ALL and min(owned) > 0


def _is_beyond(client: Any, instant_ms: int) -> bool:
    """Whether all shards are true for a later instant."""
    with client.pipeline(transaction=False) as pipe:
        for topic in TOPICS:
            for partition in range(PARTITIONS):
                pipe.hget(f"dealpulse:{{{topic}/{partition}}}:meta", "fresh_ms")
        return all(int(fresh or 0) > instant_ms for fresh in pipe.execute())
