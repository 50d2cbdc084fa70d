"""Freezing: the log as it was known at an instant, and the topic that keeps as-reported figures (G8).

An event is known at its `recordedtime`, else at the first append of its record. A freeze reads every
topic of entities from the beginning, folds what was known by then, and writes the figures of the period
to `dealpulse.reported`, its own record last: a period without it is frozen again, and the first row of a
key stands. So a freeze may be cut off anywhere, and several may run.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from aggregators.company import Company
from aggregators.meaning import Meaning
from aggregators.question import Row
from aggregators.reported import KPIS as FROZEN_KPIS
from aggregators.reported import (
    Difference,
    Freeze,
    Period,
    Reported,
    Schedule,
    differences,
    figures,
    key_of,
    period_key,
    period_record,
    record_of,
)
from events.clock import Clock
from events.errors import BadEventError, DealpulseError, UnreachableError, UsageError
from events.event import EPOCH_UNIX_S, Event
from events.headers import RECORDED
from events.log import get_logger
from events.producer import start_producer
from events.reader import read
from events.settings import KafkaSettings
from events.topics import REPORTED, TOPICS
from streams.topics import KafkaUnreachableError, ensure
from streams.topics import topics as described

log = get_logger("freeze")

LOOK_BACK_MS: Final = 5 * 366 * 86_400_000
"""Older periods are frozen with the others, but alone they are no reason to read the log."""
_FETCH_MS: Final = 200

Tell = Callable[[str], None]


def _silent(_text: str) -> None:
    return


class NotSettledError(DealpulseError):
    """History of before a freeze is still coming in; the message says which period, and how late."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Known:
    """An event of the log, when it was known, and when its record was appended: lately and first (ms since 2000)."""

    known_ms: int
    append_ms: int
    first_ms: int
    event: Event

    def came_after(self, read_ms: int | None) -> bool:
        """Whether it was first appended after an instant; None: that cannot be told, so no."""
        return read_ms is not None and self.first_ms > read_ms


@dataclass
class Log:
    """Every good event of the log, in the order they were known."""

    events: list[Known] = field(default_factory=list)
    refused: int = 0
    read_ms: int = 0
    """When its end was asked for: of what came later it knows nothing, however long the reading took."""

    @property
    def first_known_ms(self) -> int | None:
        """The first instant at which anything was known; None for an empty log."""
        return self.events[0].known_ms if self.events else None

    def company(self, meaning: Meaning, known_by_ms: int, read_ms: int | None = None) -> Company:
        """The company as it was known by an instant; with `read_ms` by a log that was read then."""
        return Company.from_events(
            meaning,
            (
                each.event
                for each in self.events
                if each.known_ms <= known_by_ms and not each.came_after(read_ms)
            ),
        )

    def late(self, known_by_ms: int, read_ms: int | None) -> list[Known]:
        """What says it was known by an instant, and was first appended after the log had been read."""
        return [each for each in self.events if each.known_ms <= known_by_ms and each.came_after(read_ms)]

    def last_append_ms(self, known_by_ms: int) -> int:
        """When the last record of what was known by an instant was appended."""
        return max(each.append_ms for each in self.events if each.known_ms <= known_by_ms)


@dataclass(frozen=True)
class Frozen:
    """A period that was frozen now, and how many rows it has."""

    period: Period
    rows: int


@dataclass(frozen=True)
class Compared:
    """A frozen period, held against its recomputation."""

    freeze: Freeze
    rows: int
    differences: Sequence[Difference]
    settings_changed: bool

    @property
    def faults(self) -> list[Difference]:
        """The differences under equal definition versions."""
        return [each for each in self.differences if each.is_fault]


async def read_log(kafka: KafkaSettings, clock: Clock, *, tell: Tell = _silent) -> Log:
    """Every event up to the present end of the log. Raises KafkaUnreachableError."""
    found, count = Log(read_ms=clock.now_ms()), 0
    async for topic, record in _records(kafka, TOPICS):
        count += 1
        if count % 50_000 == 0:
            tell(f"{count:,} records read")
        try:
            found.events.append(_known(topic, record, clock))
        except BadEventError:
            found.refused += 1
    found.events.sort(key=attrgetter("known_ms"))
    tell(f"{count:,} records read, {found.refused:,} of them no events")
    return found


async def require_settled(kafka: KafkaSettings, clock: Clock, period: Period, settled_s: float) -> None:
    """Raise NotSettledError if a record known before a period's freeze came in less than so many seconds ago.

    The last records alone are read, and not beyond the first such one: while history comes in, to read all of
    the log would be for nothing, again and again.
    """
    since_ms = Clock().unix_ms() - int(settled_s * 1000)
    async with aclosing(_records(kafka, TOPICS, since_unix_ms=since_ms)) as records:
        async for topic, record in records:
            try:
                known = _known(topic, record, clock)
            except BadEventError:
                continue
            if known.known_ms <= period.frozen_ms:
                _require_settled(Log([known], read_ms=clock.now_ms()), period, clock, settled_s)


