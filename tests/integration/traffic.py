"""Events on Kafka, and what a batch computation makes of the log: the other road to every figure."""

import asyncio
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from aggregators.meaning import Meaning
from aggregators.state import Folded, PartitionState, fact_chunk, partition_state
from events.canonical import OrderKey, order_key
from events.keys import partition_of
from events.settings import KafkaSettings
from events.topics import TOPICS
from streams import topics

PARTITIONS = 4
STAGES = ("Prospecting", "Qualification", "Proposal", "Negotiation", "Closed Won", "Closed Lost")


@dataclass(frozen=True)
class Message:
    """One record to publish. `partition` None: the key's."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None


def envelope(entity: str, verb: str, subject: str, number: int, data: dict[str, Any], **more: Any) -> bytes:
    """A CloudEvent, its time `number` seconds into 2026."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_767_225_600 + number))
    event = {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": "/test",
        "type": f"dealpulse.{entity}.{verb}",
        "subject": subject,
        "time": at,
        "data": data,
    }
    return json.dumps(event | more).encode()


def deal(number: int, *, deals: int = 300) -> Message:
    """A statement about one of some deals: its stage, owner and amount."""
    rng = random.Random(number)
    subject = f"opp-{rng.randrange(deals)}"
    data = {
        "stage": rng.choice(STAGES),
        "owner_id": f"rep-{rng.randrange(5)}",
        "amount": f"{rng.randrange(100_000)}.50",
        "currency": "USD",
        "created_at": "2026-01-01T00:00:00Z",
    }
    value = envelope("opportunity", "changed", subject, rng.randrange(20_000_000), data, id=f"e{number}")
    return Message("crm.opportunity", subject.encode(), value)


def employee(number: int) -> Message:
    """A statement about one of some employees."""
    subject = f"rep-{number % 20}"
    data = {"name": f"Rep {number}", "role": "sales", "team": f"team-{number % 3}", "hired_on": "2025-01-01"}
    return Message("hr.employee", subject.encode(), envelope("employee", "changed", subject, number, data))


def mixed(count: int, *, seed: int = 1) -> Iterator[Message]:
    """So many messages: deals and employees, out of order, some of them twice."""
    rng = random.Random(seed)
    told: list[Message] = []
    for number in range(count):
        if told and rng.random() < 0.1:
            yield rng.choice(told)
            continue
        message = employee(number) if rng.random() < 0.1 else deal(number)
        told.append(message)
        yield message


def publish(brokers: str, messages: Iterable[Message], *, codec: str | None = None) -> None:
    """Append these messages to the log, each acknowledged."""

    async def run() -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=brokers, linger_ms=5, compression_type=codec, max_request_size=4_000_000
        ) as producer:
            await asyncio.gather(*[await _send(producer, message) for message in messages])

    asyncio.run(run())


