"""The readings about opportunities on the fast road: which deals count, for whom, on which day, with what."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, Final

import numpy as np

from aggregators.ask import Ask
from aggregators.calendar import ALWAYS, Span
from aggregators.deal_facts import UNKNOWN
from aggregators.kpi import Contribution
from aggregators.kpis import needed, pace, target, velocity
from aggregators.kpis.attainment import WON
from aggregators.rows import CATEGORIES
from aggregators.tables.cut import Cut
from aggregators.tables.fast import Cells, Count, Counted, FastAsk, Piece, Stated, summed
from aggregators.tables.split import day_number
from aggregators.zones import Int64

One = Callable[[FastAsk, Span], Counted]


def _ones(rows: Int64) -> Int64:
    return np.ones(len(rows), dtype=np.int64)


def _created(fast: FastAsk, span: Span) -> Int64:
    if span == ALWAYS:  # one of unknown creation is in no window of days, but it was created
        return np.flatnonzero(fast.cut.exists | (fast.cut["created"] == UNKNOWN))
    return np.flatnonzero(fast.cut.exists & fast.inside("created_day", span))


def _closed(fast: FastAsk, span: Span, which: Any) -> Int64:
    return np.flatnonzero(which & fast.inside("closed_day", span))


def _amounts(cut: Cut, rows: Int64) -> tuple[Int64, Any]:
    """(minor units with 0 where none was stated, whether one was stated)."""
    amount = cut["amount"][rows]
    stated = amount != UNKNOWN
    return np.where(stated, amount, 0), stated


def created_count(fast: FastAsk, span: Span) -> Counted:
    """Deals created in the window."""
    rows = _created(fast, span)
    return Counted(fast.cut, rows, "creator", "created_day", _ones(rows), undated=span == ALWAYS)


def created_amount(fast: FastAsk, span: Span) -> Counted:
    """Their amount as of the instant."""
    rows = _created(fast, span)
    amount, stated = _amounts(fast.cut, rows)
    return Counted(
        fast.cut,
        rows,
        "creator",
        "created_day",
        amount,
        money=(True, False),
        stated=stated,
        undated=span == ALWAYS,
    )


def _close(which: str, *, money: bool) -> One:
    def count(fast: FastAsk, span: Span) -> Counted:
        rows = _closed(fast, span, getattr(fast.cut, which))
        if not money:
            return Counted(fast.cut, rows, "closer", "closed_day", _ones(rows))
        amount, stated = _amounts(fast.cut, rows)
        return Counted(fast.cut, rows, "closer", "closed_day", amount, money=(True, False), stated=stated)

    return count


won_count, won_amount = _close("won", money=False), _close("won", money=True)


def win_rate_closed(fast: FastAsk, span: Span) -> Counted:
    """Won, of those won or lost in the window."""
    rows = _closed(fast, span, fast.cut.won | fast.cut.lost)
    won = fast.cut.won[rows].astype(np.int64)
    return Counted(fast.cut, rows, "closer", "closed_day", won, _ones(rows))


def _cohort(state: str) -> One:
    def count(fast: FastAsk, span: Span) -> Counted:
        rows = _created(fast, span)
        rows = rows[~fast.cut.omitted[rows]]
        hit = getattr(fast.cut, state)[rows].astype(np.int64)
        return Counted(fast.cut, rows, "creator", "created_day", hit, _ones(rows), undated=span == ALWAYS)

    return count


def win_rate_amount(fast: FastAsk, span: Span) -> Counted:
    """The same by amount."""
    rows = _closed(fast, span, fast.cut.won | fast.cut.lost)
    amount, stated = _amounts(fast.cut, rows)
    won = np.where(fast.cut.won[rows], amount, 0)
    return Counted(fast.cut, rows, "closer", "closed_day", won, amount, money=(True, True), stated=stated)


def _open(fast: FastAsk) -> Int64:
    return np.flatnonzero(fast.cut.open)


def open_count(fast: FastAsk, _: Span) -> Counted:
    """Deals open at the instant."""
    rows = _open(fast)
    return Counted(fast.cut, rows, "owner", "", _ones(rows))


def _of_open(rows_of: Callable[[FastAsk, Span], Int64]) -> One:
    """The amount of some open deals."""

    def count(fast: FastAsk, span: Span) -> Counted:
        rows = rows_of(fast, span)
        amount, stated = _amounts(fast.cut, rows)
        return Counted(fast.cut, rows, "owner", "", amount, money=(True, False), stated=stated)

    return count


open_amount = _of_open(lambda fast, _: _open(fast))


def _idle(column: str) -> One:
    def count(fast: FastAsk, _: Span) -> Counted:
        rows = _open(fast)
        since = fast.cut[column][rows]
        known = since != UNKNOWN
        rows, since = rows[known], since[known]
        return Counted(fast.cut, rows, "owner", "", fast.cut.as_of_ms - since, _ones(rows))

    return count


def _stalled(fast: FastAsk, _: Span) -> Int64:
    return np.flatnonzero(fast.cut.open & (fast.cut.as_of_ms > fast.cut["stalls_at"]))


def stalled_count(fast: FastAsk, span: Span) -> Counted:
    """Open deals past the threshold of their stage."""
    rows = _stalled(fast, span)
    return Counted(fast.cut, rows, "owner", "", _ones(rows))


def sales_cycle(fast: FastAsk, span: Span) -> Counted:
    """From creation to close; a deal of unknown creation is listed, and is no sample."""
    rows = _closed(fast, span, fast.cut.won)
    cycle = fast.cut["cycle"][rows]
    known = cycle != UNKNOWN
    ones = known.astype(np.int64)
    return Counted(fast.cut, rows, "closer", "closed_day", np.where(known, cycle, 0), ones, stated=known)


def deal_size(fast: FastAsk, span: Span) -> Counted:
    """Amount won over deals won that have a price."""
    rows = _closed(fast, span, fast.cut.won)
    amount, stated = _amounts(fast.cut, rows)
    ones = stated.astype(np.int64)
    return Counted(fast.cut, rows, "closer", "closed_day", amount, ones, money=(True, False), stated=stated)


def _unpriced(which: str) -> One:
    def count(fast: FastAsk, span: Span) -> Counted:
        is_open = which == "open"
        rows = _open(fast) if is_open else _closed(fast, span, getattr(fast.cut, which))
        rows = rows[fast.cut["amount"][rows] != UNKNOWN]
        owner, day = ("owner", "") if is_open else ("closer", "closed_day")
        _, _, has_rate = fast.rate_of(Counted(fast.cut, rows, owner, day, None))
        rows = rows[~has_rate]
        return Counted(fast.cut, rows, owner, day, _ones(rows))

    return count


def _expected(fast: FastAsk, span: Span) -> Int64:
    return np.flatnonzero(fast.cut.open & fast.inside("expected_day", span))


def _forecast(category: str) -> One:
    code = CATEGORIES.index(category)

    def rows_of(fast: FastAsk, span: Span) -> Int64:
        rows = _expected(fast, span)
        return rows[fast.cut["category"][rows] == code]

    return _of_open(rows_of)


def weighted_forecast(fast: FastAsk, span: Span) -> Counted:
    """Probability x amount of the open deals expected in the window."""
    counted = _of_open(_expected)(fast, span)
    counted.chance = fast.cut["probability"][counted.rows].astype(np.int64)
    return counted


def _part(counted: Counted, name: str) -> Counted:
    counted.part = name
    return counted


def _stated(
    fast: FastAsk, span: Span, state: Callable[[Ask, Span], Iterable[Contribution]], scale: Fraction
) -> Stated:
    """What targets state for a window, kept until one of them, people or rates change; `scale` of it."""
    ask = fast.ask
    kept: dict[object, list[Cells]] = fast.company.derived(
        ("stated", ask.as_of_on, ask.now_on), dict, "target", "employee", "fx_rate"
    )
    key = state, span, fast.question.by, ask.attribution
    if key not in kept:
        kept[key] = summed(state(ask, span))
    return Stated(kept[key], scale)


def _wins_stated(ask: Ask, span: Span) -> Iterator[Contribution]:
    return target.stated_wins(ask, span, pace.WHOLE)


def _amount_stated(ask: Ask, span: Span) -> Iterator[Contribution]:
    return target.as_denominator(ask, span, pace.WHOLE)


def target_amount(fast: FastAsk, span: Span) -> list[Piece]:
    """The targets themselves are few: they are those of the exact road."""
    return [_stated(fast, span, target.amount, pace.WHOLE)]


def target_wins(fast: FastAsk, span: Span) -> list[Piece]:
    """The wins stated, and the deal size for those stated as amounts."""
    return _target_wins(fast, span, passed=False)


def _target_wins(fast: FastAsk, span: Span, *, passed: bool) -> list[Piece]:
    stated = _stated(fast, span, _wins_stated, pace.passed(fast.ask, span) if passed else pace.WHOLE)
    if not any(cells.part == target.STATED_AMOUNT for cells in stated.cells):
        return [stated]
    return [stated, _part(deal_size(fast, target.trailing(fast.ask, span)), target.DEAL_SIZE)]


def _attainment(*, passed: bool, wins: bool) -> Count:
    def by_wins(fast: FastAsk, span: Span) -> list[Piece]:
        return [_part(won_count(fast, span), WON), *_target_wins(fast, span, passed=passed)]

    def by_amount(fast: FastAsk, span: Span) -> list[Piece]:
        won = won_amount(fast, span)
        won.sampled = False
        scale = pace.passed(fast.ask, span) if passed else pace.WHOLE
        return [won, _stated(fast, span, _amount_stated, scale)]

    return by_wins if wins else by_amount


def needed_count(fast: FastAsk, span: Span) -> list[Piece]:
    """Target wins, and the win rate of the trailing twelve months."""
    rate = _part(win_rate_closed(fast, target.trailing(fast.ask, span)), needed.WIN_RATE)
    return [*target_wins(fast, span), rate]


def coverage_amount(fast: FastAsk, span: Span) -> list[Piece]:
    """The open amount expected in the window, over target less won."""
    expected, won = _of_open(_expected)(fast, span), won_amount(fast, span)
    amounts = won.numerator
    assert amounts is not None
    won.numerator, won.denominator, won.money = None, -amounts, (False, True)
    expected.sampled = won.sampled = False
    return [expected, won, _stated(fast, span, _amount_stated, pace.WHOLE)]


def velocity_amount(fast: FastAsk, span: Span) -> list[Piece]:
    """Deals open at the window's end, and the rate, size and cycle of those closed in it."""
    calendar = fast.ask.calendar
    end_ms = min(calendar.end_ms(span.end), fast.ask.as_of_ms)
    cut = fast.cut_at(end_ms)
    rows = np.flatnonzero(cut.open)
    on = day_number(calendar.day(end_ms))
    return [
        Counted(cut, rows, "owner", "", _ones(rows), part=velocity.OPEN, on=on),
        _part(win_rate_closed(fast, span), velocity.WIN_RATE),
        _part(deal_size(fast, span), velocity.DEAL_SIZE),
        _part(sales_cycle(fast, span), velocity.CYCLE),
    ]


