"""The way in: gateway requests/s with their 99th percentile, one by one and in batches; adapters' events/s.

The gateway is a process of its own before Apache Kafka; the load comes from another process, so that the
gateway has a core to itself where the machine has two. CPU-seconds are the gateway's own.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from events.adapters.catalogue import translator
from events.adapters.cloudevents import batch
from events.settings import KafkaSettings
from streams import topics
from tests.bench import http_load
from tests.events.adapters.histories import TELLERS, deliveries, history
from tests.events.adapters.payloads import TAIPEI
from tests.integration.gateway import GatewayProcess, moved, signed
from tests.integration.servers import ApacheKafka

AT_ONCE = 64
BATCH = 500


def run(*, seconds: float = 8.0) -> dict[str, Any]:
    """Single events, signed webhooks and batches over HTTP; then each adapter by itself."""
    with served() as gateway:
        over_http = {
            "single": load(gateway, single, seconds=seconds, at_once=AT_ONCE),
            "webhook": load(gateway, webhook, seconds=seconds, at_once=AT_ONCE),
            "batch": load(gateway, batched, seconds=seconds, at_once=4, events=BATCH),
        }
    return {"gateway": over_http, "adapters_events_per_s": adapters()}


@contextmanager
def served() -> Iterator[GatewayProcess]:
    """A gateway before Apache Kafka, topics made."""
    with ApacheKafka(heap_megabytes=1024) as kafka:
        topics.ensure(KafkaSettings(brokers=kafka.brokers))
        with GatewayProcess(kafka) as gateway:
            yield gateway


Request = tuple[str, bytes, dict[str, str]]


def event(number: int) -> dict[str, Any]:
    """A change of an opportunity, of usual size."""
    return {
        "specversion": "1.0", "id": f"e{number}", "source": "/crm/acme", "type": "dealpulse.opportunity.changed",
        "subject": f"opp-{number % 10_000}", "time": "2026-03-01T09:30:00+08:00",
        "data": {"stage": "Proposal", "amount": "12500.00", "currency": "TWD", "owner_id": f"rep-{number % 50}"},
    }  # fmt: skip


def single(number: int) -> Request:
    """One canonical event."""
    return "/events", json.dumps(event(number)).encode(), {"content-type": "application/cloudevents+json"}


def webhook(number: int) -> Request:
    """One delivery of HubSpot, signed."""
    body = moved(number, "Proposal")
    return "/hooks/hubspot/acme", body, signed(body)


def batched(number: int) -> Request:
    """Many canonical events at once."""
    events = [event(number * BATCH + place) for place in range(BATCH)]
    return "/events", json.dumps(events).encode(), {"content-type": "application/cloudevents-batch+json"}


def load(
    gateway: GatewayProcess, make: Callable[[int], Request], *, seconds: float, at_once: int, events: int = 1
) -> dict[str, float]:
    """Post for so long, `at_once` requests under way; every one must be answered with 200.

    `gateway_core_share` is 1 where the gateway is what limits the rate; below, something else does.
    """
    # Made before, so that the load generator costs as little as may be (signatures hold 5 minutes).
    address = gateway.url.removeprefix("http://")
    requests = [
        http_load.prepared(address, *make(number)) for number in range(20_000 if events == 1 else 200)
    ]
    asyncio.run(http_load.load(address, requests, seconds=seconds / 8, at_once=at_once))  # warms all sides up
    gateway_before, own_before = cpu_s(gateway.pid), cpu_s()
    found = asyncio.run(http_load.load(address, requests, seconds=seconds, at_once=at_once))
    gateway_cpu_s, own_cpu_s = cpu_s(gateway.pid) - gateway_before, cpu_s() - own_before
    return {
        "requests_per_s": round(len(found.taken) / found.spent_s),
        "events_per_s": round(len(found.taken) * events / found.spent_s),
        "p50_ms": found.percentile_ms(0.5),
        "p99_ms": found.percentile_ms(0.99),
        "events_per_gateway_cpu_s": round(len(found.taken) * events / gateway_cpu_s),
        "gateway_core_share": round(gateway_cpu_s / found.spent_s, 2),
        "load_core_share": round(own_cpu_s / found.spent_s, 2),
    }


def cpu_s(pid: int | None = None) -> float:
    """CPU-seconds that a process has used, this one by default."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def adapters(*, deals: int = 200, rounds: int = 3) -> dict[str, int]:
    """Events that each adapter makes of one history per second of its own CPU time, without HTTP or Kafka."""
    steps = history(deals, seed=812)
    found = {}
    for system, (_, settings) in TELLERS.items():
        if settings is None:
            continue
        sent = deliveries(system, steps)
        translate = translator(settings, zone=TAIPEI).translate
        made, began = 0, time.process_time()
        for _ in range(rounds):
            made += sum(len(translate(body)) for body in sent)
        found[system] = round(made / (time.process_time() - began))
    bodies = [batched(number)[1] for number in range(20)]
    began = time.process_time()
    made = sum(len(batch(body)) for body in bodies)
    found["canonical"] = round(made / (time.process_time() - began))
    return found


if __name__ == "__main__":
    json.dump(run(), sys.stdout, indent=2)
    sys.stdout.write("\n")
