"""A question over the fact tables, and what a reading counts there."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, NamedTuple

import numpy as np

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.company import Company
from aggregators.deal_facts import NO_DATE
from aggregators.kpi import Contribution, Sums
from aggregators.money import RATE_SCALE, Rates
from aggregators.question import Number, Question
from aggregators.tables.cut import Cut
from aggregators.tables.deals import DealTable
from aggregators.tables.split import Split, day_number, day_of
from aggregators.zones import Int64
from events.currencies import EXPONENTS

Labels = tuple[str, ...]

_DENSE: Final = 4_000_000
"""Up to so many possible groups are looked up in a table instead of sorted."""
_OF_PEOPLE: Final = frozenset({"rep", "team", "manager"})


@dataclass(slots=True)
class Counted:
    """The deals of a part of a reading, as row numbers of a cut, and what each adds.

    `owner` names the column of the rep who gets the credit; `day` the one of the day that decides his
    team, empty for the as-of day (or `on`, days since 2000). Numerator and denominator are int64
    columns of these deals, or None for 0; `money` says that they are native minor units to be
    converted at the rate of the close, of open deals that of the as-of day (G4). `stated` marks those
    with something to add; of these `sampled` says whether they are samples. `chance` is a factor of the
    numerator, in 10^-6. `undated` says that the day of some may not be known.
    """

    cut: Cut
    rows: Int64
    owner: str
    day: str
    numerator: Int64 | None
    denominator: Int64 | None = None
    money: tuple[bool, bool] = (False, False)
    stated: Any = None
    sampled: bool = True
    chance: Int64 | None = None
    part: str = ""
    on: int | None = None
    undated: bool = False


@dataclass(slots=True)
class Weighed:
    """Rows with their group and what each adds: the numbers are those of the columns over `scale`.

    Columns are int64, or Python integers in an object array where they do not fit. `counts` is what
    each row adds to the samples, all 1 if it is None.
    """

    group: Int64
    labels: Sequence[Labels]
    numerator: Any = None
    denominator: Any = None
    scales: tuple[int, int] = (1, 1)
    counts: Int64 | None = None
    part: str = ""


class Cells(NamedTuple):
    """The sums of a part, group by group: whether it has a row, numerator, denominator, samples."""

    part: str
    labels: Sequence[Labels]
    rows: Sequence[tuple[bool, Number, Number, int]]


@dataclass(slots=True)
class Stated:
    """The few records of the exact road (targets), summed once for as long as they stand; `scale` of it counts."""

    cells: Sequence[Cells]
    scale: Fraction = Fraction(1)


Piece = Counted | Weighed | Stated
Count = Callable[["FastAsk", Span], Sequence[Piece]]
"""What a reading is the sum of."""


def summed(contributions: Iterable[Contribution]) -> list[Cells]:
    """The sums of contributions, by part and group."""
    found: dict[str, dict[Labels, Sums]] = defaultdict(lambda: defaultdict(Sums))
    for contribution in contributions:
        found[contribution.part][contribution.by].add(contribution)
    return [
        Cells(
            part,
            tuple(groups),
            [(True, sums.numerator, sums.denominator, sums.samples) for sums in groups.values()],
        )
        for part, groups in found.items()
    ]


@dataclass
class FastAsk:
    """One question's instant over the tables, with everything that can be shared between questions."""

    table: DealTable
    company: Company
    question: Question
    ask: Ask = field(init=False)
    cut: Cut = field(init=False)
    split: Split = field(init=False)

    def __post_init__(self) -> None:
        self.ask = Ask(self.company, self.question)
        self.cut = _kept_cut(self.table, self.question.as_of_ms)
        people, accounts = self.ask.people, self.ask.accounts
        self.split = self.company.derived(
            Split, lambda: Split(self.company, people, accounts), "employee", "account"
        )
        self.as_of_day = day_number(self.ask.as_of_on)

    def cut_at(self, instant_ms: int) -> Cut:
        """The deals as they stood at another instant."""
        return self.cut if instant_ms == self.cut.as_of_ms else Cut(self.table, instant_ms)

    def inside(self, column: str, span: Span) -> Any:
        """Whether the days of a column lie in a span."""
        kept = self.cut.kept.get((column, span))
        if kept is None:
            days = self.cut[column]
            kept = (days >= day_number(span.start)) & (days <= day_number(span.end)) & (days != NO_DATE)
            self.cut.kept[column, span] = kept
        return kept

    def rate_of(self, counted: Counted) -> tuple[Int64, list[Fraction], Any]:
        """(which rate each row has, the rates as factors between minor units, whether there is one)."""
        cut, rows = counted.cut, counted.rows
        rates, texts = self.ask.rates, self.table.labels.texts
        currency = cut["currency"][rows].astype(np.int64)
        own = self.table.labels[rates.reporting]
        if (currency == own).all():
            return np.zeros(len(rows), dtype=np.int64), [Fraction(1)], np.ones(len(rows), dtype=bool)
        closed = cut["closed_day"][rows].astype(np.int64)
        day = np.where(closed == NO_DATE, self.as_of_day, closed)
        day = np.where(currency == own, 0, day)
        pairs, which = np.unique(currency * 2**22 + day + 2**21, return_inverse=True)
        factors, known = [], []
        for pair in pairs.tolist():
            factor = factor_of(rates, texts[pair >> 22], (pair & (2**22 - 1)) - 2**21)
            factors.append(factor or Fraction(0))
            known.append(factor is not None)
        return which, factors, np.array(known)[which]

    def groups(self, counted: Counted) -> tuple[Int64, Sequence[Labels]]:
        """(the group of each row, the labels of each group); a group may have no row."""
        by = self.question.by
        if not by:
            return np.zeros(len(counted.rows), dtype=np.int64), [()]
        if _OF_PEOPLE.issuperset(by) and (kept := self._kept_groups(counted)) is not None:
            return kept
        columns = [self._dimension(counted, dimension) for dimension in by]
        return distinct_groups(columns, self.split)

    def _kept_groups(self, counted: Counted) -> tuple[Int64, Sequence[Labels]] | None:
        """Groups of people alone, read off what is kept per state; None where a day is not known.

        Kept are the days of the deals themselves and the present one, which is asked about all the time.
        """
        rows, day = counted.rows, self._day(counted)
        if isinstance(day, int) and (day != self.as_of_day or self.ask.as_of_on != self.ask.now_on):
            return None
        if counted.undated:
            return None
        codes, labels = self.split.kept(self.table, self.question.by, counted.owner, day)
        return codes[counted.cut.rows[rows]].astype(np.int64), labels

    def _day(self, counted: Counted) -> str | int:
        """The column of the day that decides teams, or that day itself."""
        if self.ask.attribution == "current":
            return self.as_of_day
        return counted.day or (self.as_of_day if counted.on is None else counted.on)

    def _dimension(self, counted: Counted, dimension: str) -> Int64:
        cut, split, table, rows = counted.cut, self.split, self.table, counted.rows
        match dimension:
            case "rep":
                return split.reps(cut[counted.owner][rows], table.names)
            case "team" | "manager":
                reps = split.reps(cut[counted.owner][rows], table.names)
                day = self._day(counted)
                if isinstance(day, int):
                    return split.on_day(dimension, reps, np.full(len(rows), day, dtype=np.int64))
                days = cut[day][rows].astype(np.int64)
                return split.on_day(dimension, reps, np.where(days == NO_DATE, self.as_of_day, days))
            case "segment" | "region":
                return split.of_account(dimension, cut["account"][rows], table.names)
            case "lead_source":
                return split.texts(cut["lead_source"][rows], table.names)
            case "type":
                return split.types(cut["type"][rows])
            case "pipeline":
                return split.texts(cut["pipeline"][rows], table.labels)
            case "stage":
                return self._stages(cut, rows)
            case _:
                return split.texts(cut[dimension][rows], table.labels)

    def _stages(self, cut: Cut, rows: Int64) -> Int64:
        """The stage, as `pipeline/stage` where the company has several pipelines."""
        stage = cut["stage"][rows]
        if len(self.ask.meaning.pipelines) == 1:
            return self.split.texts(stage, self.table.labels)
        texts = self.table.labels.texts
        pairs, which = np.unique(cut["pipeline"][rows].astype(np.int64) << 32 | stage, return_inverse=True)
        named = [
            f"{texts[pair >> 32]}/{texts[pair & 0xFFFFFFFF]}" if pair & 0xFFFFFFFF else ""
            for pair in pairs.tolist()
        ]
        return self.split.texts(which, named)


