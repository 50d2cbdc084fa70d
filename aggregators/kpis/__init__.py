"""The KPIs, one per file, each a page to hold against kpi-definitions.md; and those of plug-ins.

A plug-in package names its Kpi objects as entry points of the group `dealpulse.kpis`; nothing of ours
needs to change.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules

from aggregators.kpi import Kpi
from events.errors import ConfigurationError, UsageError

ENTRY_POINT_GROUP = "dealpulse.kpis"


@cache
def registry() -> Mapping[str, Kpi]:
    """Every KPI by name: ours, those of the nine first, then those of plug-ins.

    Raises ConfigurationError if a plug-in names something that is no Kpi, or a name that is taken.
    """
    found = dict(_ours())
    for entry_point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        kpi = entry_point.load()
        if not isinstance(kpi, Kpi):
            raise ConfigurationError(
                f"entry point {entry_point.name!r} of {ENTRY_POINT_GROUP} ({entry_point.value}) "
                f"is a {type(kpi).__name__}: let it name an aggregators.kpi.Kpi"
            )
        if found.setdefault(kpi.name, kpi) is not kpi:
            raise ConfigurationError(
                f"the KPI {kpi.name!r} of the plug-in {entry_point.value} exists already: rename it"
            )
    return found


def plug_ins() -> list[Kpi]:
    """The KPIs of plug-ins, by the names of their entry points. Raises ConfigurationError as `registry`."""
    return [kpi for name, kpi in registry().items() if name not in _ours()]


@cache
def _ours() -> Mapping[str, Kpi]:
    ours = [
        value
        for module in iter_modules(__path__)
        for value in vars(import_module(f"{__name__}.{module.name}")).values()
        if isinstance(value, Kpi)
    ]
    ours.sort(key=lambda kpi: (kpi.number or 99, kpi.name))
    return {kpi.name: kpi for kpi in ours}


def find_kpi(name: str) -> Kpi:
    """The KPI of that name. Raises UsageError for another one, naming them all."""
    found = registry()
    if name in found:
        return found[name]
    nearest = get_close_matches(name, found, n=1)
    guess = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise UsageError(f"there is no KPI {name!r}.{guess} There are {', '.join(found)}")
