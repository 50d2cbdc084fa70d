"""The metrics of a process as text, in the format that the client prefers (ecosystem.md 1.4)."""

from collections.abc import Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from events.negotiation import OPENMETRICS, TEXT, negotiate

_UNITS: Final = ("seconds", "bytes", "ratio")


def expose(registry: CollectorRegistry, accept: str, names: tuple[str, ...] = ()) -> tuple[bytes, str]:
    """The families (those of the samples `names` alone, if any are given), and their content type."""
    chosen: Any = _WithUnits(registry.restricted_registry(names) if names else registry)
    if negotiate(accept):
        return generate_openmetrics(chosen), OPENMETRICS  # type: ignore[no-untyped-call]  # prometheus_client has no types there
    return generate_latest(chosen), TEXT


class _WithUnits:
    """A registry whose families tell the unit that their names end in."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """All families, as a writer of text asks for them."""
        for metric in self._registry.collect():
            suffix = metric.name.rsplit("_", 1)[-1]
            if suffix in _UNITS:
                metric.unit = suffix
            yield metric
