"""The fast road: answers summed over fact tables with numpy.

Each reading says which rows count, for whom, on which day and with what; the sums are exact integers
per group (and, for money, per rate), and become rows by the same last step as on the exact road.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

import numpy as np

from aggregators.answer import check, rows_of, windows
from aggregators.answer import groups as empty_groups
from aggregators.calendar import Span
from aggregators.company import Company
from aggregators.kpi import Figure, Kpi, Sums
from aggregators.kpis import find_kpi
from aggregators.question import Number, Question, Row, Window
from aggregators.tables.customers import OF_CUSTOMERS
from aggregators.tables.deals import DealTable
from aggregators.tables.fast import Count, Counted, FastAsk, Labels, Piece, Weighed
from aggregators.tables.readings import OF_DEALS
from aggregators.tables.sums import column_sums, exact_sums, product_sums
from aggregators.zones import Int64

FAST: Final[Mapping[tuple[str, str], Count]] = {**OF_DEALS, **OF_CUSTOMERS}
"""The readings that the fast road knows; every other has the exact road alone."""

Parts = dict[str, Sums]
Known = MutableMapping[tuple[str, str, tuple[str, ...], Span], dict[Labels, tuple[Parts, Figure]]]
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
            fast.ask, kpi, reading, window, _sums(fast, kpi, FAST[kpi.name, reading.name](fast, span))
        )
    ]


def figures(
    table: DealTable, company: Company, question: Question, reading: str, known: Known
) -> Iterator[tuple[Window, Mapping[Labels, Figure]]]:
    """One reading alone, window by window, as group -> figure: what its rows would hold, without rows.

    A group whose sums are those in `known` keeps its very Figure, so that whoever shows it can tell
    what is new. Raises UsageError as `answer` does.
    """
    kpi = find_kpi(question.kpi)
    check(kpi, question)
    fast, one = FastAsk(table, company, question), kpi.reading(reading)
    for window, span in windows(fast.ask, kpi, one):
        name = kpi.name, reading, question.by, span
        held, kept = known.get(name, {}), {}
        for labels, parts in _sums(fast, kpi, FAST[kpi.name, reading](fast, span)).items():
            before = held.get(labels)
            if before is None or before[0] != parts:
                figure = one.figure(fast.ask, defaultdict(Sums, parts))
                before = parts, figure if figure.value is not None else replace(figure, samples=0)
            kept[labels] = before
        known[name] = kept
        yield window, {labels: figure for labels, (_, figure) in kept.items()}


def _sums(fast: FastAsk, kpi: Kpi, pieces: Sequence[Piece]) -> dict[Labels, Parts]:
    found: dict[Labels, Parts] = {
        labels: defaultdict(Sums) for labels in empty_groups(kpi, fast.ask.question, ())
    }
    for piece in pieces:
        if isinstance(piece, Counted):
            _add_counted(fast, piece, found)
        elif isinstance(piece, Weighed):
            _add_weighed(piece, found)
        else:
            for contribution in piece:
                parts = found.setdefault(contribution.by, defaultdict(Sums))
                parts[contribution.part].add(contribution)
    return found


def _add_counted(fast: FastAsk, counted: Counted, found: dict[Labels, Parts]) -> None:
    if not len(counted.rows):
        return
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
    _add(found, group, labels, counted.part, numbers, counts)


def sums_of(pieces: Sequence[Weighed]) -> dict[Labels, Sums]:
    """The sums of each group that has a row."""
    found: dict[Labels, Parts] = {}
    for piece in pieces:
        _add_weighed(piece, found)
    return {labels: parts[""] for labels, parts in found.items()}


def _add_weighed(weighed: Weighed, found: dict[Labels, Parts]) -> None:
    group, size = weighed.group, len(weighed.labels)
    if not len(group):
        return
    numbers = [
        None if column is None else _over(column_sums(column, group, size).tolist(), scale)
        for column, scale in zip((weighed.numerator, weighed.denominator), weighed.scales, strict=True)
    ]
    counts = np.bincount(group, weighed.counts, minlength=size).astype(np.int64)
    _add(found, group, weighed.labels, weighed.part, numbers, counts)


def _add(
    found: dict[Labels, Parts],
    group: Int64,
    labels: Sequence[Labels],
    part: str,
    numbers: Sequence[Sequence[Number] | None],
    counts: Int64,
) -> None:
    """Add the sums of the groups that have a row."""
    numerators, denominators = numbers
    samples = counts.tolist()
    for at in np.flatnonzero(np.bincount(group, minlength=len(labels))).tolist():
        parts = found.get(labels[at])
        if parts is None:
            parts = found[labels[at]] = defaultdict(Sums)
        over = 0 if numerators is None else numerators[at]
        under = 0 if denominators is None else denominators[at]
        held = parts.get(part)
        if held is None:
            parts[part] = Sums(over, under, samples[at])
        else:
            held.numerator += over
            held.denominator += under
            held.samples += samples[at]


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
