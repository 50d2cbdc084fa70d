"""Sales velocity: what the pipeline brings in a second, at the rate, size and speed of the window's deals."""

from collections.abc import Iterator, Mapping
from fractions import Fraction

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import DEAL_DIMENSIONS, Contribution, Figure, Kpi, Reading, Sums, Text
from aggregators.kpis import deal_size, sales_cycle, win_rate
from aggregators.kpis.target import part_of

OPEN, WIN_RATE, DEAL_SIZE, CYCLE = "open opportunities", "win rate", "deal size", "sales cycle"


def amount(ask: Ask, window: Span) -> Iterator[Contribution]:
    """The parts: deals open at the window's end (F31), and the win rate, deal size and cycle of the window."""
    end_ms = min(ask.calendar.end_ms(window.end), ask.as_of_ms)
    end_on = ask.calendar.day(end_ms)
    for deal in ask.deals if end_ms == ask.as_of_ms else ask.deals_at(end_ms):
        if deal.is_open:
            yield Contribution(deal.record, ask.by_deal(deal, deal.owner, end_on), 1, on=end_on, part=OPEN)
    yield from part_of(win_rate.closed_count(ask, window), WIN_RATE)
    yield from part_of(deal_size.mean(ask, window), DEAL_SIZE)
    yield from part_of(sales_cycle.mean(ask, window), CYCLE)


def per_second(_: Ask, parts: Mapping[str, Sums]) -> Figure:
    """Open count x win rate x deal size / cycle; none where one of them has no sample, or the cycle is 0."""
    rate, size, cycle = (parts[name].quotient for name in (WIN_RATE, DEAL_SIZE, CYCLE))
    samples = parts[CYCLE].samples
    if rate is None or size is None or not cycle:
        return Figure(None, samples)
    return Figure(Fraction(parts[OPEN].numerator) * rate * size / cycle, samples)


VELOCITY = Kpi(
    name="velocity",
    version=1,
    title=Text("Sales velocity", "銷售速度"),
    definition=Text(
        "Open opportunities x win rate x deal size / sales cycle: the amount that the pipeline brings per "
        "second. Rate, size and cycle are those of the deals closed in the window, the open ones those at its end.",
        "未結商機數 × 贏率 × 平均成交金額 / 平均銷售週期:銷售流程每秒帶來的金額。"
        "贏率、金額與週期取期間內結案的商機,未結商機取期末。",
    ),
    dimensions=DEAL_DIMENSIONS,
    readings=(
        Reading(
            "amount",
            Text("amount per second", "每秒金額"),
            "money_per_second",
            amount,
            additive=False,
            compose=per_second,
            part_units={
                OPEN: ("count", "count"),
                WIN_RATE: ("count", "count"),
                DEAL_SIZE: ("money", "count"),
                CYCLE: ("seconds", "count"),
            },
        ),
    ),
)