@contextmanager
def streaming(brokers: str, messages: Iterable[Message], *, per_second: int) -> Iterator[Callable[[], int]]:
    """Publish in the background at about that rate until left. Gives a function: how many so far."""
    stop, sent, failed = threading.Event(), [0], []

    async def run() -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=brokers, linger_ms=5, compression_type="lz4"
        ) as producer:
            waiting, step = iter(messages), max(1, per_second // 50)
            while not stop.is_set():
                batch = list(itertools.islice(waiting, step))
                if not batch:
                    return
                await asyncio.gather(*[await _send(producer, message) for message in batch])
                sent[0] += len(batch)
                await asyncio.sleep(step / per_second)

    def publishes() -> None:
        try:
            asyncio.run(run())
        except Exception as error:  # noqa: BLE001 - told in the test's own thread
            failed.append(error)

    thread = threading.Thread(target=publishes)
    thread.start()
    try:
        yield lambda: sent[0]
    finally:
        stop.set()
        thread.join()
    assert not failed, failed


async def _send(producer: Any, message: Message) -> Any:
    partition = message.partition
    if partition is None and message.key is not None:
        partition = partition_of(message.key, PARTITIONS, "murmur2")
    return await producer.send(message.topic, message.value, key=message.key, partition=partition)


def make_topics(brokers: str, partitions: int = PARTITIONS) -> None:
    """The topics, as a worker makes them that was told of so many partitions."""
    topics.ensure(KafkaSettings(brokers=brokers, partitions=partitions))


Log = dict[str, dict[int, list[Any]]]
"""Topic -> partition -> its records."""


def whole_log(brokers: str, names: Sequence[str] = TOPICS, partitions: int = PARTITIONS) -> Log:
    """Every record of these topics, which have so many partitions each."""

    # By the ends that fetches tell: Tansu 0.6.0 lists wrong ones when asked for the latest offsets.
    async def run() -> Log:
        async with AIOKafkaConsumer(
            bootstrap_servers=brokers, auto_offset_reset="earliest", fetch_max_wait_ms=50
        ) as consumer:
            waiting = {TopicPartition(topic, partition) for topic in names for partition in range(partitions)}
            consumer.assign(list(waiting))
            found: Log = {topic: {partition: [] for partition in range(partitions)} for topic in names}
            while waiting:
                for tp, records in (await consumer.getmany(timeout_ms=20)).items():
                    found[tp.topic][tp.partition] += records
                for tp in list(waiting):
                    end = consumer.highwater(tp)
                    if end is not None and await consumer.position(tp) >= end:
                        waiting.discard(tp)
            return found

    return asyncio.run(run())


def log_of(brokers: str, topic: str) -> dict[int, list[Any]]:
    """Every record of a topic, by partition."""
    return whole_log(brokers, [topic])[topic]


def batch_fold(
    topic: str, partition: int, records: Sequence[Any], meaning: Meaning
) -> tuple[PartitionState, Folded]:
    """The state and the account of a partition, folded at once from its records."""
    state = partition_state(topic, partition, PARTITIONS, "murmur2", meaning)
    folded = state.fold([record.key for record in records], [record.value for record in records])
    return state, folded


class Stored:
    """A shard as it lies in Redis."""

    def __init__(self, url: str, topic: str, partition: int, meaning: Meaning) -> None:
        name = f"dealpulse:{{{topic}/{partition}}}"
        with redis.Redis.from_url(url) as client:
            meta: Any = client.hgetall(f"{name}:meta")
            self.meta = {key.decode(): value.decode() for key, value in meta.items()}
            generation = self.meta.get("generation", "")
            self.statements: Any = client.lrange(f"{name}:{generation}:statements", 0, -1)
            self.facts: Any = client.lrange(f"{name}:{generation}:facts", 0, -1)
        self.offset = int(self.meta.get("offset", -1))
        self.counts = {
            name: int(self.meta.get(name, 0)) for name in ("applied", "unchanged", "rekeyed", "dead_lettered")
        }
        self.state = partition_state(topic, partition, PARTITIONS, "murmur2", meaning)
        self.state.load(self.statements)

    def facts_by_subject(self) -> dict[bytes, tuple[bytes, bytes]]:
        """The facts that count: the last said of each deal."""
        return _facts(self.facts)


def _facts(chunks: Iterable[bytes]) -> dict[bytes, tuple[bytes, bytes]]:
    found: dict[bytes, tuple[bytes, bytes]] = {}
    for chunk in chunks:
        _, subjects, heads, states = fact_chunk(chunk)
        at = 0
        for subject, head in zip(subjects, heads, strict=True):
            until = at + int(head["states"])
            found[subject] = head.tobytes(), states[at:until].tobytes()
            at = until
    return found


def offsets_reached(url: str, topic: str, ends: dict[int, int]) -> bool:
    """Whether Redis holds this topic's shards up to these offsets."""
    with redis.Redis.from_url(url) as client:
        for partition, end in ends.items():
            held: Any = client.hget(f"dealpulse:{{{topic}/{partition}}}:meta", "offset")
            if held is None or int(held) < end:
                return False
    return True


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = 60.0) -> None:
    """Wait for a condition; fails, saying what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not after {seconds:g} s: {what}"
        time.sleep(0.02)


async def until(condition: Callable[[], bool], what: str, *, seconds: float = 10.0) -> None:
    """The same on an event loop, whose other tasks go on meanwhile."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not after {seconds:g} s: {what}"
        await asyncio.sleep(0.01)


def wait_for_all(brokers: str, url: str, *, seconds: float = 60.0) -> None:
    """Wait until Redis holds every record there is now, republished ones included."""

    def all_there() -> bool:
        ends = {
            topic: {partition: records[-1].offset + 1 for partition, records in log.items() if records}
            for topic, log in whole_log(brokers).items()
        }
        return all(offsets_reached(url, topic, offsets) for topic, offsets in ends.items())

    wait_until(all_there, "Redis holds the whole log", seconds=seconds)


def require_equal_to_batch(brokers: str, url: str, meaning: Meaning | None = None) -> None:
    """Fails unless every shard in Redis is what folding its whole log at once gives."""
    meaning = meaning or Meaning()
    log = whole_log(brokers)
    for topic in TOPICS:
        for partition, records in log[topic].items():
            stored = Stored(url, topic, partition, meaning)
            wanted, folded = batch_fold(topic, partition, records, meaning)
            where = f"{topic}/{partition}"
            assert stored.offset == (records[-1].offset + 1 if records else 0), where
            assert _statements(stored.state) == _statements(wanted), where
            assert stored.counts == {
                "applied": folded.applied,
                "unchanged": folded.unchanged,
                "rekeyed": len(folded.misplaced),
                "dead_lettered": len(folded.refused),
            }, where
            if topic == "crm.opportunity":
                assert stored.facts_by_subject() == _facts(
                    [stored.state.dump(stored.state.subjects(), first=True).facts]
                ), where


def _statements(state: PartitionState) -> list[tuple[str, OrderKey]]:
    return sorted((event.subject, order_key(event)) for event in state.events())
