"""The gateway's counts as metric families (ecosystem.md 1.3)."""

import platform
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from events.gateway.meter import CODES, EVENTS_SOURCE, NO_SOURCE, REFUSALS, Refusal
from exporters.engine_families import ENGINE_LIST
from streams.expose import expose

disable_created_metrics()  # type: ignore[no-untyped-call]

_FAMILIES = {family.name: family for family in ENGINE_LIST}


class GatewayMetrics:
    """The families of one gateway. Every label set that can come is there from the start, at 0."""

    def __init__(self, sources: Iterable[str], *, version: str, revision: str = "") -> None:
        self.registry = CollectorRegistry()
        build = _FAMILIES["dealpulse_build_info"]
        Gauge(build.name, build.help, build.labels, registry=self.registry).labels(
            version, revision, platform.python_version()
        ).set(1)
        self._requests = self._counter("dealpulse_gateway_requests_total")
        self._rejected = self._counter("dealpulse_gateway_rejected_total")
        self._published = self._counter("dealpulse_gateway_published_total")
        self._gaps = self._counter("dealpulse_adapter_gaps_total")
        duration = _FAMILIES["dealpulse_gateway_request_duration_seconds"]
        self._duration = Histogram(
            duration.name, duration.help, duration.labels, buckets=duration.buckets, registry=self.registry
        )
        self._requests.labels(NO_SOURCE, "404")
        # Looking a child up costs as much as counting on it: those of a usual answer are at hand.
        self._answers: dict[tuple[str, int], Counter] = {}
        self._durations: dict[str, Histogram] = {}
        self._events: dict[str, Counter] = {}
        for source in (EVENTS_SOURCE, *sources):
            for code in CODES:
                self._answers[source, code] = self._requests.labels(source, str(code))
            for reason in REFUSALS:
                self._rejected.labels(source, reason)
            self._events[source] = self._published.labels(source)
            self._durations[source] = self._duration.labels(source)
            if source != EVENTS_SOURCE:
                self._gaps.labels(source)

    def answered(self, source: str, code: int, seconds: float) -> None:
        """A request was answered."""
        (self._answers.get((source, code)) or self._requests.labels(source, str(code))).inc()
        (self._durations.get(source) or self._duration.labels(source)).observe(seconds)

    def refused(self, source: str, reason: Refusal) -> None:
        """A request was refused for what it is or who it is from."""
        self._rejected.labels(source, reason).inc()

    def published(self, source: str, events: int, gaps: int) -> None:
        """Kafka acknowledged so many events, `gaps` of them resyncs that an adapter asked for."""
        self._events[source].inc(events)
        if gaps and source != EVENTS_SOURCE:
            self._gaps.labels(source).inc(gaps)

    def expose(self, accept: str, names: tuple[str, ...]) -> tuple[bytes, str]:
        """The families (`names` alone, if any are given) and their content type."""
        return expose(self.registry, accept, names)

    def _counter(self, name: str) -> Counter:
        family = _FAMILIES[name]
        return Counter(family.name, family.help, family.labels, registry=self.registry)
