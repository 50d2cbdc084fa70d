"""The publisher libraries against a broker: everything arrives once, where its key belongs, or is named."""

import asyncio
import importlib.metadata
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from events.aio import AsyncPublisher
from events.canonical import encode
from events.delivery import BufferFullError, DeliveryError, Receipt
from events.errors import BadEventError, UnreachableError
from events.keys import Partitioner, partition_of
from events.publisher import Publisher
from events.reader import read
from events.settings import KafkaSettings
from tests.integration.servers import Broker, running

ROOT = Path(__file__).parents[2]
AT = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
TOPIC = "crm.opportunity"


@pytest.fixture(scope="module")
def brokers(broker: Broker) -> str:
    create_topic(broker.brokers)
    return broker.brokers


@pytest.fixture
def mortal() -> Iterator[Broker]:
    """A broker of one's own, to be killed."""
    with running("tansu") as broker:
        create_topic(broker.brokers)
        yield broker
        broker.resume()


def create_topic(brokers: str, topic: str = TOPIC) -> None:
    with closing(KafkaAdminClient(bootstrap_servers=brokers)) as admin:
        try:
            admin.create_topics([NewTopic(name=topic, num_partitions=4, replication_factor=1)])
        except TopicAlreadyExistsError:
            pass


def stored(brokers: str, receipts: list[Receipt]) -> list[Any]:
    """The records at these places, each with its partition, and those that follow them."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for receipt in receipts:
        first[receipt.partition] = min(receipt.offset, first.get(receipt.partition, receipt.offset))
        last[receipt.partition] = max(receipt.offset, last.get(receipt.partition, receipt.offset))
    found = []
    with closing(KafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest")) as consumer:
        for partition, offset in first.items():
            place = TopicPartition(TOPIC, partition)
            consumer.assign([place])
            consumer.seek(place, offset)
            at = -1
            while at < last[partition]:
                for records in consumer.poll(timeout_ms=10_000).values():
                    found += records
                    at = max(at, records[-1].offset)
    return found


@pytest.mark.parametrize("partitioner", ["murmur2", "crc32"])
def test_every_event_arrives_once_under_its_subject_and_where_that_belongs(
    brokers: str, unique: str, partitioner: Partitioner
) -> None:
    settings = KafkaSettings(brokers=brokers, partitioner=partitioner)
    with Publisher(f"/crm/{unique}", settings) as crm:
        sent = [crm.opportunity(f"{unique}-{i}", time=AT, stage="Proposal", amount=i) for i in range(300)]
    receipts = [each.wait(0) for each in sent]
    partitions = 1 + max(receipt.partition for receipt in receipts)

    records = [record for record in stored(brokers, receipts) if unique.encode() in record.key]

    assert sorted(record.key for record in records) == sorted(each.record.key for each in sent)
    assert {receipt.partition for receipt in receipts} == set(range(partitions))
    for record in records:
        assert record.partition == partition_of(record.key, partitions, partitioner)
        assert [*record.headers] == [("content-type", b"application/cloudevents+json")]
        assert read(record.value, TOPIC).subject.encode() == record.key


def test_with_asyncio_too(brokers: str, unique: str) -> None:
    async def publish() -> list[Receipt]:
        async with AsyncPublisher(f"/crm/{unique}", brokers, buffer_events=50) as crm:
            one = await crm.opportunity(f"{unique}-x", time=AT, stage="Proposal")
            many = await asyncio.gather(
                *(crm.opportunity(f"{unique}-{i}", time=AT, stage="Won") for i in range(300))
            )
            crm.opportunity(f"{unique}-y", time=AT, stage="Lost")  # nobody awaits it: closing does
        return [one, *many]

    receipts = asyncio.run(publish())
    records = [record for record in stored(brokers, receipts) if unique.encode() in record.key]

    wanted = {f"{unique}-{i}".encode() for i in [*range(300), "x"]}
    assert wanted <= {record.key for record in records}
    assert len(records) in (301, 302)  # the last one may lie behind the receipts
    for record in records:
        assert record.partition == partition_of(record.key, 4, "murmur2")


def test_an_event_read_elsewhere_can_be_published_as_it_stands(brokers: str, unique: str) -> None:
    with Publisher("/import", brokers) as publisher:
        delivery = publisher.opportunity(unique, time=AT, stage="Proposal", source="/crm/acme", id="7")
        again = publisher.publish(read(delivery.record.value))

    assert again.record.value == encode(delivery.record.event)
    assert (again.record.event.source, again.record.event.id) == ("/crm/acme", "7")


def test_a_bad_event_is_refused_before_anything_is_sent(brokers: str, unique: str) -> None:
    with Publisher("/crm", brokers) as crm:
        before = crm.opportunity(unique, time=AT).wait(10)
        with pytest.raises(BadEventError):
            crm.opportunity(unique, time=AT, amount="a lot")
        after = crm.opportunity(unique, time=AT, stage="Won").wait(10)

    assert (after.partition, after.offset) == (before.partition, before.offset + 1)


def test_a_topic_that_does_not_exist_is_told_with_what_to_do(kafka: Broker) -> None:
    with (
        pytest.raises(DeliveryError, match="dealpulse topics ensure") as caught,
        Publisher("/crm", kafka.brokers, delivery_timeout_s=2) as crm,
    ):
        crm.fx_rate("EUR", "ZWG", AT.date(), 1, time=AT, id="7")

    assert (caught.value.type, caught.value.subject) == ("dealpulse.fx_rate.changed", "EUR/ZWG/2026-11-23")


def test_no_broker_is_told_with_its_address() -> None:
    with pytest.raises(UnreachableError, match=r"Kafka at 127\.0\.0\.1:1 does not answer"):
        Publisher("/crm", "127.0.0.1:1", delivery_timeout_s=2)


def test_no_broker_is_told_with_its_address_with_asyncio_too() -> None:
    async def publish() -> None:
        async with AsyncPublisher("/crm", "127.0.0.1:1"):
            pass

    with pytest.raises(UnreachableError, match=r"Kafka at 127\.0\.0\.1:1 does not answer"):
        asyncio.run(publish())


def test_what_a_hung_broker_did_not_take_is_named_and_a_full_buffer_raises(mortal: Broker) -> None:
    told: list[DeliveryError] = []
    crm = Publisher(
        "/crm", mortal.brokers, buffer_events=3, when_full="raise", delivery_timeout_s=3, on_error=told.append
    )
    crm.opportunity("before", time=AT).wait(10)
    mortal.pause()  # kafka-python leaves sockets of refused connections open: a dead one would leak here

    lost = [crm.opportunity(f"lost-{i}", time=AT, id=f"id-{i}") for i in range(3)]
    with pytest.raises(BufferFullError, match="3 events wait for Kafka"):
        crm.opportunity("too-much", time=AT)
    with pytest.raises(DeliveryError, match="'lost-0'"):
        lost[0].wait(30)
    with pytest.raises(DeliveryError) as caught:
        crm.close()

    errors = [caught.value, *caught.value.others]
    assert sorted(error.id for error in errors) == ["id-1", "id-2"]  # the caller has been told of id-0
    assert sorted(error.id for error in told) == ["id-0", "id-1", "id-2"]
    assert "Send it again: the same id makes it the same event" in str(caught.value)
    assert "1 more events" in str(caught.value)


def test_a_full_buffer_blocks_until_there_is_room(brokers: str, unique: str) -> None:
    with Publisher("/crm", brokers, buffer_events=2, linger_ms=50) as crm:
        sent = [crm.opportunity(f"{unique}-{i}", time=AT) for i in range(20)]
        assert sum(not each.done for each in sent) <= 2


def test_with_asyncio_what_a_dead_broker_did_not_take_is_named(mortal: Broker) -> None:
    async def publish() -> None:
        async with AsyncPublisher(
            "/crm", mortal.brokers, buffer_events=2, when_full="raise", delivery_timeout_s=3
        ) as crm:
            await crm.opportunity("before", time=AT)
            mortal.kill()
            lost = crm.opportunity("lost-0", time=AT, id="id-0")
            crm.opportunity("lost-1", time=AT, id="id-1")
            with pytest.raises(BufferFullError):
                crm.opportunity("too-much", time=AT)
            with pytest.raises(DeliveryError, match="'lost-0'"):
                await lost

    with pytest.raises(DeliveryError, match="'lost-1'") as caught:
        asyncio.run(publish())

    assert caught.value.others == ()


@pytest.mark.kafka
@pytest.mark.e2e
def test_what_a_hung_kafka_did_not_answer_is_sent_again_and_stored_once(unique: str) -> None:
    with running("kafka") as mortal:
        create_topic(mortal.brokers)
        # A request is given up after half of this time, and sent again.
        with Publisher("/crm", mortal.brokers, delivery_timeout_s=24) as crm:
            crm.opportunity("before", time=AT).wait(10)
            mortal.pause()
            sent = [crm.opportunity(f"{unique}-{i}", time=AT) for i in range(50)]
            with pytest.raises(TimeoutError, match="50 events are still on their way"):
                crm.flush(timeout_s=13)
            mortal.resume()
        records = stored(mortal.brokers, [each.wait(0) for each in sent])

    keys = [record.key.decode() for record in records if unique in record.key.decode()]
    assert sorted(keys) == sorted(f"{unique}-{i}" for i in range(50))


def needed_by(requirement: str, found: set[str]) -> set[str]:
    """The distributions that one brings with it, itself included, as far as they are installed here."""
    wanted = Requirement(requirement)
    name = canonicalize_name(wanted.name)
    if name in found:
        return found
    found.add(name)
    for text in importlib.metadata.distribution(name).requires or ():
        each = Requirement(text)
        if each.marker is None or any(
            each.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)
        ):
            needed_by(str(each), found)
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small distribution, built from this repository."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*command, str(ROOT / "publisher")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


def environment(folder: Path, wheel: Path, *, extra: str) -> Path:
    """A new virtual environment with the wheel and nothing but what it asks for; its interpreter.

    pip puts the wheel in. What it asks for is copied from here, version for version, so that no package
    index is needed.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", str(python)]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", str(wheel)], check=True)
    (target,) = folder.glob("lib/python*/site-packages")
    (info,) = target.glob("dealpulse_events-*.dist-info")
    asked = importlib.metadata.PathDistribution(info).requires or []
    names: set[str] = set()
    for text in asked:
        each = Requirement(text)
        if each.marker is None or each.marker.evaluate({"extra": extra}):
            needed_by(str(each), names)
    for name in names:
        for path in importlib.metadata.distribution(name).files or ():
            source, place = Path(str(path.locate())), target / path
            if ".." not in path.parts and "__pycache__" not in path.parts and source.is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, place)
    return python


