"""The faults: what each does, when it ends, and the schedule of a run, which its seed repeats."""

import re
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple

from dealpulse.child import Child
from tests.chaos import launcher
from tests.chaos.launcher import Step
from tests.chaos.proxy import Cut
from tests.chaos.system import ALL, ChaosWorker, System
from tests.integration.traffic import wait_until


@dataclass
class Run:
    """One run under way: its system, its lot, and how long faults last."""

    system: System
    random: Random
    pause_s: float = 20.0
    """How long Redis and Kafka are frozen."""
    notes: dict[str, int] = field(default_factory=dict)
    """What was seen on the way and shall be in the record."""

    def one(self) -> ChaosWorker:
        """A worker at random, of those that have partitions."""
        busy: list[ChaosWorker] = []

        def some_are_busy() -> bool:
            busy[:] = [worker for worker in self.system.workers if worker.owned() > 0]
            return bool(busy)

        wait_until(some_are_busy, "a worker owns something", seconds=60)
        return self.random.choice(busy)

    def others(self, worker: ChaosWorker) -> list[ChaosWorker]:
        """The workers but one."""
        return [each for each in self.system.workers if each is not worker]

    def note(self, what: str, count: int = 1) -> None:
        """Count something seen."""
        self.notes[what] = self.notes.get(what, 0) + count


Act = Callable[[Run], float]
"""Does the fault, and what an operator's supervisor would do after it. Gives the instant of its end (monotonic)."""


class Fault(NamedTuple):
    """One kind of fault."""

    kind: str
    act: Act
    long: int
    """How often in the long form."""
    short: int
    """How often in the short form."""


def schedule(seed: int, *, short: bool) -> list[Fault]:
    """The faults of a run in their order: the same for the same seed."""
    told = [fault for fault in FAULTS for _ in range(fault.short if short else fault.long)]
    Random(f"schedule {seed}").shuffle(told)
    return told


# Workers


def _kill(run: Run) -> float:
    worker = run.one()
    worker.kill()
    ended = time.monotonic()
    worker.start()
    return ended


def _kill_all(run: Run) -> float:
    for worker in run.system.workers:
        worker.kill()
    ended = time.monotonic()
    run.system.start(run.system.workers)
    return ended


def _kill_at(step: Step, stir: Callable[[Run, ChaosWorker], None] | None = None) -> Act:
    """Let a worker die at a step; `stir` makes it come to that step if checkpoints alone do not."""

    def act(run: Run) -> float:
        worker = run.one()
        assert worker.folder is not None
        launcher.arm(worker.folder, step)
        if stir is not None:
            stir(run, worker)
        wait_until(lambda: not worker.running, f"a worker dies {step}", seconds=60)
        ended = time.monotonic()
        assert worker.wait(1) == -signal.SIGKILL, worker.output()[-1_000:]
        worker.kill()  # its keeper too
        run.system.start([each for each in run.system.workers if not each.running])
        return ended

    return act


def _lose_redis(run: Run, _worker: ChaosWorker) -> None:
    """Everything is written again in full."""
    run.system.redis.flushall()


def _stop_others(run: Run, worker: ChaosWorker) -> None:
    """The others leave, so that this one has to load what was theirs."""
    for other in run.others(worker):
        other.signal(signal.SIGTERM)
        assert other.wait(30) == 0
        other.kill()


def _terminate(run: Run) -> float:
    worker = run.one()
    worker.signal(signal.SIGTERM)
    assert worker.wait(25) == 0, worker.output()[-1_000:]
    ended = time.monotonic()
    worker.kill()
    worker.start()
    return ended


def _terminate_all(run: Run) -> float:
    for worker in run.system.workers:
        worker.signal(signal.SIGTERM)
    for worker in run.system.workers:
        assert worker.wait(25) == 0, worker.output()[-1_000:]
        worker.kill()
    ended = time.monotonic()
    run.system.start(run.system.workers)
    return ended


def _zombie(run: Run) -> float:
    """Frozen until the others own everything, then let go on with what it held."""
    worker = run.one()
    worker.pause()
    try:
        others = run.others(worker)
        wait_until(
            lambda: sum(each.owned() for each in others) == ALL, "the others own everything", seconds=60
        )
        since = time.monotonic()
        run.system.watch.recovery_s(since, seconds=60)  # and fold on
        before = len(worker.said("shard.write_refused"))
    finally:
        worker.resume()
    ended = time.monotonic()
    wait_until(
        lambda: sum(each.owned() for each in run.system.workers) == ALL, "the zombie knows", seconds=60
    )
    run.note("writes of a zombie that were refused", len(worker.said("shard.write_refused")) - before)
    return ended


