"""Queries of the boards: the company's or a rep's figure, at the teams chosen, from any exporter."""

from typing import Final

from exporters.promql import over_instances, select

TEAM: Final = 'team=~"$team"'
ONE_TEAM: Final = 'team="${team:raw}"'
"""The team chosen by its very name, as it is not escaped for a pattern; nothing where it is not just one."""
REP: Final = 'rep=~"$rep"'
SECONDS_OF_A_DAY: Final = 86_400


def by_team(stem: str, **labels: str) -> str:
    """A figure of every team chosen, whichever exporter tells it."""
    return over_instances(select(f"dealpulse_{stem}", TEAM, **labels))


def by_rep(stem: str, **labels: str) -> str:
    """A figure of every rep in the teams chosen."""
    return over_instances(select(f"dealpulse_rep_{stem}", TEAM, **labels))


def of_rep(stem: str, **labels: str) -> str:
    """A figure of the rep chosen; a rep who moved has a series per team, which add up."""
    return f"sum without (team) ({over_instances(select(f'dealpulse_rep_{stem}', REP, **labels))})"


def total(stem: str, **labels: str) -> str:
    """A figure added up over the teams chosen."""
    return f"sum without (team) ({by_team(stem, **labels)})"


def total_of(stem: str, dropped: str, **labels: str) -> str:
    """The same, added up over one more label whose values add up, such as `stage_name`."""
    return f"sum without (team, {dropped}) ({by_team(stem, **labels)})"


def ratio(above: str, below: str) -> str:
    """Above / below; nothing below is no sample, not 0."""
    return f"{above} / ({below} > 0)"


def days(seconds: str) -> str:
    """Seconds as days."""
    return f"{seconds} / {SECONDS_OF_A_DAY}"


def sum_by(label: str, expression: str) -> str:
    """Added up per value of one label."""
    return f"sum by ({label}) ({expression})"


def judged(value: str, warning: float, bad: float, *, high_is_good: bool) -> str:
    """0 good, 1 warning, 2 bad: the value against two limits."""
    sign = "<" if high_is_good else ">"
    return f"({value} {sign} bool {warning:g}) + ({value} {sign} bool {bad:g})"


def goal(kpi: str, reading: str) -> str:
    """The goal for this quarter of those whose figure is shown: all teams the company's, one team its own.

    Of several teams together there is none: goals are never added up.
    """
    labels = {"kpi": kpi, "reading": reading, "window": "quarter_to_date"}
    # The company's has no `team`, which `.*` of all teams matches, and no team's name does.
    of_company = over_instances(select("dealpulse_kpi_goal", 'team=""', TEAM, **labels))
    # Neither `.*` nor `North,South` is any team's name.
    of_team = over_instances(select("dealpulse_kpi_goal", ONE_TEAM, **labels))
    return f"({of_company} or {of_team})"


def rep_goal(kpi: str, reading: str) -> str:
    """The goal of the rep chosen for this quarter."""
    labels = {"kpi": kpi, "reading": reading, "window": "quarter_to_date"}
    return over_instances(select("dealpulse_rep_kpi_goal", REP, **labels))


def rep_goals(kpi: str, reading: str) -> str:
    """The goals of every rep in the teams chosen; a rep is in the team of the quarter's end."""
    labels = {"kpi": kpi, "reading": reading, "window": "quarter_to_date"}
    return over_instances(select("dealpulse_rep_kpi_goal", TEAM, **labels))


FRESHNESS: Final = f"max by (job) ({select('dealpulse_freshness_timestamp_seconds')})"
STAGE_ORDER: Final = f"max by (stage_name) ({over_instances(select('dealpulse_stage_order'))})"
"""Puts stages in the order of the pipeline."""
