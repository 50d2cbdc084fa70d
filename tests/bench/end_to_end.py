"""From a full topic on Apache Kafka to durable state in Redis: events/s and CPU-seconds per million."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import psutil
import redis
from kafka.admin import KafkaAdminClient, NewTopic

from dealpulse.embedded import RedisServer
from events.keys import partitions_of
from events.settings import KafkaSettings
from events.topics import TOPICS
from streams import topics as topic_admin
from tests.bench.log import Line, lines
from tests.integration.servers import ApacheKafka

PARTITIONS = 4
DEADLINE_S = 600.0


def run(count: int = 500_000, *, every_kind: bool = False, stock_share: int = 5) -> dict[str, Any]:
    """One worker on `count` records, then a stock Faust agent with a table on a share of them."""
    told = lines(count, every_kind=every_kind)
    with ExitStack() as stack:
        broker, store = ApacheKafka(heap_megabytes=1024), RedisServer()
        for server in (broker, store):
            server.start()
            stack.callback(server.stop)
        asyncio.run(publish(broker.brokers, told))
        ours = _worker(broker, store, len(told))
        stock = _stock(broker, told[: len(told) // stock_share]) if stock_share else {}
    return {"ours": ours, "stock": stock} | (
        {"ratio": round(stock["cpu_s_per_million"] / ours["cpu_s_per_million"], 1)} if stock else {}
    )


def run_all_kinds(count: int = 500_000) -> dict[str, Any]:
    """The same job with every kind of event, beside that of opportunities alone, in one run."""
    alone, every = (run(count, every_kind=kind, stock_share=0)["ours"] for kind in (False, True))
    return {
        "opportunities_alone": alone,
        "every_kind": every,
        "cpu_ratio": round(every["cpu_s_per_million"] / alone["cpu_s_per_million"], 2),
    }


async def publish(brokers: str, told: Sequence[Line], *, topics: bool = True) -> None:
    """Fill the topics, each record on its key's partition."""
    from aiokafka import AIOKafkaProducer

    if topics:
        settings = KafkaSettings(brokers=brokers, partitions=PARTITIONS, replication_factor=1)
        await asyncio.to_thread(topic_admin.ensure, settings)
    producer = AIOKafkaProducer(
        bootstrap_servers=brokers, compression_type="lz4", linger_ms=20, max_batch_size=262_144
    )
    await producer.start()
    try:
        where = partitions_of([line.key for line in told], PARTITIONS, "murmur2").tolist()
        for line, partition in zip(told, where, strict=True):
            await producer.send(line.topic, line.value, key=line.key, partition=partition)
        await producer.flush()
    finally:
        await producer.stop()


def _worker(broker: ApacheKafka, store: RedisServer, count: int) -> dict[str, Any]:
    environ = dict(
        os.environ,
        DEALPULSE_KAFKA__BROKERS=broker.brokers,
        DEALPULSE_KAFKA__REPLICATION_FACTOR="1",
        DEALPULSE_REDIS__URL=store.url,
        DEALPULSE_WORKER__LISTEN="127.0.0.1:0",
    )
    client = redis.Redis.from_url(store.url)
    redis_process = psutil.Process(int(client.info("server")["process_id"]))
    with subprocess.Popen([sys.executable, "-m", "dealpulse", "--quiet", "worker"], env=environ) as process:
        try:
            measured = psutil.Process(process.pid)
            idle = _wait(lambda: folded(client) > 0, measured)
            started_at, cpu = time.monotonic(), idle
            first = folded(client)
            _wait(lambda: folded(client) >= count, measured)
            seconds = time.monotonic() - started_at
            total = _cpu(measured)
            return {
                "events": count,
                "events_per_s": round((count - first) / seconds),
                "cpu_s": round(total, 2),
                # Importing and joining the group are part of what a worker costs; how much is told beside.
                "cpu_s_per_million": round(total / count * 1e6, 2),
                "cpu_s_per_million_folding": round((total - cpu) / (count - first) * 1e6, 2),
                "redis_cpu_s_per_million": round(_cpu(redis_process) / count * 1e6, 2),
                "redis_megabytes": round(int(client.info("memory")["used_memory"]) / 1e6, 1),
                "worker_megabytes": round(measured.memory_info().rss / 1e6, 1),
            }
        finally:
            process.terminate()


def folded(client: Any) -> int:
    """Records below the durable offsets of all shards."""
    total = 0
    for topic in TOPICS:
        for partition in range(PARTITIONS):
            total += int(client.hget(f"dealpulse:{{{topic}/{partition}}}:meta", "offset") or 0)
    return total


def _wait(done: Any, process: psutil.Process) -> float:
    deadline = time.monotonic() + DEADLINE_S
    while not done():
        if time.monotonic() > deadline or not process.is_running():
            raise TimeoutError("the worker did not get through the log")
        time.sleep(0.05)
    return _cpu(process)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _stock(broker: ApacheKafka, told: Sequence[Line]) -> dict[str, Any]:
    admin = KafkaAdminClient(bootstrap_servers=broker.brokers)
    try:
        admin.create_topics([NewTopic("stock", PARTITIONS, 1)])
    finally:
        admin.close()
    asyncio.run(publish(broker.brokers, [line._replace(topic="stock") for line in told], topics=False))
    environ = dict(os.environ, BROKERS=broker.brokers, EXPECTED=str(len(told)))
    started_at = time.monotonic()
    command = [sys.executable, "-m", "tests.bench.stock", "worker", "--without-web", "-l", "warn"]
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    for line in done.stdout.splitlines():
        if line.startswith("stock "):
            cpu, seconds = map(float, line.split()[1:])
            return {
                "events": len(told),
                "events_per_s": round(len(told) / seconds),
                "cpu_s": cpu,
                "cpu_s_per_million": round(cpu / len(told) * 1e6, 1),
                "wall_s": round(time.monotonic() - started_at, 1),
            }
    raise RuntimeError(f"the stock agent failed: {done.stderr[-2000:]}")
