"""A soak: the same population for half an hour, and whether anything grows that should not.

First a company's life is published once, and the worker and the exporter fold it. From then on nothing new
is said: the same statements come again and again, in another order, some under a wrong key, with poison
among them. The numbers of entities and of statements stay the same, so the resident sets must, too.
Afterwards new statements about the same deals are published, and what each of them costs is measured.
"""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from random import Random
from typing import Any, Final

import psutil
import redis

from dealpulse.embedded import RedisServer
from events.clock import Clock
from events.simulator import SAULS_DOLLS, Simulation
from tests.chaos.record import machine, now_text
from tests.integration.monitoring import ExporterProcess
from tests.integration.servers import ApacheKafka
from tests.integration.traffic import (
    STAGES,
    Message,
    envelope,
    make_topics,
    publish,
    streaming,
    wait_for_all,
)
from tests.integration.worker import Worker

SETTLING_SHARE: Final = 0.25
"""Of the time: caches fill, and allocators find their size. Not judged."""
MOST_GROWTH: Final = 0.02
"""Share of its size by which a resident set may grow in the judged part and still be flat."""
_EVERY_S: Final = 5.0
_NEW_STATEMENTS: Final = 100_000
_POISON: Final = (b"{", b"[]", b"\xff", b"")

Samples = dict[str, list[float]]


