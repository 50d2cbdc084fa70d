"""Freezing by itself: an exporter follows what is kept, and freezes what is due, in a child process.

The log is read and folded by the child, so that evaluation never waits for it. Several exporters may
freeze the same period: they write equal rows, and the first of a key stands. A Kafka that is away is one
warning, and tried again.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from aggregators.as_reported import AsReported, Late, Reckoned, as_reported
from aggregators.explain import Explanation, moves
from aggregators.explain_page import reported_figure, reported_period
from aggregators.kpi import Contribution
from aggregators.kpis import find_kpi
from aggregators.meaning import Meaning
from aggregators.question import Question, Row
from aggregators.reported import Period, Reported, Schedule
from events.clock import Clock
from events.errors import DealpulseError, UnreachableError, UsageError
from events.log import get_logger
from events.settings import KafkaSettings
from streams import freeze
from streams.topics import KafkaUnreachableError

log = get_logger("freezing")

_LOOK_S: Final = 5.0
"""How often to look whether a period has become due."""
_AGAIN_S: Final = (5.0, 300.0)
"""The first pause after a failure, and the longest one; each is twice the one before."""
SETTLED_S: Final = 60.0
"""History must have stopped coming in for so long; whoever imports it slower says `dealpulse freeze`."""


class ChildFailedError(DealpulseError):
    """A child process ended without an answer."""


class Freezing:
    """Keeps `held` up to date with the topic of kept rows, and freezes what is due."""

    def __init__(
        self, kafka: KafkaSettings, meaning: Meaning, clock: Clock, *, settled_s: float = SETTLED_S
    ) -> None:
        self.held = Reported()
        self._settled_s = settled_s
        self._is_known, self._is_away = False, False
        self._kafka, self._meaning, self._clock = kafka, meaning, clock
        self._schedule = Schedule(meaning)
        self._children: set[SpawnProcess] = set()
        self._is_stopped, self._lock = False, threading.Lock()
        self._tried_ms = -freeze.LOOK_BACK_MS * 100

    async def run(self, ready: Callable[[], bool]) -> None:
        """Follow and freeze until cancelled; freezing begins once `ready` (the merge is complete)."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._freeze(ready))

    def stop(self) -> None:
        """End the children that are at work; there will be no others. What they have not written is frozen later."""
        with self._lock:
            self._is_stopped = True
            for child in tuple(self._children):
                child.kill()

    async def explained(
        self, question: Question, reading: str | None, where: Mapping[str, str]
    ) -> AsReported:
        """The figure as it was kept, and the records it was made of, from the log itself.

        Raises UsageError for a window that is not frozen, UnreachableError without Kafka.
        """
        held = self.held if self._is_known else await freeze.read_reported(self._kafka)
        period, frozen = reported_period(self._meaning, question, held)
        read_ms = None if frozen is None else frozen.read_ms
        name, seen, known, late = await self._in_child(
            explained_as_known,
            self._kafka,
            self._meaning,
            self._clock.spec,
            question,
            period,
            read_ms,
            reading,
            dict(where),
        )
        kpi = find_kpi(question.kpi)
        before, now = (Explanation(kpi, kpi.reading(name), *each) for each in (seen, known))
        return as_reported(period, Reckoned(before, now, late), question, held, frozen, self._meaning.digest)

    async def _follow(self) -> None:
        while True:
            fresh = Reported()
            try:
                # What is held stays until all of the topic has been read again.
                await freeze.follow_reported(
                    self._kafka, partial(_take, fresh), partial(self._replace, fresh)
                )
            except DealpulseError as error:
                if isinstance(error, KafkaUnreachableError):
                    if not self._is_away:
                        log.warning("reported.away", error=str(error))
                    self._is_away = True
                else:  # Kafka answers, and there is no topic yet: nothing was ever kept
                    self._is_known, self._is_away = True, False
            await asyncio.sleep(_AGAIN_S[0])

    def _replace(self, fresh: Reported) -> None:
        self.held, self._is_known, self._is_away = fresh, True, False

    async def _freeze(self, ready: Callable[[], bool]) -> None:
        pause_s, told = _AGAIN_S[0], False
        while True:
            await asyncio.sleep(_LOOK_S)
            if not self._is_known or self._is_away or not ready() or not self._is_due():
                continue
            now_ms = self._clock.now_ms()
            try:
                count = await self._in_child(
                    freeze_due, self._kafka, self._meaning, self._clock.spec, self._settled_s
                )
            except DealpulseError as error:
                if not told:
                    log.warning("freeze.waits", error=str(error))
                told = True
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _AGAIN_S[1])
                continue
            self._tried_ms, pause_s, told = now_ms, _AGAIN_S[0], False
            log.info("freeze.done", periods=count)

    def _is_due(self) -> bool:
        """Whether a period has become due since the last freeze, or lately, and is not frozen."""
        now_ms = self._clock.now_ms()
        since_ms = max(self._tried_ms, now_ms - freeze.LOOK_BACK_MS)
        due = self._schedule.due(now_ms, since_ms)
        return any(self.held.freeze(period.window) is None for period in due)

    async def _in_child(self, work: Callable[..., Any], *args: Any) -> Any:
        """What `work(*args)` returns in a process of its own. Raises what it raises, if that is ours."""
        context = multiprocessing.get_context("spawn")
        answers, tells = context.Pipe(duplex=False)
        child = context.Process(target=_work, args=(tells, work, args), daemon=True, name="dealpulse-freeze")
        try:
            await asyncio.to_thread(self._start, child)
        except OSError as error:
            answers.close()
            tells.close()
            raise ChildFailedError(f"no child can be started to read the log: {error}") from error
        tells.close()
        try:
            kind, found = await asyncio.to_thread(_answer, answers)
        finally:
            child.kill()
            await asyncio.to_thread(child.join)
            self._children.discard(child)
            answers.close()
        if kind == "error":
            raise found
        return found

    def _start(self, child: SpawnProcess) -> None:
        with self._lock:
            if self._is_stopped:
                raise ChildFailedError("nothing is frozen any more: the exporter stops")
            child.start()
            self._children.add(child)


