"""The fast road: the KPIs about opportunities, summed over fact tables with numpy.

Each reading says which deals count, for whom, on which day and with what; the sums are exact integers
per group (and, for money, per rate), and become rows by the same last step as on the exact road.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np

from aggregators.answer import check, rows_of, windows
from aggregators.answer import groups as empty_groups
from aggregators.ask import Ask
from aggregators.calendar import ALWAYS, Span
from aggregators.company import Company
from aggregators.deal_facts import NO_DATE, UNKNOWN
from aggregators.kpi import Figure, Kpi, Sums
from aggregators.kpis import find_kpi
from aggregators.money import RATE_SCALE, Rates
from aggregators.question import Number, Question, Row, Window
from aggregators.tables.cut import Cut
from aggregators.tables.deals import DealTable
from aggregators.tables.split import Split, day_number, day_of
from aggregators.zones import Int64
from events.currencies import EXPONENTS

_DENSE: Final = 4_000_000
"""Up to so many possible groups are looked up in a table instead of sorted."""


@dataclass(slots=True)
class Counted:
    """The deals of a reading, as row numbers of a cut, and what each adds.

    `owner` names the column of the rep who gets the credit; `day` (days since 2000) decides his team.
    Numerator and denominator are int64 columns of these deals, or None for 0; `money` says that they
    are native minor units to be converted at the rate of `rate_day`. `samples` marks what is a sample.
    """

    rows: Int64
    owner: str
    day: Int64
    numerator: Int64 | None
    denominator: Int64 | None = None
    money: tuple[bool, bool] = (False, False)
    samples: Any = None


class FastAsk:
    """One question's instant over the tables, with everything that can be shared between questions."""

    def __init__(self, table: DealTable, company: Company, question: Question) -> None:
        self.ask = Ask(company, question)
        self.table = table
        self.cut = _kept_cut(table, question.as_of_ms)
        self.split: Split = company.derived(
            Split, lambda: Split(company, self.ask.people, self.ask.accounts), "employee", "account"
        )
        self.as_of_day = day_number(self.ask.as_of_on)

    def inside(self, column: str, span: Span) -> Any:
        """Whether the days of a column lie in a span."""
        days = self.cut[column]
        return (days >= day_number(span.start)) & (days <= day_number(span.end)) & (days != NO_DATE)

    def rate_days(self, rows: Int64) -> Int64:
        """The day whose rate prices each deal: that of the close, of open ones the as-of day (G4)."""
        closed = self.cut["closed_day"][rows].astype(np.int64)
        return np.where(closed == NO_DATE, self.as_of_day, closed)


_cuts: dict[int, tuple[DealTable, int, Cut]] = {}


def _kept_cut(table: DealTable, as_of_ms: int) -> Cut:
    """The cut of a table at an instant; the last one is kept, since one refresh asks it many things."""
    kept = _cuts.get(id(table))
    if kept is None or kept[0] is not table or kept[1] != table.version or kept[2].as_of_ms != as_of_ms:
        _cuts.clear()
        kept = _cuts[id(table)] = table, table.version, Cut(table, as_of_ms)
    return kept[2]


Count = Callable[[FastAsk, Span], Counted]


def _ones(rows: Int64) -> Int64:
    return np.ones(len(rows), dtype=np.int64)


def _created(fast: FastAsk, span: Span) -> Int64:
    if span == ALWAYS:  # one of unknown creation is in no window of days, but it was created
        return np.flatnonzero(fast.cut.exists | (fast.cut["created"] == UNKNOWN))
    return np.flatnonzero(fast.cut.exists & fast.inside("created_day", span))


def _closed(fast: FastAsk, span: Span, which: Any) -> Int64:
    return np.flatnonzero(which & fast.inside("closed_day", span))


def _amounts(fast: FastAsk, rows: Int64) -> tuple[Int64, Any]:
    """(minor units with 0 where none was stated, whether one was stated)."""
    amount = fast.cut["amount"][rows]
    stated = amount != UNKNOWN
    return np.where(stated, amount, 0), stated


def _days(fast: FastAsk, column: str, rows: Int64) -> Int64:
    days = fast.cut[column][rows].astype(np.int64)
    return np.where(days == NO_DATE, fast.as_of_day, days)


def created_count(fast: FastAsk, span: Span) -> Counted:
    rows = _created(fast, span)
    return Counted(rows, "creator", _days(fast, "created_day", rows), _ones(rows))


