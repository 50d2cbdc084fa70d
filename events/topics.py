"""Which topic carries which entity, and which types it may hold (events.md, "Types and topics")."""

from types import MappingProxyType
from typing import Final

PREFIX: Final = "dealpulse."
"""Every type begins with it: `dealpulse.opportunity.changed`."""

_TOPICS = {
    "crm.opportunity": ("opportunity", ("changed", "deleted", "restored", "merged")),
    "crm.contract": ("contract", ("changed", "deleted", "restored")),
    "crm.account": ("account", ("changed", "deleted", "restored", "merged")),
    "crm.activity": ("activity", ("completed", "deleted", "restored")),
    "hr.employee": ("employee", ("changed", "deleted", "restored")),
    "sales.target": ("target", ("changed", "deleted")),
    "finance.fx_rate": ("fx_rate", ("changed",)),
}
RESYNC: Final = "resync"
"""The entity of `resync.required` and `resync.completed`, which stand on every entity's topic."""
RESYNC_VERBS: Final = ("required", "completed")

TOPICS: Final = tuple(_TOPICS)
"""The topics of entities, in the order of events.md."""
ENTITIES: Final = tuple(entity for entity, _ in _TOPICS.values())
REPORTED: Final = "dealpulse.reported"
"""As-reported figures, written by a freeze; its rows are no events."""

_TOPIC_OF = {entity: topic for topic, (entity, _) in _TOPICS.items()}
_DLQ = ".dlq"

VERBS: Final = MappingProxyType(dict(_TOPICS.values()) | {RESYNC: RESYNC_VERBS})
"""entity -> its verbs."""
TYPES: Final = MappingProxyType(
    {f"{PREFIX}{entity}.{verb}": (entity, verb) for entity, verbs in VERBS.items() for verb in verbs}
)
"""type -> (entity, verb), for every type there is."""

MAX_VALUE_BYTES: Final = 1_048_576
"""A record's value beyond 1 MiB is a dead letter, reason `malformed`."""
MAX_DEAD_LETTER_BYTES: Final = 2 * MAX_VALUE_BYTES
"""`max.message.bytes` of a dead letter topic, so that every record fits with its headers."""


def topic_of(entity: str) -> str:
    """The topic of an entity's events. Raises KeyError for `resync`, which every topic carries."""
    return _TOPIC_OF[entity]


def entity_of(topic: str) -> str:
    """The entity that a topic (or its dead letter topic) carries. Raises KeyError for any other."""
    return _TOPICS[topic.removesuffix(_DLQ)][0]


def types_of(topic: str) -> tuple[str, ...]:
    """The types that a topic may hold, `dealpulse.resync.…` included. Raises KeyError."""
    entity, verbs = _TOPICS[topic]
    named = [(entity, verb) for verb in verbs] + [(RESYNC, verb) for verb in RESYNC_VERBS]
    return tuple(type_of(*each) for each in named)


def type_of(entity: str, verb: str) -> str:
    """The CloudEvents type: `opportunity`, `changed` -> `dealpulse.opportunity.changed`."""
    return f"{PREFIX}{entity}.{verb}"


def dlq_of(topic: str) -> str:
    """Where a topic's dead letters go."""
    return topic + _DLQ


def is_dlq(topic: str) -> bool:
    """Whether a topic holds dead letters."""
    return topic.endswith(_DLQ)


def origin_of(dlq: str) -> str:
    """The topic whose dead letters a dead letter topic holds."""
    return dlq.removesuffix(_DLQ)


def config_of(topic: str) -> dict[str, str]:
    """The Kafka configuration a topic needs: the log is the truth and is kept for good."""
    limit = MAX_DEAD_LETTER_BYTES if is_dlq(topic) else MAX_VALUE_BYTES + 65_536  # key and headers
    return {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(limit),
    }
