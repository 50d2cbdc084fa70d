"""What a KPI is: a definition in words, readings, and the records that each reading is the sum of.

A reading names a function from a question and a window to contributions, one per record. Its figure is
their sum, group by group; a ratio or a mean is the sum of the numerators over the sum of the
denominators (G9). `explain` lists the same contributions, so that a figure can be taken apart.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from aggregators.calendar import Span
from aggregators.question import Number

if TYPE_CHECKING:
    from aggregators.ask import Ask
    from aggregators.question import Row

Unit = Literal["count", "ratio", "seconds", "money", "money_per_second"]
"""Exactly: records, a fraction, milliseconds, minor units of the reporting currency, these per ms."""

UNASSIGNED = "unassigned"
"""The group of records without a rep, team, account, ... in a split (F15)."""

DEAL_DIMENSIONS = (
    "rep",
    "team",
    "manager",
    "type",
    "pipeline",
    "currency",
    "segment",
    "region",
    "lead_source",
)
"""What every KPI about opportunities can be split by; those of open ones also by `stage`."""

TARGET_DIMENSIONS = ("rep", "team", "manager")
"""What every KPI with a target can be split by."""

OPEN_DEAL_DIMENSIONS = (*DEAL_DIMENSIONS, "stage")


@dataclass(frozen=True, slots=True)
class Text:
    """The same words in English and in Traditional Chinese."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one record adds to a reading, in one group.

    `record` is `<entity>/<id>`; `by` its labels, one per dimension asked for (`Ask.by`), and last the
    value of the KPI's partition if it has one. `samples` is 0 for a record that is counted but adds
    nothing to this reading, such as one without a rate; `note` then says why. `on` is the day it counts on.
    `part` names the sum it belongs to, where a reading is `compose`d of several.
    """

    record: str
    by: tuple[str, ...]
    numerator: Number = 0
    denominator: Number = 0
    samples: int = 1
    on: date | None = None
    note: str = ""
    part: str = ""


@dataclass(slots=True)
class Sums:
    """The sums of one group, or of one part of it."""

    numerator: Number = 0
    denominator: Number = 0
    samples: int = 0

    def add(self, contribution: Contribution) -> None:
        """Add one record."""
        self.numerator += contribution.numerator
        self.denominator += contribution.denominator
        self.samples += contribution.samples

    @property
    def quotient(self) -> Number | None:
        """Numerator over denominator; None where there is no sample."""
        return quotient(self.numerator, self.denominator)


@dataclass(frozen=True, slots=True)
class Figure:
    """What a composed reading comes to in one group; no value is no sample."""

    value: Number | None
    samples: int
    numerator: Number | None = None
    denominator: Number | None = None


Compose = Callable[["Ask", Mapping[str, Sums]], Figure]
"""A figure from the sums of its parts; a part without records is there, empty."""


Contributions = Callable[["Ask", Span], Iterable[Contribution]]
"""The records of a reading in a window. Of a level, the window is ignored (F1)."""


def quotient(numerator: Number, denominator: Number) -> Number | None:
    """The one over the other; nothing to divide by is no sample, not 0 (G9)."""
    return Fraction(numerator) / denominator if denominator else None


@dataclass(frozen=True, slots=True)
class Reading:
    """One way of reading a KPI.

    Without `parts` the value is the sum of the numerators, and 0 where there is no record. With
    `parts`, the units of numerator and denominator, it is `value` of their two sums, and where that
    is None the samples are 0. `level` readings are asked at the as-of instant, whatever the window.
    A reading that is no sum over a sum (velocity, projected lifetime value) is `compose`d of the sums
    of the parts that its contributions name, in the units that `part_units` says. `overlaps` are the dimensions by which one record counts
    in several rows (a customer by kind of contract), so that these do not add up. `by_days` tells whether a
    goal of it is shared out by the days of a window; None: what `grows_with_window` makes of the rest.
    """

    name: str
    title: Text
    unit: Unit
    contributions: Contributions
    parts: tuple[Unit, Unit] | None = None
    level: bool = False
    additive: bool = True
    overlaps: tuple[str, ...] = ()
    value: Callable[[Number, Number], Number | None] = quotient
    compose: Compose | None = None
    part_units: Mapping[str, tuple[Unit, Unit]] = field(default_factory=dict)
    by_days: bool | None = None

    @property
    def grows_with_window(self) -> bool:
        """Whether more days come to more, so that of a year's goal a quarter has to reach about a quarter.

        A sum of what happened in the window does; a level, a ratio, a mean or a rate does not. A state at
        the window's end (customers active) looks like such a sum, and a composed count of a window (target
        wins) does not: these say so in `by_days`.
        """
        if self.by_days is not None:
            return self.by_days
        return self.unit in ("count", "money") and not (self.level or self.parts or self.compose)

    def units_of(self, part: str) -> tuple[Unit, Unit]:
        """The units of the numerator and the denominator of a contribution to that part."""
        return self.part_units.get(part, self.parts or (self.unit, self.unit))

    def figure(self, ask: "Ask", parts: Mapping[str, Sums]) -> Figure:
        """What the sums of one group, by part, come to."""
        if self.compose:
            return self.compose(ask, parts)
        sums = parts.get("") or Sums()
        if not self.parts:
            return Figure(sums.numerator, sums.samples)
        return Figure(
            self.value(sums.numerator, sums.denominator), sums.samples, sums.numerator, sums.denominator
        )


@dataclass(frozen=True, slots=True)
class Partition:
    """A dimension that a KPI is always split by; company-wide it has a row for each of `values`.

    `adds_up`: taken together, the values are a figure of their own, to which a goal can be set. The bars of
    a waterfall are not: start and changes come to the end.
    Of a bridge the first ones come to the last one, exactly, and are shown so (`aggregators.bars`).
    """

    name: str
    values: tuple[str, ...]
    adds_up: bool = True
    is_bridge: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """One figure of a KPI that answers by `rows`, taken apart: its contributions sum to it exactly."""

    row: "Row"
    reading: Reading
    contributions: tuple[Contribution, ...]


@dataclass(frozen=True, slots=True)
class Kpi:
    """A KPI: its definition as data, and its readings, the primary one first.

    `version` starts at 1 and changes whenever the arithmetic does. `number` is that of the nine KPIs
    of kpi-definitions.md, None for the series of the roles. `window` is the default one. `rows` answers
    a question in place of the readings, where the figures are those of other KPIs; `apart` lists those of
    its rows, in the last window asked for, that are sums of records of their own.
    """

    name: str
    title: Text
    definition: Text
    version: int
    readings: tuple[Reading, ...]
    dimensions: tuple[str, ...]
    number: int | None = None
    window: str = "fiscal_quarter"
    partition: Partition | None = None
    rows: "Callable[[Ask], Iterable[Row]] | None" = None
    apart: "Callable[[Ask], Iterable[Taken]] | None" = None

    def reading(self, name: str) -> Reading:
        """The reading of that name; KeyError if there is none."""
        for reading in self.readings:
            if reading.name == name:
                return reading
        raise KeyError(name)

    def document(self) -> dict[str, Any]:
        """The definition as JSON."""
        return {
            "kpi": self.name,
            "number": self.number,
            "definition_version": self.version,
            "title": {"en": self.title.en, "zh-TW": self.title.zh},
            "definition": {"en": self.definition.en, "zh-TW": self.definition.zh},
            "dimensions": list(self.dimensions),
            "partition": self.partition and {self.partition.name: list(self.partition.values)},
            "readings": [
                {
                    "reading": reading.name,
                    "title": {"en": reading.title.en, "zh-TW": reading.title.zh},
                    "unit": reading.unit,
                    "parts": reading.parts and list(reading.parts),
                    "window": None if reading.level else self.window,
                }
                for reading in self.readings
            ],
        }
