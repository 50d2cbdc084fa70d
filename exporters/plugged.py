"""The metric families of KPIs that plug-ins bring: made from their definitions, so that they show by themselves.

A reading is `dealpulse_<kpi>_<reading>`, with its unit at the end; a quotient has its numerator, denominator
and samples beside it (G9), as every ratio of ours has its parts. Labels: `team` where the KPI can be split by it,
that of its partition, `window` unless it is a level, `currency` of money.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from aggregators.kpi import Kpi, Reading, Unit
from aggregators.kpis import plug_ins
from events.errors import ConfigurationError
from exporters.family import Answer, Cells, Family, Part, Tier, cells_of
from exporters.labels import PREFIX, QUARTERS, REP_WINDOWS
from exporters.names import FAMILIES, KPI_FAMILIES

_SUFFIX: Final[Mapping[Unit, str]] = {
    "ratio": "_ratio",
    "seconds": "_seconds",
    "money": "_amount",
    "money_per_second": "_amount_per_second",
    "count": "",
}


def shown_families() -> Mapping[str, Family]:
    """Every KPI family by name: ours, then those of plug-ins.

    Raises ConfigurationError for a plug-in whose families would have a name that is taken.
    """
    found = dict(KPI_FAMILIES)
    for kpi in plug_ins():
        for family in families_of(kpi):
            if family.name in found or family.name in FAMILIES:
                raise ConfigurationError(
                    f"the KPI {kpi.name!r} of a plug-in would be shown as {family.name}, which exists already: "
                    "rename the KPI or its reading"
                )
            found[family.name] = family
    return found


def families_of(kpi: Kpi) -> Iterator[Family]:
    """The families of one KPI; none of one whose answers are rows of others."""
    if kpi.rows:
        return
    for reading in kpi.readings:
        over, under = reading.parts or (reading.unit, reading.unit)
        stem = f"{kpi.name}_{reading.name}"
        yield from _family(kpi, reading, f"{stem}{_SUFFIX[reading.unit]}", "value", reading.unit)
        if reading.parts:
            yield from _family(kpi, reading, f"{stem}_numerator{_SUFFIX[over]}", "numerator", over)
            yield from _family(kpi, reading, f"{stem}_denominator{_SUFFIX[under]}", "denominator", under)
        if reading.parts or reading.compose:
            yield from _family(kpi, reading, f"{stem}_samples", "samples", "count")


def _family(kpi: Kpi, reading: Reading, stem: str, part: Part, unit: Unit) -> Iterator[Family]:
    by_team, money = "team" in kpi.dimensions, unit in ("money", "money_per_second")
    tiers: list[tuple[Tier, str, tuple[str, ...], tuple[str, ...]]] = [
        ("team" if by_team else "company", "", ("team",) if by_team else (), QUARTERS)
    ]
    if by_team and "rep" in kpi.dimensions:
        tiers.append(("rep", "rep_", ("rep", "team"), REP_WINDOWS))
    beside = "" if part == "value" else f": {part}"
    for tier, prefix, scope, windows in tiers:
        cells = _cells(kpi, reading, windows)
        yield Family(
            name=PREFIX + prefix + re.sub(r"[^a-z0-9_]", "_", stem.lower()),
            type="gauge",
            tier=tier,
            labels=(*scope, *cells[0], *(("currency",) if money else ())),
            meaning=" ".join(f"{kpi.title.en}, {reading.title.en}{beside}.".split()),
            cells=cells,
            number="role",
            kpi=kpi.name,
            version=kpi.version,
            money=money,
            answers={"": Answer(kpi.name, reading.name, part)},
        )


def _cells(kpi: Kpi, reading: Reading, windows: tuple[str, ...]) -> Cells:
    labels = {kpi.partition.name: kpi.partition.values} if kpi.partition else {}
    return cells_of(**labels, **({} if reading.level else {"window": windows}))
