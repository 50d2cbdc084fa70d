"""Event to `/metrics` and to the merged snapshot: p50 and p99 at a steady rate, on Apache Kafka."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from typing import Any

from dealpulse.child import free_port
from dealpulse.embedded import RedisServer
from events.clock import Clock
from events.instants import instant_text
from events.keys import partition_of
from events.settings import KafkaSettings
from streams import topics as topic_admin
from tests.bench.end_to_end import PARTITIONS, publish
from tests.bench.log import lines
from tests.integration.servers import ApacheKafka

READY_S = 60.0


def beside_verify(*, rate: int = 1_000, seconds: float = 30.0) -> dict[str, Any]:
    """The same without and with `dealpulse verify` running over and over beside it, twice in turn, and the growth."""
    found: dict[bool, list[float]] = {False: [], True: []}
    for verifying in (False, True, False, True):
        found[verifying] += _delays(rate=rate, seconds=seconds, verifying=verifying)
    alone, beside = (_summary(rate, found[verifying]) for verifying in (False, True))
    growth = round(beside["p99_ms"] / alone["p99_ms"] - 1, 2)
    return {"alone": alone, "beside_verify": beside, "p99_growth": growth}


def run(*, rate: int = 2_000, seconds: float = 20.0) -> dict[str, Any]:
    """Delays of probes at a steady rate: p50 and p99."""
    return _summary(rate, _delays(rate=rate, seconds=seconds))


def _summary(rate: int, delays: list[float]) -> dict[str, Any]:
    delays = sorted(delays)
    return {
        "rate": rate,
        "probes": len(delays),
        "p50_ms": round(1000 * delays[len(delays) // 2], 1),
        "p99_ms": round(1000 * delays[min(len(delays) - 1, int(len(delays) * 0.99))], 1),
    }


def _delays(*, rate: int, seconds: float, probes_per_s: float = 5.0, verifying: bool = False) -> list[float]:
    """Publish at `rate` and watch when each probe's deal shows in the number of open deals of its team.

    A probe is a new open deal of a rep that no other event names; it is visible when `/metrics` shows
    one deal more for that rep.
    """
    with ExitStack() as stack:
        broker, store = ApacheKafka(heap_megabytes=1024), RedisServer()
        for server in (broker, store):
            server.start()
            stack.callback(server.stop)
        port = free_port()
        environ = dict(
            os.environ,
            DEALPULSE_KAFKA__BROKERS=broker.brokers,
            DEALPULSE_KAFKA__REPLICATION_FACTOR="1",
            DEALPULSE_REDIS__URL=store.url,
            DEALPULSE_WORKER__LISTEN="127.0.0.1:0",
            DEALPULSE_EXPORTER__LISTEN=f"127.0.0.1:{port}",
            DEALPULSE_EXPORTER__REFRESH="10ms",
        )
        settings = KafkaSettings(brokers=broker.brokers, partitions=PARTITIONS, replication_factor=1)
        topic_admin.ensure(settings)
        for command in ("worker", "exporter"):
            process = subprocess.Popen([sys.executable, "-m", "dealpulse", "--quiet", command], env=environ)
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
        asyncio.run(publish(broker.brokers, lines(20_000), topics=False))
        _until_ready(port)
        if verifying:
            again = 'while :; do "$0" -m dealpulse --quiet verify --json > /dev/null; done'
            beside = subprocess.Popen(
                ["sh", "-c", again, sys.executable], env=environ, start_new_session=True
            )
            stack.callback(beside.wait)
            stack.callback(os.killpg, beside.pid, signal.SIGKILL)
        return asyncio.run(_probe(broker.brokers, port, rate=rate, seconds=seconds, per_s=probes_per_s))


def _until_ready(port: int) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


async def _probe(brokers: str, port: int, *, rate: int, seconds: float, per_s: float) -> list[float]:
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(bootstrap_servers=brokers, linger_ms=2)
    await producer.start()
    traffic = asyncio.create_task(_traffic(producer, rate))
    clock = Clock()
    delays: list[float] = []
    shown = await asyncio.to_thread(_open_deals, port)
    try:
        for number in range(int(seconds * per_s)):
            key = f"probe-{number}"
            event = {
                "specversion": "1.0",
                "id": key,
                "source": "/bench",
                "type": "dealpulse.opportunity.changed",
                "subject": key,
                "time": instant_text(clock.now_ns()),
                "data": {"stage": "Prospecting", "owner_id": "probe", "amount": "1.00", "currency": "USD"},
            }
            started_at = time.monotonic()
            partition = partition_of(key.encode(), PARTITIONS, "murmur2")
            value = json.dumps(event).encode()
            await producer.send("crm.opportunity", value, key=key.encode(), partition=partition)
            while await asyncio.to_thread(_open_deals, port) <= shown:
                if time.monotonic() - started_at > 30:
                    raise TimeoutError("a probe never showed")
            delays.append(time.monotonic() - started_at)
            shown += 1
            await asyncio.sleep(max(0.0, 1 / per_s - delays[-1]))
    finally:
        traffic.cancel()
        await producer.stop()
    return delays


async def _traffic(producer: Any, rate: int) -> None:
    """Other deals' events at a steady rate, in slices of 10 ms."""
    told = lines(500_000)[20_000:]
    at, started_at = 0, time.monotonic()
    while at < len(told):
        due = min(len(told), int((time.monotonic() - started_at) * rate))
        for line in told[at:due]:
            partition = partition_of(line.key, PARTITIONS, "murmur2")
            await producer.send(line.topic, line.value, key=line.key, partition=partition)
        at = due
        await asyncio.sleep(0.01)


def _open_deals(port: int) -> float:
    """The open deals of the probes' rep, as `/metrics` shows them."""
    address = f"http://127.0.0.1:{port}/metrics?name[]=dealpulse_rep_open_opportunities"
    with urllib.request.urlopen(address, timeout=30) as answer:
        for line in answer.read().decode().splitlines():
            if 'rep="probe"' in line:
                return float(line.rpartition(" ")[2])
    return 0.0
