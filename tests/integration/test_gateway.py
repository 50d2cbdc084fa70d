"""The way in over HTTP, with a real broker behind it."""

import asyncio
import io
import json
import signal
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import aiohttp
import pytest
from aiokafka import ConsumerRecord

from events.keys import partition_of
from events.reader import read
from events.settings import KafkaSettings
from streams import topics
from tests.integration.gateway import GatewayProcess, Sender, moved, records, signed
from tests.integration.servers import ApacheKafka, Broker

TOPIC = "crm.opportunity"
HOOK = "/hooks/hubspot/acme"


def run(test: Coroutine[Any, Any, object]) -> None:
    asyncio.run(test)


@pytest.fixture
def gateway(empty_broker: Broker) -> Iterator[GatewayProcess]:
    topics.ensure(KafkaSettings(brokers=empty_broker.brokers))
    with GatewayProcess(empty_broker) as process:
        yield process


async def post(
    gateway: GatewayProcess, path: str, body: bytes, headers: dict[str, str]
) -> tuple[int, dict[str, str], str]:
    async with (
        aiohttp.ClientSession() as client,
        client.post(gateway.url + path, data=io.BytesIO(body), headers=headers) as answer,
    ):
        return answer.status, dict(answer.headers), await answer.text()


def test_a_signed_webhook_is_in_kafka_when_it_is_answered(
    gateway: GatewayProcess, empty_broker: Broker
) -> None:
    async def test() -> None:
        for deal in range(40):
            body = moved(deal, "Proposal")
            status, _, text = await post(gateway, HOOK, body, signed(body))
            assert (status, text) == (200, '{"published": 1}')
        found = await records(empty_broker, TOPIC)
        assert sorted(int(record.key) for record in found) == list(range(40))
        for record in found:
            event = read(record.value, TOPIC)
            assert record.key.decode() == event.subject
            assert record.partition == partition_of(record.key, 4, "murmur2")
            assert record.headers == (("content-type", b"application/cloudevents+json"),)
            assert event.data["stage"] == "Proposal"
        assert len({record.partition for record in found}) == 4

    run(test())
    assert gateway.metric("dealpulse_gateway_published_total", source="acme") == 40


def test_a_batch_of_canonical_events_is_acknowledged_as_a_whole(
    gateway: GatewayProcess, empty_broker: Broker
) -> None:
    async def test() -> None:
        events = [
            {
                "specversion": "1.0", "id": str(number), "source": "/crm/acme", "subject": f"opp-{number}",
                "type": "dealpulse.opportunity.changed", "time": "2026-03-01T09:30:00+08:00", "data": {"stage": "x"},
            }
            for number in range(500)
        ]  # fmt: skip
        kind = {"content-type": "application/cloudevents-batch+json"}
        assert (await post(gateway, "/events", json.dumps(events).encode(), kind))[0] == 200
        bad = json.dumps([*events, events[0] | {"time": "soon"}]).encode()
        status, _, text = await post(gateway, "/events", bad, kind)
        assert status == 422
        assert "[500].time" in text
        assert len(await records(empty_broker, TOPIC)) == 500

    run(test())


def test_the_largest_event_fits_alone_and_in_a_batch(gateway: GatewayProcess, empty_broker: Broker) -> None:
    async def test() -> None:
        def event(number: int, size: int) -> dict[str, Any]:
            return {
                "specversion": "1.0", "id": str(number), "source": "/crm/acme", "subject": "opp-1", "data": {"stage": "x"},
                "type": "dealpulse.opportunity.changed", "time": "2026-03-01T09:30:00+08:00", "note": "n" * size,
            }  # fmt: skip

        largest = json.dumps(event(0, 1_048_576 - 400)).encode()
        kind = {"content-type": "application/cloudevents+json"}
        assert (await post(gateway, "/events", largest, kind))[0] == 200
        mixed = json.dumps(
            [event(number, 300_000 if number == 3 else 100_000) for number in range(1, 7)]
        ).encode()
        kind = {"content-type": "application/cloudevents-batch+json"}
        assert (await post(gateway, "/events", mixed, kind))[0] == 200
        found = await records(empty_broker, TOPIC)
        assert [read(record.value, TOPIC).id for record in found] == [str(number) for number in range(7)]

    run(test())


def test_what_is_refused_leaves_no_trace_in_the_topics(gateway: GatewayProcess, empty_broker: Broker) -> None:
    async def test() -> None:
        body = moved(1, "Proposal")
        refused = [
            await post(gateway, HOOK, body, signed(body, secret="guess")),
            await post(gateway, HOOK, body, signed(body, age_ms=301_000)),
            await post(gateway, HOOK, body[:-9], signed(body)),
            await post(gateway, HOOK, body[:-9], signed(body[:-9])),
            await post(gateway, HOOK, body + b" " * 1_048_576, signed(body)),
        ]
        assert [status for status, _, _ in refused] == [401, 401, 401, 422, 413]
        for topic in (TOPIC, f"{TOPIC}.dlq"):
            assert await records(empty_broker, topic) == []

    run(test())
    for reason, number in (("signature", 2), ("expired", 1), ("malformed", 1), ("too_large", 1)):
        assert gateway.metric("dealpulse_gateway_rejected_total", source="acme", reason=reason) == number
    assert "s3cr3t" not in gateway.output()


