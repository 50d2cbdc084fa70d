"""The exporter as a process, over shards that lie in a real Redis: its whole life."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from aggregators.meaning import Meaning
from aggregators.state import Change, fingerprint
from dealpulse.child import Child, ChildError
from events.clock import Clock
from tests.exporters.stand import PARTITIONS, SHARDS, Stand, instant, record
from tests.integration.monitoring import ExporterProcess
from tests.integration.servers import RedisServer
from tests.integration.traffic import wait_until

AT = "2026-05-20T15:00:00+08:00"
STALLED_AFTER_S = 21 * 86_400
"""Of the stage Prospecting, as it comes."""


class Unready(ExporterProcess):
    """An exporter that counts as started once it listens, ready or not."""

    def ready(self) -> bool:
        return self.running and bool(self.address) and self.get("/healthz")[0] == 200


class Shards:
    """What workers would keep in Redis, written by hand (docs/redis.md)."""

    def __init__(self, url: str) -> None:
        self.stand = Stand(Meaning())
        self._redis = redis.Redis.from_url(url)
        self._written: dict[str, int] = {}

    def write(self, *records: tuple[str, bytes, bytes], at_ms: int) -> None:
        """Fold these; append every change and say that all shards are true for `at_ms`."""
        before = dict(self.stand.offsets)
        self.stand.take(records, at_ms=at_ms)
        for topic, partition in SHARDS:
            shard = f"{topic}/{partition}"
            changes = self.stand.changes[shard][self._written.get(shard, 0) :]
            self._written[shard] = len(self.stand.changes[shard])
            self._write(shard, changes, before.get(shard, 0), at_ms)

    def mark(self, shard: str, other: str) -> None:
        """Say that a shard's facts come from other code or another configuration."""
        self._redis.hset(f"dealpulse:{{{shard}}}:meta", "fingerprint", other)

    def _write(self, shard: str, changes: list[Change], base: int, at_ms: int) -> None:
        key, to = f"dealpulse:{{{shard}}}", self.stand.offsets[shard]
        fields: Any = {
            "offset": to,
            "generation": "g1",
            "fingerprint": fingerprint(self.stand.meaning),
            "fresh_ms": at_ms,
            "applied": to,
        }
        with self._redis.pipeline(transaction=True) as pipe:
            for change in changes:
                pipe.rpush(f"{key}:g1:statements", change.statements)
                if change.facts is not change.statements:
                    pipe.rpush(f"{key}:g1:facts", change.facts)
                delta = {**fields, "from": base, "to": to, "facts": change.facts, "first_append_ms": at_ms}
                pipe.xadd(f"{key}:deltas", delta)
            pipe.hset(f"{key}:meta", mapping=fields)
            pipe.execute()


def sample(exporter: ExporterProcess, series: str) -> float | None:
    """The value of one series as it is written in /metrics; None if it is not there."""
    for line in exporter.get("/metrics")[1].splitlines():
        name, _, value = line.rpartition(" ")
        if name == series:
            return float(value)
    return None


def settings(clock: Clock, **more: str) -> dict[str, str]:
    return {
        "CLOCK": clock.spec,
        "KAFKA__PARTITIONS": str(PARTITIONS),
        "EXPORTER__REFRESH": "50ms",
        **more,
    }


def clock_at(instant_text: str, *, speed: int = 1) -> Clock:
    return Clock.parse(f"offset={instant_text},speed={speed}")


