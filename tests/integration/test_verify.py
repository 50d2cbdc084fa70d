"""`dealpulse verify` and `dealpulse rebuild` on a running system, against faults planted in Redis."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import redis

from aggregators.deal_facts import STATE
from aggregators.rows import ROW
from aggregators.state import pack, unpack
from events.clock import Clock
from events.simulator import COMPANIES, Simulation
from tests.integration.monitoring import ExporterProcess
from tests.integration.servers import Broker
from tests.integration.traffic import (
    Message,
    make_topics,
    mixed,
    publish,
    streaming,
    wait_for_all,
    wait_until,
)
from tests.integration.worker import Worker

DEALS, REPS = "crm.opportunity/1", "hr.employee/0"


class System:
    """The log and Redis of one installation, and the commands that a person runs on it."""

    def __init__(self, brokers: str, redis_url: str, group: str) -> None:
        self.brokers, self.redis_url, self.group = brokers, redis_url, group
        self.redis: Any = redis.Redis.from_url(redis_url)

    def worker(self) -> Worker:
        """A worker of this system."""
        return Worker(self.brokers, self.redis_url, group=self.group)

    def dealpulse(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command on it."""
        settings = {"DEALPULSE_KAFKA__BROKERS": self.brokers, "DEALPULSE_REDIS__URL": self.redis_url}
        return subprocess.run(
            [sys.executable, "-m", "dealpulse", *arguments],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def verify(self, *arguments: str) -> dict[str, Any]:
        """What `dealpulse verify --json` says, in no more time than it needs; the exit code must agree."""
        done = self.dealpulse("verify", "--fast", "--json", *arguments)
        assert done.returncode in (0, 1), done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == bool(found["differences"])
        return found

    def found(self, *arguments: str) -> set[tuple[str, str]]:
        """(kind, shard) of the differences that verify prints."""
        return {(each["kind"], each["shard"]) for each in self.verify(*arguments)["first_differences"]}

    def meta(self, shard: str) -> dict[str, str]:
        """The fields of a shard."""
        fields = self.redis.hgetall(f"dealpulse:{{{shard}}}:meta")
        return {name.decode(): value.decode() for name, value in fields.items()}

    def chunks(self, shard: str, kind: str) -> str:
        """The key of a shard's list of chunks."""
        return f"dealpulse:{{{shard}}}:{self.meta(shard)['generation']}:{kind}"

    def outcome(self) -> dict[str, int]:
        """What verify left in Redis."""
        return {name.decode(): int(value) for name, value in self.redis.hgetall("dealpulse:verify").items()}


@pytest.fixture
def system(empty_broker: Broker, redis_url: str, unique: str) -> Iterator[System]:
    """A log with the simulator's whole mess and poison in it, folded by a worker that has gone."""
    make_topics(empty_broker.brokers)
    made = System(empty_broker.brokers, redis_url, unique)
    simulation = Simulation(COMPANIES["sauls-dolls"], seed=3, reps=4, quarters=3, end_ms=Clock().now_ms())
    publish(
        made.brokers,
        [
            Message(record.topic, None if record.key is None else record.key.encode(), record.value)
            for record in simulation.history()
        ],
    )
    publish(made.brokers, [*mixed(300), Message("crm.opportunity", None, b"{", 1)])
    with made.worker():
        wait_for_all(made.brokers, redis_url)
    yield made
    made.redis.close()


def verdict(exporter: ExporterProcess) -> tuple[float, float]:
    """Differences of the last verify, and when the last one found none, as Prometheus sees them; -1: neither."""
    lines = dict(line.rsplit(" ", 1) for line in exporter.get("/metrics")[1].splitlines() if " " in line)
    names = "dealpulse_verify_mismatches", "dealpulse_verify_last_success_timestamp_seconds"
    mismatches, success = (float(lines.get(name, -1)) for name in names)
    return mismatches, success


def with_state_changed(chunk: bytes, column: str) -> bytes:
    """A chunk of facts with one integer of its last state flipped in its lowest bit."""
    document = unpack(chunk)
    states = np.frombuffer(document[4], dtype=STATE).copy()
    states[column][-1] ^= 1
    return pack([*document[:4], states.tobytes()])


def with_amount_changed(chunk: bytes) -> bytes:
    """A chunk of statements of opportunities with the amount of the last one flipped."""
    document = unpack(chunk)
    rows = np.frombuffer(document[5], dtype=ROW).copy()
    rows["amount"][-1] ^= 1
    return pack([*document[:5], rows.tobytes(), document[6]])


def test_verify_proves_the_shards_and_finds_each_planted_fault(system: System) -> None:
    clean = system.verify()

    assert clean["differences"] == 0, clean["first_differences"]
    compared = clean["compared"]
    assert compared["records"] > 2_000
    assert compared["entities"] > 300
    assert compared["kpis"] >= 25
    assert compared["road"] == "exact"
    success = system.outcome()
    assert success["mismatches"] == 0
    assert success["last_success_ms"] == success["checked_ms"]
    whole_text = system.dealpulse("verify", "--partition", REPS)
    assert (whole_text.returncode, whole_text.stdout.splitlines()[-1]) == (0, "No difference.")

    statements, facts = system.chunks(DEALS, "statements"), system.chunks(DEALS, "facts")
    for key, plant, kind in (
        (facts, lambda chunk: with_state_changed(chunk, "since"), "fact"),
        (facts, lambda chunk: with_state_changed(chunk, "outcome"), "fact"),
        (statements, with_amount_changed, "statement"),
    ):
        sound = system.redis.lindex(key, -1)
        system.redis.lset(key, -1, plant(sound))
        assert (kind, DEALS) in system.found("--partition", DEALS)
        system.redis.lset(key, -1, sound)

    meta = f"dealpulse:{{{DEALS}}}:meta"
    for by, kind in ((1, "shard"), (-1, "count")):
        system.redis.hincrby(meta, "offset", by)
        assert (kind, DEALS) in system.found("--partition", DEALS)
        system.redis.hincrby(meta, "offset", -by)
    system.redis.hincrby(meta, "applied", 1)
    assert system.found() == {("count", DEALS)}
    assert system.outcome()["mismatches"] == 2  # that count, and the sum of all four
    assert system.outcome()["last_success_ms"] == success["last_success_ms"]
    system.redis.hincrby(meta, "applied", -1)
    assert system.found("--sample", "0.3") == set()
    assert system.outcome()["mismatches"] == 2  # a part that is sound proves nothing of the whole


def test_verify_takes_an_eighth_of_the_machine_so_that_live_numbers_stay_live(system: System) -> None:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[:2])  # a big machine would have a core to spare
    try:
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = system.dealpulse("verify")
        used, took = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
    finally:
        os.sched_setaffinity(0, cores)

    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "No difference.")
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    # Python itself starts before anything can rest; on a machine with other work the share is lower still.
    assert cpu < 0.5 * took


