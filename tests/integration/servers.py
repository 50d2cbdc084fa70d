"""The servers that tests start: Apache Kafka here, Tansu and Redis from `dealpulse.embedded`.

Apache Kafka needs `java` (17 or newer) and, once, `mvn` to fetch its jars into `.cache/kafka/libs`.
"""

import base64
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kafka.admin import KafkaAdminClient

from dealpulse.child import ChildError, free_port
from dealpulse.embedded import RedisServer, Server, Tansu, cluster_id

__all__ = [
    "ApacheKafka",
    "Broker",
    "GuardedKafka",
    "RedisServer",
    "Tansu",
    "kafka_is_required",
    "why_no_kafka",
]

PROJECT = Path(__file__).resolve().parents[2]
JARS = PROJECT / ".cache" / "kafka" / "libs"
POM = PROJECT / "tests" / "integration" / "kafka" / "pom.xml"


class ApacheKafka(Server):
    """One Apache Kafka broker in KRaft mode. `kill()` and `start()` keep its data and its port."""

    start_seconds = 60.0

    def __init__(self, port: int = 0, *, heap_megabytes: int = 512) -> None:
        super().__init__("kafka", port)
        self._heap_megabytes = heap_megabytes
        # An id that begins with "-" would be read as an option, by one start in 64.
        self._cluster = "d" + base64.urlsafe_b64encode(uuid.uuid4().bytes)[1:22].decode()
        self._controller_port = 0

    @property
    def brokers(self) -> str:
        """The address for `kafka.brokers`."""
        return f"127.0.0.1:{self.port}"

    def prepare(self, folder: Path) -> None:
        super().prepare(folder)
        properties = folder / "server.properties"
        if properties.exists():
            return
        self._controller_port = free_port()
        properties.write_text("".join(f"{key}={value}\n" for key, value in self._properties(folder).items()))
        fetch_jars()
        formatted = subprocess.run(
            [
                *self._java(256),
                "kafka.tools.StorageTool",
                "format",
                "-t",
                self._cluster,
                "-c",
                str(properties),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if formatted.returncode:
            raise ChildError(f"kafka: its storage cannot be formatted: {formatted.stderr.strip()[-300:]}")

    def command(self, folder: Path) -> Sequence[str]:
        return [*self._java(self._heap_megabytes), "kafka.Kafka", str(folder / "server.properties")]

    def ready(self) -> bool:
        return self.running and cluster_id(self.port) == self._cluster

    def _java(self, heap_megabytes: int) -> list[str]:
        return [
            *("java", f"-Xmx{heap_megabytes}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *("-cp", f"{JARS}/*"),
        ]

    def _properties(self, folder: Path) -> Mapping[str, str]:
        broker, controller = f"127.0.0.1:{self.port}", f"127.0.0.1:{self._controller_port}"
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{broker}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(folder / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "auto.create.topics.enable": "false",
        }


class GuardedKafka(ApacheKafka):
    """An Apache Kafka with a second door: who comes in there logs in, and may do what an ACL allows.

    `brokers` is the first one, at which everything is allowed.
    """

    def __init__(self, users: Sequence[str]) -> None:
        super().__init__()
        self._users = users
        self._guarded_port = 0

    @property
    def guarded(self) -> str:
        """The address of the door where users log in, each with his name as password."""
        return f"127.0.0.1:{self._guarded_port}"

    def _properties(self, folder: Path) -> Mapping[str, str]:
        self._guarded_port = free_port()
        plain = super()._properties(folder)
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        return {
            **plain,
            "listeners": f"{plain['listeners']},GUARDED://{self.guarded}",
            "advertised.listeners": f"{plain['advertised.listeners']},GUARDED://{self.guarded}",
            "listener.security.protocol.map": f"{plain['listener.security.protocol.map']},GUARDED:SASL_PLAINTEXT",
            "listener.name.guarded.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.guarded.plain.sasl.jaas.config": " ".join(
                [login, *(f'user_{user}="{user}"' for user in self._users)]
            )
            + ";",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }


Broker = Tansu | ApacheKafka


def kafka_is_required() -> bool:
    """Whether a missing Apache Kafka fails tests instead of skipping them."""
    return os.environ.get("DEALPULSE_REQUIRE_KAFKA", "") == "1"


def why_no_kafka() -> str | None:
    """Why Apache Kafka cannot run here, or None if it can."""
    if shutil.which("java") is None:
        return "no Apache Kafka: java is not on PATH (install a JRE, 17 or newer)"
    if not list(JARS.glob("kafka_*.jar")) and shutil.which("mvn") is None:
        return "no Apache Kafka: its jars are not in .cache/kafka/libs and mvn is not on PATH to fetch them"
    return None


def fetch_jars() -> None:
    """Fetch the jars of Apache Kafka, unless they are there. Raises ChildError."""
    if list(JARS.glob("kafka_*.jar")):
        return
    fresh = JARS.with_name(f"libs.{os.getpid()}")
    fetched = subprocess.run(
        ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={fresh}"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if fetched.returncode:
        shutil.rmtree(fresh, ignore_errors=True)
        raise ChildError(f"kafka: maven could not fetch the jars: {fetched.stdout.strip()[-300:]}")
    if not JARS.exists():
        fresh.rename(JARS)
    shutil.rmtree(fresh, ignore_errors=True)


def remove_topics(broker: Broker) -> None:
    """Delete every topic and wait until they are gone."""
    if isinstance(broker, Tansu):  # a new one is there sooner than its topics are gone
        broker.kill()
        broker.start()
        return
    admin = KafkaAdminClient(bootstrap_servers=broker.brokers)
    try:
        deadline = time.monotonic() + 30
        while names := [name for name in admin.list_topics() if not name.startswith("__")]:
            admin.delete_topics(names, raise_errors=False)
            if time.monotonic() > deadline:
                raise ChildError(f"kafka still has topics after 30 s: {names}")
            time.sleep(0.05)
    finally:
        admin.close()


@contextmanager
def running(kind: str) -> Iterator[Broker]:
    """A started broker: `tansu` or `kafka`."""
    broker: Broker = Tansu() if kind == "tansu" else ApacheKafka()
    with broker:
        yield broker
