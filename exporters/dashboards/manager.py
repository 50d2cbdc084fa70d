"""The manager's board: how the team sells, and where deals and people stand still."""

from exporters.dashboards import sales
from exporters.dashboards.header import header
from exporters.dashboards.panel import Board, Panel, Query, Words
from exporters.dashboards.queries import (
    STAGE_ORDER,
    by_rep,
    by_team,
    days,
    ratio,
    rep_goals,
    sum_by,
    total,
    total_of,
)
from exporters.dashboards.sales import AMOUNT, DIFFERENCE, QUARTER, SAMPLES, TARGET_GOAL, with_goal
from exporters.promql import over_instances, select

YEAR = "trailing_12m"
REPS = Words("reps (n)", "人數 (n)")
RAMPING = Words("still ramping", "尚在上手")
SO_FAR = Words("their days", "至今天數")
WEIGHTED = Words("weighted", "加權")


def _deal_size() -> Panel:
    def size(window: str) -> str:
        return ratio_of_money(total("won_amount", window=window), total("deal_size_samples", window=window))

    return Panel(
        "stat",
        Words("Average deal size", "平均成交金額"),
        Words("Average amount of the deals won in the window chosen.", "所選期間贏得商機的平均金額。"),
        (
            Query(size("$window"), Words("average", "平均")),
            Query(total("deal_size_samples", window="$window"), SAMPLES, unit="count"),
            *with_goal(size(QUARTER), "deal_size", "mean"),
        ),
        "money",
        8,
        4,
        kpi="deal_size",
        reading="mean",
        period="${window}",
    )


def ratio_of_money(amount: str, count: str) -> str:
    """Amount / count: the count lacks the label `currency`."""
    return f"{amount} / on (job, window) group_left () ({count} > 0)"


def _conversion_by_rep() -> Panel:
    won = sum_by("rep", by_rep("opportunities_won", window=QUARTER))
    lost = sum_by("rep", by_rep("opportunities_lost", window=QUARTER))
    # A goal is for all that a rep closed, also in a team that he has left since.
    all_won, all_lost = (
        sum_by("rep", over_instances(select(f"dealpulse_rep_opportunities_{outcome}", window=QUARTER)))
        for outcome in ("won", "lost")
    )
    aim = sum_by("rep", rep_goals("win_rate", "closed_count"))
    return Panel(
        "table",
        Words("Conversion rate by rep", "各業務人員轉換率"),
        Words(
            "Won / (won + lost) this quarter, with the number of deals. A rep's goal is for all that he "
            "closed, in whatever team.",
            "本季贏得 ÷(贏得+失去),附商機數。個人目標值對照其全部結案商機,不論團隊。",
        ),
        (
            Query(ratio(won, f"({won} + {lost})"), Words("win rate", "贏率")),
            Query(f"{won} + {lost}", SAMPLES, unit="count"),
            Query(won, Words("won", "贏得"), unit="count"),
            Query(aim, TARGET_GOAL),
            Query(f"{ratio(all_won, f'({all_won} + {all_lost})')} - on (rep) {aim}", DIFFERENCE),
        ),
        "ratio",
        12,
        8,
        kpi="win_rate",
        reading="closed_count",
        period="fiscal_quarter",
        category="rep",
    )


def _new_and_needed() -> Panel:
    created = sum_by("team", by_team("opportunities_created", window=QUARTER))
    needed = sum_by("team", by_team("opportunities_needed", window=QUARTER))
    return Panel(
        "barchart",
        Words("New opportunities against needed", "新商機與所需數"),
        Words(
            "Created this quarter, and what the whole quarter's target needs at the usual win rate.",
            "本季新建商機,以及依平常贏率達成全季目標所需的數量。",
        ),
        (
            Query(created, Words("created", "新建"), colour="blue"),
            Query(needed, Words("needed", "所需"), colour="grey"),
        ),
        "count",
        8,
        8,
        kpi="new_opportunities",
        reading="count",
        period="fiscal_quarter",
        category="team",
    )


def _drying_up() -> Panel:
    recent = sum_by("team", by_team("opportunities_created_recent"))
    usual = sum_by("team", by_team("opportunities_created_baseline"))
    return Panel(
        "barchart",
        Words("New opportunities: last 28 days against the 12 weeks before", "新商機:近 28 天與前 12 週"),
        Words(
            "Created in the last 28 days beside the average of the three times 28 days before.",
            "近 28 天新建商機,與之前三個 28 天的平均比較。",
        ),
        (
            Query(recent, Words("last 28 days", "近 28 天"), colour="blue"),
            Query(usual, Words("usual", "平常"), colour="grey"),
        ),
        "count",
        8,
        8,
        kpi="new_opportunities",
        reading="count",
        period="trailing_28d",
        category="team",
    )


