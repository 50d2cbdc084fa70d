"""Panels that more than one board shows: plan, stages, waterfall, leaderboard, conversion."""

from collections.abc import Callable

from exporters.dashboards import look
from exporters.dashboards.panel import Panel, Query, Unit, Words
from exporters.dashboards.queries import (
    STAGE_ORDER,
    by_rep,
    by_team,
    days,
    goal,
    judged,
    ratio,
    sum_by,
    total,
    total_of,
)

QUARTER = "quarter_to_date"
SAMPLES = Words("deals (n)", "商機數 (n)")
TARGET_GOAL = Words("goal", "目標值")
DIFFERENCE = Words("difference to goal", "與目標值差異")
AMOUNT = Words("amount", "金額")


def with_goal(
    value: str,
    kpi: str,
    reading: str,
    *,
    factor: str = "",
    of: Callable[[str, str], str] = goal,
    about: Words | None = None,
    unit: Unit | None = None,
) -> tuple[Query, ...]:
    """The goal of a KPI and the figure's difference to it; both absent where no goal is set.

    `about` says which figure, where a panel shows more than one. `value` is the quarter's, as the goal is.
    """
    aim = f"{of(kpi, reading)}{factor}"
    aimed = f"sum by (job) ({aim})"
    which = (f": {about.en}", f":{about.zh}") if about else ("", "")
    named = [Words(words.en + which[0], words.zh + which[1]) for words in (TARGET_GOAL, DIFFERENCE)]
    return (
        Query(aimed, named[0], unit=unit, colour="grey"),
        Query(f"sum by (job) ({value}) - on (job) {aimed}", named[1], unit=unit, colour="purple"),
    )


def win_ratio(*, window: str = QUARTER) -> str:
    """Won / (won + lost) of the teams chosen: sum over sum."""
    won, lost = total("opportunities_won", window=window), total("opportunities_lost", window=window)
    return ratio(won, f"({won} + {lost})")


def closed(*, window: str = QUARTER) -> str:
    """Deals won or lost: the samples of the win ratio."""
    return f"{total('opportunities_won', window=window)} + {total('opportunities_lost', window=window)}"


def attainment() -> str:
    """Amount won / target, sum over sum."""
    return ratio(total("won_amount", window=QUARTER), total("target_amount", window=QUARTER))


def pace() -> str:
    """Amount won / target pro rata to this instant."""
    return ratio(total("won_amount", window=QUARTER), total("target_pace_amount", window=QUARTER))


def conversion(width: int, height: int) -> Panel:
    """The conversion rate with its samples and its goal."""
    return Panel(
        "stat",
        Words("Conversion rate (win rate)", "轉換率(贏率)"),
        Words(
            "Of the deals closed this quarter, the share that was won.",
            "本季結案的商機中贏得的比例。",
        ),
        (
            Query(win_ratio(), Words("win rate", "贏率")),
            Query(closed(), SAMPLES, unit="count"),
            *with_goal(win_ratio(), "win_rate", "closed_count"),
        ),
        "ratio",
        width,
        height,
        kpi="win_rate",
        reading="closed_count",
        period="fiscal_quarter",
    )


def attainment_stat(width: int, height: int) -> Panel:
    """Attainment of the quarter."""
    return Panel(
        "stat",
        Words("Attainment", "業績達標"),
        Words("Amount won this quarter / target of the whole quarter.", "本季贏得金額 ÷ 本季業績目標。"),
        (
            Query(attainment(), Words("attainment", "達標率")),
            Query(
                total("attainment_samples", window=QUARTER), Words("targets (n)", "目標數 (n)"), unit="count"
            ),
            *with_goal(attainment(), "attainment", "amount"),
        ),
        "ratio",
        width,
        height,
        kpi="attainment",
        reading="amount",
        period="fiscal_quarter",
    )


def pace_stat(width: int, height: int) -> Panel:
    """Pace, judged: warning under 1, bad under 0.8."""
    return Panel(
        "stat",
        Words("Pace", "達標進度"),
        Words(
            "Amount won this quarter / where the target should stand at this instant.",
            "本季贏得金額 ÷ 目標依天數分攤到此刻的金額。",
        ),
        (
            Query(pace(), Words("pace", "進度")),
            Query(
                judged(f"({pace()})", 1, 0.8, high_is_good=True),
                Words("state", "狀態"),
                unit="state",
                state=look.ON_PACE,
            ),
            Query(
                total("attainment_samples", window=QUARTER), Words("targets (n)", "目標數 (n)"), unit="count"
            ),
            *with_goal(pace(), "pace", "amount"),
        ),
        "ratio",
        width,
        height,
        kpi="pace",
        reading="amount",
        period="fiscal_quarter",
    )


def stage_counts(width: int, height: int, *, title: Words) -> Panel:
    """Open deals by stage, by count."""
    return Panel(
        "barchart",
        title,
        Words("Opportunities open now, by stage.", "目前未結商機數,依階段。"),
        (
            Query(
                sum_by("stage_name", by_team("open_opportunities")),
                Words("open deals", "未結商機"),
                colour="blue",
            ),
        ),
        "count",
        width,
        height,
        kpi="open",
        reading="count",
        category="stage_name",
        order=STAGE_ORDER,
    )


