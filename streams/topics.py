"""The topics dealpulse needs: are they there, and as they must be? Made if not (kafka-python, blocking)."""

import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
)

from events.errors import UnreachableError
from events.settings import KafkaSettings
from events.topics import REPORTED, TOPICS, config_of, dlq_of

NEEDED: Final = (*TOPICS, *(dlq_of(topic) for topic in TOPICS), REPORTED)
"""Every topic that dealpulse reads or writes, whatever its adapters are."""
_CONNECT_S: Final = 4.0
_ANSWER_MS: Final = 5_000
"""Who waits for this answer may be about to stop."""
_NO_ID: Final = str(uuid.UUID(int=0))
_EXISTS: Final = TopicAlreadyExistsError.errno
_DENIED: Final = TopicAuthorizationFailedError.errno


def needed(connect: Iterable[str] = ()) -> tuple[str, ...]:
    """`NEEDED`, and where the dead letters of these Kafka Connect topics go, which Connect does not make."""
    return (*NEEDED, *map(dlq_of, connect))


class KafkaUnreachableError(UnreachableError):
    """Kafka does not answer, or refuses; the message says which brokers and what to check."""

    def __init__(self, kafka: KafkaSettings, error: Exception) -> None:
        super().__init__(
            f"Kafka at {kafka.brokers} does not answer: {error}. Check that it runs, and kafka.brokers "
            "and its security keys in the configuration."
        )


class DeniedError(UnreachableError):
    """Kafka answers, and denies this user a right; the message says which, and on what."""