async def until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Wait for a condition, and fail when it takes too long."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event to wait on
            await asyncio.sleep(0.005)


def lost_and_doubled(sent: int, found: list[ConsumerRecord], ids: Counter[str]) -> tuple[int, bool]:
    """How many deliveries left no event; whether some id names two different events."""
    return sent - len(ids), len({record.value for record in found}) != len(ids)


async def killed_amid(gateway: GatewayProcess, broker: Broker, *, requests: int, kills: int) -> None:
    """Send, kill the gateway again and again, and look that each event is there, once by its id."""
    sender = Sender(gateway)
    sending = asyncio.create_task(sender.send([moved(deal, "Proposal") for deal in range(requests)]))
    for number in range(1, kills + 1):
        goal = requests * number // (kills + 1)
        await until(lambda: sender.accepted >= goal or sending.done())  # noqa: B023 - awaited in the loop
        gateway.kill()
        await asyncio.to_thread(gateway.start)
    await sending
    found = await records(broker, TOPIC)
    ids = Counter(read(record.value, TOPIC).id for record in found)
    assert lost_and_doubled(requests, found, ids) == (0, False)
    assert sender.answered.get(0, 0) > 0, "the kills were felt"


def test_a_gateway_killed_amid_requests_loses_and_doubles_nothing(
    gateway: GatewayProcess, empty_broker: Broker
) -> None:
    run(killed_amid(gateway, empty_broker, requests=600, kills=2))


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_a_gateway_killed_amid_ten_thousand_requests_loses_and_doubles_nothing(
    gateway: GatewayProcess, empty_broker: Broker
) -> None:
    run(killed_amid(gateway, empty_broker, requests=10_000, kills=6))


async def away(kafka: ApacheKafka, gateway: GatewayProcess, *, seconds: float, requests: int) -> None:
    """Take Kafka away amid requests: 503 with Retry-After, and once it is back all arrive."""
    sender = Sender(gateway)
    sending = asyncio.create_task(
        sender.send([moved(deal, "Proposal") for deal in range(requests)], within=170)
    )
    await until(lambda: sender.accepted >= requests // 3)
    kafka.kill()
    gone = asyncio.get_running_loop().time()
    await until(lambda: sender.answered.get(503, 0) > 0, seconds=7)  # the limit is 5 s
    assert gateway.get("/readyz")[0] == 503
    assert gateway.get("/healthz")[0] == 200
    await asyncio.sleep(max(0.0, seconds - (asyncio.get_running_loop().time() - gone)))  # the outage itself
    await asyncio.to_thread(kafka.start)
    await sending
    found = await records(kafka, TOPIC)
    ids = Counter(read(record.value, TOPIC).id for record in found)
    assert lost_and_doubled(requests, found, ids) == (0, False)
    assert sender.retry_after == {"5"}
    assert gateway.get("/readyz")[0] == 200


@pytest.mark.kafka
@pytest.mark.timeout(120)
def test_while_kafka_is_down_senders_are_told_to_wait_and_then_all_arrive() -> None:
    with ApacheKafka() as kafka:
        topics.ensure(KafkaSettings(brokers=kafka.brokers))
        with GatewayProcess(kafka) as gateway:
            run(away(kafka, gateway, seconds=0, requests=300))


@pytest.mark.kafka
@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.timeout(240)
def test_kafka_down_for_twenty_seconds_loses_nothing() -> None:
    with ApacheKafka() as kafka:
        topics.ensure(KafkaSettings(brokers=kafka.brokers))
        with GatewayProcess(kafka) as gateway:
            run(away(kafka, gateway, seconds=20, requests=2_000))


def test_told_to_stop_it_finishes_what_is_in_flight(gateway: GatewayProcess, empty_broker: Broker) -> None:
    async def test() -> int:
        sender = Sender(gateway)
        sending = asyncio.create_task(sender.send([moved(deal, "Proposal") for deal in range(100_000)]))
        await until(lambda: sender.accepted >= 100)
        gateway.signal(signal.SIGTERM)
        assert await asyncio.to_thread(gateway.wait, 20) == 0
        accepted = sender.accepted
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert len(await records(empty_broker, TOPIC)) == accepted
        return accepted

    run(test())
    assert "gateway.closed" in gateway.output()
    assert "Traceback" not in gateway.output()


def test_it_starts_without_kafka_and_says_so() -> None:
    class Nowhere(ApacheKafka):
        brokers = "127.0.0.1:1"

    with _Unready(Nowhere()) as gateway:
        body = moved(1, "Proposal")
        status, headers, text = asyncio.run(post(gateway, HOOK, body, signed(body)))
        assert (status, headers["Retry-After"]) == (503, "5")
        assert "Send it again" in text
        assert gateway.get("/healthz")[0] == 200
        assert gateway.get("/readyz")[0] == 503
        gateway.signal(signal.SIGTERM)
        assert gateway.wait(20) == 0


class _Unready(GatewayProcess):
    """A gateway that is up as soon as it answers."""

    def ready(self) -> bool:
        return self.get("/healthz")[0] == 200
