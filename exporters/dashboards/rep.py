"""A rep's own board."""

from exporters.dashboards import look
from exporters.dashboards.header import header
from exporters.dashboards.panel import Board, Panel, Query, Words
from exporters.dashboards.queries import REP, STAGE_ORDER, days, judged, of_rep, ratio, rep_goal
from exporters.dashboards.sales import AMOUNT, QUARTER, SAMPLES, with_goal
from exporters.promql import over_instances, select

PACE, WON, DEALS = Words("pace", "進度"), Words("won", "贏得"), Words("deals", "件數")
IDLE = Words("average stagnation", "平均停滯")
WHERE = {"rep": "${rep}"}
# The windows that series by rep have.


def _attainment() -> Panel:
    won, target = of_rep("won_amount", window=QUARTER), of_rep("target_amount", window=QUARTER)
    reached, pace = ratio(won, target), ratio(won, of_rep("target_pace_amount", window=QUARTER))
    return Panel(
        "stat",
        Words("Attainment", "業績達標"),
        Words(
            "Amount won this quarter / target; the pace compares it with where the target should stand today.",
            "本季贏得金額 ÷ 目標;進度與目標應達之處比較。",
        ),
        (
            Query(reached, Words("attainment", "達標率")),
            Query(pace, PACE),
            Query(
                judged(f"({pace})", 1, 0.8, high_is_good=True),
                Words("state", "狀態"),
                unit="state",
                state=look.ON_PACE,
            ),
            Query(
                of_rep("attainment_samples", window=QUARTER), Words("targets (n)", "目標數 (n)"), unit="count"
            ),
            *with_goal(reached, "attainment", "amount", of=rep_goal),
            *with_goal(pace, "pace", "amount", of=rep_goal, about=PACE),
        ),
        "ratio",
        12,
        5,
        kpi="attainment",
        reading="amount",
        period="fiscal_quarter",
        where=WHERE,
    )


def _won() -> Panel:
    amount, count = of_rep("won_amount", window=QUARTER), of_rep("opportunities_won", window=QUARTER)
    return Panel(
        "stat",
        Words("Won this quarter", "本季贏得"),
        Words(
            "Amount and number of the deals won this quarter, and the target.", "本季贏得金額、件數與目標。"
        ),
        (
            Query(amount, Words("won", "贏得")),
            Query(count, DEALS, unit="count"),
            Query(of_rep("target_amount", window=QUARTER), Words("target", "目標"), colour="grey"),
            *with_goal(amount, "won", "amount", of=rep_goal),
            *with_goal(count, "won", "count", of=rep_goal, about=DEALS, unit="count"),
        ),
        "money",
        12,
        5,
        kpi="won",
        reading="amount",
        period="fiscal_quarter",
        where=WHERE,
    )


def _by_stage(stem: str) -> str:
    return f"sum by (stage_name) ({over_instances(select(f'dealpulse_rep_{stem}', REP))})"


def _open() -> Panel:
    def added(stem: str) -> str:
        return f"sum without (team, stage_name) ({over_instances(select(f'dealpulse_rep_{stem}', REP))})"

    count, amount = added("open_opportunities"), added("open_amount")
    return Panel(
        "stat",
        Words("Opportunities in the pipeline", "銷售流程裡的商機數"),
        Words("Opportunities open now, and their amount.", "目前未結商機數與金額。"),
        (
            Query(count, Words("open deals", "未結商機")),
            Query(amount, AMOUNT, unit="money"),
            *with_goal(count, "open", "count", of=rep_goal),
            *with_goal(amount, "open", "amount", of=rep_goal, about=AMOUNT, unit="money"),
        ),
        "count",
        8,
        5,
        kpi="open",
        reading="count",
        where=WHERE,
    )


def _progress() -> Panel:
    return Panel(
        "barchart",
        Words("Pipeline progress", "銷售流程開發進度"),
        Words("Own open deals, by stage.", "自己的未結商機數,依階段。"),
        (Query(_by_stage("open_opportunities"), Words("open deals", "未結商機"), colour="blue"),),
        "count",
        12,
        9,
        kpi="open",
        reading="count",
        where=WHERE,
        category="stage_name",
        order=STAGE_ORDER,
    )


def _progress_amount() -> Panel:
    return Panel(
        "barchart",
        Words("Open amount by stage", "各階段商機金額"),
        Words("Amount of the own open deals, by stage.", "自己的未結商機金額,依階段。"),
        (Query(_by_stage("open_amount"), Words("amount", "金額"), colour="blue"),),
        "money",
        12,
        9,
        kpi="open",
        reading="amount",
        where=WHERE,
        category="stage_name",
        order=STAGE_ORDER,
    )


