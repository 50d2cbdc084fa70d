"""A started producer of aiokafka: acknowledged by all replicas, idempotent where the broker can do that."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .delivery import why
from .errors import UnreachableError
from .keys import Partitioner, partition_of
from .log import get_logger
from .settings import KafkaSettings
from .topics import MAX_DEAD_LETTER_BYTES

_log = get_logger("publisher")


async def start_producer(settings: KafkaSettings, **options: Any) -> Any:
    """An `aiokafka.AIOKafkaProducer`, connected; `options` are its own. Raises UnreachableError.

    Tansu (the broker of the embedded stack, 0.6) answers aiokafka's request for a producer id with an
    unknown error. The producer is then started without: a retry may store an event twice, which folds
    to the same, since its id is.
    """
    from aiokafka.errors import KafkaError, UnknownError

    try:
        with _without_its_own_words():
            return await _started(settings, enable_idempotence=True, **options)
    except UnknownError:
        _log.info("publisher.not_idempotent", brokers=settings.brokers)
    except (KafkaError, OSError) as error:
        raise _unreachable(settings, error) from error
    try:
        return await _started(settings, enable_idempotence=False, **options)
    except (KafkaError, OSError) as error:
        raise _unreachable(settings, error) from error


@contextmanager
def _without_its_own_words() -> Iterator[None]:
    """What aiokafka raises here it also logs, as an error: an alarm, where all that follows is a second try."""
    log = logging.getLogger("aiokafka.producer.sender")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


async def _started(settings: KafkaSettings, **options: Any) -> Any:
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(
        **settings.aiokafka(),
        acks="all",
        partitioner=_by_key(settings.partitioner),
        max_request_size=MAX_DEAD_LETTER_BYTES,
        **options,
    )
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
    return producer


def _unreachable(settings: KafkaSettings, error: BaseException) -> UnreachableError:
    return UnreachableError(
        f"Kafka at {settings.brokers} does not answer: {why(error)}. Is it running, and are the address and "
        "the login right?"
    )


def _by_key(kind: Partitioner) -> Callable[[bytes | None, list[int], list[int]], int]:
    """What aiokafka asks: the key's place among all partitions; records without a key take turns."""
    turn = 0

    def place(key: bytes | None, partitions: list[int], _available: list[int]) -> int:
        nonlocal turn
        if key is None:
            turn += 1
            return partitions[turn % len(partitions)]
        return sorted(partitions)[partition_of(key, len(partitions), kind)]

    return place