def soak(
    *, minutes: float, rate: int, reps: int = 60, quarters: int = 6, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Do it; the record says whether it was flat."""
    began_text = now_text()
    population = _population(reps, quarters)
    with ExitStack() as stack:
        broker = stack.enter_context(ApacheKafka(heap_megabytes=512))
        store = stack.enter_context(RedisServer())
        client: Any = stack.enter_context(redis.Redis.from_url(store.url))
        make_topics(broker.brokers)
        worker = stack.enter_context(Worker(broker.brokers, store.url, group="soak"))
        exporter = stack.enter_context(ExporterProcess(store.url, KAFKA__BROKERS=broker.brokers))
        publish(broker.brokers, population)
        wait_for_all(broker.brokers, store.url, seconds=120)
        # Closed periods are frozen once, and their rows held from then on: not in the middle of the soak.
        _freeze(broker.brokers, store.url)
        watched = _Watched(worker, exporter, client)
        start = watched.statements()
        say(f"{len(population):,} records, {start:,} statements; the same again for {minutes:g} minutes ...")

        with streaming(broker.brokers, _again(population), per_second=rate) as sent:
            _sample(watched, minutes * 60, say)
        given = sent()
        _until_quiet(watched)
        end = watched.statements()

        say(f"{given:,} records later: {end:,} statements; now {_NEW_STATEMENTS:,} new ones ...")
        growth = _growth(watched, broker.brokers, population)
    judged = {name: judge(watched.at_s, values) for name, values in watched.mb.items()}
    return {
        "started": began_text,
        "machine": machine(),
        "minutes": minutes,
        "rate": rate,
        "records": given,
        "statements": {"start": start, "end": end},
        "judged": judged,
        "flat": start == end and all(each["flat"] for name, each in judged.items() if name in JUDGED),
        "bytes_per_new_statement": growth,
        "samples": {
            "at_s": watched.at_s,
            **{f"{name}_mb": values for name, values in watched.mb.items()},
        },
    }


JUDGED: Final = ("worker", "exporter")
"""What must be flat; Redis is shown beside them."""


def judge(at_s: Sequence[float], mb: Sequence[float]) -> dict[str, Any]:
    """The trend of a resident set after it has settled: by least squares, over the judged part."""
    first = next(n for n, at in enumerate(at_s) if at >= SETTLING_SHARE * at_s[-1])
    xs, ys = at_s[first:], mb[first:]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    growth = slope * (xs[-1] - xs[0])
    return {
        "mean_mb": round(mean_y, 1),
        "lowest_mb": round(min(ys), 1),
        "highest_mb": round(max(ys), 1),
        "growth_mb": round(growth, 2),
        "mb_per_hour": round(slope * 3600, 2),
        "flat": growth <= MOST_GROWTH * mean_y,
    }


class _Watched:
    """The processes whose memory is looked at."""

    def __init__(self, worker: Worker, exporter: ExporterProcess, client: Any) -> None:
        self.worker, self.exporter, self._redis = worker, exporter, client
        self._processes = {"worker": psutil.Process(worker.pid), "exporter": psutil.Process(exporter.pid)}
        self.at_s: list[float] = []
        self.mb: Samples = {"worker": [], "exporter": [], "redis": []}

    def now_mb(self) -> dict[str, float]:
        """Resident sets in MB of 10^6 bytes, and the memory that Redis uses."""
        found = {name: process.memory_info().rss / 1e6 for name, process in self._processes.items()}
        return found | {"redis": int(self._redis.info("memory")["used_memory"]) / 1e6}

    def sample(self, at_s: float) -> None:
        """Note the memory at an instant."""
        self.at_s.append(round(at_s, 1))
        for name, mb in self.now_mb().items():
            self.mb[name].append(round(mb, 2))

    def statements(self) -> int:
        """Distinct statements that all shards hold: every record that changed something."""
        return self._sum(b"applied")

    def lag(self) -> int:
        """Records that wait to be folded."""
        return int(self.worker.metric("dealpulse_worker_lag_events"))

    def _sum(self, name: bytes) -> int:
        keys = list(self._redis.scan_iter("dealpulse:*:meta", count=1_000))
        return sum(int(self._redis.hget(key, name) or 0) for key in keys)


def _freeze(brokers: str, redis_url: str) -> None:
    """Freeze all periods that are due."""
    settings = {"DEALPULSE_KAFKA__BROKERS": brokers, "DEALPULSE_REDIS__URL": redis_url}
    subprocess.run(
        [sys.executable, "-m", "dealpulse", "--quiet", "freeze"],
        env={**os.environ, **settings},
        capture_output=True,
        check=True,
        timeout=600,
    )


def _population(reps: int, quarters: int) -> list[Message]:
    simulation = Simulation(SAULS_DOLLS, seed=5, reps=reps, quarters=quarters, end_ms=Clock().now_ms())
    return [
        Message(record.topic, None if record.key is None else record.key.encode(), record.value)
        for record in simulation.history()
    ]


def _again(population: Sequence[Message]) -> Iterator[Message]:
    """What was said before, in any order, without an end; 1 % poison, 1 % under no key."""
    random = Random("soak")
    while True:
        message = random.choice(population)
        lot = random.random()
        if lot < 0.01:
            yield Message(message.topic, message.key, random.choice(_POISON))
        elif lot < 0.02:
            yield Message(message.topic, None, message.value)
        else:
            yield message


def _new(population: Sequence[Message]) -> Iterator[Message]:
    """New statements about deals of the population."""
    deals = sorted({m.key for m in population if m.topic == "crm.opportunity" and m.key is not None})
    random = Random("new")
    for number in itertools.count():
        subject = random.choice(deals)
        data = {
            "stage": random.choice(STAGES),
            "amount": f"{random.randrange(100_000)}.00",
            "currency": "TWD",
        }
        value = envelope(
            "opportunity", "changed", subject.decode(), random.randrange(20_000_000), data, id=f"new-{number}"
        )
        yield Message("crm.opportunity", subject, value)


def _sample(watched: _Watched, seconds: float, say: Callable[[str], None]) -> None:
    began, told = time.monotonic(), 0.0
    while (at_s := time.monotonic() - began) < seconds:
        watched.exporter.get("/metrics")
        watched.exporter.get("/api/kpi?kpi=win_rate&by=rep")
        watched.sample(at_s)
        if at_s - told >= 60:
            told = at_s
            say(f"{at_s / 60:5.1f} min  " + "  ".join(f"{k} {v[-1]:.1f} MB" for k, v in watched.mb.items()))
        time.sleep(_EVERY_S)


def _until_quiet(watched: _Watched) -> None:
    """Wait until nothing waits to be folded and the sizes are read after it."""
    deadline = time.monotonic() + 120
    while watched.lag() and time.monotonic() < deadline:
        time.sleep(0.2)


def _growth(watched: _Watched, brokers: str, population: Sequence[Message]) -> dict[str, Any]:
    """What a new statement costs, in bytes: measured over many."""
    before, statements = watched.now_mb(), watched.statements()
    publish(brokers, itertools.islice(_new(population), _NEW_STATEMENTS))
    deadline = time.monotonic() + 180
    while watched.statements() < statements + _NEW_STATEMENTS and time.monotonic() < deadline:
        watched.exporter.get("/metrics")
        time.sleep(1.0)
    _until_quiet(watched)
    watched.exporter.get("/metrics")
    more, after = watched.statements() - statements, watched.now_mb()
    return {
        "statements": more,
        **{name: round((after[name] - before[name]) * 1e6 / more) for name in before},
    }