@pytest.mark.kafka
@pytest.mark.parametrize(("number", "extra"), [(0, ""), (1, "aio")])
def test_a_stranger_installs_the_wheel_and_the_examples_of_its_readme_run(
    kafka: Broker, wheel: Path, tmp_path: Path, number: int, extra: str
) -> None:
    for topic in (TOPIC, "crm.account"):
        create_topic(kafka.brokers, topic)
    python = environment(tmp_path / "venv", wheel, extra=extra)
    readme = (ROOT / "publisher" / "README.md").read_text(encoding="utf-8")
    example = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[number]
    topic, subject = [(TOPIC, "opp-4711"), ("crm.account", "acc-12")][number]
    before = ends(kafka.brokers, topic)

    done = subprocess.run(
        [python, "-c", example.replace("localhost:9092", kafka.brokers)],
        cwd=tmp_path, env={}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    after = ends(kafka.brokers, topic)
    (place,) = [place for place in after if after[place] > before[place]]
    with closing(KafkaConsumer(bootstrap_servers=kafka.brokers)) as consumer:
        consumer.assign([place])
        consumer.seek(place, before[place])
        (record,) = consumer.poll(timeout_ms=10_000)[place]
    assert record.key.decode() == read(record.value, topic).subject == subject
    ours = [path.name for path in (tmp_path / "venv").glob("lib/python*/site-packages/dealpulse*")]
    assert [name for name in ours if not name.endswith(".dist-info")] == ["dealpulse_events"]
    packages = {path.name for path in (tmp_path / "venv").glob("lib/python*/site-packages/*")}
    assert not {"events", "faust", "redis", "msgspec", "numpy"} & packages
    assert ("aiokafka" in packages) == (extra == "aio")


def ends(brokers: str, topic: str) -> dict[TopicPartition, int]:
    """Where each partition of a topic ends."""
    with closing(KafkaConsumer(bootstrap_servers=brokers)) as consumer:
        places = [
            TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())
        ]
        found: dict[TopicPartition, int] = consumer.end_offsets(places)
        return found
