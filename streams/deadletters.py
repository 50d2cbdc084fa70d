"""Dead letters: records that are no events, kept byte for byte in `<topic>.dlq`, with the reason."""

from collections.abc import Sequence
from typing import NamedTuple, Self

from events.errors import BadEventError
from events.headers import (
    DLQ_EXCEPTION,
    DLQ_MESSAGE,
    DLQ_OFFSET,
    DLQ_PARTITION,
    DLQ_TOPIC,
    RECORDED,
)
from events.topics import dlq_of, origin_of
from streams.outbox import Outgoing
from streams.shard import Record

_MESSAGE_BYTES = 4_096
"""A reason in words is cut here: key, value and headers of up to 1 MiB must fit beside it."""


def dead_letter(topic: str, partition: int, record: Record, error: BadEventError) -> Outgoing:
    """The record to send: original key, value and headers, and why it is no event. No key and no value: an
    empty value.

    The headers of an older dead letter (a replay that failed again) give way to the new ones.
    """
    origin = {
        DLQ_EXCEPTION: error.reason.encode(),
        DLQ_MESSAGE: str(error).encode(errors="replace")[:_MESSAGE_BYTES],
        DLQ_TOPIC: topic.encode(),
        DLQ_PARTITION: b"%d" % partition,
        DLQ_OFFSET: b"%d" % record.offset,
        RECORDED: dict(record.headers).get(RECORDED) or b"%d" % record.timestamp,
    }
    headers = [(name, value) for name, value in record.headers if name not in origin]
    # Without a key and a value no client sends a record.
    value = b"" if record.key is None and record.value is None else record.value
    return Outgoing(dlq_of(topic), record.key, value, [*headers, *origin.items()])


def too_large(topic: str, partition: int, record: Record, why: str) -> Outgoing:
    """The dead letter of a record that would have gone elsewhere, had a topic taken what it became."""
    return dead_letter(topic, partition, record, BadEventError("malformed", why))


class DeadLetter(NamedTuple):
    """One dead letter as listed: where it came from, why, and its original bytes."""

    topic: str
    partition: int
    offset: int
    reason: str
    message: str
    recorded_unix_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    """The original ones."""
    at: tuple[int, int]
    """Partition and offset within the dead letter topic."""

    @classmethod
    def of(cls, topic: str, partition: int, record: Record) -> Self:
        """The dead letter that a record of a dead letter topic holds.

        One that something else has put there without our headers is listed with the reason `unknown`.
        """
        headers = dict(record.headers)

        def text(name: str) -> str:
            return headers.get(name, b"").decode(errors="replace")

        def number(name: str, default: int) -> int:
            found = text(name)
            return int(found) if found.isascii() and found.isdecimal() else default

        return cls(
            topic=text(DLQ_TOPIC) or origin_of(topic),
            partition=number(DLQ_PARTITION, -1),
            offset=number(DLQ_OFFSET, record.offset),
            reason=text(DLQ_EXCEPTION) or "unknown",
            message=text(DLQ_MESSAGE),
            recorded_unix_ms=number(RECORDED, record.timestamp),
            key=record.key,
            value=record.value,
            headers=[(name, value) for name, value in record.headers if name not in _OURS],
            at=(partition, record.offset),
        )

    @property
    def name(self) -> str:
        """`<topic>/<partition>/<offset>` of the record it was: the same for every repeat."""
        return f"{self.topic}/{self.partition}/{self.offset}"


_OURS = frozenset({DLQ_EXCEPTION, DLQ_MESSAGE, DLQ_TOPIC, DLQ_PARTITION, DLQ_OFFSET, RECORDED})
