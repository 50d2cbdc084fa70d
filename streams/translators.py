"""Topics that Kafka Connect fills (Salesforce CDC, Debezium), translated into canonical events.

A record counts as passed on once every event made of it is acknowledged; after a crash it is translated again, into
events of the same ids. A record that cannot be translated is a dead letter of its topic.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from typing import Any, Final

from faust.types import TP

from events.adapters.catalogue import TopicSettings, Translator, translator
from events.adapters.settings import Adapter
from events.errors import BadEventError
from events.headers import CONTENT_TYPE, RECORDED
from events.keys import Partitioner, partition_of
from streams.app import App
from streams.deadletters import dead_letter, too_large
from streams.inbox import Inbox
from streams.metrics import WorkerMetrics
from streams.outbox import Outgoing, Producer, Unsent, deliver
from streams.shard import Record

_RECORDS_AT_ONCE: Final = 512
"""Records translated in one go, and delivered together."""


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
    record: Record,
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
                partial(too_large, topic, partition, record),
            )
        )
    return Translated(tuple(out), gaps=sum(event.resync for event in events))


def add_translators(
    app: App,
    found: Sequence[Source],
    inbox: Inbox,
    *,
    producer: Producer,
    unsent: Unsent,
    partitions: Callable[[str], int],
    partitioner: Partitioner,
    metrics: WorkerMetrics,
) -> None:
    """Give the Faust app an agent for the topics of all sources, which `inbox` owns."""
    if not found:
        return
    connect = app.topic(*sorted(inbox.topics), key_serializer="raw", value_serializer="raw")
    by_topic = {
        topic: [source for source in found if topic in source.topics]
        for topic in {topic for source in found for topic in source.topics}
    }

    async def pass_on(topic: str, results: list[tuple[Source, Translated]]) -> None:
        records = [record for _, result in results for record in result.records]
        await deliver(producer, records, unsent=unsent)
        for source, result in results:
            _count(metrics, source, topic, result)

    @app.agent(connect, name="translate")
    async def translate(stream: Any) -> AsyncIterator[None]:
        async for event in stream.noack().events():
            message = event.message
            tp = TP(message.topic, message.partition)
            records = inbox.news(tp, event.value)
            if not records:
                event.ack()
                if records is None:
                    await inbox.back(tp)
                yield
                continue
            position = inbox.position(tp)
            for start in range(0, len(records), _RECORDS_AT_ONCE):
                some = records[start : start + _RECORDS_AT_ONCE]
                results = [
                    (
                        source,
                        translated(
                            source,
                            message.topic,
                            message.partition,
                            record,
                            partitions=partitions,
                            partitioner=partitioner,
                        ),
                    )
                    for record in some
                    for source in by_topic[message.topic]
                ]
                if inbox.position(tp) != position:
                    event.ack()
                    break  # given up meanwhile, and perhaps taken over again somewhere else
                position = some[-1].offset + 1
                last = start + len(some) == len(records)
                await inbox.take(
                    tp, position, pass_on(message.topic, results), event.ack if last else _nothing
                )
            event.value = message.value = None  # Faust keeps it until it is acknowledged: not the records
            yield


def _nothing() -> None:
    """A part of a batch is not acknowledged by itself."""


def _count(metrics: WorkerMetrics, source: Source, topic: str, result: Translated) -> None:
    if result.refused is not None:
        metrics.events.labels(topic, "dead_lettered").inc()
        metrics.dead_letters.labels(topic, result.refused.reason).inc()
        return
    metrics.events.labels(topic, "translated").inc()
    if result.gaps:
        metrics.gaps.labels(source.name).inc(result.gaps)
