"""Connect topics, translated by a real worker: Salesforce CDC and Debezium into canonical events."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from events.keys import partition_of
from events.reader import read
from events.settings import KafkaSettings
from streams import topics
from tests.events.adapters.histories import TELLERS, deliveries, history
from tests.integration.gateway import records
from tests.integration.servers import Broker
from tests.integration.test_gateway import until
from tests.integration.worker import Worker

TOPIC = "crm.opportunity"
SALESFORCE, DEBEZIUM = "sf.OpportunityChangeEvent", "crm.public.deals"
CONFIG = """
[adapters.org]
kind = "salesforce"
topics = ["sf.OpportunityChangeEvent"]
currency = "TWD"
id_prefix = "sf-"
[adapters.warehouse]
kind = "debezium"
topics = ["crm.public.deals"]
currency = "TWD"
[adapters.warehouse.tables.deals]
entity = "opportunity"
columns = {title = "name", account = "account_id", owner = "owner_id", phase = "stage", amount = "amount", kind = "type", closes = "close_date", born = "created_at"}
merged_into_column = "merged_into"
"""


class Translating(Worker):
    """A worker whose configuration names two adapters."""

    fixed = False
    """Whether the configuration explains the type `Strategic`."""

    def prepare(self, folder: Path) -> None:
        fix = "[adapters.org.opportunity.values.type]\nStrategic = 'expansion'\n" if self.fixed else ""
        (folder / "dealpulse.toml").write_text(CONFIG + fix)


@pytest.fixture
def connect(empty_broker: Broker) -> Broker:
    """The broker with the topics of entities and those that Connect would make."""
    topics.ensure(KafkaSettings(brokers=empty_broker.brokers))
    admin = KafkaAdminClient(bootstrap_servers=empty_broker.brokers)
    try:
        admin.create_topics([NewTopic(name, 2, 1) for name in (SALESFORCE, DEBEZIUM)])
    finally:
        admin.close()
    return empty_broker


@pytest.fixture
def worker(connect: Broker, redis_url: str, unique: str) -> Iterator[Translating]:
    with Translating(connect.brokers, redis_url, group=unique) as process:
        yield process


async def write(broker: Broker, topic: str, values: list[bytes | None], *, key: bytes | None = b"k") -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.brokers, acks="all")
    await producer.start()
    try:
        sent = [await producer.send(topic, value, key=key) for value in values]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


def expected(system: str, prefix: str = "") -> set[tuple[str, str]]:
    """`(subject, id)` of what an adapter makes of a system's history, by the adapter's tests."""
    from events.adapters.catalogue import translator
    from tests.events.adapters.payloads import TAIPEI

    _, settings = TELLERS[system]
    assert settings is not None
    translate = translator(settings.model_copy(update={"id_prefix": prefix}), zone=TAIPEI).translate
    events = [one for body in deliveries(system, history(40, seed=3)) for one in translate(body)]
    return {(one.subject, one.event["id"]) for one in events}


def told(found: list[Any], source: str) -> set[tuple[str, str]]:
    events = [read(record.value, TOPIC) for record in found]
    return {(event.subject, event.id) for event in events if event.source.startswith(source)}


def test_connect_topics_become_canonical_events(connect: Broker, worker: Translating) -> None:
    async def test() -> None:
        steps = history(40, seed=3)
        salesforce, debezium = (deliveries(system, steps) for system in ("salesforce", "debezium"))
        await write(connect, SALESFORCE, list(salesforce))
        # Each deletion is followed by its tombstone, and some records come twice.
        await write(connect, DEBEZIUM, [*debezium, None, *debezium[:10]])

        def done() -> bool:
            translated_ = worker.metric("dealpulse_worker_events_total", result="translated")
            return translated_ == len(salesforce) + len(debezium) + 11

        await until(done)
        found = await records(connect, TOPIC)
        assert told(found, "/salesforce/org") == expected("salesforce", "sf-")
        assert told(found, "/debezium/crm/crm") == expected("debezium")
        for record in found:
            assert record.key.decode() == read(record.value, TOPIC).subject
            assert record.partition == partition_of(record.key, 4, "murmur2")
            headers = dict(record.headers)
            assert headers["content-type"] == b"application/cloudevents+json"
            assert headers["dealpulse-recorded"].isdigit()
        await until(
            lambda: (
                worker.metric("dealpulse_worker_events_total", topic=TOPIC, result="applied")
                + worker.metric("dealpulse_worker_events_total", topic=TOPIC, result="unchanged")
                == len(found)
            )
        )
        assert worker.metric("dealpulse_worker_events_total", topic=TOPIC, result="rekeyed") == 0

    asyncio.run(test())


def test_what_cannot_be_translated_is_a_dead_letter_of_its_topic(
    connect: Broker, worker: Translating
) -> None:
    async def test() -> None:
        from tests.events.adapters.payloads import salesforce

        bitmap = json.dumps(salesforce(changed=("0x40000002",))).encode()
        gap = json.dumps(salesforce("GAP_UPDATE")).encode()
        await write(connect, SALESFORCE, [bitmap, b"{not json", gap])
        await until(lambda: worker.metric("dealpulse_dead_letters_total", topic=SALESFORCE) == 2)
        await until(lambda: worker.metric("dealpulse_adapter_gaps_total", source="org") == 1)
        letters = await records(connect, f"{SALESFORCE}.dlq")
        assert {record.value for record in letters} == {bitmap, b"{not json"}
        reasons = {dict(record.headers)["__streams.errors.exception"] for record in letters}
        assert reasons == {b"bitmap_not_expanded", b"malformed"}
        assert {record.key for record in letters} == {b"k"}

    asyncio.run(test())
    series = worker.metric("dealpulse_dead_letters_total", topic=SALESFORCE, reason="bitmap_not_expanded")
    assert series == 1


def test_after_a_fix_a_dead_letter_is_replayed_and_translated(connect: Broker, worker: Translating) -> None:
    def dlq(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dealpulse", "dlq", *words],
            cwd=worker.folder, env=dict(worker.environment()), capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return done.stdout

    async def test() -> None:
        from tests.events.adapters.payloads import salesforce

        await write(
            connect, SALESFORCE, [json.dumps(salesforce(changed=("Type",), Type="Strategic")).encode()]
        )
        await until(lambda: worker.metric("dealpulse_dead_letters_total", topic=SALESFORCE) == 1)
        listed = json.loads(await asyncio.to_thread(dlq, "list", "--json"))
        assert (listed["topic"], listed["reason"]) == (SALESFORCE, "invalid_data")
        assert "adapters.<name>.opportunity.values.type" in listed["message"]

        worker.kill()
        worker.fixed = True
        await asyncio.to_thread(worker.start)
        await asyncio.to_thread(dlq, "replay", "--topic", SALESFORCE)
        # At least once: the kill may have come before the commit, then the original is translated, too.
        await until(lambda: worker.metric("dealpulse_worker_events_total", result="translated") >= 1)
        (value,) = {record.value for record in await records(connect, TOPIC)}
        assert read(value, TOPIC).data == {"type": "expansion"}
        assert await asyncio.to_thread(dlq, "list", "--json") == ""

    asyncio.run(test())


@pytest.mark.e2e
def test_a_worker_killed_amid_records_translates_all_of_them(connect: Broker, worker: Translating) -> None:
    async def test() -> None:
        steps = history(40, seed=3)
        sent = deliveries("salesforce", steps)
        for number in range(0, len(sent), 60):
            await write(connect, SALESFORCE, list(sent[number : number + 60]))
            if number in (60, 180):
                worker.kill()
                await asyncio.to_thread(worker.start)
        wanted = expected("salesforce", "sf-")
        async with asyncio.timeout(60):
            while told(await records(connect, TOPIC), "/salesforce/org") != wanted:  # noqa: ASYNC110 - in Kafka
                await asyncio.sleep(0.1)
        found = [read(record.value, TOPIC) for record in await records(connect, TOPIC)]
        assert len({(event.id, event.subject, event.verb) for event in found}) == len(wanted)

    asyncio.run(test())
