"""Average stagnation: how long open deals have not moved forward. KPI 4. A level: it grows with the clock."""

from collections.abc import Iterator

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.kpi import OPEN_DEAL_DIMENSIONS, Contribution, Kpi, Reading, Text, Unit


def stagnation(ask: Ask, _: Span) -> Iterator[Contribution]:
    """Time since the last forward stage move; while a deal was closed, its clock stood still."""
    for deal in ask.deals:
        if deal.is_open:
            by = ask.by_deal(deal, deal.owner, ask.as_of_on)
            yield Contribution(deal.record, by, deal.idle_ms, 1, note=deal.note)


def age(ask: Ask, _: Span) -> Iterator[Contribution]:
    """Time since the creation; a deal whose creation is unknown has no age."""
    for deal in ask.deals:
        if deal.is_open and deal.age_ms is not None:
            yield Contribution(deal.record, ask.by_deal(deal, deal.owner, ask.as_of_on), deal.age_ms, 1)


def time_in_stage(ask: Ask, _: Span) -> Iterator[Contribution]:
    """Time since the entry into the current stage, by whatever move."""
    for deal in ask.deals:
        if deal.is_open:
            yield Contribution(deal.record, ask.by_deal(deal, deal.owner, ask.as_of_on), deal.in_stage_ms, 1)


_PARTS: tuple[Unit, Unit] = ("seconds", "count")

STAGNATION = Kpi(
    name="stagnation",
    number=4,
    version=1,
    title=Text("Average stagnation", "商機在銷售流程的平均停滯時間"),
    definition=Text(
        "Mean over open opportunities of the time since the last forward stage move. A backward move, a "
        "new owner or an edit does not reset it, and the time a deal was closed before it was reopened "
        "does not count. Beside it the age, and the time in the current stage.",
        "未結案商機距離上次往前推進階段的平均時間。退回階段、更換負責人或編輯皆不重新起算;"
        "重新開啟之前的結案期間不計。另列商機存續時間與目前階段停留時間。",
    ),
    dimensions=OPEN_DEAL_DIMENSIONS,
    readings=(
        Reading("stagnation", Text("stagnation", "停滯時間"), "seconds", stagnation, _PARTS, level=True),
        Reading("age", Text("deal age", "商機存續時間"), "seconds", age, _PARTS, level=True),
        Reading(
            "time_in_stage",
            Text("time in stage", "目前階段停留時間"),
            "seconds",
            time_in_stage,
            _PARTS,
            level=True,
        ),
    ),
)
