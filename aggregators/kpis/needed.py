"""Needed: how many new opportunities a target takes. KPI 3."""

from collections.abc import Iterator, Mapping
from fractions import Fraction

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import TARGET_DIMENSIONS, Contribution, Figure, Kpi, Reading, Sums, Text
from aggregators.kpis import target, win_rate
from aggregators.kpis.target import part_of

WIN_RATE = "win rate of trailing 12 months"


def count(ask: Ask, window: Span) -> Iterator[Contribution]:
    """The parts of target wins / win rate: the target, the deal size it may need, and the win rate."""
    yield from target.wins(ask, window)
    yield from part_of(win_rate.closed_count(ask, target.trailing(ask, window)), WIN_RATE)


def wins_over_rate(_: Ask, parts: Mapping[str, Sums]) -> Figure:
    """Target wins / win rate; none without a target, or where nothing was won or lost."""
    wanted, rate = target.of_parts(parts), parts[WIN_RATE].quotient
    value = None if wanted is None or not rate else Fraction(wanted) / rate
    return Figure(value, parts[WIN_RATE].samples, wanted, rate)


NEEDED = Kpi(
    name="needed",
    number=3,
    version=1,
    title=Text("Opportunities needed", "所需新商機數"),
    definition=Text(
        "Target wins of the window / win rate of the trailing 12 months: 4 wins at a rate of 4 in 7 take 7 "
        "opportunities. Where a target has only an amount, wins = amount / deal size of the trailing 12 months.",
        "期間目標贏單數 / 近 12 個月贏率:贏率為 7 件贏 4 件時,贏 4 件需要 7 筆商機。"
        "僅訂有金額者,贏單數 = 金額 / 近 12 個月平均成交金額。",
    ),
    dimensions=TARGET_DIMENSIONS,
    readings=(
        Reading(
            "count",
            Text("count", "筆數"),
            "count",
            count,
            ("count", "ratio"),
            additive=False,
            compose=wins_over_rate,
            part_units={WIN_RATE: ("count", "count"), **target.PART_UNITS},
            by_days=True,
        ),
    ),
)
