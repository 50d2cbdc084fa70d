"""A gateway that stands in this process, with a sink held in the hand."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp

from dealpulse.gateway_metrics import GatewayMetrics
from events.adapters.outgoing import Outgoing
from events.adapters.settings import Adapters
from events.clock import Clock
from events.event import EPOCH_UNIX_S
from events.gateway.app import Gateway
from events.gateway.hooks import hooks
from events.gateway.server import address_of, listen
from events.gateway.settings import GatewaySettings
from events.gateway.sink import Sink

NOW_UNIX_MS = 1_772_676_669_120
SECRET = "s3cr3t-of-acme"
ADAPTERS = {
    "acme": {"kind": "hubspot", "secret": SECRET, "opportunity": {"values": {"stage": {"contractsent": "Negotiation"}}}},
    "pipe": {"kind": "pipedrive", "secret": "old\nnew", "stages": {"4": "Negotiation"}},
    "bamboo": {"kind": "bamboohr", "secret": SECRET, "company": "77"},
    "merge": {"kind": "merge", "secret": SECRET},
    "connect": {"kind": "debezium", "topics": ["crm.public.deals"]},
}  # fmt: skip
EVENT: dict[str, Any] = {
    "specversion": "1.0", "id": "9f0c", "source": "/crm/acme", "type": "dealpulse.opportunity.changed",
    "subject": "opp-4711", "time": "2026-03-01T09:30:00+08:00", "data": {"stage": "Proposal"},
}  # fmt: skip
STRUCTURED = {"content-type": "application/cloudevents+json"}


class HeldSink(Sink):
    """Keeps what is published; fails or waits as told."""

    def __init__(self) -> None:
        self.events: list[Outgoing] = []
        self.fault: Exception | None = None
        self.hold: asyncio.Event | None = None

    @property
    def connected(self) -> bool:
        return self.fault is None

    async def publish(self, events: Sequence[Outgoing]) -> None:
        if self.fault is not None:
            raise self.fault
        if self.hold is not None:
            await self.hold.wait()
        self.events += events


class Standing:
    """A client of one gateway, and the gateway."""

    def __init__(self, gateway: Gateway, sink: HeldSink, address: str, client: aiohttp.ClientSession) -> None:
        self.gateway, self.sink, self.address, self.client = gateway, sink, address, client

    async def post(
        self, path: str, body: bytes | str, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, decoded body and headers of the answer."""
        async with self.client.post(
            f"http://{self.address}{path}", data=body, headers=headers or {}
        ) as answer:
            text = await answer.text()
            return (
                answer.status,
                json.loads(text) if text else None,
                {k.lower(): v for k, v in answer.headers.items()},
            )

    async def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, str, dict[str, str]]:
        """Status, text and headers of the answer."""
        async with self.client.get(f"http://{self.address}{path}", headers=headers or {}) as answer:
            return answer.status, await answer.text(), {k.lower(): v for k, v in answer.headers.items()}

    async def figure(self, series: str) -> float:
        """The value of a series in /metrics."""
        _, text, _ = await self.get("/metrics")
        return next(
            float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(series + " ")
        )


@asynccontextmanager
async def standing(**settings: Any) -> AsyncIterator[Standing]:
    """A gateway with every kind of webhook, at a standing clock."""
    adapters = Adapters.model_validate({"adapters": ADAPTERS}).adapters
    sink = HeldSink()
    gateway = Gateway(
        settings=GatewaySettings.model_validate(
            {"listen": "127.0.0.1:0", "public_url": "https://hooks.example.com"} | settings
        ),
        hooks=hooks(adapters, zone=ZoneInfo("Asia/Taipei")),
        sink=sink,
        meter=GatewayMetrics([name for name in ADAPTERS if name != "connect"], version="1.2.3"),
        clock=Clock.standing(NOW_UNIX_MS - EPOCH_UNIX_S * 1000),
    )
    runner = await listen(gateway)
    try:
        async with aiohttp.ClientSession(auto_decompress=True) as client:
            yield Standing(gateway, sink, address_of(runner), client)
    finally:
        if sink.hold is not None:
            sink.hold.set()
        await runner.cleanup()


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run one test's coroutine."""
    asyncio.run(asyncio.wait_for(test, 30))


def hubspot_headers(
    body: bytes, *, path: str = "/hooks/hubspot/acme", at: int = NOW_UNIX_MS, secret: str = SECRET
) -> dict[str, str]:
    """The headers of a delivery that HubSpot signed."""
    signed = f"POSThttps://hooks.example.com{path}".encode() + body + str(at).encode()
    signature = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    return {
        "content-type": "application/json",
        "x-hubspot-signature-v3": signature,
        "x-hubspot-request-timestamp": str(at),
        "x-hubspot-signature-version": "v1",
    }