def _new_stat() -> Panel:
    created = total("opportunities_created", window=QUARTER)
    amount = total("opportunities_created_amount", window=QUARTER)
    return Panel(
        "stat",
        Words("New opportunities in the pipeline", "銷售流程中新商機數"),
        Words("Created this quarter and this week, and their amount.", "本季與本週新建商機數及金額。"),
        (
            Query(created, Words("this quarter", "本季")),
            Query(total("opportunities_created", window="week_to_date"), Words("this week", "本週")),
            Query(amount, AMOUNT, unit="money"),
            *with_goal(created, "new_opportunities", "count"),
            *with_goal(amount, "new_opportunities", "amount", about=AMOUNT, unit="money"),
        ),
        "count",
        8,
        8,
        kpi="new_opportunities",
        reading="count",
        period="fiscal_quarter",
    )


def _stagnation_by_stage() -> Panel:
    idle = sum_by("stage_name", by_team("stagnation_opportunity_seconds"))
    staying = sum_by("stage_name", by_team("stage_age_opportunity_seconds"))
    count = sum_by("stage_name", by_team("open_opportunities"))
    return Panel(
        "barchart",
        Words("Average stagnation by stage", "各階段平均停滯時間"),
        Words(
            "Days since the last forward move, and days in the current stage, averaged over open deals.",
            "距上次前進的天數與停留在目前階段的天數,未結商機平均。",
        ),
        (
            Query(days(ratio(idle, count)), Words("since last move", "距上次前進"), colour="orange"),
            Query(days(ratio(staying, count)), Words("in this stage", "停留本階段"), colour="blue"),
        ),
        "days",
        8,
        8,
        kpi="stagnation",
        reading="stagnation",
        category="stage_name",
        order=STAGE_ORDER,
    )


def _stagnation() -> Panel:
    count = total_of("open_opportunities", "stage_name")
    value = days(ratio(total_of("stagnation_opportunity_seconds", "stage_name"), count))
    return Panel(
        "stat",
        Words("Average stagnation", "商機在銷售流程的平均停滯時間"),
        Words("Days since the last forward move of an open deal.", "未結商機距上次前進的平均天數。"),
        (
            Query(value, Words("average", "平均")),
            Query(count, SAMPLES, unit="count"),
            *with_goal(value, "stagnation", "stagnation", factor=" / 86400"),
        ),
        "days",
        8,
        8,
        kpi="stagnation",
        reading="stagnation",
    )


def _stalled_by_stage() -> Panel:
    return Panel(
        "table",
        Words("Stalled by stage", "各階段停滯商機"),
        Words(
            "Open deals past their stage's threshold, their amount, and the threshold.",
            "超過階段門檻的未結商機、金額與門檻天數。",
        ),
        (
            Query(sum_by("stage_name", by_team("stalled_opportunities")), Words("stalled", "停滯商機")),
            Query(sum_by("stage_name", by_team("stalled_amount")), Words("amount", "金額"), unit="money"),
            Query(
                days(f"max by (stage_name) ({_configured('stage_threshold_seconds')})"),
                Words("threshold", "門檻"),
                unit="days",
            ),
        ),
        "count",
        8,
        8,
        kpi="stalled",
        reading="count",
        category="stage_name",
        order=STAGE_ORDER,
    )


def _configured(stem: str) -> str:
    return over_instances(select(f"dealpulse_{stem}"))


def _stalest_reps() -> Panel:
    idle = f"max by (rep) ({by_rep('stagnation_average_seconds')})"
    return Panel(
        "bargauge",
        Words("Stalest reps", "停滯最久的業務人員"),
        Words(
            "Average days since the last forward move of a rep's open deals, the first ten.",
            "業務人員未結商機距上次前進的平均天數,前十名。",
        ),
        (Query(f"sort_desc(topk(10, {days(idle)}))", Words("{{rep}}", "{{rep}}"), colour="orange"),),
        "days",
        8,
        8,
        kpi="stagnation",
        reading="stagnation",
    )


def _forecast() -> Panel:
    def category(name: str) -> str:
        return total("forecast_amount", forecast_category=name, window=QUARTER)

    weighted = total("forecast_weighted_amount", window=QUARTER)
    names = {
        "commit": Words("commit", "承諾"),
        "best_case": Words("best case", "樂觀"),
        "pipeline": Words("pipeline", "商機"),
    }
    goals = [
        query
        for name, words in names.items()
        for query in with_goal(category(name), "forecast", name, about=words)
    ]
    return Panel(
        "stat",
        Words("Commit / best case / pipeline", "承諾/樂觀/商機"),
        Words(
            "Open amount expected to close this quarter by forecast category, and weighted by stage.",
            "預計本季結案的金額,依預測類別,以及依階段機率加權。",
        ),
        (
            Query(category("commit"), names["commit"], colour="blue"),
            Query(category("best_case"), names["best_case"], colour="orange"),
            Query(category("pipeline"), names["pipeline"], colour="grey"),
            Query(weighted, WEIGHTED, colour="purple"),
            *goals,
            *with_goal(weighted, "weighted_forecast", "amount", about=WEIGHTED),
        ),
        "money",
        8,
        8,
        kpi="forecast",
        reading="commit",
        period="fiscal_quarter",
    )


