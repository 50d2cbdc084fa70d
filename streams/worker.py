"""The worker process: joins the consumer group, folds its partitions, and leaves without loss."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from aiokafka.errors import KafkaError

from aggregators.meaning import Meaning
from events.adapters.settings import Adapter
from events.clock import Clock
from events.errors import DealpulseError, UnreachableError
from events.log import get_logger
from events.settings import KafkaSettings
from events.topics import TOPICS
from streams import topics
from streams.app import App, make_app
from streams.health import HealthServer, health, readiness
from streams.inbox import Inbox
from streams.metrics import WorkerMetrics
from streams.settings import RedisSettings, WorkerSettings
from streams.shards import Shards
from streams.translators import add_translators, sources

log = get_logger("worker")

_RETRY_S: Final = 1.0
_LONGEST_RETRY_S: Final = 10.0
_WATCH_S: Final = 1.0
_SUMMARY_S: Final = 10.0


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker needs to know."""

    kafka: KafkaSettings
    redis: RedisSettings
    worker: WorkerSettings
    meaning: Meaning
    version: str
    adapters: Mapping[str, Adapter] = field(default_factory=dict)
    """Those of Connect topics are translated by the worker; webhooks are the gateway's."""


def run_worker(
    config: WorkerConfig, clock: Clock, *, listening: Callable[[str], None] = lambda _address: None
) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit code: 0 after a clean stop, 1 after a fault.

    `listening` is told the address of `/metrics`. Raises UsageError if that address is taken.
    """

    async def run() -> int:
        return await _Worker(config, clock, listening).run()

    return asyncio.run(run())


class _Worker:
    def __init__(self, config: WorkerConfig, clock: Clock, listening: Callable[[str], None]) -> None:
        self._config, self._listening = config, listening
        self._stop = asyncio.Event()
        self._is_late = False
        self.metrics = WorkerMetrics(TOPICS, version=config.version)
        self.shards = Shards(
            kafka=config.kafka,
            redis=config.redis,
            worker=config.worker,
            meaning=config.meaning,
            clock=clock,
            metrics=self.metrics,
        )

        self.sources = sources(config.adapters, zone=config.meaning.company.zone)
        self.inbox = Inbox(topic for source in self.sources for topic in source.topics)
        for source in self.sources:
            self.metrics.translating(source.name, source.topics)

    async def run(self) -> int:
        self._obey_signals()
        # Kafka's clients say dozens of lines about a broker that is away; the worker says one.
        for library in ("kafka", "aiokafka"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
        server = HealthServer(
            self.metrics.registry,
            alive=lambda: health(self.shards, stuck_after_s=self._config.worker.stuck_after),
            ready=lambda: readiness(self.shards),
        )
        address = await server.start(self._config.worker.listen)
        try:
            self._listening(address)
            log.info("worker.starts", group=self._config.worker.group, listen=address)
            code = await self._folds() if await self._topics_there() else 0
        finally:
            await server.stop()
            await self.shards.store.close()
        if self._is_late:
            # The thread that speaks to Kafka goes on: Python would wait for it, and the group for its partitions.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        return code

    async def _topics_there(self) -> bool:
        """Wait for Kafka, and make the topics that are missing. False if told to stop meanwhile."""
        wait_s = _RETRY_S
        names = topics.needed(topic for source in self.sources for topic in source.topics)
        while not self._stop.is_set():
            try:
                ensured = await asyncio.to_thread(topics.ensure, self._config.kafka, names, repair=False)
            except UnreachableError as error:
                log.warning("kafka.away", error=error)
                await self._sleep(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_RETRY_S)
                continue
            if ensured.created:
                log.info("topics.created", topics=list(ensured.created))
            return True
        return False

    async def _folds(self) -> int:
        app = await self._started()
        if app is None:
            return 0
        watched = {
            asyncio.create_task(self.shards.checkpoints.run()),
            asyncio.create_task(self.shards.watch_log(_WATCH_S)),
            asyncio.create_task(self.inbox.watch_log(_WATCH_S)),
            asyncio.create_task(self._tell()),
            asyncio.create_task(app._crashed.wait()),
            asyncio.create_task(app._stopped.wait()),
        }
        told = asyncio.create_task(self._stop.wait())
        try:
            ends: list[asyncio.Future[Any]] = [told, self.shards.fault, self.inbox.fault, *watched]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            fault = self._fault(app, watched)
            if fault is not None:
                log.error("worker.failed", error=fault)
            await self._leave(app)
            return 0 if fault is None else 1
        finally:
            for task in (told, *watched):
                task.cancel()
            await asyncio.gather(told, *watched, return_exceptions=True)

    def _fault(self, app: App, watched: set["asyncio.Task[Any]"]) -> BaseException | None:
        """Why the worker ends, if it was not told to."""
        if self.shards.fault.done():
            return self.shards.fault.result()
        if self.inbox.fault.done():
            return self.inbox.fault.result()
        for task in watched:
            if task.done() and task.exception() is not None:
                return task.exception()
        if app.crash_reason is not None:
            reason: BaseException = app.crash_reason
            return reason
        return None if self._stop.is_set() else DealpulseError("Faust has stopped by itself")

    async def _started(self) -> App | None:
        """Start the app; if Kafka goes away at that moment, another one. None if told to stop."""
        while not self._stop.is_set():
            app = make_app(self._config.kafka, self._config.worker, self.shards, self.inbox)
            consumer: Any = app.consumer  # ours: the transport makes it
            self.shards.attach(consumer, app.producer)
            self.inbox.attach(consumer)
            add_translators(
                app,
                self.sources,
                self.inbox,
                producer=app.producer,
                unsent=self.shards.unsent,
                partitions=partial(self._partitions, consumer),
                partitioner=self._config.kafka.partitioner,
                metrics=self.metrics,
            )
            try:
                await app.start()
                return app
            except (KafkaError, OSError) as error:
                log.warning("kafka.away", error=error)
                await app.stop()
                await self._sleep(_RETRY_S)
        return None

    def _partitions(self, consumer: Any, topic: str) -> int:
        """How many partitions a topic has; as configured while the consumer does not know."""
        return consumer.topic_partitions(topic) or self._config.kafka.partitions

    async def _leave(self, app: App) -> None:
        """Stop fetching, finish the batch, checkpoint, acknowledge and leave the group.

        Faust may swallow the cancellation of a commit that Kafka does not answer: what is late is left behind.
        """
        began = time.monotonic()
        stopping = asyncio.create_task(app.stop())
        await asyncio.wait({stopping}, timeout=self._config.worker.stop_within)
        if not stopping.done():
            self._is_late = True
            log.warning("worker.stop_late", seconds=self._config.worker.stop_within)
        elif not stopping.cancelled() and (error := stopping.exception()) is not None:
            raise error
        log.info("worker.stopped", seconds=round(time.monotonic() - began, 2))

    async def _tell(self) -> None:
        """Sum up what was done, every few seconds in which something was."""
        told = -1
        while True:
            await asyncio.sleep(_SUMMARY_S)
            shards = self.shards.live()
            folded = sum(shard.next for shard in shards)
            if folded != told:
                told = folded
                log.info(
                    "worker.folds",
                    partitions=len(shards),
                    entities=sum(shard.state.entities for shard in shards),
                    lag=sum(shard.lag or 0 for shard in shards),
                )

    def _obey_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)

    def _signalled(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            log.warning("worker.ends_at_once", signal=number.name)
            os._exit(130)
        log.info("worker.stops", signal=number.name)
        self._stop.set()

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()
