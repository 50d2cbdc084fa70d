"""The catalogue of engine families: what dealpulse says about itself (ecosystem.md 1.3)."""

from typing import Final

from exporters.family import Cells, Family, MetricType, cells_of
from exporters.labels import (
    CHECKPOINT_RESULTS,
    DEAD_LETTER_REASONS,
    DURATION_BUCKETS,
    PREFIX,
    RECORD_RESULTS,
    REFUSALS,
    VISIBILITY_BUCKETS,
)


def _engine(
    name: str,
    meaning: str,
    *,
    kind: MetricType = "gauge",
    labels: tuple[str, ...] = (),
    cells: Cells = ({},),
    by: tuple[str, ...] = ("exporter",),
    buckets: tuple[float, ...] = (),
) -> Family:
    return Family(
        PREFIX + name, kind, "engine", (*labels, *cells[0]), meaning, cells, served_by=by, buckets=buckets
    )


# One family is one entry of the catalogue.
# fmt: off
_WORKER, _GATEWAY = ("worker",), ("gateway",)
_SHARD = ("topic", "partition")

ENGINE_LIST: Final = (
    _engine("build_info", "Constant 1: version, revision and Python of this process.",
        labels=("version", "revision", "python_version"), by=("exporter", "worker", "gateway")),
    _engine("freshness_timestamp_seconds",
        "The instant the numbers are true for: every record appended before it is in them."),
    _engine("evaluated_timestamp_seconds", "The as-of instant of the evaluation shown."),
    _engine("slow_evaluated_timestamp_seconds",
        "The instant that what is worked out aside is true for: sets of customers and reps, waterfall, plug-ins."),
    _engine("last_event_timestamp_seconds", "Newest event time folded, by topic.", labels=("topic",)),
    _engine("partitions_missing", "Shards absent from the merge, unreadable, of another fingerprint or number of partitions."),
    _engine("resync_pending", "Entities waiting for a full statement; an open `*` counts as one.",
        labels=("source", "topic")),
    _engine("office_open", "1 inside the working hours of the company calendar, else 0."),
    _engine("alert_threshold_ratio", "Business threshold of an alert, from [alerts].", labels=("alert",)),
    _engine("alert_threshold_samples",
        "Smallest number of records for which an alert speaks, from [alerts].", labels=("alert",)),
    _engine("alert_threshold_seconds", "Age threshold of an alert, from [alerts].", labels=("alert",)),
    _engine("verify_last_success_timestamp_seconds", "Last `verify` that found every figure equal."),
    _engine("verify_mismatches",
        "Figures that differed from the batch recomputation in the last `verify`."),
    _engine("worker_events_total",
        "Records read, by what became of them; `unchanged` is a duplicate or older than known.",
        kind="counter", labels=("topic",), cells=cells_of(result=(*RECORD_RESULTS, "translated")),
        by=_WORKER),
    _engine("shard_records", "Records counted in each shard's checkpoint: the durable account.",
        labels=_SHARD, cells=cells_of(result=RECORD_RESULTS)),
    _engine("worker_batch_duration_seconds", "Time to fold one batch.", kind="histogram",
        labels=("topic",), by=_WORKER, buckets=DURATION_BUCKETS),
    _engine("worker_checkpoint_duration_seconds", "Time of one atomic write to Redis.", kind="histogram",
        labels=("topic",), by=_WORKER, buckets=DURATION_BUCKETS),
    _engine("worker_restore_duration_seconds", "Time to load a shard on assignment.", kind="histogram",
        labels=("topic",), by=_WORKER, buckets=DURATION_BUCKETS),
    _engine("worker_lag_events", "End offset less next offset, read together; absent when unknown.",
        labels=_SHARD, by=_WORKER),
    _engine("worker_lag_seconds", "Now less the append time of the first record not folded; 0 at the end.",
        labels=_SHARD, by=_WORKER),
    _engine("worker_checkpoints_total", "Checkpoints by outcome.", kind="counter",
        cells=cells_of(result=CHECKPOINT_RESULTS), by=_WORKER),
    _engine("worker_checkpoint_timestamp_seconds", "Time of the shard's last checkpoint.", labels=_SHARD,
        by=_WORKER),
    _engine("worker_shard_bytes", "Size of each owned shard.", labels=_SHARD, by=_WORKER),
    _engine("worker_shard_entities", "Entities in each owned shard.", labels=_SHARD, by=_WORKER),
    _engine("worker_assigned_partitions", "Partitions this worker owns now.", by=_WORKER),
    _engine("worker_rebalances_total", "Rebalances of the group that this worker saw.", kind="counter",
        by=_WORKER),
    _engine("dead_letters_total", "Records sent to the dead-letter topic, by reason.", kind="counter",
        labels=("topic",), cells=cells_of(reason=DEAD_LETTER_REASONS), by=_WORKER),
    _engine("dead_letters_pending", "Dead letters neither replayed nor dropped yet.", labels=("topic",)),
    _engine("gateway_requests_total", "HTTP requests by source and status code.", kind="counter",
        labels=("source", "code"), by=_GATEWAY),
    _engine("gateway_request_duration_seconds",
        "Time to answer a request, the broker's acknowledgement included.", kind="histogram",
        labels=("source",), by=_GATEWAY, buckets=DURATION_BUCKETS),
    _engine("gateway_rejected_total", "Requests refused, by reason.", kind="counter", labels=("source",),
        cells=cells_of(reason=REFUSALS), by=_GATEWAY),
    _engine("gateway_published_total", "Events acknowledged by the broker.", kind="counter",
        labels=("source",), by=_GATEWAY),
    _engine("adapter_gaps_total",
        "Resyncs that an adapter asked for, because a payload did not carry the change.", kind="counter",
        labels=("source",), by=("gateway", "worker")),
    _engine("event_visibility_delay_seconds",
        "Time from a record's append to its effect in the merged figures.", kind="histogram",
        buckets=VISIBILITY_BUCKETS),
    _engine("exporter_store_up", "1 while Redis answers, else 0."),
    _engine("exporter_series", "Series in the last exposition."),
    _engine("exporter_suppressed_series",
        "Series of reps left out whole, because of exporter.series_limit."),
    _engine("exporter_scrape_duration_seconds", "Time to render the last exposition."),
    _engine("exporter_sse_clients", "Boards connected to the live stream."),
)
# fmt: on
