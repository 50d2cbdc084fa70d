"""The exporter process: follows the shards, evaluates, and serves."""

import asyncio
import gc
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from aggregators.calendar import Calendar
from aggregators.explain_page import explained, explained_question, pairs
from aggregators.explain_text import explanation_text
from aggregators.kpis import find_kpi
from aggregators.meaning import Meaning
from aggregators.render import Renderer
from aggregators.reported import Schedule
from aggregators.reported_page import frozen_kpis, period_questions, restated, side_by_side
from aggregators.request import as_of_ms, questions
from aggregators.state import fingerprint
from aggregators.tables.answer import is_fast
from aggregators.tables.owners import owners
from events.clock import Clock
from events.errors import UnreachableError
from events.log import get_logger
from events.settings import KafkaSettings
from events.topics import TOPICS
from exporters.evaluate import Evaluator
from exporters.exposition import Exposition, Samples
from exporters.family import Family
from exporters.faults import Faults
from exporters.figures import Series
from exporters.freezing import Freezing
from exporters.metrics import EngineMetrics, KpiMetrics
from exporters.noted import Noted
from exporters.reported import ReportedFigures
from exporters.settings import AlertSettings, ExporterSettings
from exporters.slow import SlowFigures
from exporters.snapshot import Snapshot
from exporters.windows import asked_window
from streams.follower import Follower, ShardState
from streams.histories import Histories
from streams.settings import RedisSettings

if TYPE_CHECKING:
    from exporters.server import Server

log = get_logger("exporter")

