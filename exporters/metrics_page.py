"""docs/metrics.md: the catalogue of every metric, written from the registry."""

from collections.abc import Iterable, Iterator
from typing import Final

from exporters.alerts import ALERTS
from exporters.family import SELECTORS, Family
from exporters.names import ENGINE_FAMILIES, KPI_FAMILIES
from exporters.rules import RECORDINGS

_INTRO: Final = """\
# Metrics

Written by `python -m exporters.monitoring` from `exporters/names.py`: change the registry, not this page.

All KPI metrics are gauges: their windows are in event time and in the company's zone, and late,
corrected and deleted records revise them. Money is in major units of the reporting currency, with the
constant label `currency`. Ratios and averages are absent where there is no sample, and
`…_samples` is 0 then. The company's figure is `sum without (team)` of the parts, never an average of
averages. Every query starts with `max without (instance)`, because several exporters may run.

Labels in **bold** are selectors: their values overlap, so pin them or group by them, never add up over
them. The values of `team`, `rep`, `stage_name`, `topic` and `partition` come from data and configuration.

| `window` | means |
|---|---|
| `now`, or no such label | the level at this instant |
| `day`, `week_to_date`, `month_to_date`, `quarter_to_date`, `year_to_date` | from the start of the day, ISO week, month, fiscal quarter or year until now; for targets and goals the whole period |
| `previous_month`, `previous_quarter` | the last complete one |
| `next_quarter` | the whole next fiscal quarter (plans only) |
| `trailing_12m` | twelve months up to today |
"""

_TITLES: Final = {
    "1": "KPI 1: annual contract value",
    "2": "KPI 2: customer lifetime value",
    "3": "KPI 3: new opportunities",
    "4": "KPI 4: stagnation",
    "5": "KPI 5: conversion rate",
    "6": "KPI 6: rep retention",
    "7": "KPI 7: ramp-up time",
    "8": "KPI 8: referrals",
    "9": "KPI 9: customer retention and churn",
    "role": "What the roles look at",
    "": "Definitions and configuration",
}


def page() -> str:
    """The page, as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _INTRO
    for number, title in _TITLES.items():
        yield f"## {title}\n"
        yield "| metric | also per rep | labels | window | means | definition |"
        yield "|---|---|---|---|---|---|"
        families = [one for one in KPI_FAMILIES.values() if one.number == number]
        yield from (_kpi_row(one) for one in families if not one.name.startswith("dealpulse_rep_"))
        yield from (_kpi_row(one) for one in families if one.name == "dealpulse_rep_info")
        yield ""
    yield "## Engine\n"
    yield "| metric | type | labels | served by | means |"
    yield "|---|---|---|---|---|"
    yield from (_engine_row(one) for one in ENGINE_FAMILIES.values())
    yield "\n## Recording rules\n"
    yield "| record | expression |"
    yield "|---|---|"
    yield from (f"| `{name}` | `{_one_line(text)}` |" for name, text in RECORDINGS.items())
    yield "\n## Alerts\n"
    yield "| alert | severity | audience | for | says |"
    yield "|---|---|---|---|---|"
    for alert in ALERTS:
        name = f"[{alert.name}](../monitoring/runbooks/{alert.name}.md)"
        yield (
            f"| {name} | {alert.severity} | {alert.audience} | {alert.lasting or '0'} "
            f"| {alert.summary.replace('|', '&#124;')} |"
        )


def _kpi_row(one: Family) -> str:
    twin = KPI_FAMILIES.get(one.name.replace("dealpulse_", "dealpulse_rep_", 1))
    per_rep = ", ".join(twin.windows) or "yes" if twin else ""
    meaning = one.meaning + (" Off by default." if one.opt_in else "")
    version = f"{one.kpi} {one.version}" if one.kpi else ""
    windows = ", ".join(one.windows)
    return f"| `{one.name}` | {per_rep} | {_labels(one)} | {windows} | {meaning} | {version} |"


def _engine_row(one: Family) -> str:
    served = ", ".join(one.served_by)
    return f"| `{one.name}` | {one.type} | {_labels(one)} | {served} | {one.meaning} |"


def _labels(one: Family) -> str:
    return ", ".join(_label(one, label) for label in one.labels if label != "window")


def _label(one: Family, label: str) -> str:
    shown = f"**`{label}`**" if label in SELECTORS else f"`{label}`"
    values = one.values(label)
    return f"{shown} ({_listed(values)})" if values else shown


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _one_line(text: str) -> str:
    return " ".join(text.split())
