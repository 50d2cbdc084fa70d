"""The demo: a whole company on this machine, from the publisher to the numbers, servers included."""

import asyncio
import json
import logging
import os
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
from events.errors import UnreachableError, UsageError
from events.settings import KafkaSettings
from events.simulator import COMPANIES, Simulation
from events.simulator.playing import Publishes, play, publish
from exporters.settings import ExporterSettings
from streams import topics

WORKERS: Final = 2
READY_S: Final = 60.0
_MOVE_S: Final = 2.0
_RULE: Final = "-" * 78
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
    options: DemoOptions,
    clock: Clock,
    *,
    say: Callable[[str], None],
    stop: asyncio.Event,
    moving: Callable[[str], None] | None = None,
) -> None:
    """Start everything, play the company, and end everything again.

    `moving` is given the figures every two seconds, where there is a terminal to show them move.
    Raises UnreachableError (a ChildError where it is a server of our own), UsageError.
    """
    if options.port:
        require_free(options.port, wanted_by="demo")
    simulation = Simulation(
        COMPANIES[options.company], seed=options.seed, reps=options.reps, end_ms=clock.now_ms()
    )
    async with AsyncExitStack() as stack:
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells of retries as of errors
        dump = stack.enter_context(opened(options.dump)) if options.dump else None
        say(f"Starting {_what_starts(options)} ...")
        brokers, redis, servers = await _servers(options, stack)
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
        if dump is not None:
            bulk = _Dumping(bulk, dump)
        past = await publish(simulation.history(), bulk, stop=stop)
        say(f"{simulation.company.name}: {past:,} records of five quarters published.")
        address = f"http://127.0.0.1:{port}"
        watch = asyncio.create_task(_watch([*servers, *processes], stop))
        stack.callback(watch.cancel)
        if await _ready(address, past, stop):
            _tell(address, brokers, redis, say)
            if options.seconds is None:
                say("Deals move as you watch. Ctrl-C ends everything.")
            if moving is None:
                say(await _figures(address))
            else:
                stack.callback(asyncio.create_task(_move(address, moving)).cancel)
        until_ms = None
        if options.seconds is not None:
            until_ms = clock.now_ms() + int(options.seconds * 1000 * float(clock.speed))
        await play(simulation.live(rate=LIVE_RATE), bulk, clock=clock, stop=stop, until_ms=until_ms)
        say("Stopping ...")
        if watch.done():
            watch.result()


def _what_starts(options: DemoOptions) -> str:
    servers = [name for name, given in (("a broker", options.brokers), ("Redis", options.redis)) if not given]
    return ", ".join([*servers, "two workers and an exporter"])


async def _servers(options: DemoOptions, stack: AsyncExitStack) -> tuple[str, str, list[Child]]:
    """The addresses of broker and Redis: those named, else of ones started here, which come third."""
    brokers, redis = options.brokers, options.redis
    started: list[Child] = []
    if redis is None:
        server = RedisServer()
        await _started(server, stack)
        redis = server.url
        started.append(server)
    else:
        await _require_redis(redis)
    if brokers is None:
        tansu = Tansu()
        await _started(tansu, stack)
        brokers = tansu.brokers
        started.append(tansu)
    return brokers, redis, started


async def _require_redis(url: str) -> None:
    """Raise UnreachableError unless a Redis answers there: the workers would wait for it in silence."""
    from redis.asyncio import from_url
    from redis.exceptions import RedisError

    try:
        async with from_url(url, socket_connect_timeout=5, socket_timeout=5) as store:
            await store.ping()
    except ValueError as error:
        raise UsageError(f"--redis: {error}.") from error
    except (RedisError, OSError) as error:
        raise UnreachableError(
            f"Redis does not answer at the address of --redis ({error}). Start it, or correct the address."
        ) from error


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


async def _watch(processes: Sequence[Child], stop: asyncio.Event) -> None:
    """End the demo when one of its servers or processes ends by itself."""
    while not stop.is_set():
        for process in processes:
            if not process.running:
                stop.set()
                words = process.output().strip().splitlines()
                raise ChildError(
                    f"the {process.name} of the demo ended: {words[-1] if words else 'silently'}"
                )
        await _pause(stop, 0.5)


async def _ready(address: str, records: int, stop: asyncio.Event) -> bool:
    """Wait until the exporter has merged so many records completely. False if told to stop meanwhile."""
    deadline = asyncio.get_running_loop().time() + READY_S
    while not stop.is_set():
        is_merged = await asyncio.to_thread(_records, address) >= records
        if is_merged and await asyncio.to_thread(_get, f"{address}/readyz") is not None:
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


async def _move(address: str, show: Callable[[str], None]) -> None:
    """Show the figures as they move."""
    while True:
        show(await _figures(address))
        await asyncio.sleep(_MOVE_S)


async def _figures(address: str) -> str:
    """The primary figure of a few KPIs, company-wide, in two lines."""
    rows = await asyncio.to_thread(_get, f"{address}/api/kpi?kpi=open,won,win_rate,stalled")
    if not rows:
        return "  the exporter does not answer\n  /readyz says why"
    found = {f"{row['kpi']}.{row['reading']}": row for row in rows}
    win_rate = found["win_rate.closed_count"]["value"]
    return (
        f"  open deals {found['open.count']['value']}, stalled {found['stalled.count']['value']}; "
        f"this quarter won {found['won.count']['value']}, win rate "
        f"{'no sample' if win_rate is None else format(win_rate, '.1%')}\n"
        f"  true as of {found['open.count']['as_of']}"
    )


def _records(address: str) -> int:
    """How many records the exporter's shards hold; one that was sent on to its partition counts there."""
    lines = _text(f"{address}/metrics?name[]=dealpulse_shard_records").splitlines()
    counts = [line for line in lines if line.startswith("dealpulse_shard_records{")]
    return sum(int(float(line.split()[-1])) for line in counts if 'result="rekeyed"' not in line)


def _get(url: str) -> Any:
    try:
        return json.loads(_text(url))
    except ValueError:
        return None


def _text(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own exporter
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError):
        return ""


def _tell(address: str, brokers: str, redis: str, say: Callable[[str], None]) -> None:
    say(_RULE)
    say(f"  numbers     {address}/api/kpi?kpi=win_rate&by=rep")
    say(f"  Prometheus  {address}/metrics")
    say(f"  why         {address}/explain?kpi=win_rate")
    say(f"  all links   {address}/")
    listen = address.removeprefix("http://")
    if listen != ExporterSettings().listen:  # where `kpi` and `explain` ask unless told otherwise
        say(f"  ask         DEALPULSE_EXPORTER__LISTEN={listen} dealpulse kpi")
    say(f"  servers     --brokers {brokers} --redis {redis}, of verify, doctor, ...")
    say(_RULE)
