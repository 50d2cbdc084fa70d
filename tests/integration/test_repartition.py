"""A topic whose partitions grow: seen by everybody, counted by nobody, and moved by `dealpulse repartition`."""

import asyncio
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from aiokafka import AIOKafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from events.errors import BadEventError
from events.headers import RECORDED
from events.keys import partition_of
from events.reader import read
from events.topics import TOPICS
from tests.integration.monitoring import ExporterProcess
from tests.integration.servers import Broker, remove_topics, running
from tests.integration.traffic import (
    Message,
    deal,
    make_topics,
    mixed,
    offsets_reached,
    publish,
    streaming,
    wait_for_all,
    wait_until,
)
from tests.integration.worker import Worker

DEALS = "crm.opportunity"
BEFORE, AFTER = 4, 8


class System:
    """A log that grows, and the commands that a person runs on it."""

    def __init__(self, brokers: str, redis_url: str) -> None:
        self.brokers, self.redis_url = brokers, redis_url
        self.talk = ""
        """What the last command said beside what it printed."""
        self.partitioner = "murmur2"

    def dealpulse(self, *arguments: str, code: int = 0) -> str:
        """Run a command; what it prints."""
        settings = {
            "DEALPULSE_KAFKA__BROKERS": self.brokers,
            "DEALPULSE_REDIS__URL": self.redis_url,
            "DEALPULSE_KAFKA__PARTITIONER": self.partitioner,
        }
        done = subprocess.run(
            [sys.executable, "-m", "dealpulse", *arguments],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        self.talk = done.stderr
        return done.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        """What a command prints with --json."""
        return json.loads(self.dealpulse(*arguments, "--json", code=code))

    def redis_partitioners(self) -> set[bytes]:
        """By what the shards say that keys were placed."""
        with redis.Redis.from_url(self.redis_url) as client:
            held: Any = [client.hget(key, "partitioner") for key in client.scan_iter("dealpulse:*:meta")]
        return set(held)

    def grow(self, topic: str) -> None:
        """Do with Kafka's own tools what nobody told dealpulse of."""
        admin = KafkaAdminClient(bootstrap_servers=self.brokers)
        try:
            admin.create_partitions({topic: AFTER})
        finally:
            admin.close()

    def log(self, topic: str, partitions: int) -> dict[int, list[Any]]:
        """Every record of a topic, by partition."""

        async def run() -> dict[int, list[Any]]:
            async with AIOKafkaConsumer(
                bootstrap_servers=self.brokers, auto_offset_reset="earliest", fetch_max_wait_ms=50
            ) as consumer:
                waiting = {TopicPartition(topic, number) for number in range(partitions)}
                consumer.assign(list(waiting))
                found: dict[int, list[Any]] = {number: [] for number in range(partitions)}
                while waiting:
                    for tp, records in (await consumer.getmany(timeout_ms=20)).items():
                        found[tp.partition] += records
                    for tp in list(waiting):
                        end = consumer.highwater(tp)
                        if end is not None and await consumer.position(tp) >= end:
                            waiting.discard(tp)
                return found

        return asyncio.run(run())

    def is_all_folded(self) -> bool:
        """Whether Redis holds every record of every partition."""
        for topic in TOPICS:
            ends = {
                number: records[-1].offset + 1 if records else 0
                for number, records in self.log(topic, AFTER).items()
            }
            if not offsets_reached(self.redis_url, topic, ends):
                return False
        return True

    def dump(self, folder: Path) -> Path:
        """The log as a file of events."""
        path = folder / "events.jsonl"
        with path.open("wb") as out:
            for topic in TOPICS:
                for records in self.log(topic, AFTER).values():
                    for record in records:
                        try:
                            read(record.value, topic)
                        except BadEventError:
                            continue  # a dead letter
                        out.write(record.value + b"\n")
        return path


@pytest.fixture
def system(kafka: Broker, redis_url: str) -> System:
    remove_topics(kafka)
    make_topics(kafka.brokers)
    return System(kafka.brokers, redis_url)


def placed(messages: Sequence[Message], partitions: int) -> Iterator[Message]:
    """The messages as a producer sends them that has heard of so many partitions."""
    for message in messages:
        assert message.key is not None
        partition = partition_of(message.key, partitions if message.topic == DEALS else BEFORE, "murmur2")
        yield replace(message, partition=partition)


@pytest.mark.kafka
def test_grown_partitions_are_seen_and_every_record_and_shard_is_moved(
    system: System, unique: str, tmp_path: Path
) -> None:
    publish(system.brokers, mixed(1_500))
    publish(system.brokers, [Message(DEALS, None, b"{", 1), replace(deal(3), key=b"astray")])
    with (
        Worker(system.brokers, system.redis_url, group=unique) as first,
        Worker(system.brokers, system.redis_url, group=unique) as second,
    ):
        workers = first, second  # what one of a group knows, the other must find out for itself
        wait_for_all(system.brokers, system.redis_url)
        with ExporterProcess(system.redis_url) as exporter:
            system.grow(DEALS)
            # Producers hear of it one by one: for a while the records of a deal lie on two partitions.
            news = [deal(number) for number in range(5_000, 5_400)]
            publish(system.brokers, placed(news[:200], AFTER))
            publish(system.brokers, placed(news[200:], BEFORE))

            wait_until(
                lambda: all("dealpulse repartition" in worker.get("/readyz")[1] for worker in workers),
                "the workers leave the shards alone and say what to do",
                seconds=60,
            )
            assert {worker.get("/readyz")[0] for worker in workers} == {503}
            found = {each["name"]: each for each in system.json("doctor", code=1)["checks"]}
            assert "dealpulse repartition" in found[f"topic {DEALS}"]["fix"]
            before = json.loads(exporter.get("/api/kpi?kpi=open")[1])
            assert system.json("verify", "--fast", code=1)["differences"]
            refused = system.dealpulse("rebuild", "--all", "--yes", code=1)
            assert refused == ""

            plan = system.json("repartition", "--partitions", str(AFTER))
            assert {each["partitions"] for each in plan["plan"]} == {AFTER}
            assert not plan["applied"]
            with streaming(
                system.brokers,
                placed([deal(number) for number in range(10_000, 30_000)], AFTER),
                per_second=200,
            ):
                done = system.json("repartition", "--partitions", str(AFTER), "--yes")
            moved = sum(each["records_moved"] for each in done["done"])
            assert moved > 300
            # An exporter that was told of four partitions keeps what it held, and does not mix the two.
            wait_until(lambda: "shard.other_partitions" in exporter.output(), "the exporter says so")
            after = json.loads(exporter.get("/api/kpi?kpi=open")[1])
            assert [row["reading"] for row in after] == [row["reading"] for row in before]
            assert 0 < _count(after) <= _count(before) + 400
        wait_until(system.is_all_folded, "the workers fold the moved records", seconds=60)
        wait_until(
            lambda: {worker.get("/readyz")[0] for worker in workers} == {200},
            "no worker leaves anything alone any more",
        )
        assert system.json("verify", "--fast")["differences"] == 0
        assert "nothing to do" in system.dealpulse("repartition", "--partitions", str(AFTER), "--yes")

        with ExporterProcess(system.redis_url, KAFKA__PARTITIONS=str(AFTER)) as exporter:
            dump = system.dump(tmp_path)
            for kpi, window in (("created", "all"), ("open", ""), ("win_rate", "all"), ("won", "all")):
                which = f"&window={window}" if window else ""
                status, body = exporter.get(f"/api/kpi?kpi={kpi}&as_of=2026-11-01{which}")
                assert status == 200, body
                asked = ["--kpi", kpi, "--as-of", "2026-11-01", *(["--window", window] if window else [])]
                batch, live = system.json("kpi", "--events", str(dump), *asked), json.loads(body)
                assert [row["value"] for row in live] == [row["value"] for row in batch]
                assert live

    log = system.log(DEALS, AFTER)
    appended: dict[bytes, set[int]] = defaultdict(set)
    for record in (record for records in log.values() for record in records):
        if RECORDED not in dict(record.headers):
            appended[record.value].add(record.timestamp)
    again = [
        record
        for number in range(BEFORE, AFTER)
        for record in log[number]
        if RECORDED in dict(record.headers)
    ]
    assert len(again) > 300
    assert all(int(dict(record.headers)[RECORDED]) in appended[record.value] for record in again)


def test_topics_with_more_partitions_than_are_configured_lead_to_the_setting(redis_url: str) -> None:
    with running("tansu") as broker:
        make_topics(broker.brokers, 3 * BEFORE)
        system = System(broker.brokers, redis_url)

        system.dealpulse("repartition", code=2)
        assert f"set kafka.partitions = {3 * BEFORE}, or say --partitions {3 * BEFORE} or more" in system.talk

        assert "nothing to do" in system.dealpulse("repartition", "--partitions", str(3 * BEFORE), "--yes")
        assert f"Set kafka.partitions = {3 * BEFORE} wherever it is set" in system.talk


@pytest.mark.kafka
def test_every_worker_of_a_group_folds_by_the_partitions_there_are_not_by_what_it_was_told(
    kafka: Broker, redis_url: str, unique: str
) -> None:
    remove_topics(kafka)
    make_topics(kafka.brokers, AFTER)
    system = System(kafka.brokers, redis_url)
    publish(
        system.brokers,
        (replace(each, partition=partition_of(each.key or b"", AFTER, "murmur2")) for each in mixed(600)),
    )

    with (
        Worker(system.brokers, system.redis_url, group=unique),
        Worker(system.brokers, system.redis_url, group=unique),
    ):
        wait_until(system.is_all_folded, "all is folded", seconds=60)

    with redis.Redis.from_url(system.redis_url) as client:
        held: Any = [client.hgetall(key) for key in client.scan_iter("dealpulse:*:meta")]
    assert {int(meta[b"partitions"]) for meta in held} == {AFTER}
    assert sum(int(meta[b"rekeyed"]) for meta in held) == 0
    assert system.json("verify", "--fast")["differences"] == 0


def test_a_broker_that_cannot_give_more_partitions_is_not_said_to_be_away(redis_url: str) -> None:
    with running("tansu") as broker:
        make_topics(broker.brokers)
        told = _error(
            System(broker.brokers, redis_url), "repartition", "--partitions", str(AFTER), "--yes", code=3
        )

    assert "cannot give a topic more partitions" in told
    assert "does not answer" not in told


@pytest.mark.kafka
def test_a_repartition_that_is_interrupted_is_done_by_the_next_one(system: System, unique: str) -> None:
    publish(system.brokers, mixed(1_000))
    with Worker(system.brokers, system.redis_url, group=unique):
        wait_for_all(system.brokers, system.redis_url)
    program = subprocess.Popen(
        [sys.executable, "-m", "dealpulse", "repartition", "--partitions", str(AFTER), "--yes"],
        env={
            **os.environ,
            "DEALPULSE_KAFKA__BROKERS": system.brokers,
            "DEALPULSE_REDIS__URL": system.redis_url,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _partitions_of(system, 0) == AFTER, "the first shard is moved", seconds=60)
    finally:
        program.kill()
        program.wait()

    system.json("repartition", "--partitions", str(AFTER), "--yes")

    with Worker(system.brokers, system.redis_url, group=unique):
        wait_until(system.is_all_folded, "all is folded", seconds=60)
    assert system.json("verify", "--fast")["differences"] == 0
    assert "takes none away" in _error(system, "repartition", "--partitions", str(BEFORE))


@pytest.mark.kafka
def test_another_partitioner_is_seen_and_every_record_and_shard_is_moved(system: System, unique: str) -> None:
    publish(system.brokers, mixed(600))
    with Worker(system.brokers, system.redis_url, group=unique):
        wait_for_all(system.brokers, system.redis_url)
    before = _entities(system)

    system.partitioner = "crc32"
    with Worker(
        system.brokers, system.redis_url, group=unique, says="shard.left_alone", KAFKA__PARTITIONER="crc32"
    ) as worker:
        wait_until(lambda: "kafka.partitioner = murmur2" in worker.get("/readyz")[1], "it is said")
        assert {each["field"] for each in system.json("verify", "--fast", code=1)["first_differences"]} >= {
            "partitioner"
        }
        system.dealpulse("rebuild", "--all", "--yes", code=1)
        assert system.redis_partitioners() == {b"murmur2"}
        done = system.json("repartition", "--partitions", str(BEFORE), "--yes")

        assert sum(each["records_moved"] for each in done["done"]) > 200
        wait_until(lambda: worker.get("/readyz")[0] == 200, "nothing is left alone any more")
        wait_for_all(system.brokers, system.redis_url)
        wait_until(lambda: _entities(system) == before, "every entity is there once", seconds=30)
    assert system.redis_partitioners() == {b"crc32"}
    assert system.json("verify", "--fast")["differences"] == 0


def _entities(system: System) -> int:
    with redis.Redis.from_url(system.redis_url) as client:
        held: Any = [client.hget(key, "entities") for key in client.scan_iter("dealpulse:*:meta")]
    return sum(map(int, held))


def _count(rows: list[dict[str, Any]]) -> float:
    return float(next(row["value"] for row in rows if row["reading"] == "count"))


def _partitions_of(system: System, partition: int) -> int:
    with redis.Redis.from_url(system.redis_url) as client:
        held: Any = client.hget(f"dealpulse:{{{DEALS}/{partition}}}:meta", "partitions")
    return int(held or 0)


def _error(system: System, *arguments: str, code: int = 2) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dealpulse", *arguments],
        env={
            **os.environ,
            "DEALPULSE_KAFKA__BROKERS": system.brokers,
            "DEALPULSE_REDIS__URL": system.redis_url,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code
    return done.stderr
