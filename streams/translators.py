"""Topics that Kafka Connect fills (Salesforce CDC, Debezium), translated into canonical events: one agent each.

A record is acknowledged once every event made of it is; after a crash it is translated again, into
events of the same ids. A record that cannot be translated is a dead letter of its topic.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final

from events.adapters.catalogue import TopicSettings, Translator, translator
from events.adapters.settings import Adapter
from events.errors import BadEventError
from events.headers import CONTENT_TYPE, RECORDED
from events.keys import Partitioner, partition_of
from streams.app import App
from streams.deadletters import dead_letter
from streams.metrics import WorkerMetrics
from streams.outbox import Outgoing, Producer, deliver

_RECORDS_AT_ONCE: Final = 512
"""Records under way per adapter: their acknowledgements are waited for together."""


@dataclass
class Received:
    """A record of a Connect topic. `timestamp` is Unix ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True)
class Source:
    """One adapter and the topics it translates."""

    name: str
    topics: tuple[str, ...]
    translator: Translator


@dataclass(frozen=True)
class Translated:
    """What becomes of one record: records to send; and how it is counted."""

    records: tuple[Outgoing, ...]
    gaps: int = 0
    refused: BadEventError | None = None


def sources(adapters: Mapping[str, Adapter], *, zone: tzinfo) -> tuple[Source, ...]:
    """The adapters of Connect topics among all adapters. `zone` is the company's."""
    return tuple(
        Source(name, settings.topics, translator(settings, zone=zone))
        for name, settings in adapters.items()
        if isinstance(settings, TopicSettings) and settings.topics
    )


def translated(
    source: Source,
    topic: str,
    partition: int,
    record: Received,
    *,
    partitions: Callable[[str], int],
    partitioner: Partitioner,
) -> Translated:
    """The records that a record of a Connect topic becomes: canonical events, or its dead letter.

    Each carries when Kafka first had the original, so that passing it on makes no event known later.
    """
    try:
        events = source.translator.translate(record.value or b"", record.key or b"")
    except BadEventError as error:
        return Translated((dead_letter(topic, partition, record, error),), refused=error)
    known = dict(record.headers).get(RECORDED) or b"%d" % record.timestamp
    out = []
    for event in events:
        key = event.subject.encode()
        out.append(
            Outgoing(
                event.topic,
                key,
                event.value,
                [CONTENT_TYPE, (RECORDED, known)],
                partition_of(key, partitions(event.topic), partitioner),
            )
        )
    return Translated(tuple(out), gaps=sum(event.resync for event in events))


def add_translators(
    app: App,
    found: Sequence[Source],
    *,
    producer: Producer,
    partitions: Callable[[str], int],
    partitioner: Partitioner,
    metrics: WorkerMetrics,
) -> None:
    """Give the Faust app one agent for each source."""
    for source in found:
        _add(app, source, producer, partitions, partitioner, metrics)


def _add(
    app: App,
    source: Source,
    producer: Producer,
    partitions: Callable[[str], int],
    partitioner: Partitioner,
    metrics: WorkerMetrics,
) -> None:
    connect = app.topic(*source.topics, key_serializer="raw", value_serializer="raw")
    free = asyncio.Semaphore(_RECORDS_AT_ONCE)
    under_way: set[asyncio.Task[None]] = set()

    async def pass_on(event: Any, topic: str, result: Translated) -> None:
        try:
            await deliver(producer, result.records)
            event.ack()
        finally:
            free.release()
        _count(metrics, source, topic, result)

    @app.agent(connect, name=f"translate_{source.name}")
    async def translate(stream: Any) -> AsyncIterator[None]:
        async for event in stream.noack().events():
            await free.acquire()
            message = event.message
            result = translated(
                source,
                message.topic,
                message.partition,
                _received(message),
                partitions=partitions,
                partitioner=partitioner,
            )
            task = asyncio.create_task(pass_on(event, message.topic, result))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            yield


def _received(message: Any) -> Received:
    headers = message.headers or ()
    return Received(
        offset=message.offset,
        timestamp=round((message.timestamp or 0) * 1000),
        key=message.key,
        value=message.value,
        headers=list(headers.items() if isinstance(headers, Mapping) else headers),
    )


def _count(metrics: WorkerMetrics, source: Source, topic: str, result: Translated) -> None:
    if result.refused is not None:
        metrics.events.labels(topic, "dead_lettered").inc()
        metrics.dead_letters.labels(topic, result.refused.reason).inc()
        return
    metrics.events.labels(topic, "translated").inc()
    if result.gaps:
        metrics.gaps.labels(source.name).inc(result.gaps)