Result = TypeVar("Result")
MOST_NAMED: Final = 100
"""Owners named in one answer; all of them are counted."""
STOP_WITHIN_S: Final = 15.0
"""A stop takes at most this, and a moment; what is under way then is left: an exporter holds no truth."""
_AGAIN_S: Final = 5.0
_FREEZE_EVERY: Final = 50_000
"""Entities: a full collection over so many takes some 20 ms."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


class UnreadableError(UnreachableError):
    """What Redis holds of a shard cannot be read, and a question needs it; the message says what to do."""


@dataclass(frozen=True)
class ExporterConfig:
    """What an exporter needs to know."""

    kafka: KafkaSettings
    redis: RedisSettings
    exporter: ExporterSettings
    alerts: AlertSettings
    meaning: Meaning
    version: str


class _Part(NamedTuple):
    """Some families as they were last worked out: as of when, and when that was (monotonic seconds)."""

    names: frozenset[str] = frozenset()
    families: Mapping[str, Series] = {}
    evaluated_ms: int | None = None
    at: float = 0.0


class Exporter:
    """One merged snapshot, evaluated on a thread of its own, so that the event loop never waits for it."""

    def __init__(self, config: ExporterConfig, clock: Clock) -> None:
        self._config, self._clock = config, clock
        shards = [(topic, partition) for topic in TOPICS for partition in range(config.kafka.partitions)]
        self.snapshot = Snapshot(config.meaning, shards)
        self._engine = ThreadPoolExecutor(max_workers=1, thread_name_prefix="evaluate")
        self._evaluator = Evaluator(self.snapshot)
        self._kpis = KpiMetrics(config.meaning, config.exporter, self.snapshot)
        self._slow = SlowFigures(
            self._kpis,
            clock,
            on_engine=self._on_engine,
            read_statements=self._read_statements,
            is_ready=self._has_numbers,
        )
        self._self = EngineMetrics(
            config.meaning, config.alerts, self.snapshot, clock, version=config.version
        )
        self._freezing = Freezing(config.kafka, config.meaning, clock)
        self._reported, self._schedule = ReportedFigures(config.meaning), Schedule(config.meaning)
        self._exposition = Exposition()
        self._calendar, self._render = Calendar(config.meaning.company), Renderer(config.meaning)
        self._evaluated_ms: int | None = None
        self._evaluated_at: float | None = None
        self._families: dict[str, Series] = {}
        self._part_held = _Part()
        self._frozen = 0
        self._refreshing, self._reading = asyncio.Lock(), asyncio.Lock()
        self._follower = Follower(
            config.redis,
            shards,
            fingerprint=fingerprint(config.meaning),
            sink=_Watched(self.snapshot, self._self, clock),
            executor=self._engine,
            partitioner=config.kafka.partitioner,
        )
        self._histories, self._faults = Histories(config.redis, self._follower), Faults()

    async def run(self) -> None:
        """Follow the shards and keep the slow figures current, until cancelled."""
        noted = Noted(self._config.redis, self.snapshot, self._self, self._clock)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follower.run())
                group.create_task(self._slow.run())
                group.create_task(self._going_on("freezing", partial(self._freezing.run, self._has_numbers)))
                group.create_task(self._going_on("notes", noted.run))
        finally:
            await self._histories.close()

    async def _going_on(self, doing: str, work: Callable[[], Awaitable[None]]) -> None:
        """Begin again where a fault ends it: what is done beside must not cost the figures."""
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - a fault of ours, told with where it arose
                self._faults.tell(doing, error)
            await asyncio.sleep(_AGAIN_S)

    def end_children(self) -> None:
        """End the children that are at work, at once; there will be no others."""
        self._slow.stop()
        self._freezing.stop()

    def close(self) -> None:
        """Let the evaluating thread end, and the children."""
        self.end_children()
        self._engine.shutdown(wait=True, cancel_futures=True)

    # Answers

    async def exposition(self, *, openmetrics: bool, names: Sequence[str]) -> bytes:
        """The text of `/metrics`, evaluated at most once per `exporter.refresh`; of `names`, only these."""
        if names:
            return await self._part(frozenset(names), openmetrics=openmetrics)
        started = time.monotonic()
        await self._refresh()
        body, series = await self._on_engine(
            lambda: self._rendered(self._families, self._evaluated_ms, openmetrics=openmetrics)
        )
        self._self.series = series
        self._self.scrape_seconds = time.monotonic() - started
        return body

    async def _part(self, names: frozenset[str], *, openmetrics: bool) -> bytes:
        """The text of some families, for which no others need be worked out."""
        async with self._refreshing:
            part = self._part_held
            if part.names != names or time.monotonic() - part.at >= self._config.exporter.refresh:
                now_ms, at = self._clock.now_ms(), time.monotonic()
                part = _Part(names)
                if self.snapshot.fresh_ms is not None:
                    found = await self._on_engine(lambda: self._evaluated(now_ms, names))
                    part = _Part(names, found, now_ms, at)
                self._part_held = part
        body, _ = await self._on_engine(
            lambda: self._rendered(
                part.families, part.evaluated_ms, openmetrics=openmetrics, names=tuple(names)
            )
        )
        return body

    async def kpi(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """The records of an answer. Raises UsageError; UnreachableError before the first complete merge."""
        put = questions(self._calendar, now_ms=self._clock.now_ms(), **asked)
        self._require_numbers()
        if not all(is_fast(find_kpi(question.kpi)) for question in put):
            await self._read_statements()
        rows = await self._on_engine(lambda: self._evaluator.answers(put))
        return self._render.records(rows)

    async def reported(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """Restated and as-reported figures side by side; default: of the last complete fiscal quarter.

        Raises as `kpi` does.
        """
        now_ms, calendar = self._clock.now_ms(), self._calendar
        as_of = asked.get("as_of")
        instant = now_ms if as_of is None else as_of_ms(as_of, calendar)
        window = asked.get("window") or "previous_quarter"
        asked = {
            **asked,
            "kpi": asked.get("kpi") or frozen_kpis(asked.get("by", "")),
            "window": asked_window(window, calendar, calendar.day(instant)),
        }
        put = period_questions(self._schedule, questions(calendar, now_ms=now_ms, **asked))
        self._require_numbers()
        await self._read_statements()
        found: list[dict[str, Any]] = []
        for question, period in put:
            rows = await self._on_engine(
                partial(restated, self._schedule, question, period, self._evaluator.answer)
            )
            found += side_by_side(self._render, period, question, rows, self._freezing.held)
        return found

    async def explain(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A figure taken apart, or one record's story. Raises as `kpi` does."""
        self._require_numbers()
        now_ms = self._clock.now_ms()
        where = pairs(asked.pop("where", ()))
        asked = {"kpi": None, "entity": None, **asked}
        if asked.get("window"):
            as_of = asked.get("as_of")
            instant = now_ms if as_of is None else as_of_ms(as_of, self._calendar)
            asked["window"] = asked_window(asked["window"], self._calendar, self._calendar.day(instant))
        before = None
        if asked.get("against") == "reported" and asked["kpi"] is not None:
            question, labels = explained_question(self._calendar, now_ms=now_ms, where=where, **asked)
            before = await self._freezing.explained(question, asked.get("reading"), labels)
        await self._read_statements()
        return await self._on_engine(
            lambda: explained(self._evaluator.company, now_ms=now_ms, where=where, reported=before, **asked)
        )

    async def shared_aliases(self) -> list[dict[str, Any]]:
        """The ids of people that several employees list among their aliases, and who is meant (F36)."""
        self._require_numbers()

        def shared() -> Mapping[str, list[str]]:
            return self._evaluator.people.shared_aliases()  # people are read there, too

        found = await self._on_engine(shared)
        return [{"alias": alias, "means": ids[0], "employees": ids} for alias, ids in found.items()]

    async def owners(self) -> dict[str, Any]:
        """Owners of opportunities that no employee record tells of, and owners without a team (F22).

        With `exporter.rep_series` off their number alone is told, and `owners` is null.
        """
        self._require_numbers()
        today, named = self._calendar.day(self._clock.now_ms()), self._config.exporter.rep_series
        found = await self._on_engine(lambda: owners(self.snapshot.deals, self._evaluator.people, today))
        return {
            name: {"count": len(ids), "owners": ids[:MOST_NAMED] if named else None}
            for name, ids in found._asdict().items()
        }

    async def explain_text(self, asked: dict[str, Any]) -> str:
        """The same as text."""
        return explanation_text(await self.explain(asked))

    def true_as_of(self) -> str | None:
        """The instant the numbers are true for, on the company's clock; None before a complete merge."""
        fresh_ms = self.snapshot.fresh_ms
        return None if fresh_ms is None else self._render.instant(fresh_ms)

    def readiness(self) -> list[Check]:
        """Whether one complete merge is held, it is not stale, and Redis answers."""
        missing = [f"{shard} ({self.snapshot.why_missing(shard)})" for shard in self.snapshot.missing_shards]
        age_ms = self._age_ms()
        limit_s = self._config.exporter.max_staleness
        return [
            Check("merge", not missing, "complete" if not missing else f"missing: {', '.join(missing)}"),
            Check(
                "fresh",
                age_ms is not None and age_ms <= limit_s * 1000,
                "no complete merge yet" if age_ms is None else f"true as of {age_ms / 1000:.1f} s ago",
            ),
            Check("redis", self.snapshot.is_store_up, "answers" if self.snapshot.is_store_up else "away"),
            self._figures(limit_s),
        ]

    def _figures(self, limit_s: float) -> Check:
        """Whether the slow figures move: a moment's lateness is told, and no reason to be left alone."""
        slow, true_ms = self._slow, self._kpis.slow_evaluated_ms
        since = "never worked out" if true_ms is None else f"true as of {self._render.instant(true_ms)}"
        if not slow.why:
            return Check("figures", True, since)
        ok = not slow.is_fault and slow.still_s <= limit_s
        return Check("figures", ok, f"those of sets and histories stand still, {since}: {slow.why}")

    # Evaluation

    async def _read_statements(self) -> None:
        """Bring the histories up to date: the waterfall and a deal's story need every statement."""
        async with self._reading:
            found = await self._histories.news(self.snapshot.statements_held(), self.snapshot.unreadable)
            failed = await self._on_engine(partial(self.snapshot.take_statements, found))
        for shard, error in failed.items():
            log.error("shard.unreadable", shard=shard, part="statements", error=error)
        if self.snapshot.unreadable:
            shards = sorted(self.snapshot.unreadable)
            raise UnreadableError(
                f"The statements of {', '.join(shards)} in Redis cannot be read. `dealpulse rebuild --partition "
                f"{shards[0]} --yes` writes them anew from the log, as does the worker that loads them next."
            )

    def _has_numbers(self) -> bool:
        return self.snapshot.fresh_ms is not None

    def _require_numbers(self) -> None:
        if self.snapshot.fresh_ms is None:
            missing = self.snapshot.partitions_missing
            raise UnreachableError(
                f"{missing} of {len(self.snapshot.shards)} partitions have not been merged yet. "
                "Start the workers and wait, or look at /readyz for what is missing."
            )

    async def _refresh(self) -> None:
        async with self._refreshing:
            age = None if self._evaluated_at is None else time.monotonic() - self._evaluated_at
            if age is not None and age < self._config.exporter.refresh:
                return
            now_ms = self._clock.now_ms()
            if self.snapshot.fresh_ms is None:
                return
            started = time.monotonic()
            self._families = await self._on_engine(lambda: self._evaluated(now_ms))
            self._evaluated_ms, self._evaluated_at = now_ms, started

    def _freeze(self) -> None:
        """Keep the garbage collector from walking over entities that live for ever."""
        held = len(self.snapshot.deals.ids) + self.snapshot.company.version
        if abs(held - self._frozen) >= _FREEZE_EVERY:
            gc.freeze()
            self._frozen = held

    def _evaluated(self, now_ms: int, names: frozenset[str] = frozenset()) -> dict[str, Series]:
        self._freeze()
        reported = self._reported.families(self._freezing.held, self._evaluator, now_ms)
        return {**self._kpis.evaluate(now_ms, names), **reported}

    def _rendered(
        self,
        kpis: Mapping[str, Series],
        evaluated_ms: int | None,
        *,
        openmetrics: bool,
        names: Sequence[str] = (),
    ) -> tuple[bytes, int]:
        families: list[tuple[Family, Samples]] = []
        age_ms = self._age_ms()
        if age_ms is not None and age_ms <= self._config.exporter.max_staleness * 1000:
            families = self._shown(kpis, whole=not names)
        families += self._self.families(evaluated_ms, self._kpis.slow_evaluated_ms)
        series = sum(len(samples) for _, samples in families if isinstance(samples, dict))
        return self._exposition.render(families, openmetrics=openmetrics, names=names), series

    def _shown(self, kpis: Mapping[str, Series], *, whole: bool) -> list[tuple[Family, Samples]]:
        """The KPI families; those by rep are left out whole where all families have too many series."""
        limit = self._config.exporter.series_limit
        found = [(self._kpis.families[name], series) for name, series in kpis.items()]
        if whole:
            by_rep = sum(len(series) for family, series in found if family.tier == "rep")
            total = sum(len(series) for _, series in found)
            if total > limit and not self._self.suppressed:
                log.warning("series.suppressed", series=total, limit=limit, by_rep=by_rep)
            self._self.suppressed = by_rep if total > limit else 0
        if not self._self.suppressed:
            return list(found)
        return [(family, series) for family, series in found if family.tier != "rep"]

    def _age_ms(self) -> int | None:
        """How long ago the numbers were true, really: an age of the machinery, not of the business."""
        fresh_ms, clock = self.snapshot.fresh_ms, self._clock
        return None if fresh_ms is None else clock.real_ms(clock.now_ms()) - clock.real_ms(fresh_ms)

    async def _on_engine(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._engine, work)


