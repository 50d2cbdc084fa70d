"""Names of the worker's metrics (ecosystem.md 1.3), and the values their labels may have."""

from typing import Final

RESULTS: Final = ("applied", "unchanged", "rekeyed", "dead_lettered")
"""What becomes of a record: each shard counts them, and they add up to the records below its offset."""
REASONS: Final = ("malformed", "invalid_envelope", "unknown_type", "invalid_data")
"""Why a record is a dead letter (events.md, "Bad input")."""
CONNECT_REASONS: Final = (*REASONS, "bitmap_not_expanded")
"""The same for a topic that Kafka Connect fills."""
CONNECT_RESULTS: Final = ("translated", "dead_lettered")
"""What becomes of a record there."""
OUTCOMES: Final = ("written", "fenced", "failed")
"""How a checkpoint ends."""
DURATION_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

BUILD_INFO: Final = "dealpulse_build_info"
EVENTS: Final = "dealpulse_worker_events_total"
DEAD_LETTERS: Final = "dealpulse_dead_letters_total"
BATCH_SECONDS: Final = "dealpulse_worker_batch_duration_seconds"
CHECKPOINT_SECONDS: Final = "dealpulse_worker_checkpoint_duration_seconds"
RESTORE_SECONDS: Final = "dealpulse_worker_restore_duration_seconds"
CHECKPOINTS: Final = "dealpulse_worker_checkpoints_total"
REBALANCES: Final = "dealpulse_worker_rebalances_total"
GAPS: Final = "dealpulse_adapter_gaps_total"
ASSIGNED: Final = "dealpulse_worker_assigned_partitions"
LAG_EVENTS: Final = "dealpulse_worker_lag_events"
LAG_SECONDS: Final = "dealpulse_worker_lag_seconds"
CHECKPOINT_AT: Final = "dealpulse_worker_checkpoint_timestamp_seconds"
SHARD_BYTES: Final = "dealpulse_worker_shard_bytes"
SHARD_ENTITIES: Final = "dealpulse_worker_shard_entities"