def _known(topic: str, record: Any, clock: Clock) -> Known:
    """A record as an event, and when it was known. Raises BadEventError."""
    event = read(record.value, topic)
    append_ms = clock.shown_ms(record.timestamp - EPOCH_UNIX_S * 1000)
    first_ms = clock.shown_ms(first_append_unix_ms(record) - EPOCH_UNIX_S * 1000)
    known_ms = first_ms if event.recorded_ms is None else event.recorded_ms
    return Known(known_ms, append_ms, first_ms, event)


def first_append_unix_ms(record: Any) -> int:
    """When a record was first appended: one published again carries that along in a header."""
    for name, value in record.headers:
        if name == RECORDED and value and value.isdigit():
            return int(value)
    return int(record.timestamp)


async def read_reported(kafka: KafkaSettings) -> Reported:
    """All that was ever kept; nothing where the topic is missing. Raises KafkaUnreachableError."""
    found = Reported()
    async for _, record in _records(kafka, (REPORTED,)):
        found.take(record.value)
    return found


async def follow_reported(
    kafka: KafkaSettings, take: Callable[[Sequence[bytes | None]], None], caught_up: Callable[[], None]
) -> None:
    """Give every kept record to `take`, from the first one on, until cancelled.

    `caught_up` is called once, when all that was there at the start has been given. Raises
    KafkaUnreachableError, and UnreachableError where the topic does not exist yet.
    """
    partitions = await _partitions(kafka, (REPORTED,))
    if not partitions:
        raise UnreachableError(f"there is no topic {REPORTED} yet; the first freeze makes it")
    async with _consumer(kafka, partitions) as consumer:
        waiting: set[Any] = set(partitions)
        while True:
            fetched = await consumer.getmany(timeout_ms=_FETCH_MS)
            for records in fetched.values():
                take([record.value for record in records])
            if waiting:
                waiting -= {tp for tp in waiting if await _is_read(consumer, tp, consumer.highwater(tp))}
                if not waiting:
                    caught_up()


async def freeze(
    kafka: KafkaSettings,
    meaning: Meaning,
    clock: Clock,
    *,
    only: Period | None = None,
    settled_s: float | None = None,
    tell: Tell = _silent,
) -> list[Frozen]:
    """Freeze every period that is due and not frozen yet, or only one. Returns what was frozen.

    With `settled_s`, history must have stopped coming in: a period waits while records of what was known
    before its freeze were appended less than so many (real) seconds ago. Raises NotSettledError then,
    after freezing those before it; UsageError for `only` that is not due or has no history;
    KafkaUnreachableError.
    """
    now_ms = clock.now_ms()
    if only is not None and only.frozen_ms > now_ms:
        day = Schedule(meaning).calendar.day(only.frozen_ms)
        raise UsageError(f"{only} is not due: its figures freeze at the end of {day}")
    await asyncio.to_thread(ensure, kafka, [REPORTED], repair=False)
    held = await read_reported(kafka)
    if only is not None and held.freeze(only.window) is not None:
        return []
    if settled_s is not None:
        lately = Schedule(meaning).due(now_ms, now_ms - LOOK_BACK_MS)
        if first := next((period for period in lately if held.freeze(period.window) is None), None):
            await require_settled(kafka, clock, first, settled_s)
    tell("reading the log")
    history = await read_log(kafka, clock, tell=tell)
    since_ms = history.first_known_ms
    if only is not None and (since_ms is None or only.frozen_ms < since_ms):
        raise UsageError(f"{only} has no as-reported figures: its freeze lies before the log's first record")
    due = [] if since_ms is None else Schedule(meaning).due(now_ms, since_ms)
    wanted = [
        period for period in ([only] if only is not None else due) if held.freeze(period.window) is None
    ]
    return await _write(kafka, meaning, clock, history, wanted, settled_s) if wanted else []


async def recompute(
    kafka: KafkaSettings,
    meaning: Meaning,
    clock: Clock,
    *,
    only: Period | None = None,
    tell: Tell = _silent,
) -> list[Compared]:
    """Compute frozen periods (or only one) from the log again, and compare. Raises as `freeze` does."""
    held = await read_reported(kafka)
    chosen = [each for each in held.freezes if only is None or each.period.window == only.window]
    if only is not None and not chosen:
        raise UsageError(f"{only} is not frozen: `dealpulse freeze` freezes what is due")
    history = await read_log(kafka, clock, tell=tell)
    found = []
    for one, rows in zip(chosen, _figures(meaning, history, [each.period for each in chosen]), strict=True):
        kept = [row for name in FROZEN_KPIS for row in held.rows(name, one.period.window)]
        found.append(
            Compared(one, len(kept), differences(kept, rows, one.versions), one.settings != meaning.digest)
        )
        tell(f"{one.period}: {len(kept):,} rows, {len(found[-1].faults):,} differ")
    return found


