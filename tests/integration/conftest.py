"""Fixtures: one Tansu, one Apache Kafka and one Redis for the whole session, an own corner per test."""

import itertools
import os
from collections.abc import Iterator

import pytest
import redis

from tests.integration.servers import (
    Broker,
    RedisServer,
    kafka_is_required,
    remove_topics,
    running,
    why_no_kafka,
)

_numbers = itertools.count(1)


def _started(kind: str) -> Iterator[Broker]:
    if kind == "kafka" and (why_not := why_no_kafka()):
        if kafka_is_required():
            pytest.fail(f"DEALPULSE_REQUIRE_KAFKA=1, but {why_not}", pytrace=False)
        pytest.skip(why_not)
    with running(kind) as broker:
        yield broker


@pytest.fixture(scope="session", params=["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A running broker; each test that asks for it runs on Tansu and on Apache Kafka."""
    yield from _started(request.param)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    """A running Apache Kafka, for tests of what Tansu does not do."""
    yield from _started("kafka")


@pytest.fixture
def empty_broker(broker: Broker) -> Broker:
    """The broker without any topic: for tests that use the topics of entities."""
    remove_topics(broker)
    return broker


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A running Redis. Take `redis_url` for an empty database of one's own."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> Iterator[str]:
    """An empty Redis database; what a test leaves in it is removed."""
    number = next(_numbers) % 63 + 1
    url = f"redis://127.0.0.1:{redis_server.port}/{number}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


@pytest.fixture
def unique() -> str:
    """A name that no other test of this session uses: for consumer groups, topic or key prefixes."""
    return f"t{os.getpid()}-{next(_numbers)}"
