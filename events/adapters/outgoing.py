"""A canonical event on its way into Kafka: the topic, the key's text and the bytes of the record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

_ENCODE = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record to publish. `subject` is the Kafka key, `value` the CloudEvent in structured JSON.

    `resync` is true for a `resync.required`: an adapter saw that its payload lacks something.
    """

    topic: str
    subject: str
    value: bytes
    resync: bool = False

    @property
    def event(self) -> dict[str, Any]:
        """The CloudEvent as plain values."""
        decoded: dict[str, Any] = msgspec.json.decode(self.value)
        return decoded


def encode(event: Mapping[str, Any]) -> bytes:
    """Compact UTF-8 JSON of an event's plain values."""
    return _ENCODE(event)
