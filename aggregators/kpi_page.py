"""The page docs/kpis.md: every KPI's definition, from the definitions themselves."""

from aggregators.kpi import Kpi, Reading
from aggregators.kpis import registry

_INTRODUCTION = """# KPIs

<!-- Written by `dealpulse kpi --list --format markdown`; `make docs` brings it up to date. -->

Every KPI as it is defined in `aggregators/kpis/`, one file each. The rules behind them are in
[kpi-definitions.md](kpi-definitions.md), what these leave open in [decisions.md](decisions.md). The first
reading is the primary one. A reading without a window is a level: it is asked at the instant.
"""


def page() -> str:
    """The whole page, in Markdown."""
    return "\n".join([_INTRODUCTION, *(_section(kpi) for kpi in registry().values())])


def _section(kpi: Kpi) -> str:
    number = f"KPI {kpi.number}, " if kpi.number else ""
    split = ", ".join(f"`{dimension}`" for dimension in kpi.dimensions) or "nothing"
    parted = ""
    if kpi.partition:
        values = ", ".join(f"`{value}`" for value in kpi.partition.values)
        parted = f" Always by `{kpi.partition.name}`: {values}."
    lines = [
        f"## {kpi.title.en} {kpi.title.zh}",
        "",
        f"`{kpi.name}`, {number}version {kpi.version}. Can be split by {split}.{parted}",
        "",
        kpi.definition.en,
        "",
        kpi.definition.zh,
        "",
        "| reading | 名稱 | value | numerator / denominator | window | what counts |",
        "|---|---|---|---|---|---|",
        *(_row(kpi, reading) for reading in kpi.readings),
        "",
    ]
    return "\n".join(lines)


def _row(kpi: Kpi, reading: Reading) -> str:
    parts = " / ".join(reading.parts) if reading.parts else ""
    counts = " ".join((reading.contributions.__doc__ or "").split())
    cells = [
        f"`{reading.name}`: {reading.title.en}",
        reading.title.zh,
        reading.unit,
        parts,
        "" if reading.level else kpi.window,
        counts,
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
