"""The settings of the motion: the store of shards, and the worker."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from events.duration import Duration
from events.listen import Listen


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RedisSettings(_Section):
    """Where the shards are kept."""

    url: str = Field(
        "redis://localhost:6379/0",
        pattern=r"^(rediss?|unix)://\S+$",
        repr=False,
        description="redis://, rediss:// or unix://; a password may stand in it.",
        json_schema_extra={"secret": True},
    )
    password: SecretStr = Field(SecretStr(""), description="Goes before one in the address.")
    prefix: str = Field("dealpulse", pattern=r"^[A-Za-z0-9_.-]+$", description="First part of every key.")
    connect_timeout: Duration = Field(5.0, description="How long a connection may take.")
    request_timeout: Duration = Field(30.0, description="How long one request may take.")
    delta_stream_length: int = Field(
        512, ge=16, description="Deltas kept per shard for exporters to follow; one behind reloads the shard."
    )


class WorkerSettings(_Section):
    """A checkpoint starts as soon as the last one has ended and something has changed."""

    listen: Listen = Field("127.0.0.1:8403", description="Health and metrics; port 0: any free one.")
    group: str = Field("dealpulse", min_length=1, description="The consumer group; one per store of shards.")
    checkpoint_gap_ms: int = Field(20, ge=1, description="Shortest gap between checkpoints when caught up.")
    checkpoint_gap_behind_ms: int = Field(1_000, ge=1, description="Longest gap when behind.")
    fetch_max_records: int = Field(5_000, ge=1, description="Records of one partition folded in one go.")
    session_timeout: Duration = Field(
        8.0, ge=1, description="A worker silent for so long loses its partitions: the outage after a crash."
    )
    stop_within: Duration = Field(20.0, description="A graceful stop takes at most this.")
    stuck_after: Duration = Field(
        300.0, description="With lag and nothing folded for so long, /healthz answers 503."
    )

    @model_validator(mode="after")
    def _gaps_in_order(self) -> Self:
        if self.checkpoint_gap_ms > self.checkpoint_gap_behind_ms:
            raise ValueError("checkpoint_gap_ms is greater than checkpoint_gap_behind_ms")
        return self