_cuts: dict[int, tuple[DealTable, int, Cut]] = {}


def _kept_cut(table: DealTable, as_of_ms: int) -> Cut:
    """The cut of a table at an instant; the last one is kept, since one refresh asks it many things."""
    kept = _cuts.get(id(table))
    if kept is None or kept[0] is not table or kept[1] != table.version or kept[2].as_of_ms != as_of_ms:
        _cuts.clear()
        kept = _cuts[id(table)] = table, table.version, Cut(table, as_of_ms)
    return kept[2]


def factor_of(rates: Rates, currency: str, day: int) -> Fraction | None:
    """What a minor unit of a currency is in minor units of the reporting one, on a day since 2000."""
    if currency == rates.reporting:
        return Fraction(1)
    rate = rates.rate(currency, rates.reporting, day_of(day))
    if rate is None:
        return None
    return Fraction(rate * 10 ** EXPONENTS[rates.reporting], RATE_SCALE * 10 ** EXPONENTS[currency])


def distinct_groups(columns: Sequence[Int64], split: Split) -> tuple[Int64, list[Labels]]:
    """(the group of each row, the labels of each group) of columns of groups of a split."""
    texts = split.groups.texts
    key = columns[0]
    for column in columns[1:]:
        key = key * len(texts) + column
    keys, group = _distinct(key, len(texts) ** len(columns))
    labels = []
    for each in keys.tolist():
        found = []
        for _ in columns:
            each, code = divmod(each, len(texts))
            found.append(texts[code])
        labels.append(tuple(reversed(found)))
    return group, labels


def _distinct(keys: Int64, bound: int) -> tuple[Int64, Int64]:
    """(the distinct keys in order, which of them each key is); `keys` lie from 0 to below `bound`."""
    if bound > _DENSE:
        distinct, which = np.unique(keys, return_inverse=True)
        return distinct, which
    # Without sorting: a table of all possible keys is smaller than the work of ordering the rows.
    place = np.zeros(bound, dtype=np.int64)
    place[keys] = 1
    distinct = np.flatnonzero(place)
    place[distinct] = np.arange(len(distinct))
    return distinct, place[keys]