def _one(count: One) -> Count:
    """A reading of one piece, which is the same for every split: teams and reps share it."""

    def counted(fast: FastAsk, span: Span) -> list[Piece]:
        key = count, span, fast.ask.rates
        kept = fast.cut.kept.get(key)
        if kept is None:
            kept = fast.cut.kept[key] = count(fast, span)
        return [kept]

    return counted


_ONES: Mapping[tuple[str, str], One] = {
    ("created", "count"): created_count,
    ("created", "amount"): created_amount,
    ("new_opportunities", "count"): created_count,
    ("new_opportunities", "amount"): created_amount,
    ("won", "count"): won_count,
    ("won", "amount"): won_amount,
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
    ("stalled", "amount"): _of_open(_stalled),
    ("sales_cycle", "mean"): sales_cycle,
    ("deal_size", "mean"): deal_size,
    ("unpriced_opportunities", "open"): _unpriced("open"),
    ("unpriced_opportunities", "won"): _unpriced("won"),
    ("unpriced_opportunities", "lost"): _unpriced("lost"),
    ("weighted_forecast", "amount"): weighted_forecast,
    ("forecast", "commit"): _forecast("commit"),
    ("forecast", "best_case"): _forecast("best_case"),
    ("forecast", "pipeline"): _forecast("pipeline"),
}

OF_DEALS: Final[Mapping[tuple[str, str], Count]] = {
    **{name: _one(count) for name, count in _ONES.items()},
    ("target", "amount"): target_amount,
    ("target", "wins"): target_wins,
    ("attainment", "amount"): _attainment(passed=False, wins=False),
    ("attainment", "wins"): _attainment(passed=False, wins=True),
    ("pace", "amount"): _attainment(passed=True, wins=False),
    ("pace", "wins"): _attainment(passed=True, wins=True),
    ("needed", "count"): needed_count,
    ("coverage", "amount"): coverage_amount,
    ("velocity", "amount"): velocity_amount,
}
"""The readings over the table of deals."""
