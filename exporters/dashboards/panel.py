"""A panel, a query and a board as plain values; `render.py` turns them into what Grafana reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal["stat", "timeseries", "bargauge", "barchart", "table", "statetimeline"]
Unit = Literal["money", "ratio", "days", "count", "seconds", "bytes", "instant", "factor", "state"]


class Words(NamedTuple):
    """A text in both languages of the boards."""

    en: str
    zh: str

    def say(self, lang: str) -> str:
        """The text in `en` or `zh-TW`."""
        return self.zh if lang == "zh-TW" else self.en


@dataclass(frozen=True, slots=True)
class Query:
    """One line of a panel. `legend` names it; `{{label}}` in it is the value of a label.

    `unit` where it differs from the panel's; `state` makes it a judgement: 0 good, 1 warning, 2 bad;
    `limits` colours the value itself from its warning and its bad limit on. `names` are the values of
    the label in the legend, each of which keeps a colour of its own.
    """

    expression: str
    legend: Words
    unit: Unit | None = None
    colour: str = ""
    state: "States | None" = None
    limits: tuple[float, float] | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class States:
    """The words for a judged value: never colour alone."""

    good: Words
    warning: Words
    bad: Words


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `kpi` and `reading` are those of its explanation; `period` is the window's name there."""

    kind: Kind
    title: Words
    about: Words
    queries: tuple[Query, ...]
    unit: Unit
    width: int
    height: int
    kpi: str = ""
    reading: str = ""
    period: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    category: str = ""
    """The label whose values are the bars or the rows."""
    order: str = ""
    """A query by the category whose values put bars or rows in order; empty: by name."""
    lowest: float | None = None
    stacked: bool = False
    empty: Words | None = None
    """What is said instead of "no sample" where that would be wrong."""


@dataclass(frozen=True, slots=True)
class Board:
    """One board: rows of panels, each row with its heading (empty: none) from left to right."""

    name: str
    title: Words
    about: Words
    rows: tuple[tuple[Words | None, tuple[Panel, ...]], ...]
    variables: tuple[str, ...]
    refresh: str = "10s"
    kiosk: bool = False
    """For a TV: no legends, no tooltips."""
    span: str = "now-24h"