class _Watched:
    """The snapshot as a sink, with the delay of every change observed."""

    def __init__(self, snapshot: Snapshot, metrics: EngineMetrics, clock: Clock) -> None:
        self._metrics, self._clock = metrics, clock
        self.replace, self.renew = snapshot.replace, snapshot.renew
        self.missing, self.stands = snapshot.missing, snapshot.stands
        self.store_up, self._extend = snapshot.store_up, snapshot.extend

    def extend(self, shard: str, chunk: bytes, state: ShardState) -> None:
        """Take a delta in, and note how long after its first record that was."""
        self._extend(shard, chunk, state)
        if state.first_append_ms is not None:
            real_ms, now_ms = self._clock.real_ms, self._clock.now_ms()
            self._metrics.observe_delay(real_ms(now_ms) - real_ms(state.first_append_ms))


def run_exporter(
    config: ExporterConfig, clock: Clock, *, listening: Callable[[str], None] = lambda _address: None
) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit code. Raises UsageError if the address is taken."""
    return asyncio.run(_run(config, clock, listening))


async def _run(config: ExporterConfig, clock: Clock, listening: Callable[[str], None]) -> int:
    from exporters.server import serve

    stop = asyncio.Event()
    exporter = Exporter(config, clock)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _signalled, number, stop, exporter)
    server = await serve(exporter, config.exporter.listen)
    working, told = asyncio.create_task(exporter.run()), asyncio.create_task(stop.wait())
    is_told = False
    try:
        listening(server.address)
        log.info("exporter.starts", listen=server.address)
        await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        is_told = True
        return 0
    finally:
        told.cancel()
        await _leave(exporter, server, working, code=0 if is_told else 1)
        log.info("exporter.stops")


def _signalled(number: signal.Signals, stop: asyncio.Event, exporter: Exporter) -> None:
    """The first signal asks to stop, the second one ends at once."""
    if stop.is_set():
        log.warning("exporter.ends_at_once", signal=number.name)
        exporter.end_children()
        os._exit(130)
    stop.set()


async def _leave(exporter: Exporter, server: "Server", working: "asyncio.Task[None]", *, code: int) -> None:
    """End everything, in a bounded time: what the evaluating thread is at cannot be interrupted."""
    exporter.end_children()
    try:
        async with asyncio.timeout(STOP_WITHIN_S):
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await server.stop()
            await asyncio.to_thread(exporter.close)
    except TimeoutError:
        log.warning("exporter.stop_late", seconds=STOP_WITHIN_S)
        exporter.end_children()
        os._exit(code)