def created_amount(fast: FastAsk, span: Span) -> Counted:
    rows = _created(fast, span)
    amount, stated = _amounts(fast, rows)
    day = _days(fast, "created_day", rows)
    return Counted(rows, "creator", day, amount, money=(True, False), samples=stated)


def _close(which: str, *, money: bool) -> Count:
    def count(fast: FastAsk, span: Span) -> Counted:
        rows = _closed(fast, span, getattr(fast.cut, which))
        day = _days(fast, "closed_day", rows)
        if not money:
            return Counted(rows, "closer", day, _ones(rows))
        amount, stated = _amounts(fast, rows)
        return Counted(rows, "closer", day, amount, money=(True, False), samples=stated)

    return count


def win_rate_closed(fast: FastAsk, span: Span) -> Counted:
    rows = _closed(fast, span, fast.cut.won | fast.cut.lost)
    won = fast.cut.won[rows].astype(np.int64)
    return Counted(rows, "closer", _days(fast, "closed_day", rows), won, _ones(rows))


def _cohort(state: str) -> Count:
    def count(fast: FastAsk, span: Span) -> Counted:
        rows = _created(fast, span)
        rows = rows[~fast.cut.omitted[rows]]
        hit = getattr(fast.cut, state)[rows].astype(np.int64)
        return Counted(rows, "creator", _days(fast, "created_day", rows), hit, _ones(rows))

    return count


def win_rate_amount(fast: FastAsk, span: Span) -> Counted:
    rows = _closed(fast, span, fast.cut.won | fast.cut.lost)
    amount, stated = _amounts(fast, rows)
    won = np.where(fast.cut.won[rows], amount, 0)
    day = _days(fast, "closed_day", rows)
    return Counted(rows, "closer", day, won, amount, money=(True, True), samples=stated)


def _open(fast: FastAsk) -> tuple[Int64, Int64]:
    rows = np.flatnonzero(fast.cut.open)
    return rows, np.full(len(rows), fast.as_of_day, dtype=np.int64)


def open_count(fast: FastAsk, _: Span) -> Counted:
    rows, day = _open(fast)
    return Counted(rows, "owner", day, _ones(rows))


def open_amount(fast: FastAsk, _: Span) -> Counted:
    rows, day = _open(fast)
    amount, stated = _amounts(fast, rows)
    return Counted(rows, "owner", day, amount, money=(True, False), samples=stated)


def _idle(column: str) -> Count:
    def count(fast: FastAsk, _: Span) -> Counted:
        rows, day = _open(fast)
        since = fast.cut[column][rows]
        known = since != UNKNOWN
        rows, day, since = rows[known], day[known], since[known]
        return Counted(rows, "owner", day, fast.cut.as_of_ms - since, _ones(rows))

    return count


def _stalled(fast: FastAsk) -> tuple[Int64, Int64]:
    rows = np.flatnonzero(fast.cut.open & (fast.cut.as_of_ms > fast.cut["stalls_at"]))
    return rows, np.full(len(rows), fast.as_of_day, dtype=np.int64)


def stalled_count(fast: FastAsk, _: Span) -> Counted:
    rows, day = _stalled(fast)
    return Counted(rows, "owner", day, _ones(rows))


def stalled_amount(fast: FastAsk, _: Span) -> Counted:
    rows, day = _stalled(fast)
    amount, stated = _amounts(fast, rows)
    return Counted(rows, "owner", day, amount, money=(True, False), samples=stated)


def sales_cycle(fast: FastAsk, span: Span) -> Counted:
    rows = _closed(fast, span, fast.cut.won)
    cycle = fast.cut["cycle"][rows]
    known = cycle != UNKNOWN  # a deal of unknown creation is listed, and is no sample
    day = _days(fast, "closed_day", rows)
    return Counted(rows, "closer", day, np.where(known, cycle, 0), known.astype(np.int64), samples=known)


def deal_size(fast: FastAsk, span: Span) -> Counted:
    rows = _closed(fast, span, fast.cut.won)
    amount, stated = _amounts(fast, rows)
    day = _days(fast, "closed_day", rows)
    return Counted(rows, "closer", day, amount, stated.astype(np.int64), money=(True, False), samples=stated)


def _unpriced(which: str) -> Count:
    def count(fast: FastAsk, span: Span) -> Counted:
        is_open = which == "open"
        rows = np.flatnonzero(fast.cut.open) if is_open else _closed(fast, span, getattr(fast.cut, which))
        rows = rows[fast.cut["amount"][rows] != UNKNOWN]
        _, _, has_rate = _rate_of(fast, rows)
        rows = rows[~has_rate]
        owner = "owner" if is_open else "closer"
        return Counted(rows, owner, _days(fast, "closed_day", rows), _ones(rows))

    return count