@dataclass(frozen=True)
class Topic:
    """A topic as Kafka has it: no partitions if it is missing."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    """Its settings, as far as the broker tells them; the embedded one tells those alone that were set."""
    is_secret: bool = False
    """Whether this user may not read its settings: they may be anything."""

    @property
    def faults(self) -> list[str]:
        """What is not as dealpulse needs it; a setting that the broker does not know is none."""
        if not self.partitions:
            return ["missing"]
        if self.is_secret:
            return ["its settings may not be read: allow this user DescribeConfigs on it"]
        return [
            f"{key} is {self.config[key]}, should be {wanted}"
            for key, wanted in config_of(self.name).items()
            if key in self.config and not _is_enough(key, self.config[key], wanted)
        ]


@dataclass(frozen=True)
class Ensured:
    """What `ensure` did: topics made, and settings changed (topic -> key -> value)."""

    created: Sequence[str]
    changed: Mapping[str, Mapping[str, str]]


def topics(kafka: KafkaSettings, names: Sequence[str] = NEEDED) -> list[Topic]:
    """These topics as they are. Raises KafkaUnreachableError, DeniedError if one may not be seen."""
    with _admin(kafka) as admin:
        return _described(admin, names)


def ensure(kafka: KafkaSettings, names: Sequence[str] = NEEDED, *, repair: bool = True) -> Ensured:
    """Make missing topics with `kafka.partitions` partitions; `repair`: set what is not as it must be.

    The number of partitions of a topic that is there is never touched. Raises KafkaUnreachableError,
    DeniedError where it may not see or set what it should; what it may do is done by then.
    """
    with _admin(kafka) as admin:
        found = _described(admin, names)
        missing = [topic.name for topic in found if not topic.partitions]
        created = _create(admin, kafka, missing) if missing else []
        changed = _repair(admin, found) if repair else {}
        return Ensured(created, changed)


def grow(kafka: KafkaSettings, partitions: Mapping[str, int]) -> None:
    """Give these topics more partitions. Raises KafkaUnreachableError, UnreachableError if Kafka refuses."""
    with _admin(kafka) as admin:
        try:
            answer = admin.create_partitions(dict(partitions), raise_errors=False)
        except IncompatibleBrokerVersion as error:  # the embedded broker of the demo, say
            raise UnreachableError(
                f"the broker at {kafka.brokers} cannot give a topic more partitions. Do it with its own tools, if it "
                "has any, and come back."
            ) from error
        for each in answer.results:
            if each.error_code:
                raise UnreachableError(
                    f"topic {each.name} gets no more partitions: {each.error_message or each.error_code}. "
                    "Allow this user to alter topics, or do it with Kafka's own tools and come back."
                )


def ids(kafka: KafkaSettings, names: Sequence[str] = TOPICS) -> dict[str, str]:
    """The ids of these topics, of those that are there, if their broker gives ids. Raises KafkaUnreachableError."""
    with _admin(kafka, request_timeout_ms=_ANSWER_MS) as admin:
        found = {
            each["name"]: str(each.get("topic_id") or "")
            for each in admin.describe_topics(list(names))
            if not each["error_code"]
        }
    return {name: id_ for name, id_ in found.items() if id_ not in ("", _NO_ID)}


def _repair(admin: Any, found: Sequence[Topic]) -> dict[str, dict[str, str]]:
    """Set what is not as it must be: topic -> key -> value."""
    changed: dict[str, dict[str, str]] = {}
    refused: list[str] = []
    for topic in found:
        wanted = {
            key: value
            for key, value in config_of(topic.name).items()
            if key in topic.config and not _is_enough(key, topic.config[key], value)
        }
        if not wanted:
            continue
        # An answer, not an error: the client raises for nothing that one topic is refused.
        answer = admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name, wanted)])
        said = answer["topic"][topic.name]
        if said == "OK":
            changed[topic.name] = wanted
        else:
            settings = ", ".join(f"{key}={value}" for key, value in wanted.items())
            refused.append(f"{topic.name} cannot be set to {settings} ({said})")
    if refused:
        raise DeniedError(
            f"{'; '.join(refused)}. Allow this user AlterConfigs on topics, or set it with Kafka's own tools: "
            "what Kafka deletes is gone from every figure."
        )
    if secret := [topic.name for topic in found if topic.is_secret]:
        raise DeniedError(
            f"the settings of {', '.join(secret)} may not be read, so that retention may be short. "
            "Allow this user DescribeConfigs on topics."
        )
    return changed


def _create(admin: Any, kafka: KafkaSettings, names: Sequence[str]) -> list[str]:
    wanted = {
        name: {
            "num_partitions": kafka.partitions,
            "replication_factor": kafka.replication_factor,
            "configs": config_of(name),
        }
        for name in names
    }
    answer = admin.create_topics(wanted, raise_errors=False)
    failed = {each["name"]: each for each in answer["topics"] if each["error_code"] not in (0, _EXISTS)}
    if failed:
        first = next(iter(failed.values()))
        raise UnreachableError(
            f"topic {first['name']} cannot be made: {first['error_message'] or first['error_code']}. "
            "Make it by hand (`dealpulse topics list` shows what is needed), or allow this user to create topics."
        )
    admin.wait_for_topics(list(names), timeout_ms=15_000)
    return [each["name"] for each in answer["topics"] if each["error_code"] == 0]


def _described(admin: Any, names: Sequence[str]) -> list[Topic]:
    described = admin.describe_topics(list(names))
    if denied := [each["name"] for each in described if each["error_code"] == _DENIED]:
        # Not "missing": who takes a log that he may not see for an empty one proves and freezes nonsense.
        raise DeniedError(f"{', '.join(denied)} may not be seen: allow this user Describe on topics.")
    seen = {each["name"]: each for each in described if not each["error_code"]}
    there = [name for name in names if name in seen]
    configs: dict[str, dict[str, str]] = {}
    if there:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in there]
        told = admin.describe_configs(resources, config_filter="all").get("topic", {})
        configs = {
            name: {key: each["value"] for key, each in entries.items()} for name, entries in told.items()
        }
    return [
        Topic(name, len(seen[name]["partitions"]), configs.get(name, {}), is_secret=_is_secret(seen[name]))
        if name in seen
        else Topic(name, 0)
        for name in names
    ]


def _is_secret(described: Mapping[str, Any]) -> bool:
    # What the client makes of settings that may not be read is no settings. A broker without ACLs lists
    # every operation, the embedded one none at all (None).
    allowed = described["authorized_operations"]
    return allowed is not None and "DESCRIBE_CONFIGS" not in allowed


def _is_enough(key: str, value: str, wanted: str) -> bool:
    if key == "max.message.bytes" and value.isdecimal():
        return int(value) >= int(wanted)
    return value == wanted


@contextmanager
def _admin(kafka: KafkaSettings, **how: int) -> Iterator[Any]:
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it tells of each retry; we tell of the end
    try:
        admin = KafkaAdminClient(**kafka.kafka_python(), bootstrap_timeout_ms=int(_CONNECT_S * 1000), **how)
    except (KafkaError, OSError) as error:
        raise KafkaUnreachableError(kafka, error) from error
    try:
        yield admin
    except (KafkaError, OSError) as error:
        raise KafkaUnreachableError(kafka, error) from error
    finally:
        admin.close()
