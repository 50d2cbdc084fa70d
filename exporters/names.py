"""The registry of every metric family: exporter, rules, dashboards, docs and tests read names from here only.

`FAMILIES` holds all of them by the name of their samples; `KPI_FAMILIES` and `ENGINE_FAMILIES` are
its two halves. A name is a public interface: renaming one is a breaking change. The tables stand in
`kpi_families.py` and `engine_families.py`, label values in `labels.py`.
"""

from collections.abc import Mapping
from typing import Final

from events.errors import DealpulseError
from exporters.engine_families import ENGINE_LIST
from exporters.family import Family
from exporters.kpi_families import KPI_LIST

KPI_FAMILIES: Final[Mapping[str, Family]] = {one.name: one for one in KPI_LIST}
ENGINE_FAMILIES: Final[Mapping[str, Family]] = {one.name: one for one in ENGINE_LIST}
FAMILIES: Final[Mapping[str, Family]] = {**KPI_FAMILIES, **ENGINE_FAMILIES}

_BY_SERIES: Final = {series: one for one in FAMILIES.values() for series in one.series_names()}


class UnknownFamilyError(DealpulseError):
    """A metric name that the registry does not hold."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"{name} is no metric of dealpulse: exporters/names.py lists them all (docs/metrics.md shows them)"
        )


def family(name: str) -> Family:
    """The family that a sample of this name belongs to (also `_bucket`, `_sum` and `_count` of histograms).

    Raises UnknownFamilyError.
    """
    found = _BY_SERIES.get(name)
    if found is None:
        raise UnknownFamilyError(name)
    return found