def test_a_fault_in_facts_shows_in_the_kpis_too(system: System) -> None:
    key = system.chunks(DEALS, "facts")
    for number, chunk in enumerate(
        system.redis.lrange(key, 0, -1)
    ):  # a single one may hold no deal that counts now
        document = unpack(chunk)
        states = np.frombuffer(document[4], dtype=STATE).copy()
        states["amount"][:] += 1
        system.redis.lset(key, number, pack([*document[:4], states.tobytes()]))

    kinds = {kind for kind, _ in system.found("--most", "10000")}

    assert {"fact", "kpi"} <= kinds


def test_rebuild_repairs_planted_faults_while_a_worker_and_an_exporter_go_on(system: System) -> None:
    with system.worker() as worker, ExporterProcess(system.redis_url) as exporter:
        for key, plant in (
            (system.chunks(DEALS, "facts"), lambda chunk: with_state_changed(chunk, "since")),
            (system.chunks(DEALS, "statements"), with_amount_changed),
        ):
            system.redis.lset(key, -1, plant(system.redis.lindex(key, -1)))
        assert system.found("--partition", DEALS)
        wait_until(lambda: verdict(exporter)[0] > 0, "the exporter serves what verify found")
        before, other = system.meta(DEALS)["generation"], system.meta(REPS)["generation"]
        assert system.dealpulse("rebuild", "--partition", DEALS).returncode == 2  # nobody to be asked

        with streaming(system.brokers, mixed(1_000_000, seed=7), per_second=500) as sent:
            done = system.dealpulse("rebuild", "--partition", DEALS, "--yes")
            assert done.returncode == 0, done.stderr
            seen, after = sent(), system.meta(DEALS)
            wait_until(lambda: sent() > seen + 200, "traffic flows on")
            assert after["generation"] != before
            wait_until(
                lambda: int(system.meta(DEALS)["offset"]) > int(after["offset"]),
                "the worker goes on from the rebuilt shard",
            )
            assert exporter.get("/readyz")[0] == 200
        assert system.meta(DEALS)["generation"] == after["generation"]
        assert system.meta(REPS)["generation"] == other
        assert worker.said("shard.write_refused")

        wait_for_all(system.brokers, system.redis_url)
        started = Clock().unix_ms() / 1000
        assert system.verify()["differences"] == 0
        wait_until(lambda: verdict(exporter)[0] == 0, "the exporter serves that nothing differs")
        assert verdict(exporter)[1] >= started


@pytest.mark.e2e
@pytest.mark.long
def test_rebuild_replaces_a_shard_whose_offset_is_beyond_the_log(system: System) -> None:
    system.redis.hincrby(f"dealpulse:{{{DEALS}}}:meta", "offset", 3)
    with system.worker() as worker:
        wait_until(lambda: bool(worker.said("shard.left_alone")), "the worker leaves it alone")
        assert {shard for _, shard in system.found()} == {DEALS}

        assert system.dealpulse("rebuild", "--partition", DEALS, "--yes").returncode == 0

        publish(system.brokers, mixed(200, seed=8))
        wait_for_all(system.brokers, system.redis_url)
        assert system.verify()["differences"] == 0