FAST: Final[Mapping[tuple[str, str], Count]] = {
    ("created", "count"): created_count,
    ("created", "amount"): created_amount,
    ("new_opportunities", "count"): created_count,
    ("new_opportunities", "amount"): created_amount,
    ("won", "count"): _close("won", money=False),
    ("won", "amount"): _close("won", money=True),
    ("lost", "count"): _close("lost", money=False),
    ("lost", "amount"): _close("lost", money=True),
    ("open", "count"): open_count,
    ("open", "amount"): open_amount,
    ("win_rate", "closed_count"): win_rate_closed,
    ("win_rate", "cohort"): _cohort("won"),
    ("win_rate", "cohort_open"): _cohort("open"),
    ("win_rate", "closed_amount"): win_rate_amount,
    ("stagnation", "stagnation"): _idle("forward"),
    ("stagnation", "age"): _idle("created"),
    ("stagnation", "time_in_stage"): _idle("entered"),
    ("stalled", "count"): stalled_count,
    ("stalled", "amount"): stalled_amount,
    ("sales_cycle", "mean"): sales_cycle,
    ("deal_size", "mean"): deal_size,
    ("unpriced_opportunities", "open"): _unpriced("open"),
    ("unpriced_opportunities", "won"): _unpriced("won"),
    ("unpriced_opportunities", "lost"): _unpriced("lost"),
}
"""The readings that the fast road knows; every other has the exact road alone."""


def is_fast(kpi: Kpi) -> bool:
    """Whether all readings of a KPI have the fast road."""
    return all((kpi.name, reading.name) in FAST for reading in kpi.readings)


def answer(table: DealTable, company: Company, question: Question) -> list[Row]:
    """The same rows as `aggregators.answer.answer`, for a KPI that `is_fast`.

    `company` holds everything but the opportunities. Raises UsageError as the exact road does.
    """
    kpi = find_kpi(question.kpi)
    check(kpi, question)
    fast = FastAsk(table, company, question)
    return [
        row
        for reading in kpi.readings
        for window, span in windows(fast.ask, kpi, reading)
        for row in rows_of(
            fast.ask,
            kpi,
            reading,
            window,
            _sums(fast, kpi, FAST[kpi.name, reading.name](fast, span)),
        )
    ]


def figures(
    table: DealTable, company: Company, question: Question, reading: str
) -> Iterator[tuple[Window, Mapping[tuple[str, ...], Figure]]]:
    """One reading alone, window by window, as group -> figure: what its rows would hold, without rows.

    Raises UsageError as `answer` does.
    """
    kpi = find_kpi(question.kpi)
    check(kpi, question)
    fast, one = FastAsk(table, company, question), kpi.reading(reading)
    for window, span in windows(fast.ask, kpi, one):
        sums = _sums(fast, kpi, FAST[kpi.name, reading](fast, span))
        yield window, {labels: one.figure(fast.ask, parts) for labels, parts in sums.items()}


def _sums(fast: FastAsk, kpi: Kpi, counted: Counted) -> dict[tuple[str, ...], Mapping[str, Sums]]:
    found = dict(empty_groups(kpi, fast.ask.question, ()))
    if not len(counted.rows):
        return found
    group, labels = _groups(fast, counted)
    size = len(labels)
    samples = counted.samples if counted.samples is not None else np.ones(len(counted.rows), dtype=bool)
    priced = samples
    if any(counted.money):
        rate, rates, has_rate = _rate_of(fast, counted.rows)
        priced = samples & has_rate
    sums: list[Sequence[Number]] = []
    for weights, money in zip((counted.numerator, counted.denominator), counted.money, strict=True):
        if weights is None:
            sums.append([0] * size)
        elif money:
            sums.append(_converted(weights[priced], group[priced], rate[priced], rates, size))
        elif any(counted.money):
            sums.append(exact_sums(weights[priced], group[priced], size))
        else:
            sums.append(exact_sums(weights, group, size))
    counts = np.bincount(group[priced], minlength=size).tolist()
    for label, numerator, denominator, count in zip(labels, *sums, counts, strict=True):
        found[label] = {"": Sums(numerator, denominator, count)}
    return found


def _groups(fast: FastAsk, counted: Counted) -> tuple[Int64, list[tuple[str, ...]]]:
    """(the group of each row, the labels of each group)."""
    by = fast.ask.question.by
    if not by:
        return np.zeros(len(counted.rows), dtype=np.int64), [()]
    columns = [_dimension(fast, counted, dimension) for dimension in by]
    texts = fast.split.groups.texts
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