def _add(run: Run) -> float:
    run.system.add_workers(1)
    return time.monotonic()


def _remove(run: Run) -> float:
    worker = run.one()
    worker.signal(signal.SIGTERM)
    assert worker.wait(25) == 0, worker.output()[-1_000:]
    ended = time.monotonic()
    run.system.workers.remove(worker)
    run.system.gone.append(worker)
    return ended


def _add_and_remove(run: Run) -> float:
    run.system.watch.recovery_s(_add(run), seconds=60)
    return _remove(run)


# Redis


def _paused(server: Callable[[System], Child]) -> Act:
    def act(run: Run) -> float:
        frozen = server(run.system)
        frozen.pause()
        time.sleep(run.pause_s)  # the fault itself: frozen for so long; nothing is waited for
        frozen.resume()
        return time.monotonic()

    return act


def _redis_empty(run: Run) -> float:
    store = run.system.store
    store.kill()
    assert store.folder is not None
    (store.folder / "dump.rdb").unlink(missing_ok=True)
    store.start()
    return time.monotonic()


def _redis_old_snapshot(run: Run) -> float:
    system = run.system
    system.redis.save()
    saved = _offsets(system)
    acknowledged = system.publishing.acknowledged()
    wait_until(
        lambda: system.publishing.acknowledged() > acknowledged + 2 * system.rate, "time passes", seconds=60
    )
    system.store.kill()
    system.store.start()
    run.note("shards that a snapshot took back", len(saved))
    return time.monotonic()


def _offsets(system: System) -> dict[str, int]:
    return {
        key.decode(): int(system.redis.hget(key, "offset"))
        for key in system.redis.scan_iter("dealpulse:*:meta", count=1_000)
    }


def _redis_out_of_memory(run: Run) -> float:
    client = run.system.redis
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", 1_000_000)
    try:
        wait_until(
            lambda: any("maxmemory" in worker.get("/readyz")[1] for worker in run.system.workers),
            "a worker is told that there is no memory",
            seconds=30,
        )
        time.sleep(run.pause_s / 5)
    finally:
        client.config_set("maxmemory", 0)
    return time.monotonic()


def _reset(where: Cut) -> Act:
    def act(run: Run) -> float:
        proxy, before = run.system.to_store, run.system.to_store.resets
        proxy.cut(where, 3)
        wait_until(lambda: proxy.resets >= before + 3, "three connections are reset", seconds=30)
        return time.monotonic()

    return act


# Kafka


def _kafka_killed(run: Run) -> float:
    run.system.broker.kill()
    run.system.broker.start()
    return time.monotonic()


# The exporter


def _exporter_killed(run: Run) -> float:
    run.system.exporter.kill()
    ended = time.monotonic()
    run.system.exporter.start()
    return ended


def _exporter_early(run: Run) -> float:
    """Started while there is no Redis: not ready, and then it is."""
    system = run.system
    system.exporter.kill()
    system.view.refuse()
    system.exporter.start()
    status, checks = system.exporter.checks()
    assert status == 503
    assert not checks["redis"]["ok"]
    assert system.exporter.sample("dealpulse_exporter_store_up") == 0.0
    system.view.accept()
    return time.monotonic()


FRESHNESS: Final = "dealpulse_freshness_timestamp_seconds"


def _exporter_without_redis(run: Run) -> float:
    """The last good state goes on being served, marked as old; Prometheus sees it grow old."""
    system, exporter = run.system, run.system.exporter
    system.view.refuse()
    try:
        wait_until(lambda: not exporter.checks()[1]["redis"]["ok"], "the exporter misses Redis", seconds=30)
        status, checks = exporter.checks()
        assert status == 503
        assert checks["merge"]["ok"]
        page = exporter.get("/metrics")[1]
        assert re.search(r"^dealpulse_open_opportunities\{.*\} [1-9]", page, re.MULTILINE), "no figures"
        fresh = exporter.sample(FRESHNESS)
        assert fresh is not None

        def prometheus_sees_it() -> bool:
            age = system.prometheus.series(f"time() - {FRESHNESS}")
            up = system.prometheus.series("dealpulse_exporter_store_up")
            return bool(age and up) and float(age[0]["value"][1]) > 3 and up[0]["value"][1] == "0"

        wait_until(prometheus_sees_it, "Prometheus sees that figures are old", seconds=60)
        assert exporter.sample(FRESHNESS) == fresh, "figures became fresh without Redis"
    finally:
        system.view.accept()
    return time.monotonic()