def _take(into: Reported, values: Sequence[bytes | None]) -> None:
    for value in values:
        into.take(value)


def freeze_due(kafka: KafkaSettings, meaning: Meaning, clock: str, settled_s: float) -> int:
    """In a child: freeze all that is due. Returns how many periods that were."""
    return len(asyncio.run(freeze.freeze(kafka, meaning, Clock.parse(clock), settled_s=settled_s)))


_Figure = tuple[Row, tuple[Contribution, ...], Row | None]
"""A figure and its records: what of an explanation may go from process to process."""


def explained_as_known(
    kafka: KafkaSettings,
    meaning: Meaning,
    clock: str,
    question: Question,
    period: Period,
    read_ms: int | None,
    reading: str | None,
    where: Mapping[str, str],
) -> tuple[str, _Figure, _Figure, Mapping[str, Late]]:
    """In a child: what `reckoned` gives of the log, and the reading's name first."""
    history = asyncio.run(freeze.read_log(kafka, Clock.parse(clock)))
    found = reckoned(history, meaning, question, period, read_ms, reading, where)
    seen, known = ((each.row, each.contributions, each.bar) for each in (found.seen, found.known))
    return found.seen.reading.name, seen, known, found.late


def reckoned(
    history: freeze.Log,
    meaning: Meaning,
    question: Question,
    period: Period,
    read_ms: int | None,
    reading: str | None,
    where: Mapping[str, str],
) -> Reckoned:
    """The figure of a freeze, of what the log had when it was read for it, and of what it has now.

    Where both are the same, or nobody told when it was read, they are one.
    """
    frozen_ms = period.frozen_ms
    known = reported_figure(history.company(meaning, frozen_ms), question, period, reading, where)
    late = history.late(frozen_ms, read_ms)
    if not late:
        return Reckoned(known, known, {})
    seen = reported_figure(history.company(meaning, frozen_ms, read_ms), question, period, reading, where)
    moved = {move.record for move in moves(seen, known)}
    told = {f"{each.event.entity}/{each.event.subject}": Late(each.known_ms, each.first_ms) for each in late}
    return Reckoned(seen, known, {record: told[record] for record in moved if record in told})


def _answer(answers: Connection) -> tuple[str, Any]:
    try:
        found: tuple[str, Any] = answers.recv()
    except (EOFError, OSError):  # OSError: killed in the middle of its answer
        raise ChildFailedError(
            "the child that reads the log ended without an answer: see its memory"
        ) from None
    return found


def _work(tells: Connection, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """In the child: work at low priority, tell, end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
    os.nice(10)
    with contextlib.suppress(BrokenPipeError):  # the parent has been killed: nobody wants to know any more
        tells.send(_told(work, args))


def _told(work: Callable[..., Any], args: tuple[Any, ...]) -> tuple[str, Any]:
    try:
        return "done", work(*args)
    except DealpulseError as error:
        for kind in (UsageError, UnreachableError):
            if isinstance(error, kind):
                return "error", kind(str(error))
        return "error", ChildFailedError(str(error))