def _cycle() -> Panel:
    samples = of_rep("sales_cycle_samples", window=QUARTER)
    mean = days(ratio(of_rep("sales_cycle_opportunity_seconds", window=QUARTER), samples))
    return Panel(
        "stat",
        Words("Average sales cycle", "平均銷售週期"),
        Words(
            "Close less creation of the own deals won this quarter.",
            "本季自己贏得商機由建立到結案的平均天數。",
        ),
        (
            Query(mean, Words("average", "平均")),
            Query(samples, SAMPLES, unit="count"),
            *with_goal(mean, "sales_cycle", "mean", factor=" / 86400", of=rep_goal),
        ),
        "days",
        8,
        5,
        kpi="sales_cycle",
        reading="mean",
        period="fiscal_quarter",
        where=WHERE,
    )


def _win_rate() -> Panel:
    won, lost = of_rep("opportunities_won", window=QUARTER), of_rep("opportunities_lost", window=QUARTER)
    rate = ratio(won, f"({won} + {lost})")
    return Panel(
        "stat",
        Words("Conversion rate (win rate)", "轉換率(贏率)"),
        Words(
            "Of the own deals closed this quarter, the share that was won.",
            "本季自己結案的商機中贏得的比例。",
        ),
        (
            Query(rate, Words("win rate", "贏率")),
            Query(f"{won} + {lost}", SAMPLES, unit="count"),
            *with_goal(rate, "win_rate", "closed_count", of=rep_goal),
        ),
        "ratio",
        8,
        5,
        kpi="win_rate",
        reading="closed_count",
        period="fiscal_quarter",
        where=WHERE,
    )


def _stalled() -> Panel:
    count, amount = of_rep("stalled_opportunities"), of_rep("stalled_amount")
    averages = over_instances(select("dealpulse_rep_stagnation_average_seconds", REP))
    idle = days(f"max without (team) ({averages})")
    return Panel(
        "stat",
        Words("Stalled deals", "停滯商機"),
        Words(
            "Own open deals past their stage's threshold, their amount, and the average stagnation.",
            "自己超過階段門檻的未結商機、金額與平均停滯天數。",
        ),
        (
            Query(count, Words("stalled", "停滯商機"), colour="orange"),
            Query(amount, AMOUNT, unit="money"),
            Query(idle, IDLE, unit="days"),
            *with_goal(count, "stalled", "count", of=rep_goal),
            *with_goal(amount, "stalled", "amount", of=rep_goal, about=AMOUNT, unit="money"),
            *with_goal(
                idle,
                "stagnation",
                "stagnation",
                factor=" / 86400",
                of=rep_goal,
                about=IDLE,
                unit="days",
            ),
        ),
        "count",
        8,
        5,
        kpi="stalled",
        reading="count",
        where=WHERE,
    )


def _created() -> Panel:
    created = of_rep("opportunities_created", window=QUARTER)
    return Panel(
        "stat",
        Words("New opportunities against needed", "新商機與所需數"),
        Words(
            "Own opportunities created this quarter, and what the target needs.",
            "本季自己新建的商機,以及達成目標所需的數量。",
        ),
        (
            Query(created, Words("created", "新建")),
            Query(of_rep("opportunities_needed", window=QUARTER), Words("needed", "所需"), colour="grey"),
            *with_goal(created, "new_opportunities", "count", of=rep_goal),
        ),
        "count",
        8,
        5,
        kpi="new_opportunities",
        reading="count",
        period="fiscal_quarter",
        where=WHERE,
    )


def _referrals() -> Panel:
    made, won = of_rep("referrals", window=QUARTER), of_rep("referrals_won", window=QUARTER)
    return Panel(
        "stat",
        Words("Referrals", "轉介數"),
        Words("Referrals by customers this quarter, credited to this rep.", "本季客戶轉介,歸於此業務人員。"),
        (
            Query(made, Words("from customers", "客戶轉介")),
            Query(won, WON),
            *with_goal(made, "referrals", "from_customers", of=rep_goal),
            *with_goal(won, "referrals", "won", of=rep_goal, about=WON),
        ),
        "count",
        8,
        5,
        kpi="referrals",
        reading="from_customers",
        period="fiscal_quarter",
        where=WHERE,
    )


BOARD = Board(
    "rep",
    Words("Rep", "業務人員"),
    Words("A rep's own numbers.", "業務人員自己的數字。"),
    (
        header(),
        (None, (_attainment(), _won())),
        (None, (_open(), _win_rate(), _cycle())),
        (Words("Pipeline progress", "銷售流程開發進度"), (_progress(), _progress_amount())),
        (Words("What to do next", "接下來"), (_stalled(), _created(), _referrals())),
    ),
    ("team", "rep"),
)
