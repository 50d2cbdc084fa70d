"""A metric family as a value: its name, type, labels, allowed label values and where its figure comes from."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

MetricType = Literal["gauge", "counter", "histogram"]
Tier = Literal["team", "rep", "company", "engine"]
Part = Literal["value", "numerator", "denominator", "samples"]
Cells = tuple[Mapping[str, str], ...]

SELECTORS = frozenset({"window", "reading", "milestone", "kpi", "alert"})
"""Labels whose values overlap: a query pins them to one value or groups by them, never sums over them."""

_UNITS = ("seconds", "bytes", "ratio")


@dataclass(frozen=True, slots=True)
class Answer:
    """The row of an answer (kpi-definitions.md, "How an answer looks") that holds a figure, and its column."""

    kpi: str
    reading: str
    part: Part = "value"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family.

    `name` is the name of the samples (a counter's ends in `_total`). `labels` are all its labels in
    order of exposition. `cells` are the allowed combinations of the labels with enumerated values;
    each of them names the same labels, and `({},)` stands for a family without such labels. The
    values of all other labels (`team`, `rep`, `stage_name`, `topic`, ...) come from data and
    configuration. `answers` maps the value of the label `answer_label` (or `""`) to the row that
    holds the figure; it lacks the values for which no single row does.
    """

    name: str
    type: MetricType
    tier: Tier
    labels: tuple[str, ...]
    meaning: str
    cells: Cells = ({},)
    number: str = ""
    """The KPI's number in kpi-definitions.md, `role` for a role's series; empty for engine families."""
    kpi: str = ""
    """The name of the KPI that defines it; empty where it is configuration or engine."""
    version: int = 1
    money: bool = False
    opt_in: bool = False
    answers: Mapping[str, Answer] = field(default_factory=dict)
    answer_label: str = ""
    served_by: tuple[str, ...] = ("exporter",)
    buckets: tuple[float, ...] = ()

    @property
    def unit(self) -> str:
        """`seconds`, `bytes`, `ratio`, or empty: what OpenMetrics writes as `# UNIT`."""
        suffix = self.name.rsplit("_", 1)[-1]
        per = self.name.endswith("_per_" + suffix)
        return suffix if suffix in _UNITS and not per else ""

    @property
    def help(self) -> str:
        """The HELP text, one line."""
        if not self.number:
            return self.meaning
        which = f"KPI {self.number}" if self.number.isdigit() else "Role series"
        return (
            f"{self.meaning} {which} ({self.kpi}), definition version {self.version}; event time in the "
            "company zone, revised by late, corrected and deleted records."
        )

    @property
    def windows(self) -> tuple[str, ...]:
        """The values of `window` in order; empty for a family of levels alone."""
        return self.values("window") if "window" in self.labels else ()

    @property
    def selectors(self) -> tuple[str, ...]:
        """Its labels that every query pins or groups by."""
        return tuple(label for label in self.labels if label in SELECTORS)

    def values(self, label: str) -> tuple[str, ...]:
        """The allowed values of a label in order; empty where data decides."""
        return tuple(dict.fromkeys(cell[label] for cell in self.cells if label in cell))

    def answer(self, cell: Mapping[str, str]) -> Answer | None:
        """Where the figure of one cell stands in an answer, or None if it is worked out here."""
        return self.answers.get(cell[self.answer_label] if self.answer_label else "")

    def series_names(self) -> Iterator[str]:
        """The sample names: the family's own, and for a histogram its three."""
        if self.type == "histogram":
            yield from (f"{self.name}{suffix}" for suffix in ("_bucket", "_sum", "_count"))
        else:
            yield self.name


def cells_of(**values: Iterable[str]) -> Cells:
    """Every combination of the values, the first label the slowest."""
    names = tuple(values)
    return tuple(dict(zip(names, row, strict=True)) for row in product(*values.values()))
