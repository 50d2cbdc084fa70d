"""A scrape of 100,000 series over HTTP, as Prometheus asks for it: how long, how much CPU, who waits for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import aiohttp

from aggregators.meaning import Meaning
from events.clock import Clock
from exporters.exporter import Exporter
from exporters.server import serve
from tests.bench.refresh import NOW_MS, history, second_changes
from tests.exporters.stand import Stand, exporter_over

REPS, DEALS, CONTRACTS = 1_400, 20_000, 5_000
SCRAPES = 10
ACCEPT = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
TICK_S = 0.002


def run(reps: int = REPS, scrapes: int = SCRAPES) -> dict[str, Any]:
    """Medians over scrapes, and the longest that the event loop and a change had to wait meanwhile.

    `repeated`: nothing has been evaluated anew, so that a scrape is rendering, compressing, sending.
    `evaluated`: before each the clock has gone on by 15 s and a second of a busy company's changes came.
    """
    clock, stand = Clock.standing(NOW_MS), Stand(Meaning())
    stand.take(history(DEALS, CONTRACTS, reps), at_ms=NOW_MS)
    exporter = exporter_over(stand, clock, series_limit=1_000_000)
    slow, _ = exporter._kpis.slow_families(exporter._kpis.slow_due(NOW_MS), NOW_MS)
    exporter._kpis.keep(slow)
    try:
        return asyncio.run(_scraped(exporter, stand, clock, scrapes))
    finally:
        exporter.close()


@dataclass
class Scrapes:
    """What was seen of some scrapes, in seconds and bytes."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    loop_waits: list[float] = field(default_factory=list)
    change_waits: list[float] = field(default_factory=list)
    size: int = 0

    def figures(self) -> dict[str, Any]:
        return {
            "ms": _ms(median(self.seconds)),
            "worst_ms": _ms(max(self.seconds)),
            "cpu_ms": _ms(median(self.cpu)),
            "bytes": self.size,
            "loop_waits_ms": _ms(max(self.loop_waits)),
            "change_waits_ms": _ms(max(self.change_waits)),
        }


async def _scraped(exporter: Exporter, stand: Stand, clock: Clock, scrapes: int) -> dict[str, Any]:
    server = await serve(exporter, "127.0.0.1:0")
    changes = second_changes(DEALS)
    plain, packed, evaluated = Scrapes(), Scrapes(), Scrapes()
    try:
        async with aiohttp.ClientSession(headers={"Accept": ACCEPT}, auto_decompress=False) as session:

            async def scrape(encoding: str) -> int:
                headers = {"Accept-Encoding": encoding}
                async with session.get(f"http://{server.address}/metrics", headers=headers) as answer:
                    return len(await answer.read())

            await scrape("gzip")
            for found, encoding in ((plain, "identity"), (packed, "gzip")):
                for _ in range(scrapes):
                    await _watched(exporter, found, partial(scrape, encoding))
            for _ in range(scrapes):
                clock.move(ms=15_000)
                stand.take(next(changes), at_ms=clock.now_ms())
                exporter._evaluated_at = None
                await _watched(exporter, evaluated, partial(scrape, "gzip"))
    finally:
        await server.stop()
    return {
        "series": exporter._self.series,
        "repeated": plain.figures(),
        "repeated_gzip": packed.figures(),
        "evaluated_gzip": evaluated.figures(),
    }


async def _watched(exporter: Exporter, found: Scrapes, scrape: Callable[[], Awaitable[int]]) -> None:
    loop = asyncio.create_task(_waits(lambda: asyncio.sleep(0)))
    change = asyncio.create_task(_waits(lambda: exporter._on_engine(lambda: None)))
    await asyncio.sleep(0)
    started, used = time.perf_counter(), time.process_time()
    found.size = await scrape()
    found.seconds.append(time.perf_counter() - started)
    found.cpu.append(time.process_time() - used)
    for task, waits in ((loop, found.loop_waits), (change, found.change_waits)):
        task.cancel()
        (longest,) = await asyncio.gather(task)
        waits.append(longest)


async def _waits(work: Callable[[], Awaitable[object]]) -> float:
    """The longest that a piece of work which takes no time took, asked for again and again until cancelled."""
    longest = 0.0
    try:
        while True:
            started = time.perf_counter()
            await work()
            longest = max(longest, time.perf_counter() - started)
            slept = time.perf_counter()
            await asyncio.sleep(TICK_S)
            longest = max(longest, time.perf_counter() - slept - TICK_S)
    except asyncio.CancelledError:
        return longest


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)
