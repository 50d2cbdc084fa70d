"""Sending records so that they arrive: again and again, until Kafka has acknowledged each."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError
from faust.exceptions import ProducerSendError

from events.log import get_logger
from events.topics import is_dlq

log = get_logger("worker")

_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 5.0
_NEXT: Final = (
    "sent again; if it goes on: is the topic there (dealpulse topics list), may this user write to it?"
)
TOO_LARGE: Final = "dealpulse-value-too-large"
"""Header of a dead letter whose value no topic would take: its length in bytes, the value being empty."""


@dataclass(frozen=True)
class Outgoing:
    """One record to send. `partition` None: that of the key.

    `instead` makes the dead letter that goes if no broker takes this one for its size; it is told why.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    partition: int | None = None
    instead: "Callable[[str], Outgoing] | None" = None


class Producer(Protocol):
    """Faust's producer, as far as it is used here."""

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
    ) -> Awaitable[Any]: ...


@dataclass(eq=False)
class _Sending:
    """Records under way together: since when (monotonic seconds), and what came of it so far."""

    since: float
    records: Sequence[Outgoing]
    error: Exception | None = None

    @property
    def said(self) -> str:
        """What Kafka said last."""
        return "no answer" if self.error is None else str(self.error) or repr(self.error)


class Unsent:
    """What is under way to Kafka, for whoever has to say that something cannot be sent."""

    def __init__(self) -> None:
        self._under_way: set[_Sending] = set()

    def begin(self, records: Sequence[Outgoing]) -> _Sending:
        """These are being sent from now on."""
        sending = _Sending(time.monotonic(), records)
        self._under_way.add(sending)
        return sending

    def end(self, sending: _Sending) -> None:
        """They have arrived, or were given up."""
        self._under_way.discard(sending)

    def longer_than(self, seconds: float) -> list[str]:
        """In words, by topic: what Kafka has not taken for so long, and what it said last."""
        now = time.monotonic()
        late = sorted(
            (sending for sending in self._under_way if now - sending.since > seconds),
            key=lambda sending: sending.since,
        )
        counts = Counter(record.topic for sending in late for record in sending.records)
        first = {record.topic: sending for sending in reversed(late) for record in sending.records}
        return [
            f"{topic}: {count} record{'s wait' if count > 1 else ' waits'}, the first for "
            f"{now - first[topic].since:.0f} s: {first[topic].said}"
            for topic, count in sorted(counts.items())
        ]


async def deliver(producer: Producer, records: Iterable[Outgoing], *, unsent: Unsent | None = None) -> None:
    """Send these records and wait until each is acknowledged; what fails is sent again, without end.

    `unsent` knows of them until they have arrived.

    A dead letter that no broker takes for its size goes without its value, and says so in a header: the
    log still holds the original at the topic, partition and offset that its headers name. An event that is too
    large is never cut: it becomes a dead letter.
    """
    unsent = unsent or Unsent()
    left, wait_s = list(records), _FIRST_WAIT_S
    sending = unsent.begin(left)
    try:
        while left:
            results = await _sent(producer, left)
            failed = []
            for record, error in zip(left, results, strict=True):
                if isinstance(error, MessageSizeTooLargeError | RecordTooLargeError):
                    failed.append(_of_a_size(record, error))
                elif error is not None:
                    failed.append(record)
            if failed:
                sending.records, sending.error = failed, next(filter(None, results))
                log.warning("send.failed", topic=failed[0].topic, error=sending.error, next=_NEXT)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            left = failed
    finally:
        unsent.end(sending)


def _of_a_size(record: Outgoing, error: Exception) -> Outgoing:
    """What goes in the place of a record that is too large."""
    length = len(record.value or b"")
    if record.instead is not None:
        return record.instead(f"{length} bytes are more than {record.topic} takes: {error}")
    if not is_dlq(record.topic) or not record.value:
        return record
    return replace(record, value=None, headers=[*record.headers, (TOO_LARGE, b"%d" % length)])


async def _sent(producer: Producer, records: Sequence[Outgoing]) -> list[Exception | None]:
    """What became of each: None if it was acknowledged."""
    acknowledgements: list[Awaitable[Any] | Exception] = []
    for record in records:
        try:
            acknowledgements.append(
                await producer.send(
                    record.topic, record.key, record.value, record.partition, None, list(record.headers)
                )
            )
        except ProducerSendError as error:
            cause = error.__cause__
            acknowledgements.append(cause if isinstance(cause, KafkaError) else error)
        except (KafkaError, OSError, AssertionError) as error:
            # aiokafka asserts that it knows the partition: it hears of new ones with its next metadata.
            acknowledgements.append(error)
    results: list[Exception | None] = []
    for acknowledgement in acknowledgements:
        if isinstance(acknowledgement, Exception):
            results.append(acknowledgement)
            continue
        try:
            await acknowledgement
            results.append(None)
        except (KafkaError, OSError) as error:
            results.append(error)
    return results
