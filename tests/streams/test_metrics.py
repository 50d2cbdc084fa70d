"""The worker's gauges of its shards, on a clock of the company that runs away from the real one."""

from types import SimpleNamespace
from typing import Any

from events.clock import Clock
from events.event import EPOCH_UNIX_S
from streams.metrics import WorkerMetrics


def shard(**more: Any) -> Any:
    """What the gauges read of one."""
    held = {"topic": "crm.opportunity", "partition": 0, "lag": 7, "fresh_ms": 0, "written_ms": 0}
    return SimpleNamespace(**held | {"state": SimpleNamespace(size_bytes=1, entities=1)} | more)


def told(clock: Clock, held: Any) -> tuple[float | None, float | None]:
    """Lag in seconds and the last checkpoint, as Prometheus sees them."""
    metrics = WorkerMetrics(("crm.opportunity",), version="1.2.3")
    metrics.watch(lambda: [held], lambda: 1, clock)
    labels = {"topic": "crm.opportunity", "partition": "0"}
    value = metrics.registry.get_sample_value
    return (
        value("dealpulse_worker_lag_seconds", labels),
        value("dealpulse_worker_checkpoint_timestamp_seconds", labels),
    )


def test_on_a_fast_and_shifted_clock_lag_and_checkpoint_are_real() -> None:
    unix_s = [EPOCH_UNIX_S + 1_000]
    clock = Clock.parse("offset=86400,speed=60", wall=lambda: unix_s[0] * 10**9)
    now_ms = clock.now_ms()
    unix_s[0] += 10

    lag_s, written_at = told(clock, shard(fresh_ms=now_ms, written_ms=now_ms + 120_000))

    assert lag_s == 10
    assert written_at == EPOCH_UNIX_S + 1_000 + 2


def test_at_the_end_of_the_log_there_is_no_lag() -> None:
    assert told(Clock(), shard(lag=0))[0] == 0
