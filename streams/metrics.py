"""What a worker says about itself to Prometheus (ecosystem.md 1.3).

Counters restart at 0 with the process; what must survive stands in each shard's checkpoint. Known
label sets exist from the start, or else the first dead letter would be invisible to `increase()`.
Gauges of shards are built fresh per scrape, so a partition that is given up takes its series along.
"""

import platform
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from events.clock import Clock
from events.event import EPOCH_UNIX_S
from streams import names
from streams.shard import Shard

disable_created_metrics()  # type: ignore[no-untyped-call]


class WorkerMetrics:
    """The families of one worker, in a registry of their own."""

    def __init__(self, topics: Iterable[str], *, version: str, revision: str = "") -> None:
        self.registry = CollectorRegistry()
        topics = tuple(topics)
        build = Gauge(
            names.BUILD_INFO,
            "Constant 1: version, revision and Python of this process.",
            ["version", "revision", "python_version"],
            registry=self.registry,
        )
        build.labels(version, revision, platform.python_version()).set(1)
        self.events = Counter(
            names.EVENTS, "Records read, by what became of them.", ["topic", "result"], registry=self.registry
        )
        self.dead_letters = Counter(
            names.DEAD_LETTERS,
            "Records sent to the dead-letter topic, by reason.",
            ["topic", "reason"],
            registry=self.registry,
        )
        self.checkpoints = Counter(
            names.CHECKPOINTS, "Checkpoints by outcome.", ["result"], registry=self.registry
        )
        self.rebalances = Counter(
            names.REBALANCES, "Rebalances of the group that this worker saw.", registry=self.registry
        )
        self.gaps = Counter(
            names.GAPS,
            "Resyncs that an adapter asked for, because a payload did not carry the change.",
            ["source"],
            registry=self.registry,
        )
        self.batch_seconds = self._seconds(names.BATCH_SECONDS, "Time to fold one batch.")
        self.checkpoint_seconds = self._seconds(
            names.CHECKPOINT_SECONDS, "Time of one atomic write to Redis, what waits for it included."
        )
        self.restore_seconds = self._seconds(names.RESTORE_SECONDS, "Time to load a shard on assignment.")
        for topic in topics:
            for result in names.RESULTS:
                self.events.labels(topic, result)
            for reason in names.REASONS:
                self.dead_letters.labels(topic, reason)
            for histogram in (self.batch_seconds, self.checkpoint_seconds, self.restore_seconds):
                histogram.labels(topic)
        for outcome in names.OUTCOMES:
            self.checkpoints.labels(outcome)

    def translating(self, source: str, topics: Iterable[str]) -> None:
        """Show the counts of an adapter of Connect topics from 0 on."""
        self.gaps.labels(source)
        for topic in topics:
            for result in names.CONNECT_RESULTS:
                self.events.labels(topic, result)
            for reason in names.CONNECT_REASONS:
                self.dead_letters.labels(topic, reason)

    def watch(self, shards: Callable[[], Iterable[Shard]], assigned: Callable[[], int], clock: Clock) -> None:
        """Show these shards, and the number of partitions assigned, from now on."""
        self.registry.register(_ShardGauges(shards, assigned, clock))

    def _seconds(self, name: str, meaning: str) -> Histogram:
        return Histogram(name, meaning, ["topic"], registry=self.registry, buckets=names.DURATION_BUCKETS)


class _ShardGauges(Collector):
    def __init__(
        self, shards: Callable[[], Iterable[Shard]], assigned: Callable[[], int], clock: Clock
    ) -> None:
        self._shards, self._assigned, self._clock = shards, assigned, clock

    def collect(self) -> Iterator[Metric]:
        # What Prometheus compares with its own clock is told on the real one, however this one runs.
        real_ms, now_ms = self._clock.real_ms, self._clock.now_ms()
        lag_events = _gauge(names.LAG_EVENTS, "End offset less next offset, read together.")
        lag_seconds = _gauge(names.LAG_SECONDS, "Age of the first record not folded; 0 at the end.")
        written = _gauge(names.CHECKPOINT_AT, "Time of the shard's last checkpoint.")
        size = _gauge(names.SHARD_BYTES, "Size of each owned shard.")
        entities = _gauge(names.SHARD_ENTITIES, "Entities in each owned shard.")
        for shard in self._shards():
            labels = [shard.topic, str(shard.partition)]
            if (lag := shard.lag) is not None:
                lag_events.add_metric(labels, lag)
                behind_ms = real_ms(now_ms) - real_ms(shard.fresh_ms) if lag else 0
                lag_seconds.add_metric(labels, max(0, behind_ms) / 1000)
            if shard.written_ms is not None:
                written.add_metric(labels, real_ms(shard.written_ms) / 1000 + EPOCH_UNIX_S)
            size.add_metric(labels, shard.state.size_bytes)
            entities.add_metric(labels, shard.state.entities)
        yield from (lag_events, lag_seconds, written, size, entities)
        yield GaugeMetricFamily(
            names.ASSIGNED, "Partitions this worker owns now.", value=float(self._assigned())
        )


def _gauge(name: str, meaning: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, labels=["topic", "partition"])