OPEN = 'dealpulse_open_opportunities{team="unassigned",stage_name="Prospecting"}'
STALLED = 'dealpulse_stalled_opportunities{team="unassigned",stage_name="Prospecting"}'


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that a test may stop."""
    with RedisServer() as server:
        yield server


def test_one_that_is_started_before_anything_waits_then_serves_then_survives_redis(
    own_redis: RedisServer,
) -> None:
    clock = clock_at(AT)
    own_redis.pause()
    more = {"REDIS__REQUEST_TIMEOUT": "500ms", "REDIS__CONNECT_TIMEOUT": "500ms"}
    with Unready(own_redis.url, **settings(clock, **more)) as exporter:
        status, body = exporter.get("/readyz")
        assert status == 503
        assert "crm.opportunity/0" in body
        assert sample(exporter, "dealpulse_exporter_store_up") == 0.0
        own_redis.resume()
        wait_until(lambda: sample(exporter, "dealpulse_exporter_store_up") == 1.0, "Redis is seen")
        assert exporter.get("/readyz")[0] == 503
        assert sample(exporter, OPEN) is None

        shards = Shards(own_redis.url)
        one = record("opportunity", "o1", AT, stage="Prospecting", created_at=AT)
        shards.write(one, at_ms=instant(AT))
        wait_until(lambda: exporter.get("/readyz")[0] == 200, "the first merge")
        assert sample(exporter, OPEN) == 1.0

        own_redis.pause()
        wait_until(lambda: sample(exporter, "dealpulse_exporter_store_up") == 0.0, "Redis is missed")
        assert sample(exporter, OPEN) == 1.0
        status, body = exporter.get("/readyz")
        assert status == 503
        assert {check["name"]: check["ok"] for check in json.loads(body)["checks"]} == {
            "merge": True,
            "fresh": True,
            "redis": False,
            "figures": True,
        }
        own_redis.resume()
        shards.write(record("opportunity", "o2", AT, stage="Prospecting"), at_ms=instant(AT))
        wait_until(lambda: sample(exporter, OPEN) == 2.0, "it goes on")
        assert exporter.get("/readyz")[0] == 200

        shards.mark("crm.opportunity/1", "other")
        wait_until(lambda: sample(exporter, "dealpulse_partitions_missing") == 1.0, "another fingerprint")
        status, body = exporter.get("/readyz")
        assert status == 503
        assert "missing: crm.opportunity/1 (fingerprint; figures as they were)" in body
        assert sample(exporter, OPEN) == 2.0, "the last good state, all of one meaning"
        shards.mark("crm.opportunity/1", fingerprint(shards.stand.meaning))
        wait_until(lambda: exporter.get("/readyz")[0] == 200, "it is taken up again")

        exporter.signal(signal.SIGTERM)
        assert exporter.wait(10.0) == 0
        assert "Traceback" not in exporter.output()


def test_values_that_move_with_the_clock_move_with_no_event(redis_url: str) -> None:
    """Prospecting stalls after 21 days: followed from a minute before 15:00, on a clock ten times as fast."""
    clock = clock_at("2026-06-10T14:59:00+08:00", speed=10)
    shards = Shards(redis_url)
    one = record("opportunity", "o1", AT, stage="Prospecting", created_at=AT)
    shards.write(one, at_ms=instant("2026-06-10T14:59:00+08:00"))
    idle = 'dealpulse_stagnation_opportunity_seconds{team="unassigned",stage_name="Prospecting"}'
    with ExporterProcess(redis_url, **settings(clock)) as exporter:
        seen: list[tuple[float, float]] = []

        def stalls() -> bool:
            page = exporter.get("/metrics")[1]
            values = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
            if idle in values:
                seen.append((float(values[idle]), float(values.get(STALLED, 0))))
            return bool(seen) and seen[-1][1] == 1.0

        wait_until(stalls, "the deal stalls")
    idles = [seconds for seconds, _ in seen]
    assert idles == sorted(idles)
    assert len(set(idles)) > 1
    for seconds, stalled in seen:
        assert (seconds > STALLED_AFTER_S) == (stalled == 1.0), seen


def test_an_address_that_is_taken_is_said_in_one_line(redis_url: str, own_redis: RedisServer) -> None:
    taken: Child = Unready(redis_url, EXPORTER__LISTEN=f"127.0.0.1:{own_redis.port}")
    with pytest.raises(ChildError, match=r"exporter\.listen"):
        taken.start()


def test_a_shard_that_cannot_be_read_is_missing_until_it_is_written_anew(redis_url: str) -> None:
    shards = Shards(redis_url)
    shards.write(record("opportunity", "o1", AT, stage="Prospecting", created_at=AT), at_ms=instant(AT))
    with (
        redis.Redis.from_url(redis_url) as client,
        ExporterProcess(redis_url, **settings(clock_at(AT))) as exporter,
    ):
        assert sample(exporter, OPEN) == 1.0
        for shard, part in (("crm.opportunity/1", "facts"), ("hr.employee/0", "statements")):
            key = f"dealpulse:{{{shard}}}"
            client.rpush(f"{key}:g2:{part}", b"\x94not a chunk")
            client.hset(f"{key}:meta", "generation", "g2")
            wait_until(lambda shard=shard: shard in exporter.get("/readyz")[1], "it is missing")  # type: ignore[misc]  # mypy cannot infer a lambda's default
            assert exporter.get("/readyz")[0] == 503
            client.hset(f"{key}:meta", "generation", "g1")
            wait_until(lambda: exporter.get("/readyz")[0] == 200, "it is back")
        assert sample(exporter, OPEN) == 1.0
        assert exporter.running
        assert "shard.unreadable" in exporter.output()
        assert "Traceback" not in exporter.output()


def test_a_source_with_a_line_separator_in_its_name_ends_no_exporter(redis_url: str) -> None:
    shards, source = Shards(redis_url), "/crm/one\u2028two"
    shards.write(record("opportunity", "o1", AT, stage="Prospecting", created_at=AT), at_ms=instant(AT))
    with redis.Redis.from_url(redis_url) as client:
        client.hset("dealpulse:{crm.opportunity/0}:meta", "resync_pending", f"{source}=2")
    with ExporterProcess(redis_url, **settings(clock_at(AT))) as exporter:
        wanted = f'dealpulse_resync_pending{{source="{source}",topic="crm.opportunity"}} 2.0\n'
        assert wanted in exporter.get("/metrics")[1]


def test_one_that_is_told_of_too_few_partitions_says_which_number_to_set(redis_url: str) -> None:
    shards = Shards(redis_url)
    shards.write(record("opportunity", "o1", AT, stage="Prospecting", created_at=AT), at_ms=instant(AT))
    with redis.Redis.from_url(redis_url) as client:
        for topic, partition in SHARDS:
            client.hset(f"dealpulse:{{{topic}/{partition}}}:meta", "partitions", 12)
    with Unready(redis_url, **settings(clock_at(AT))) as exporter:
        wait_until(lambda: "crm.opportunity/1 (partitions)" in exporter.get("/readyz")[1], "it is told why")
        said = exporter.output()
    assert "if Kafka has 12 partitions, set kafka.partitions = 12 and restart" in said
    assert f"`dealpulse repartition --partitions {PARTITIONS} --yes`" in said


def test_figures_go_on_beside_histories_that_cannot_be_read(redis_url: str) -> None:
    """Those that need the histories stand still and say so, until the shard is written anew."""
    clock = clock_at(AT, speed=30)
    shards, shard = Shards(redis_url), "crm.opportunity/1"
    rep = record("employee", "r1", AT, name="Rep", role="sales", hired_on="2025-01-01")
    deal = record("opportunity", "o1", AT, stage="Prospecting", created_at=AT)
    shards.write(rep, deal, at_ms=clock.now_ms())
    reps = 'dealpulse_reps_active{team="unassigned"}'
    slow = "dealpulse_slow_evaluated_timestamp_seconds"
    key, damaged = f"dealpulse:{{{shard}}}", b"\x94not a chunk"
    with (
        redis.Redis.from_url(redis_url) as client,
        ExporterProcess(redis_url, **settings(clock, EXPORTER__MAX_STALENESS="10d")) as exporter,
    ):
        wait_until(lambda: sample(exporter, reps) == 1.0, "the slow figures")
        client.rpush(f"{key}:g1:statements", damaged)
        more = [record("opportunity", f"o{n}", AT, stage="Prospecting", created_at=AT) for n in range(2, 10)]
        another = record("employee", "r2", AT, name="Rep", role="sales", hired_on="2025-01-01")
        shards.write(*more, another, at_ms=clock.now_ms())
        wait_until(lambda: sample(exporter, "dealpulse_partitions_missing") == 1.0, "it is told")

        status, body = exporter.get("/readyz")
        checks = {check["name"]: check for check in json.loads(body)["checks"]}
        assert (status, checks["merge"]["detail"]) == (503, f"missing: {shard} (statements)")
        wait_until(lambda: "stand still" in exporter.get("/readyz")[1], "it is said")
        assert sample(exporter, OPEN) == 9.0, "what needs no history goes on"
        assert sample(exporter, reps) == 1.0, "what was worked out last stays"
        stands_still = sample(exporter, slow)
        assert exporter.get("/api/kpi?kpi=waterfall")[0] == 503
        assert "rebuild --partition crm.opportunity/1" in exporter.get("/api/explain?entity=o1")[1]

        client.lrem(f"{key}:g1:statements", 0, damaged)
        for part in ("statements", "facts"):
            client.copy(f"{key}:g1:{part}", f"{key}:g2:{part}")
        client.hset(f"{key}:meta", "generation", "g2")
        wait_until(lambda: exporter.get("/readyz")[0] == 200, "it is read again")
        wait_until(lambda: sample(exporter, reps) == 2.0, "the slow figures")
        assert stands_still is not None
        assert (sample(exporter, slow) or 0) > stands_still
        told = [line for line in exporter.output().splitlines() if '"shard.unreadable"' in line]
        assert len(told) == 1
        assert "Traceback" not in exporter.output()
