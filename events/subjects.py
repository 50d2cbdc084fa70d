"""Subjects that mean something: whose target for which period, and which exchange rate of which day."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

from .instants import day_of

ALL = "*"
"""The subject of a resync that concerns every entity of a source on a topic."""

_TARGET = re.compile(
    r"(?:(?P<scope>rep|team):(?P<name>.+)|company)"
    r"/(?P<period>[0-9]{4}(?:-Q[1-4]|-(?:0[1-9]|1[0-2]))?)"
    r"(?:/(?P<kpi>[a-z][a-z0-9_]*)/(?P<reading>[a-z0-9][a-z0-9_]*))?",
    re.DOTALL,
)
_RATE = re.compile(r"([A-Z]{3})/([A-Z]{3})/([0-9]{4}-[0-9]{2}-[0-9]{2})")


@dataclass(frozen=True, slots=True)
class TargetSubject:
    """What a target is for. `name` is the rep's id or the team's name, "" for the company.

    `period` is fiscal: `2026`, `2026-Q4` or `2026-11`. `kpi` and `reading` are "" unless it is a goal
    of a KPI.
    """

    scope: Literal["rep", "team", "company"]
    name: str
    period: str
    kpi: str = ""
    reading: str = ""

    def __str__(self) -> str:
        scope = f"{self.scope}:{self.name}" if self.name else self.scope
        goal = f"/{self.kpi}/{self.reading}" if self.kpi else ""
        return f"{scope}/{self.period}{goal}"


@dataclass(frozen=True, slots=True)
class RateSubject:
    """Which rate: one `base` costs so many `quote` on that day."""

    base: str
    quote: str
    day: date

    def __str__(self) -> str:
        return f"{self.base}/{self.quote}/{self.day.isoformat()}"


def target_subject(subject: str) -> TargetSubject:
    """The parts of a target's subject. Raises ValueError.

    >>> target_subject("team:North/2026-Q4")
    TargetSubject(scope='team', name='North', period='2026-Q4', kpi='', reading='')
    """
    if not (found := _TARGET.fullmatch(subject)):
        raise ValueError(
            f"{subject[:80]!r} is no target: write rep:<id>/<period>, team:<name>/<period> or company/<period>, "
            "for a goal with /<kpi>/<reading> behind it; a period is 2026, 2026-Q4 or 2026-11"
        )
    scope: Literal["rep", "team", "company"] = "company"
    if found["scope"]:
        scope = "rep" if found["scope"] == "rep" else "team"
    return TargetSubject(
        scope, found["name"] or "", found["period"], found["kpi"] or "", found["reading"] or ""
    )


def rate_subject(subject: str) -> RateSubject:
    """The parts of an exchange rate's subject. Raises ValueError.

    >>> rate_subject("EUR/USD/2026-11-23").quote
    'USD'
    """
    if not (found := _RATE.fullmatch(subject)):
        raise ValueError(
            f"{subject[:80]!r} is no rate: write <base>/<quote>/<date>, as in EUR/USD/2026-11-23"
        )
    base, quote, day = found.groups()
    if base == quote:
        raise ValueError(f"{subject}: base and quote are the same currency")
    return RateSubject(base, quote, day_of(day))
