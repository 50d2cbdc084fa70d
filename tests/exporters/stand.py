"""A snapshot of an invented company, built in-process: events, folded by partition states, as chunks."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from aggregators.meaning import Meaning
from aggregators.state import Change, PartitionState, fingerprint, partition_state
from events.clock import Clock
from events.instants import time_ns
from events.keys import partition_of
from events.settings import KafkaSettings
from events.simulator import SAULS_DOLLS, Simulation
from events.topics import TOPICS, topic_of
from exporters.exporter import Exporter, ExporterConfig
from exporters.settings import AlertSettings, ExporterSettings
from exporters.snapshot import Snapshot
from streams.follower import ShardState
from streams.names import RESULTS
from streams.settings import RedisSettings

PARTITIONS = 2
SHARDS = [(topic, partition) for topic in TOPICS for partition in range(PARTITIONS)]


def instant(text: str) -> int:
    """An RFC 3339 instant in ms since 2000."""
    return time_ns(text) // 1_000_000


@dataclass
class Stand:
    """Shards as workers keep them, and the snapshot that follows them."""

    meaning: Meaning
    states: dict[str, PartitionState] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    changes: dict[str, list[Change]] = field(default_factory=lambda: defaultdict(list))
    snapshot: Snapshot = field(init=False)

    def __post_init__(self) -> None:
        self.snapshot = Snapshot(self.meaning, SHARDS)
        self.snapshot.store_up(True)
        for topic, partition in SHARDS:
            self.states[f"{topic}/{partition}"] = partition_state(
                topic, partition, PARTITIONS, "murmur2", self.meaning
            )

    def take(self, records: Iterable[tuple[str, bytes, bytes]], *, at_ms: int) -> None:
        """Fold (topic, key, value) and hand the changes on; every shard is true for `at_ms` then."""
        batches: dict[str, list[tuple[bytes, bytes]]] = defaultdict(list)
        for topic, key, value in records:
            batches[f"{topic}/{partition_of(key, PARTITIONS, 'murmur2')}"].append((key, value))
        for shard, state in self.states.items():
            batch = batches.get(shard, [])
            if batch:
                state.fold([key for key, _ in batch], [value for _, value in batch])
            self.offsets[shard] += len(batch)
            change = state.take_change()
            if change:
                self.changes[shard].append(change)
            held = self._state(shard, at_ms)
            if self.snapshot.shards[shard] is None:
                self.snapshot.replace(shard, [_chunk(shard, change)] if change else [], held)
            elif change:
                self.snapshot.extend(shard, _chunk(shard, change), held)
            else:
                self.snapshot.renew(shard, held)
            if shard.startswith("crm.opportunity") and change:
                self.snapshot.take_statements({shard: ("g1", [change.statements])})

    def _state(self, shard: str, at_ms: int) -> ShardState:
        counts = {**dict.fromkeys(RESULTS, 0), "applied": self.offsets[shard]}
        state = self.states[shard]
        pending = state.resync_pending()
        return ShardState(
            self.offsets[shard],
            "g1",
            fingerprint(self.meaning),
            at_ms,
            None,
            state.newest_event_ms,
            counts,
            pending,
        )


def _chunk(shard: str, change: Change) -> bytes:
    return change.facts if shard.startswith("crm.opportunity") else change.statements


def record(entity: str, subject: str, at: str, **data: Any) -> tuple[str, bytes, bytes]:
    """One `.changed` event as (topic, key, value)."""
    event = {
        "specversion": "1.0",
        "id": f"{subject} {at} {sorted(data)}",
        "source": "/crm/test",
        "type": f"dealpulse.{entity}.changed",
        "subject": subject,
        "time": at,
        "data": data,
    }
    return topic_of(entity), subject.encode(), json.dumps(event).encode()


def exporter_over(stand: Stand | None, clock: Clock, **settings: Any) -> Exporter:
    """An exporter that shows a stand instead of what it follows; without one nothing is merged yet."""
    config = ExporterConfig(
        kafka=KafkaSettings(partitions=PARTITIONS),
        redis=RedisSettings(),
        exporter=ExporterSettings(**settings),
        alerts=AlertSettings(),
        meaning=Meaning() if stand is None else stand.meaning,
        version="1.2.3",
    )
    exporter = Exporter(config, clock)
    if stand is not None:
        exporter.snapshot = stand.snapshot
        for part in (exporter._kpis._evaluator, exporter._evaluator):
            part.snapshot = stand.snapshot
        exporter._self._snapshot = stand.snapshot
    return exporter


def dolls(meaning: Meaning, now_ms: int, *, reps: int = 8, quarters: int = 6, seed: int = 3) -> Stand:
    """Saul's Dolls until an instant."""
    simulation = Simulation(
        SAULS_DOLLS, seed=seed, reps=reps, quarters=quarters, end_ms=now_ms, mess=False, poison=False
    )
    stand = Stand(meaning)
    history = (one for one in simulation.history() if one.key is not None)
    stand.take(((one.topic, str(one.key).encode(), one.value) for one in history), at_ms=now_ms)
    return stand
