"""A gateway as a process of its own, and senders that retry as vendors do."""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from dealpulse.child import Child, free_port
from dealpulse.embedded import Tansu
from tests.integration.servers import Broker

SECRET = "s3cr3t-of-acme"
CONFIG = """
[company]
timezone = "Asia/Taipei"
[adapters.acme]
kind = "hubspot"
currency = "TWD"
"""


class GatewayProcess(Child):
    """`dealpulse gateway` on a port that it keeps over `kill()` and `start()`."""

    def __init__(self, broker: Broker, **settings: str) -> None:
        super().__init__("gateway")
        self.port = free_port()
        self._settings = {
            "KAFKA__BROKERS": broker.brokers,
            "GATEWAY__LISTEN": f"127.0.0.1:{self.port}",
            "GATEWAY__PUBLIC_URL": "https://hooks.example.com",
            # Tansu gives out no producer ids.
            "GATEWAY__IDEMPOTENCE": "false" if isinstance(broker, Tansu) else "true",
            "LOG__FORMAT": "json",
            **settings,
        }

    def prepare(self, folder: Path) -> None:
        (folder / "dealpulse.toml").write_text(CONFIG)
        (folder / "secret").write_text(SECRET + "\n")

    def command(self, folder: Path) -> Sequence[str]:
        return [sys.executable, "-m", "dealpulse", "gateway"]

    def environment(self) -> Mapping[str, str]:
        assert self.folder is not None
        own = {f"DEALPULSE_{key}": value for key, value in self._settings.items()}
        own["DEALPULSE_ADAPTERS__ACME__SECRET_FILE"] = str(self.folder / "secret")
        return {**os.environ, **own}

    def ready(self) -> bool:
        return self.running and self.get("/readyz")[0] == 200

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page; status 0 if nothing answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's series that carry these labels."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            series, _, value = line.rpartition(" ")
            if re.match(rf"{name}(\{{|$)", series) and all(f'{k}="{v}"' in series for k, v in labels.items()):
                total += float(value)
        return total


_event_ids = itertools.count(1)


def moved(deal: int, stage: str) -> bytes:
    """A HubSpot delivery: one deal entered a stage."""
    change = {
        "eventId": next(_event_ids), "subscriptionId": 77, "portalId": 4411, "appId": 9,
        "occurredAt": 1_772_676_669_120 + deal, "subscriptionType": "deal.propertyChange", "attemptNumber": 0,
        "objectId": deal, "propertyName": "dealstage", "propertyValue": stage, "changeSource": "CRM_UI",
    }  # fmt: skip
    return json.dumps([change]).encode()


def signed(body: bytes, *, secret: str = SECRET, age_ms: int = 0) -> dict[str, str]:
    """The headers that HubSpot sends with a body, signed `age_ms` ago."""
    at = str(time.time_ns() // 1_000_000 - age_ms)
    text = b"POSThttps://hooks.example.com/hooks/hubspot/acme" + body + at.encode()
    signature = base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()
    return {
        "content-type": "application/json",
        "x-hubspot-signature-v3": signature,
        "x-hubspot-request-timestamp": at,
    }


@dataclass
class Sender:
    """Posts deliveries like a vendor: again after every answer that is not 2xx, until it is."""

    gateway: GatewayProcess
    answered: dict[int, int] = field(default_factory=dict)
    """Status -> how often; 0 for a broken connection."""
    accepted: int = 0
    retry_after: set[str] = field(default_factory=set)

    async def send(self, deliveries: Sequence[bytes], *, at_once: int = 16, within: float = 120.0) -> None:
        """Post all of them, `at_once` at a time."""
        waiting = iter(deliveries)
        limits = aiohttp.ClientTimeout(total=15)
        async with (
            asyncio.timeout(within),
            aiohttp.ClientSession(timeout=limits) as client,
            asyncio.TaskGroup() as senders,
        ):
            for _ in range(at_once):
                senders.create_task(self._each(client, waiting))

    async def _each(self, client: aiohttp.ClientSession, waiting: Any) -> None:
        for body in waiting:
            pause = 0.05
            while not await self._once(client, body):
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)
            self.accepted += 1

    async def _once(self, client: aiohttp.ClientSession, body: bytes) -> bool:
        try:
            async with client.post(
                f"{self.gateway.url}/hooks/hubspot/acme", data=body, headers=signed(body)
            ) as answer:
                await answer.read()
                status = answer.status
                if status == 503:
                    self.retry_after.add(answer.headers.get("Retry-After", ""))
        except (aiohttp.ClientError, TimeoutError, OSError):
            status = 0
        self.answered[status] = self.answered.get(status, 0) + 1
        return 200 <= status < 300


async def records(broker: Broker, topic: str, *, partitions: int = 4) -> list[ConsumerRecord]:
    """Every record of a topic up to its end now."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker.brokers, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: list[ConsumerRecord] = []
        async with asyncio.timeout(60):
            for place in places:
                while await consumer.position(place) < ends[place]:
                    fetched = await consumer.getmany(*places, timeout_ms=200)
                    found += [record for batch in fetched.values() for record in batch]
        return found
    finally:
        await consumer.stop()
