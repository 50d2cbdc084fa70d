"""The demo: a whole company on this machine, from the publisher to the numbers, servers included."""

import asyncio
import json
import logging
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from dealpulse.child import Child, ChildError, free_port, require_free
from dealpulse.embedded import RedisServer, Tansu
from dealpulse.event_sink import opened
from events.bulk import Bulk
from events.clock import VARIABLE, Clock
from events.settings import KafkaSettings
from events.simulator import COMPANIES, Simulation
from events.simulator.playing import Publishes, play, publish
from streams import topics

WORKERS: Final = 2
READY_S: Final = 60.0
LIVE_RATE: Final = 4.0
"""Live records a second: enough to see the numbers move."""


@dataclass(frozen=True)
class DemoOptions:
    """What a demo plays, and where."""

    company: str
    seed: int
    reps: int
    seconds: float | None
    """How long to go on after the start; None: until told to stop."""
    port: int
    brokers: str | None
    redis: str | None
    dump: Path | None


class Process(Child):
    """One of our own processes, with the settings of the demo in its environment."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        super().__init__(name)
        self._arguments, self._environment = tuple(arguments), dict(environment)

    def command(self, folder: Path) -> Sequence[str]:  # noqa: ARG002 - these need no folder
        """The program and its arguments."""
        return [sys.executable, "-m", "dealpulse", *self._arguments]

    def environment(self) -> Mapping[str, str]:
        """This process's, and the demo's settings."""
        return {**os.environ, **self._environment}


async def run_demo(
    options: DemoOptions, clock: Clock, *, say: Callable[[str], None], stop: asyncio.Event
) -> None:
    """Start everything, play the company, and end everything again. Raises ChildError."""
    if options.port:
        require_free(options.port, wanted_by="demo")
    simulation = Simulation(
        COMPANIES[options.company], seed=options.seed, reps=options.reps, end_ms=clock.now_ms()
    )
    async with AsyncExitStack() as stack:
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells of retries as of errors
        say("Starting a broker, Redis, two workers and an exporter ...")
        brokers, redis = await _servers(options, stack)
        kafka = KafkaSettings(brokers=brokers)
        port = options.port or free_port()
        environment = {
            "DEALPULSE_KAFKA__BROKERS": brokers,
            "DEALPULSE_REDIS__URL": redis,
            "DEALPULSE_EXPORTER__LISTEN": f"127.0.0.1:{port}",
            "DEALPULSE_WORKER__LISTEN": "127.0.0.1:0",
            "DEALPULSE_COMPANY__NAME": simulation.company.name,
            VARIABLE: clock.spec,
        }
        await asyncio.to_thread(topics.ensure, kafka, repair=False)
        processes = [Process(f"worker {n + 1}", ["worker"], environment) for n in range(WORKERS)]
        processes.append(Process("exporter", ["exporter"], environment))
        await asyncio.gather(*(_started(process, stack) for process in processes))

        bulk: Publishes = await stack.enter_async_context(Bulk(kafka, client_id="dealpulse-demo"))
        if options.dump:
            bulk = _Dumping(bulk, stack.enter_context(opened(options.dump)))
        past = await publish(simulation.history(), bulk, stop=stop)
        say(f"{simulation.company.name}: {past:,} records of five quarters published.")
        address = f"http://127.0.0.1:{port}"
        watch = asyncio.create_task(_watch(processes, stop))
        stack.callback(watch.cancel)
        if await _ready(address, stop):
            _tell(address, options, await _first_numbers(address), say)
        until_ms = None
        if options.seconds is not None:
            until_ms = clock.now_ms() + int(options.seconds * 1000 * float(clock.speed))
        await play(simulation.live(rate=LIVE_RATE), bulk, clock=clock, stop=stop, until_ms=until_ms)
        say("Stopping ...")
        if watch.done():
            watch.result()


async def _servers(options: DemoOptions, stack: AsyncExitStack) -> tuple[str, str]:
    """The addresses of broker and Redis: those named, else ones started here."""
    brokers, redis = options.brokers, options.redis
    if brokers is None:
        tansu = Tansu()
        await _started(tansu, stack)
        brokers = tansu.brokers
    if redis is None:
        server = RedisServer()
        await _started(server, stack)
        redis = server.url
    return brokers, redis


async def _started(child: Child, stack: AsyncExitStack) -> None:
    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        await asyncio.to_thread(child.start)
        try:
            yield
        finally:
            await asyncio.to_thread(child.stop)

    await stack.enter_async_context(running())


class _Dumping:
    """A publisher that also writes every record it is given to a file."""

    def __init__(self, bulk: Publishes, dump: IO[bytes]) -> None:
        self._bulk, self._dump = bulk, dump

    async def send(self, topic: str, key: str | None, value: bytes) -> None:
        """Publish a record, and keep it."""
        await self._bulk.send(topic, key, value)
        self._dump.write(value + b"\n")

    async def flush(self) -> None:
        """Wait until Kafka has acknowledged everything."""
        await self._bulk.flush()


async def _watch(processes: Sequence[Process], stop: asyncio.Event) -> None:
    """End the demo when one of its processes ends by itself."""
    while not stop.is_set():
        for process in processes:
            if not process.running:
                stop.set()
                words = process.output().strip().splitlines()
                raise ChildError(
                    f"the {process.name} of the demo ended: {words[-1] if words else 'silently'}"
                )
        await _pause(stop, 0.5)


async def _ready(address: str, stop: asyncio.Event) -> bool:
    """Wait until the exporter has one complete merge. False if told to stop meanwhile."""
    deadline = asyncio.get_running_loop().time() + READY_S
    while not stop.is_set():
        if await asyncio.to_thread(_get, f"{address}/readyz") is not None:
            return True
        if asyncio.get_running_loop().time() > deadline:
            raise ChildError(
                f"no complete numbers after {READY_S:g} s; {address}/readyz says what is missing"
            )
        await _pause(stop, 0.2)
    return False


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def _first_numbers(address: str) -> Mapping[str, Any]:
    """The primary figure of a few KPIs, company-wide."""
    found = await asyncio.to_thread(_get, f"{address}/api/kpi?kpi=open,won,win_rate,stalled") or []
    return {f"{row['kpi']}.{row['reading']}": row for row in reversed(found)}


def _get(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own exporter
            return json.load(answer)
    except (urllib.error.URLError, OSError, ValueError):
        return None


def _tell(address: str, options: DemoOptions, figures: Mapping[str, Any], say: Callable[[str], None]) -> None:
    width = min(shutil.get_terminal_size().columns, 78)
    win_rate = figures["win_rate.closed_count"]
    say("-" * width)
    say(f"  numbers     {address}/api/kpi?kpi=win_rate&by=rep")
    say(f"  Prometheus  {address}/metrics")
    say(f"  why         {address}/explain?kpi=win_rate")
    say(f"  all links   {address}/")
    say("-" * width)
    say(
        f"  open deals {figures['open.count']['value']}, stalled {figures['stalled.count']['value']}; "
        f"this quarter won {figures['won.count']['value']}, win rate "
        f"{'no sample' if win_rate['value'] is None else format(win_rate['value'], '.1%')}"
    )
    say(f"  true as of {figures['open.count']['as_of']}")
    say("-" * width)
    if options.seconds is None:
        say("Deals move as you watch. Ctrl-C ends everything.")
