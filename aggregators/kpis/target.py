"""Target: what a rep, a team or the company should win in a window."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import TARGET_DIMENSIONS, Contribution, Figure, Kpi, Reading, Sums, Text, Unit
from aggregators.kpis import deal_size
from aggregators.opportunity import NO_RATE
from aggregators.question import Number
from aggregators.targets import AMOUNT, WINS, Measure, Targets

STATED_WINS, STATED_AMOUNT, DEAL_SIZE = "wins stated", "amount stated", "deal size of trailing 12 months"


PART_UNITS: Mapping[str, tuple[Unit, Unit]] = {
    STATED_WINS: ("count", "count"),
    STATED_AMOUNT: ("money", "money"),
    DEAL_SIZE: ("money", "count"),
}


def amount(ask: Ask, window: Span) -> Iterator[Contribution]:
    """The target amounts of the window, pro rata by days where only a coarser one was stated."""
    return pieces(ask, window, AMOUNT)


def wins(ask: Ask, window: Span) -> Iterator[Contribution]:
    """The wins stated; where a target has only an amount, that amount, and the deal size to divide it by."""
    return wins_of(ask, window, Fraction(1))


def wins_of(ask: Ask, window: Span, scale: Fraction) -> Iterator[Contribution]:
    """The parts of `scale` of the target wins; the deal size only where some target states an amount."""
    stated = list(stated_wins(ask, window, scale))
    yield from stated
    if needs_deal_size(stated):
        yield from part_of(deal_size.mean(ask, trailing(ask, window)), DEAL_SIZE)


def stated_wins(ask: Ask, window: Span, scale: Fraction) -> Iterator[Contribution]:
    """What the targets state, in wins where they do, else in money; `scale` of it."""
    return pieces(ask, window, WINS, AMOUNT, scale=scale)


def needs_deal_size(stated: Iterable[Contribution]) -> bool:
    """Whether one of them states an amount, which a deal size turns into wins."""
    return any(contribution.part == STATED_AMOUNT for contribution in stated)


def as_denominator(ask: Ask, window: Span, scale: Fraction) -> Iterator[Contribution]:
    """`scale` of the target amounts, as what something is divided by."""
    for one in pieces(ask, window, AMOUNT, scale=scale):
        yield Contribution(one.record, one.by, 0, one.numerator, one.samples, one.on, one.note)


def trailing(ask: Ask, window: Span) -> Span:
    """The twelve months before the window's end, or before the as-of instant if that is earlier (F31)."""
    return ask.trailing_12m(min(window.end, ask.as_of_on))


def pieces(
    ask: Ask, window: Span, *measures: Measure, scale: Fraction = Fraction(1)
) -> Iterator[Contribution]:
    """One contribution per target and group, `scale` of its worth; its part says what it states."""
    names = {WINS: STATED_WINS, AMOUNT: STATED_AMOUNT}
    for piece in Targets(ask).in_window(window, *measures):
        value, priced = piece.value, piece.value is not None
        yield Contribution(
            piece.record,
            piece.by,
            (value or 0) if scale == 1 else (value or 0) * scale,
            samples=int(priced),
            on=piece.share.span.start,
            note="" if priced else NO_RATE,
            part=names[piece.measure],
        )


def of_parts(parts: Mapping[str, Sums]) -> Number | None:
    """Target wins: those stated, and amounts / deal size; None without a target or a deal size for it."""
    stated, amounts = parts[STATED_WINS], parts[STATED_AMOUNT]
    if not amounts.samples:
        return stated.numerator if stated.samples else None
    size = parts[DEAL_SIZE].quotient
    return stated.numerator + amounts.numerator / Fraction(size) if size else None


def targets_in(parts: Mapping[str, Sums]) -> int:
    """How many targets are in scope."""
    return parts[STATED_WINS].samples + parts[STATED_AMOUNT].samples


def _amount(_: Ask, parts: Mapping[str, Sums]) -> Figure:
    stated = parts[STATED_AMOUNT]
    return Figure(stated.numerator if stated.samples else None, stated.samples)


def _wins(_: Ask, parts: Mapping[str, Sums]) -> Figure:
    return Figure(of_parts(parts), targets_in(parts))


def part_of(contributions: Iterable[Contribution], name: str) -> Iterator[Contribution]:
    """The same contributions, as a part of a composed reading."""
    return (replace(contribution, part=name) for contribution in contributions)


TARGET = Kpi(
    name="target",
    version=1,
    title=Text("Target", "業績目標"),
    definition=Text(
        "What should be won in the window: the target of exactly its period, else the finer ones if they "
        "cover it, else the coarser one pro rata by days. A group's is its own statement, else the sum of its "
        "members'; a rep's follows his team by days, a manager's is the sum of his direct reports'. Wins: as stated, else amount / deal size of the trailing "
        "12 months.",
        "期間內應贏得的業績:取恰為該期間的目標,無則以涵蓋該期間的較短期目標合計,再無則以較長期目標按日數比例計。"
        "群組取其自身目標,無則為成員合計;業務人員的目標按日隨其團隊,主管的目標為其直屬成員合計。贏單數:依所訂,無則為金額 / 近 12 個月平均成交金額。",
    ),
    dimensions=TARGET_DIMENSIONS,
    readings=(
        Reading(
            "amount",
            Text("amount", "金額"),
            "money",
            amount,
            compose=_amount,
            part_units=PART_UNITS,
            by_days=True,
        ),
        Reading(
            "wins",
            Text("wins", "贏單數"),
            "count",
            wins,
            compose=_wins,
            part_units=PART_UNITS,
            by_days=True,
        ),
    ),
)
