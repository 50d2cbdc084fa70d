"""What can go wrong between a good event and Kafka, told with the event's name."""

from collections.abc import Sequence
from dataclasses import dataclass

from .errors import DealpulseError, UnreachableError


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where Kafka keeps an event, once it has acknowledged it."""

    topic: str
    partition: int
    offset: int


class DeliveryError(UnreachableError):
    """Kafka did not acknowledge an event. It may have arrived all the same: send it again, with its id.

    `type`, `subject` and `id` name the event, `others` the further ones that failed with it.
    """

    def __init__(
        self, type_: str, subject: str, id_: str, why: str, *, others: Sequence["DeliveryError"] = ()
    ) -> None:
        self.type, self.subject, self.id, self.why = type_, subject, id_, why
        self.others = tuple(others)
        more = f" {len(self.others)} more events were not acknowledged either." if self.others else ""
        super().__init__(
            f"{type_} of {subject!r} (id {id_!r}) was not acknowledged by Kafka: {why}. Send it again: the same "
            f"id makes it the same event, should it have arrived.{more}"
        )


class BufferFullError(DealpulseError):
    """More events wait for Kafka than the publisher may hold, and it was told not to wait."""

    def __init__(self, held: int) -> None:
        self.held = held
        super().__init__(
            f"{held} events wait for Kafka, as many as the buffer may hold. Send this one again later, "
            'give the publisher a larger buffer_events, or let it wait with when_full="block"'
        )


def why(error: BaseException, topic: str = "") -> str:
    """An error of a Kafka client in words, with what to do about the common ones."""
    name = type(error).__name__
    text = f"{name}: {error}" if str(error) and str(error) != name else name
    text = text.rstrip(".") + (f", on topic {topic}" if topic else "")
    if topic and ("UnknownTopic" in text or "TopicOrPartition" in text or "metadata" in text):
        return f"{text} (does it exist? dealpulse topics ensure creates it)"
    if "MessageSizeTooLarge" in name or "RecordTooLarge" in name:
        return f"{text} (raise its max.message.bytes: dealpulse topics ensure does)"
    return text
