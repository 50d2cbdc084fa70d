"""The fast road: answers summed over fact tables with numpy.

Each reading says which rows count, for whom, on which day and with what; the sums are exact integers
per group (and, for money, per rate), and become rows by the same last step as on the exact road.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np

from aggregators.answer import check, rows_of, windows
from aggregators.answer import groups as empty_groups
from aggregators.calendar import Span
from aggregators.company import Company
from aggregators.kpi import Figure, Kpi, Reading, Sums
from aggregators.kpis import find_kpi
from aggregators.question import Number, Question, Row, Window
from aggregators.tables.customers import OF_CUSTOMERS
from aggregators.tables.deals import DealTable
from aggregators.tables.fast import Cells, Count, Counted, FastAsk, Labels, Piece, Weighed
from aggregators.tables.readings import OF_DEALS
from aggregators.tables.sums import column_sums, exact_sums, product_sums
from aggregators.zones import Int64

FAST: Final[Mapping[tuple[str, str], Count]] = {**OF_DEALS, **OF_CUSTOMERS}
"""The readings that the fast road knows; every other has the exact road alone."""

Parts = dict[str, Sums]


class Before(NamedTuple):
    """What one reading came to last time, in one window and split."""

    cells: Sequence[Cells]
    figures: Mapping[Labels, Figure]


Known = MutableMapping[tuple[str, str, tuple[str, ...], Span], Before]
"""What `figures` came to last time, by KPI, reading, split and window."""

_CHANCE: Final = 10**6


def is_fast(kpi: Kpi) -> bool:
    """Whether all readings of a KPI have the fast road."""
    return all((kpi.name, reading.name) in FAST for reading in kpi.readings)


def is_prompt(kpi: Kpi) -> bool:
    """Whether it is summed over the table of deals alone, which follows every change at once."""
    return all((kpi.name, reading.name) in OF_DEALS for reading in kpi.readings)


def is_of_customers(kpi: Kpi) -> bool:
    """Whether it is summed over the table of contracts, which is made anew when one of them changes."""
    return any((kpi.name, reading.name) in OF_CUSTOMERS for reading in kpi.readings)


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
            fast.ask, kpi, reading, window, _answered(fast, kpi, FAST[kpi.name, reading.name](fast, span))
        )
    ]


def figures(
    table: DealTable, company: Company, question: Question, reading: str, known: Known
) -> Iterator[tuple[Window, Mapping[Labels, Figure]]]:
    """One reading alone, window by window, as group -> figure: what its rows would hold, without rows.

    A group whose sums are those in `known` keeps its very Figure, and a window of such groups alone its very
    mapping, so that whoever shows it can tell what is new. Raises UsageError as `answer` does.
    """
    kpi = find_kpi(question.kpi)
    check(kpi, question)
    fast, one = FastAsk(table, company, question), kpi.reading(reading)
    for window, span in windows(fast.ask, kpi, one):
        name = kpi.name, reading, question.by, span
        pieces = FAST[kpi.name, reading](fast, span)
        known[name] = found = _news(fast, kpi, one, pieces, known.get(name))
        yield window, found.figures


def _news(
    fast: FastAsk, kpi: Kpi, reading: Reading, pieces: Sequence[Piece], before: Before | None
) -> Before:
    """What the pieces come to; worked out are the groups alone whose sums are not those of before."""
    cells = [each for piece in pieces for each in _cells(fast, piece)]
    empty = set(empty_groups(kpi, fast.ask.question, ()))
    if before is not None and _are_alike(cells, before.cells):
        changed = {
            labels
            for now, then in zip(cells, before.cells, strict=True)
            if now.rows is not then.rows
            for labels, row, was in zip(now.labels, now.rows, then.rows, strict=True)
            if row != was
        }
        if not changed:
            return before._replace(cells=cells)
        found = _sums(cells, empty, changed)
    else:
        found = _sums(cells, empty)
        changed = found.keys() | (set() if before is None else before.figures.keys())
    figures = {} if before is None else dict(before.figures)
    for labels in changed:
        parts = found.get(labels)
        if parts is None:
            figures.pop(labels, None)
            continue
        figure = reading.figure(fast.ask, parts)
        figure = figure if figure.value is not None else replace(figure, samples=0)
        if figures.get(labels) != figure:
            figures[labels] = figure
    return Before(cells, figures)


def _are_alike(some: Sequence[Cells], others: Sequence[Cells]) -> bool:
    """Whether they are of the same parts and groups, one by one."""
    return len(some) == len(others) and all(
        one.part == other.part and one.labels == other.labels for one, other in zip(some, others, strict=True)
    )


def _cells(fast: FastAsk, piece: Piece) -> Sequence[Cells]:
    if isinstance(piece, Counted):
        return [_counted(fast, piece)]
    if isinstance(piece, Weighed):
        return [_weighed(piece)]
    return piece.cells if piece.scale == 1 else [_scaled(cells, piece.scale) for cells in piece.cells]


def _scaled(cells: Cells, scale: Fraction) -> Cells:
    rows = [
        (has_row, over and over * scale, under and under * scale, samples)
        for has_row, over, under, samples in cells.rows
    ]
    return Cells(cells.part, cells.labels, rows)


def _counted(fast: FastAsk, counted: Counted) -> Cells:
    if not len(counted.rows):
        return Cells(counted.part, (), ())
    group, labels = fast.groups(counted)
    size = len(labels)
    here = np.ones(len(group), dtype=bool) if counted.stated is None else counted.stated
    numbers: list[Sequence[Number] | None] = []
    if any(counted.money):
        rate, rates, has_rate = fast.rate_of(counted)
        here = here & has_rate
    some = bool(here.all())
    kept_group = group if some else group[here]
    for weights, money, chance in (
        (counted.numerator, counted.money[0], counted.chance),
        (counted.denominator, counted.money[1], None),
    ):
        if weights is None:
            numbers.append(None)
            continue
        kept = weights if some else weights[here]
        factor = chance if chance is None or some else chance[here]
        if money:
            numbers.append(_converted(kept, kept_group, rate[here], rates, size, factor))
        else:
            numbers.append(exact_sums(kept, kept_group, size))
    counts = np.bincount(kept_group, minlength=size) if counted.sampled else np.zeros(size, dtype=np.int64)
    return _as_cells(counted.part, group, labels, numbers, counts)


def sums_of(pieces: Sequence[Weighed]) -> dict[Labels, Sums]:
    """The sums of each group that has a row."""
    found = _sums([_weighed(piece) for piece in pieces], ())
    return {labels: parts[""] for labels, parts in found.items()}


def _weighed(weighed: Weighed) -> Cells:
    group, size = weighed.group, len(weighed.labels)
    if not len(group):
        return Cells(weighed.part, (), ())
    numbers = [
        None if column is None else _over(column_sums(column, group, size).tolist(), scale)
        for column, scale in zip((weighed.numerator, weighed.denominator), weighed.scales, strict=True)
    ]
    counts = np.bincount(group, weighed.counts, minlength=size).astype(np.int64)
    return _as_cells(weighed.part, group, weighed.labels, numbers, counts)


def _as_cells(
    part: str,
    group: Int64,
    labels: Sequence[Labels],
    numbers: Sequence[Sequence[Number] | None],
    counts: Int64,
) -> Cells:
    none = [0] * len(labels)
    over, under = (none if column is None else column for column in numbers)
    has_row = (np.bincount(group, minlength=len(labels)) > 0).tolist()
    # A list of labels may grow later on: these are as many as there are rows.
    return Cells(part, tuple(labels), list(zip(has_row, over, under, counts.tolist(), strict=True)))


def _answered(fast: FastAsk, kpi: Kpi, pieces: Sequence[Piece]) -> dict[Labels, Parts]:
    cells = [each for piece in pieces for each in _cells(fast, piece)]
    return _sums(cells, empty_groups(kpi, fast.ask.question, ()))


def _sums(
    cells: Iterable[Cells], empty: Iterable[Labels], only: Container[Labels] | None = None
) -> dict[Labels, Parts]:
    """The sums of each group that has a row, or is there without one; of all groups, or of these only."""
    found: dict[Labels, Parts] = {
        labels: defaultdict(Sums) for labels in empty if only is None or labels in only
    }
    for each in cells:
        for labels, (has_row, over, under, samples) in zip(each.labels, each.rows, strict=True):
            if not has_row or (only is not None and labels not in only):
                continue
            parts = found.get(labels)
            if parts is None:
                parts = found[labels] = defaultdict(Sums)
            held = parts.get(each.part)
            if held is None:
                parts[each.part] = Sums(over, under, samples)
            else:
                held.numerator += over
                held.denominator += under
                held.samples += samples
    return found


def _over(sums: list[int], scale: int) -> Sequence[Number]:
    return sums if scale == 1 else [Fraction(each, scale) for each in sums]


def _converted(
    weights: Int64, group: Int64, rate: Int64, factors: list[Fraction], size: int, chance: Int64 | None
) -> Sequence[Number]:
    """Per group the exact sum of minor units in the reporting currency, times the chances."""
    if len(factors) == 1 and factors[0] == 1:
        return _natives(weights, group, size, chance)
    total: list[Number] = [0] * size
    width = len(factors)
    cells, cell = np.unique(group * width + rate, return_inverse=True)
    for at, native in zip(cells.tolist(), _natives(weights, cell, len(cells), chance), strict=True):
        factor = factors[at % width]
        total[at // width] += native if factor == 1 else native * factor
    return total


def _natives(weights: Int64, group: Int64, size: int, chance: Int64 | None) -> Sequence[Number]:
    if chance is None:
        return exact_sums(weights, group, size)
    return _over(product_sums(weights, chance, group, size), _CHANCE)