def _dimension(fast: FastAsk, counted: Counted, dimension: str) -> Int64:
    cut, split, table, rows = fast.cut, fast.split, fast.table, counted.rows
    match dimension:
        case "rep":
            return split.reps(cut[counted.owner][rows], table.names)
        case "team" | "manager":
            reps = split.reps(cut[counted.owner][rows], table.names)
            days = counted.day
            if fast.ask.attribution == "current":
                days = np.full(len(rows), fast.as_of_day, dtype=np.int64)
            return split.on_day(dimension, reps, days)
        case "segment" | "region":
            return split.of_account(dimension, cut["account"][rows], table.names)
        case "lead_source":
            return split.texts(cut["lead_source"][rows], table.names)
        case "type":
            return split.types(cut["type"][rows])
        case "pipeline":
            return split.texts(cut["pipeline"][rows], table.labels)
        case "stage":
            return _stages(fast, rows)
        case _:
            return split.texts(cut[dimension][rows], table.labels)


def _stages(fast: FastAsk, rows: Int64) -> Int64:
    """The stage, as `pipeline/stage` where the company has several pipelines."""
    stage = fast.cut["stage"][rows]
    if len(fast.ask.meaning.pipelines) == 1:
        return fast.split.texts(stage, fast.table.labels)
    texts = fast.table.labels.texts
    pairs, which = np.unique(fast.cut["pipeline"][rows].astype(np.int64) << 32 | stage, return_inverse=True)
    named = [
        f"{texts[pair >> 32]}/{texts[pair & 0xFFFFFFFF]}" if pair & 0xFFFFFFFF else ""
        for pair in pairs.tolist()
    ]
    return fast.split.texts(which, named)


def _rate_of(fast: FastAsk, rows: Int64) -> tuple[Int64, list[Fraction], Any]:
    """(which rate each row has, the rates as factors between minor units, whether there is one)."""
    rates, texts = fast.ask.rates, fast.table.labels.texts
    currency, day = fast.cut["currency"][rows].astype(np.int64), fast.rate_days(rows)
    own = fast.table.labels[rates.reporting]
    if (currency == own).all():
        return np.zeros(len(rows), dtype=np.int64), [Fraction(1)], np.ones(len(rows), dtype=bool)
    day = np.where(currency == own, 0, day)
    if not len(rows):
        return currency, [], np.zeros(0, dtype=bool)
    pairs, which = np.unique(currency * 2**22 + day + 2**21, return_inverse=True)
    factors, known = [], []
    for pair in pairs.tolist():
        factor = _factor(rates, texts[pair >> 22], (pair & (2**22 - 1)) - 2**21)
        factors.append(factor or Fraction(0))
        known.append(factor is not None)
    return which, factors, np.array(known)[which]


def _factor(rates: Rates, currency: str, day: int) -> Fraction | None:
    if currency == rates.reporting:
        return Fraction(1)
    rate = rates.rate(currency, rates.reporting, day_of(day))
    if rate is None:
        return None
    return Fraction(rate * 10 ** EXPONENTS[rates.reporting], RATE_SCALE * 10 ** EXPONENTS[currency])


def _converted(weights: Int64, group: Int64, rate: Int64, factors: list[Fraction], size: int) -> list[Number]:
    """Per group the exact sum of minor units in the reporting currency."""
    total: list[Number] = [0] * size
    width = len(factors)
    if width == 1 and factors[0] == 1:
        return list(exact_sums(weights, group, size))
    cells, cell = np.unique(group * width + rate, return_inverse=True)
    for at, native in zip(cells.tolist(), exact_sums(weights, cell, len(cells)), strict=True):
        factor = factors[at % width]
        total[at // width] += native if factor == 1 else native * factor
    return total


def exact_sums(weights: Int64, group: Int64, size: int) -> list[int]:
    """Per group the sum of int64 weights, exact: beyond 2^62 it is carried as Python integers."""
    if not len(weights):
        return [0] * size
    largest = max(abs(int(weights.max())), abs(int(weights.min())))
    if largest * len(weights) < 2**62:
        sums = np.zeros(size, dtype=np.int64)
        np.add.at(sums, group, weights)
        found: list[int] = sums.tolist()
        return found
    high, low = weights >> 31, weights & (2**31 - 1)  # each part of at most 2^31 rows fits
    return [
        (above << 31) + below
        for above, below in zip(exact_sums(high, group, size), exact_sums(low, group, size), strict=True)
    ]
