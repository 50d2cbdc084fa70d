"""Kafka headers that dealpulse writes and reads: content type, time known, and a dead letter's origin."""

from typing import Final

CONTENT_TYPE: Final = ("content-type", b"application/cloudevents+json")
"""On every record that holds an event."""
RECORDED: Final = "dealpulse-recorded"
"""On a record published again (rekeyed, replayed): its first append time, Unix ms as decimal text."""

DLQ_EXCEPTION: Final = "__streams.errors.exception"
"""The reason: `malformed`, `invalid_envelope`, … (names of KIP-1034)."""
DLQ_MESSAGE: Final = "__streams.errors.message"
DLQ_STACKTRACE: Final = "__streams.errors.stacktrace"
DLQ_TOPIC: Final = "__streams.errors.topic"
DLQ_PARTITION: Final = "__streams.errors.partition"
DLQ_OFFSET: Final = "__streams.errors.offset"
