"""The doctor against real servers: well, and wrong in each way it looks for."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing

import pytest
import redis
from kafka.admin import KafkaAdminClient, NewTopic

from dealpulse.config import load
from dealpulse.doctor import Check, checks
from events.clock import Clock
from events.settings import KafkaSettings
from events.topics import REPORTED, TOPICS, config_of, dlq_of
from streams import topics
from tests.integration.servers import Broker, RedisServer, running


def diagnosis(broker: Broker, url: str, **flags: object) -> dict[str, Check]:
    given = {"kafka.brokers": broker.brokers, "redis.url": url, "exporter.listen": "127.0.0.1:0"}
    configuration = load(
        flags=given | {name.replace("__", "."): value for name, value in flags.items()}, environ={}
    )
    return {check.name: check for check in checks(configuration, Clock())}


@pytest.fixture(scope="module", params=["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def fresh(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker of this module's own: what topics exist is what is looked at."""
    from tests.integration.servers import kafka_is_required, why_no_kafka

    if request.param == "kafka" and (why_not := why_no_kafka()):
        if kafka_is_required():
            pytest.fail(f"DEALPULSE_REQUIRE_KAFKA=1, but {why_not}", pytrace=False)
        pytest.skip(why_not)
    with running(request.param) as broker:
        yield broker


def ensure(broker: Broker, changed: Mapping[str, str] | None = None) -> None:
    wanted = [*TOPICS, *map(dlq_of, TOPICS), REPORTED]
    with closing(KafkaAdminClient(bootstrap_servers=broker.brokers)) as admin:
        admin.create_topics(
            [NewTopic(name, 4, 1, topic_configs=config_of(name) | dict(changed or {})) for name in wanted],
            wait_for_metadata=True,
        )


def test_missing_topics_then_all_well(fresh: Broker, redis_url: str) -> None:
    before = diagnosis(fresh, redis_url)
    assert before["kafka"].state == "ok"
    assert before["topic crm.opportunity"].state == "failed"
    assert before["topic crm.opportunity"].fix == "dealpulse topics ensure"

    ensure(fresh)

    after = diagnosis(fresh, redis_url)
    wrong = {name: check for name, check in after.items() if check.state in ("failed", "unreachable")}
    assert wrong == {}
    assert after["topic crm.opportunity"].found == "4 partitions, 1 copy, kept for good"
    assert after["clock"].state == "ok"
    assert after["redis"].found.startswith("Redis ")


def test_shards_of_another_topic_or_partitioner_fail(fresh: Broker, redis_url: str) -> None:
    topics.ensure(KafkaSettings(brokers=fresh.brokers))
    meta = "dealpulse:{crm.opportunity/1}:meta"
    with redis.Redis.from_url(redis_url) as client:
        client.hset(meta, mapping={"topic_id": str(uuid.uuid4()), "partitioner": "crc32"})
        found = diagnosis(fresh, redis_url)
        client.hdel(meta, "topic_id", "partitioner")

    assert found["topics of the shards"].state == "failed"
    assert found["topics of the shards"].found.endswith("crm.opportunity/1")
    assert found["partitioner of the shards"].found == "shards were folded with crc32, configured is murmur2"
    assert diagnosis(fresh, redis_url)["shards in redis"].state == "ok"


def test_another_number_of_partitions_fails(fresh: Broker, redis_url: str) -> None:
    found = diagnosis(fresh, redis_url, kafka__partitions=8)

    assert found["topic crm.opportunity"].state == "failed"
    assert found["topic crm.opportunity"].found == "4 partitions, configured are 8"


def test_retention_that_forgets_fails(redis_url: str) -> None:
    with running("tansu") as broker:
        ensure(broker, {"retention.ms": "604800000"})

        check = diagnosis(broker, redis_url)["topic crm.opportunity"]
        beside = diagnosis(broker, redis_url, kafka__partitions=8)["topic crm.opportunity"]

    assert (check.state, check.fix) == ("failed", "dealpulse topics ensure")
    assert check.found == "retention.ms is 604800000, should be -1"
    assert beside.found == "4 partitions, configured are 8; retention.ms is 604800000, should be -1"
    assert beside.fix.endswith("; dealpulse topics ensure")


def test_where_the_dead_letters_of_a_connect_topic_go_is_looked_at(fresh: Broker, redis_url: str) -> None:
    adapters = {"org": {"kind": "salesforce", "topics": ["sf.cdc.Opportunity"]}}

    check = diagnosis(fresh, redis_url, adapters=adapters)["topic sf.cdc.Opportunity.dlq"]

    assert (check.state, check.fix) == ("failed", "dealpulse topics ensure")


def test_a_redis_that_evicts_fails(fresh: Broker) -> None:
    with RedisServer(options=("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")) as server:
        check = diagnosis(fresh, server.url)["redis eviction"]

    assert (check.state, check.fix) == ("failed", "set maxmemory-policy noeviction")


def test_a_redis_with_a_password_asks_for_it(fresh: Broker) -> None:
    with RedisServer() as server, redis.Redis.from_url(server.url) as client:
        client.config_set("requirepass", "hunter2")

        without = diagnosis(fresh, server.url)["redis"]
        with_it = diagnosis(fresh, server.url, redis__password="hunter2")["redis"]
        client.config_set("requirepass", "")

    assert (without.state, with_it.state) == ("failed", "ok")
    assert "DEALPULSE_REDIS__PASSWORD" in without.fix