# Several at once


def _redis_paused_worker_killed(run: Run) -> float:
    """A worker dies while Redis does not answer: nobody can load its shards."""
    run.system.store.pause()
    worker = run.one()
    worker.kill()
    time.sleep(run.pause_s / 4)
    run.system.store.resume()
    ended = time.monotonic()
    worker.start()
    return ended


def _everything_lost(run: Run) -> float:
    """Kafka, Redis, all workers and the exporter die at once, and come back in the other order."""
    system = run.system
    for child in (system.broker, system.store, *system.workers, system.exporter):
        child.kill()
    assert system.store.folder is not None
    (system.store.folder / "dump.rdb").unlink(missing_ok=True)
    with ThreadPoolExecutor() as pool:
        started = [pool.submit(child.start) for child in (system.exporter, *system.workers)]
        system.store.start()
        system.broker.start()
        ended = time.monotonic()
        for each in started:
            each.result()
    return ended


FAULTS: Final[Sequence[Fault]] = (
    Fault("worker: kill -9", _kill, 12, 1),
    Fault("worker: kill -9 before the write", _kill_at("before the write"), 9, 1),
    Fault(
        "worker: kill -9 after the write, before the acknowledgement",
        _kill_at("after the write, before the acknowledgement"),
        9,
        1,
    ),
    Fault(
        "worker: kill -9 between acknowledgement and commit",
        _kill_at("between acknowledgement and commit"),
        9,
        1,
    ),
    Fault(
        "worker: kill -9 between two slices of a rewrite",
        _kill_at("between two slices of a rewrite", _lose_redis),
        3,
        0,
    ),
    Fault(
        "worker: kill -9 before the switch to a rewrite",
        _kill_at("before the switch to a rewrite", _lose_redis),
        3,
        0,
    ),
    Fault(
        "worker: kill -9 after the switch to a rewrite",
        _kill_at("after the switch to a rewrite", _lose_redis),
        3,
        0,
    ),
    Fault("worker: kill -9 while it loads shards", _kill_at("while a shard is loaded", _stop_others), 3, 0),
    Fault("all workers: kill -9 at once", _kill_all, 4, 0),
    Fault("worker: SIGTERM under load", _terminate, 6, 1),
    Fault("all workers: SIGTERM at once", _terminate_all, 2, 0),
    Fault("worker: frozen past its session, then let go on", _zombie, 6, 1),
    Fault("a worker is added, then one removed", _add_and_remove, 4, 0),
    Fault("Redis: killed, restarted empty", _redis_empty, 4, 1),
    Fault("Redis: killed, restarted with an old snapshot", _redis_old_snapshot, 4, 1),
    Fault("Redis: frozen", _paused(lambda system: system.store), 2, 1),
    Fault("Redis: out of memory", _redis_out_of_memory, 3, 1),
    Fault("Redis: connection reset in the middle of a request", _reset("request"), 4, 1),
    Fault("Redis: connection reset before the answer", _reset("answer"), 4, 1),
    Fault("Redis: frozen, and a worker killed meanwhile", _redis_paused_worker_killed, 2, 0),
    Fault("Kafka: killed and restarted", _kafka_killed, 3, 1),
    Fault("Kafka: frozen", _paused(lambda system: system.broker), 2, 0),
    Fault("exporter: killed", _exporter_killed, 3, 0),
    Fault("exporter: started before Redis", _exporter_early, 2, 0),
    Fault("exporter: Redis gone", _exporter_without_redis, 3, 1),
    Fault("everything killed at once, Redis lost", _everything_lost, 2, 0),
)
"""Every kind. The long form has more than 100 faults."""


def total(*, short: bool) -> int:
    """How many faults a run has."""
    return sum(fault.short if short else fault.long for fault in FAULTS)
