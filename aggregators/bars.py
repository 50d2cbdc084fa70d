"""Figures as they are shown where they must add up to the last digit: the bars of a waterfall.

Rounded each alone, a start of 110.06, a change of 20.01 and an end of 130.06 need not close. So a bar is what
rounding makes of the sum with it, less what it makes of the sum before it: less than a minor unit away from its
exact amount, and all of them together come to the end as it is shown. The exact amounts are in `explain`.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from aggregators.kpi import Partition
from aggregators.kpis import registry
from aggregators.question import Number, Row


def shown(rows: Iterable[Row]) -> list[Row]:
    """The rows in their order, those of a bridge in whole minor units that add up; all others as they are."""
    found = list(rows)
    bridges: defaultdict[object, list[int]] = defaultdict(list)
    for at, row in enumerate(found):
        if _partition(row) is not None:
            bridges[row.kpi, row.reading, row.window, row.as_of_ms, row.by[:-1]].append(at)
    for bars in bridges.values():
        partition = _partition(found[bars[0]])
        assert partition is not None
        total: Number = 0
        for at in sorted(bars, key=lambda each: partition.values.index(found[each].by[-1][1])):
            row = found[at]
            value = row.value or 0
            if row.by[-1][1] == partition.values[-1]:
                found[at] = replace(row, value=round(value))
                continue
            found[at] = replace(row, value=round(total + value) - round(total))
            total += value
    return found


def _partition(row: Row) -> Partition | None:
    """The parts of the bridge that a row is a bar of; None for any other row."""
    kpi = registry().get(row.kpi)
    partition = None if kpi is None else kpi.partition
    return partition if partition is not None and partition.is_bridge else None
