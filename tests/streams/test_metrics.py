"""The worker's metrics: on a clock of the company that runs away from the real one, and as text."""

from types import SimpleNamespace
from typing import Any

from prometheus_client.openmetrics import parser as openmetrics_parser

from events.clock import Clock
from events.event import EPOCH_UNIX_S
from streams.expose import expose
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


def test_openmetrics_is_what_the_clients_own_parser_reads_with_units() -> None:
    metrics = WorkerMetrics(("crm.opportunity",), version="1.2.3")
    metrics.watch(lambda: [shard()], lambda: 1, Clock())

    body, content_type = expose(metrics.registry, "application/openmetrics-text;version=1.0.0")

    parse: Any = openmetrics_parser.text_string_to_metric_families
    families = {family.name: family for family in parse(body.decode())}
    assert content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert families["dealpulse_worker_lag_seconds"].unit == "seconds"
    assert families["dealpulse_worker_shard_bytes"].unit == "bytes"
    assert families["dealpulse_worker_batch_duration_seconds"].unit == "seconds"
    assert families["dealpulse_worker_events"].type == "counter"
    assert all(family.documentation for family in families.values())
    assert b"_created" not in body


def test_text_is_for_everybody_else_and_names_keep_those_families_alone() -> None:
    metrics = WorkerMetrics(("crm.opportunity",), version="1.2.3")

    body, content_type = expose(metrics.registry, "", ("dealpulse_dead_letters_total",))

    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    lines = body.decode().splitlines()
    assert all("dealpulse_dead_letters_total" in line for line in lines)
    assert 'dealpulse_dead_letters_total{reason="malformed",topic="crm.opportunity"} 0.0' in lines