def stage_amounts(width: int, height: int) -> Panel:
    """Open deals by stage, by amount."""
    return Panel(
        "barchart",
        Words("Open amount by stage", "各階段商機金額"),
        Words("Amount of the opportunities open now, by stage.", "目前未結商機金額,依階段。"),
        (
            Query(
                sum_by("stage_name", by_team("open_amount")), Words("open amount", "未結金額"), colour="blue"
            ),
        ),
        "money",
        width,
        height,
        kpi="open",
        reading="amount",
        category="stage_name",
        order=STAGE_ORDER,
    )


def waterfall(width: int, height: int) -> Panel:
    """Start, changes and end of the quarter's pipeline."""
    changes = sum_by("change", by_team("waterfall_change_amount", window=QUARTER))
    start = total("waterfall_start_amount", window=QUARTER)
    end = total("waterfall_end_amount", window=QUARTER)
    named = (
        f'label_replace(sum by (job) ({start}), "change", "1 start", "", "") '
        f'or label_replace({changes}, "change", "2 $1", "change", "(.*)") '
        f'or label_replace(sum by (job) ({end}), "change", "3 end", "", "")'
    )
    return Panel(
        "barchart",
        Words("Pipeline waterfall", "商機變化瀑布圖"),
        Words(
            "Open amount expected to close this quarter: at its start, what changed it, and now. "
            "Start and changes add up to the end exactly.",
            "預計本季結案的商機金額:期初、各項變化與目前。期初加各項變化恰等於期末。",
        ),
        (Query(sum_by("change", named), Words("amount", "金額"), colour="deep blue"),),
        "money",
        width,
        height,
        kpi="waterfall",
        reading="amount",
        period="fiscal_quarter",
        where={"change": "end"},
        category="change",
    )


def leaderboard(width: int, height: int) -> Panel:
    """Attainment by rep: the first fifteen."""
    won = f"sum by (rep) ({by_rep('won_amount', window=QUARTER)})"
    target = f"sum by (rep) ({by_rep('target_amount', window=QUARTER)})"
    return Panel(
        "bargauge",
        Words("Attainment leaderboard", "業績達標排行榜"),
        Words("Amount won this quarter / target, the first fifteen reps.", "本季贏得金額 ÷ 目標,前十五名。"),
        (Query(f"sort_desc(topk(15, {ratio(won, target)}))", Words("{{rep}}", "{{rep}}")),),
        "ratio",
        width,
        height,
        kpi="attainment",
        reading="amount",
        period="fiscal_quarter",
    )


def coverage(width: int, height: int) -> Panel:
    """Coverage of this quarter's and of the next quarter's gap."""

    def covered(window: str) -> str:
        return ratio(total("coverage_open_amount", window=window), total("target_gap_amount", window=window))

    this = covered(QUARTER)
    return Panel(
        "stat",
        Words("Pipeline coverage", "商機覆蓋率"),
        Words(
            "Open amount expected to close in the period / what is missing to the target. "
            "Without a gap there is no coverage.",
            "預計期間內結案的商機金額 ÷ 與目標的差距。已達標時無此數字。",
        ),
        (
            Query(this, Words("this quarter", "本季")),
            Query(covered("next_quarter"), Words("next quarter", "下季")),
            Query(
                judged(f"({this})", 3, 2, high_is_good=True),
                Words("state", "狀態"),
                unit="state",
                state=look.COVERED,
            ),
            Query(
                total("coverage_samples", window=QUARTER), Words("targets (n)", "目標數 (n)"), unit="count"
            ),
            *with_goal(this, "coverage", "amount"),
        ),
        "factor",
        width,
        height,
        kpi="coverage",
        reading="amount",
        period="fiscal_quarter",
        empty=Words("no gap", "無差距"),
    )


def sales_cycle(width: int, height: int) -> Panel:
    """The average sales cycle, in days."""
    value = days(
        ratio(
            total("sales_cycle_opportunity_seconds", window="$window"),
            total("sales_cycle_samples", window="$window"),
        )
    )
    quarter = days(
        ratio(
            total("sales_cycle_opportunity_seconds", window=QUARTER),
            total("sales_cycle_samples", window=QUARTER),
        )
    )
    return Panel(
        "stat",
        Words("Average sales cycle", "平均銷售週期"),
        Words(
            "Close less creation of the deals won in the window chosen; the goal is the quarter's.",
            "所選期間贏得的商機,由建立到結案的平均天數;目標值為本季。",
        ),
        (
            Query(value, Words("average", "平均")),
            Query(total("sales_cycle_samples", window="$window"), SAMPLES, unit="count"),
            *with_goal(quarter, "sales_cycle", "mean", factor=" / 86400"),
        ),
        "days",
        width,
        height,
        kpi="sales_cycle",
        reading="mean",
        period="${window}",
    )


def open_total(width: int, height: int) -> Panel:
    """Open deals, in one number."""
    count, amount = total_of("open_opportunities", "stage_name"), total_of("open_amount", "stage_name")
    return Panel(
        "stat",
        Words("Opportunities in the pipeline", "銷售流程裡的商機數"),
        Words("Opportunities open now, and their amount.", "目前未結商機數與金額。"),
        (
            Query(count, Words("open deals", "未結商機")),
            Query(amount, AMOUNT, unit="money"),
            *with_goal(count, "open", "count"),
            *with_goal(amount, "open", "amount", about=AMOUNT, unit="money"),
        ),
        "count",
        width,
        height,
        kpi="open",
        reading="count",
    )
