"""A Kafka with ACLs: what it denies is said, and what docs/operate.md asks for is enough."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    ConfigResourceType,
    KafkaAdminClient,
    NewTopic,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)

from events.settings import KafkaSettings
from events.topics import REPORTED, TOPICS, dlq_of
from streams import topics
from tests.integration.servers import GuardedKafka, kafka_is_required, why_no_kafka
from tests.integration.traffic import Message, deal, publish, wait_for_all, wait_until
from tests.integration.worker import Worker

pytestmark = pytest.mark.kafka


class Translating(Worker):
    """A worker with an adapter of a Connect topic."""

    def prepare(self, folder: Path) -> None:
        (folder / "dealpulse.toml").write_text(CONFIG)


USERS = tuple(f"user{number}" for number in range(20))
CONNECT = "sf.cdc.Opportunity"
CONFIG = f'[adapters.org]\nkind = "salesforce"\ntopics = ["{CONNECT}"]\n'
COLUMNS: Mapping[str, Sequence[str]] = {
    "entities' topics": TOPICS,
    "`*.dlq`": [*map(dlq_of, TOPICS), dlq_of(CONNECT)],
    "`dealpulse.reported`": [REPORTED],
    "Connect's topics": [CONNECT],
}
"""What a column of the table in docs/operate.md is about."""
OPERATE = Path(__file__).resolve().parents[2] / "docs" / "operate.md"


@pytest.fixture(scope="module")
def kafka() -> Iterator[GuardedKafka]:
    if why_not := why_no_kafka():
        if kafka_is_required():
            pytest.fail(f"DEALPULSE_REQUIRE_KAFKA=1, but {why_not}", pytrace=False)
        pytest.skip(why_not)
    with GuardedKafka(USERS) as broker:
        topics.ensure(KafkaSettings(brokers=broker.brokers), topics.needed([CONNECT]))
        with closing(KafkaAdminClient(bootstrap_servers=broker.brokers)) as admin:
            admin.create_topics([NewTopic(CONNECT, 1, 1)], wait_for_metadata=True)
        yield broker


@pytest.fixture(scope="module")
def users() -> Iterator[str]:
    return iter(USERS)


def allow(kafka: GuardedKafka, user: str, rights: Mapping[tuple[ResourceType, str], Sequence[str]]) -> None:
    """Let a user do this (`DescribeConfigs`, …), and wait until the broker knows it."""
    acls = [
        ACL(
            f"User:{user}",
            "*",
            ACLOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()],
            ACLPermissionType.ALLOW,
            ResourcePattern(kind, name),
        )
        for (kind, name), operations in rights.items()
        for operation in operations
    ]
    of_user = ACLFilter(
        f"User:{user}",
        None,
        ACLOperation.ANY,
        ACLPermissionType.ANY,
        ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
    )
    with closing(KafkaAdminClient(bootstrap_servers=kafka.brokers)) as admin:
        assert admin.create_acls(acls)["failed"] == []
        wait_until(lambda: len(admin.describe_acls(of_user)[0]) == len(acls), "the broker knows the ACLs")


def on_topics(*operations: str) -> dict[tuple[ResourceType, str], Sequence[str]]:
    return {(ResourceType.TOPIC, name): operations for name in topics.needed([CONNECT])}


def login(user: str) -> dict[str, str]:
    return {
        "KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA__SASL_USERNAME": user,
        "KAFKA__SASL_PASSWORD": user,
    }


@pytest.fixture
def run(
    kafka: GuardedKafka, redis_url: str, tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command as a user."""
    (tmp_path / "dealpulse.toml").write_text(CONFIG)

    def as_user(user: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        settings = {
            "KAFKA__BROKERS": kafka.guarded,
            "REDIS__URL": redis_url,
            "EXPORTER__LISTEN": "127.0.0.1:0",
        }
        return subprocess.run(
            [sys.executable, "-m", "dealpulse", "--config", str(tmp_path / "dealpulse.toml"), *arguments],
            env={
                **os.environ,
                **{f"DEALPULSE_{key}": text for key, text in (settings | login(user) | more).items()},
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return as_user


def checks(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    return {each["name"]: each for each in json.loads(done.stdout)["checks"]}


@pytest.fixture
def short(kafka: GuardedKafka) -> Iterator[Callable[[], str]]:
    """The topic of deals keeps records for a week; gives what it is set to."""
    with closing(KafkaAdminClient(bootstrap_servers=kafka.brokers)) as admin:

        def set_to(value: str) -> None:
            admin.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, TOPICS[0], {"retention.ms": value})]
            )
            wait_until(lambda: retention() == value, "retention is set")

        def retention() -> str:
            described: Any = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, TOPICS[0])])
            return str(described["topic"][TOPICS[0]].get("retention.ms", {}).get("value"))

        set_to("604800000")
        yield retention
        set_to("-1")