def _figures(meaning: Meaning, history: Log, periods: Sequence[Period]) -> Iterable[list[Row]]:
    """The rows of each period; freezes in order, so that one company grows from the one to the next."""
    company, folded, frozen_ms = Company(meaning), 0, 0
    for period in periods:
        assert period.frozen_ms >= frozen_ms, "freezes in order"
        frozen_ms = period.frozen_ms
        while folded < len(history.events) and history.events[folded].known_ms <= frozen_ms:
            company.fold(history.events[folded].event)
            folded += 1
        yield list(figures(company, period))


async def _write(
    kafka: KafkaSettings,
    meaning: Meaning,
    clock: Clock,
    history: Log,
    periods: Sequence[Period],
    settled_s: float | None,
) -> list[Frozen]:
    found: list[Frozen] = []
    rows_of = iter(_figures(meaning, history, periods))
    producer = await start_producer(kafka, client_id="dealpulse-freeze")
    try:
        for period in periods:
            if settled_s is not None:
                _require_settled(history, period, clock, settled_s)
            rows = next(rows_of)
            records = [(key_of(row), record_of(row, period)) for row in rows]
            sent = [
                await producer.send(REPORTED, key=key.encode(), value=_json(record))
                for key, record in records
            ]
            await asyncio.gather(*sent)
            await producer.send_and_wait(
                REPORTED,
                key=period_key(period).encode(),
                value=_json(period_record(period, len(rows), meaning, history.read_ms)),
            )
            found.append(Frozen(period, len(rows)))
            log.info("period.frozen", period=str(period), rows=len(rows))
    except (KafkaError, OSError) as error:
        raise KafkaUnreachableError(kafka, error) from error
    finally:
        await producer.stop()
    return found


def _require_settled(history: Log, period: Period, clock: Clock, settled_s: float) -> None:
    ago_s = clock.real_seconds((history.read_ms - history.last_append_ms(period.frozen_ms)) / 1000)
    if ago_s < settled_s:
        raise NotSettledError(
            f"{period} waits: a record known before its freeze came in {max(ago_s, 0):.0f} s ago, so more may "
            f"follow. `dealpulse freeze` freezes it all the same."
        )


async def _records(
    kafka: KafkaSettings, topics: Sequence[str], *, since_unix_ms: int | None = None
) -> AsyncGenerator[tuple[str, Any], None]:
    """`(topic, record)` of all there is at the start, in offset order within each partition.

    With `since_unix_ms` from the first record on that was appended then or later.
    """
    partitions = await _partitions(kafka, topics)
    if not partitions:
        return
    # By the ends that fetches tell: Tansu 0.6 lists wrong ones when asked for the latest offsets.
    ends: dict[Any, int] = {}
    async with _consumer(kafka, partitions) as consumer:
        waiting = set(partitions)
        if since_unix_ms is not None:
            starts = await consumer.offsets_for_times(dict.fromkeys(partitions, since_unix_ms))
            for tp, start in starts.items():
                if start is None:
                    await consumer.seek_to_end(tp)
                else:
                    consumer.seek(tp, start.offset)
        while waiting:
            fetched = await consumer.getmany(timeout_ms=_FETCH_MS)
            for tp, records in fetched.items():
                for record in records:
                    yield tp.topic, record
            for tp in list(waiting):
                if tp not in ends and (end := consumer.highwater(tp)) is not None:
                    ends[tp] = end
                if await _is_read(consumer, tp, ends.get(tp)):
                    waiting.discard(tp)
                    consumer.pause(tp)


async def _is_read(consumer: Any, tp: Any, end: int | None) -> bool:
    return end is not None and await consumer.position(tp) >= end


async def _partitions(kafka: KafkaSettings, topics: Sequence[str]) -> list[Any]:
    there = await asyncio.to_thread(described, kafka, topics)
    return [TopicPartition(topic.name, number) for topic in there for number in range(topic.partitions)]


@asynccontextmanager
async def _consumer(kafka: KafkaSettings, partitions: Sequence[Any]) -> AsyncIterator[Any]:
    """A consumer without a group, at the beginning of these partitions."""
    consumer: Any = AIOKafkaConsumer(
        **kafka.aiokafka(),
        auto_offset_reset="earliest",
        fetch_max_wait_ms=_FETCH_MS,
        enable_auto_commit=False,
    )
    try:
        await consumer.start()
        consumer.assign(list(partitions))
        yield consumer
    except (KafkaError, OSError) as error:
        raise KafkaUnreachableError(kafka, error) from error
    finally:
        await consumer.stop()


def _json(record: Any) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