def _ramp_up() -> Panel:
    def figures(window: str) -> tuple[str, str, str, str]:
        labels = {"milestone": "first_contact", "window": window}
        reached, ramping = total("ramp_up_samples", **labels), total("ramping_reps", **labels)
        mean = days(ratio(total("ramp_up_rep_seconds", **labels), reached))
        return mean, reached, ramping, days(ratio(total("ramping_rep_seconds", **labels), ramping))

    mean, reached, ramping, so_far = figures(YEAR)
    mean_of_quarter, _, ramping_of_quarter, so_far_of_quarter = figures(QUARTER)
    return Panel(
        "stat",
        Words("Average ramp-up time", "業務人員的平均上手時間"),
        Words(
            "Reps hired in the last twelve months: days from the first day to the first completed contact; "
            "and those who have not reached it, with their days so far. Goals are the quarter's.",
            "近十二個月到職者:由到職到首次完成接觸的平均天數;尚未達成者及其至今天數。目標值為本季。",
        ),
        (
            Query(mean, Words("average", "平均")),
            Query(reached, REPS, unit="count"),
            Query(ramping, RAMPING, unit="count"),
            Query(so_far, SO_FAR),
            *with_goal(mean_of_quarter, "ramp_up", "first_contact", factor=" / 86400"),
            *with_goal(ramping_of_quarter, "ramping_reps", "count", about=RAMPING, unit="count"),
            *with_goal(so_far_of_quarter, "ramping_reps", "age", factor=" / 86400", about=SO_FAR),
        ),
        "days",
        8,
        4,
        kpi="ramp_up",
        reading="first_contact",
        period="trailing_12m",
    )


def _referrals() -> Panel:
    won, others = Words("won", "贏得"), Words("from others", "非客戶")
    return Panel(
        "stat",
        Words("Referrals", "轉介數"),
        Words(
            "New opportunities referred by customers in the window chosen, those won, and those referred "
            "by accounts that were no customers. Goals are the quarter's.",
            "所選期間由客戶轉介的新商機、其中贏得者,以及非客戶的轉介。目標值為本季。",
        ),
        (
            Query(total("referrals", window="$window"), Words("from customers", "客戶轉介")),
            Query(total("referrals_won", window="$window"), won),
            Query(total("referrals_unqualified", window="$window"), others, colour="grey"),
            *with_goal(total("referrals", window=QUARTER), "referrals", "from_customers"),
            *with_goal(total("referrals_won", window=QUARTER), "referrals", "won", about=won),
            *with_goal(
                total("referrals_unqualified", window=QUARTER), "referrals", "from_others", about=others
            ),
        ),
        "count",
        8,
        4,
        kpi="referrals",
        reading="from_customers",
        period="${window}",
    )


def _expiring() -> Panel:
    def ending(band: str) -> str:
        return total("contracts_expiring", band=band)

    return Panel(
        "stat",
        Words("Expiring contracts", "即將到期合約"),
        Words(
            "Contracts that end soon with nothing in force after them, and their annual value within 30 days. "
            "Goals are for all 90 days.",
            "即將到期且無後續合約者,以及 30 天內到期的年度價值。目標值為 90 天合計。",
        ),
        (
            Query(ending("0_30d"), Words("30 days", "30 天內"), colour="orange"),
            Query(ending("31_60d"), Words("31 to 60", "31–60 天")),
            Query(ending("61_90d"), Words("61 to 90", "61–90 天")),
            Query(
                total("contracts_expiring_amount", band="0_30d"),
                Words("value, 30 days", "30 天內價值"),
                unit="money",
            ),
            *with_goal(total_of("contracts_expiring", "band"), "contracts_expiring", "count"),
            *with_goal(
                total_of("contracts_expiring_amount", "band"),
                "contracts_expiring",
                "amount",
                about=Words("value", "價值"),
                unit="money",
            ),
        ),
        "count",
        8,
        4,
        kpi="contracts_expiring",
        reading="count",
        where={"band": "0_30d"},
    )


BOARD = Board(
    "manager",
    Words("Manager", "業務主管"),
    Words("How the team sells, and where deals and people stand still.", "團隊的銷售狀況與停滯之處。"),
    (
        header(),
        (None, (sales.sales_cycle(8, 4), _deal_size(), sales.conversion(8, 4))),
        (
            Words("Conversion and pipeline changes", "轉換與商機變化"),
            (_conversion_by_rep(), sales.waterfall(12, 8)),
        ),
        (Words("New opportunities", "新商機"), (_new_stat(), _new_and_needed(), _drying_up())),
        (Words("Stagnation", "停滯"), (_stagnation(), _stagnation_by_stage(), _stalled_by_stage())),
        (
            Words("Outlook", "展望"),
            (_stalest_reps(), _forecast(), sales.stage_amounts(8, 8)),
        ),
        (Words("People and customers", "人員與客戶"), (_ramp_up(), _referrals(), _expiring())),
    ),
    ("team", "window"),
)