def test_a_setting_that_may_not_be_changed_is_not_said_to_be(
    kafka: GuardedKafka, users: Iterator[str], run: Any, short: Callable[[], str]
) -> None:
    user = next(users)
    allow(kafka, user, on_topics("Describe", "DescribeConfigs"))

    done = run(user, "topics", "ensure")

    assert (done.returncode, done.stdout) == (3, "")
    assert "crm.opportunity cannot be set to retention.ms=-1" in done.stderr
    assert "AlterConfigs" in done.stderr
    assert short() == "604800000"
    assert run(user, "topics", "list").returncode == 1


def test_settings_that_may_not_be_read_are_a_fault(
    kafka: GuardedKafka, users: Iterator[str], run: Any, short: Callable[[], str]
) -> None:
    user = next(users)
    allow(kafka, user, on_topics("Describe"))

    listed, ensured = run(user, "topics", "list", "--json"), run(user, "topics", "ensure")
    check = checks(run(user, "doctor", "--json"))["topic crm.opportunity"]

    fault = "its settings may not be read: allow this user DescribeConfigs on it"
    assert listed.returncode == 1
    assert {fault for each in json.loads(listed.stdout)} == {
        one for each in json.loads(listed.stdout) for one in each["faults"]
    }
    assert (ensured.returncode, "DescribeConfigs" in ensured.stderr) == (3, True)
    assert (check["state"], check["found"]) == ("failed", fault)
    assert short() == "604800000"


def test_topics_that_may_not_be_seen_are_not_missing(users: Iterator[str], run: Any) -> None:
    user = next(users)

    for command in (("topics", "list"), ("topics", "ensure"), ("verify", "--fast")):
        done = run(user, *command)
        assert (done.returncode, "may not be seen: allow this user Describe" in done.stderr) == (3, True), (
            done
        )

    assert checks(run(user, "doctor", "--json"))["topics"]["state"] == "failed"


def rights_of(command: str) -> dict[tuple[ResourceType, str], Sequence[str]]:
    """What docs/operate.md says that the user of a command needs."""
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in OPERATE.read_text("utf-8").splitlines()
        if line.startswith("|")
    ]
    (head,) = [row for row in rows if row[0] == "user of"]
    (row,) = [row for row in rows if len(row) == len(head) and f"`{command}`" in row[0]]
    found: dict[tuple[ResourceType, str], Sequence[str]] = {}
    for column, cell in zip(head[1:], row[1:], strict=True):
        kind = ResourceType.GROUP if column == "group" else ResourceType.TOPIC
        for name in ["dealpulse"] if column == "group" else COLUMNS[column]:
            found[kind, name] = cell.split(", ") if cell else ()
    return found


def test_with_the_rights_of_the_documentation_each_does_its_work(
    kafka: GuardedKafka,
    users: Iterator[str],
    run: Any,
    redis_url: str,
    tmp_path: Path,
    short: Callable[[], str],
) -> None:
    def able(command: str) -> str:
        user = next(users)
        allow(kafka, user, rights_of(command))
        return user

    assert run(able("topics ensure"), "topics", "ensure", "--json").stdout.count("retention.ms") == 1
    assert short() == "-1"
    assert run(able("topics list"), "topics", "list").returncode == 0
    (tmp_path / "one.jsonl").write_bytes((deal(1).value or b"") + b"\n")
    imported = run(able("import"), "import", str(tmp_path / "one.jsonl"), "--brokers", kafka.guarded)
    assert imported.returncode == 0, imported.stderr
    publish(
        kafka.brokers, [Message(TOPICS[0], b"wrong-key", deal(2).value), Message(TOPICS[0], b"k", b"\xff")]
    )

    with Translating(kafka.guarded, redis_url, **login(able("worker"))):
        wait_for_all(kafka.brokers, redis_url)
        found = checks(run(able("doctor"), "doctor", "--json"))
        assert [
            one for one in found.values() if one["name"].startswith("topic") and one["state"] != "ok"
        ] == []
        assert found["workers, group dealpulse"]["found"].startswith("1 running")

        dlq = able("dlq")
        assert run(dlq, "dlq", "list").stdout.count("malformed") == 1
        assert run(dlq, "dlq", "replay", "--all").returncode == 0
        wait_for_all(kafka.brokers, redis_url)
        verified = run(able("verify"), "verify", "--fast")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        rebuilt = run(able("rebuild"), "rebuild", "--partition", "crm.opportunity/0", "--yes")
        assert rebuilt.returncode == 0, rebuilt.stderr
