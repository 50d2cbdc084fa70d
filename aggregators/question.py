"""A question about a KPI, and its answer: the same everywhere (kpi-definitions.md, "How an answer looks")."""

from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction

Number = int | Fraction


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: one KPI (all its readings), one kind of window, one instant, some dimensions.

    `window` is a name (`fiscal_quarter`, `trailing_90d`, ...), `START..END` (both days inside), or
    None for the KPI's own default. `as_of_ms` is in ms since 2000-01-01 UTC. `periods` asks for the
    last N windows. `attribution` None means the configured one. `now_ms` is the present instant, on
    whose local day the future begins (G4: a future day has the newest known rate); None: the as-of.
    """

    kpi: str
    as_of_ms: int
    window: str | None = None
    by: tuple[str, ...] = ()
    periods: int = 1
    attribution: str | None = None
    now_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """A named span of whole local days, both inside; None for `all` and for levels."""

    name: str | None
    start: date | None
    end: date | None


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. Exact: money in minor units of the reporting currency, durations in ms, ratios as fractions.

    `unit` is `ratio`, `count`, `seconds`, a currency code, or `<currency>/second`. `value` is None
    where there is no sample (G9). `numerator` and `denominator` are None where the reading has none.
    """

    kpi: str
    reading: str
    definition_version: int
    by: tuple[tuple[str, str], ...]
    window: Window
    as_of_ms: int
    value: Number | None
    unit: str
    numerator: Number | None
    denominator: Number | None
    samples: int
    additive: bool = field(default=True)
