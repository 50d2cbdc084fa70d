"""The executive's board: the whole company against its plan."""

from exporters.dashboards import sales
from exporters.dashboards.header import header
from exporters.dashboards.panel import Board, Panel, Query, Words
from exporters.dashboards.queries import by_team, ratio, total, total_of
from exporters.dashboards.sales import QUARTER, with_goal

YEAR = "trailing_12m"
CUSTOMERS = Words("customers (n)", "客戶數 (n)")


def _won_and_target() -> Panel:
    won = total("won_amount", window=QUARTER)
    return Panel(
        "stat",
        Words("Won against target", "贏得金額與目標"),
        Words("Amount won this quarter, its target and what is missing.", "本季贏得金額、業績目標與差距。"),
        (
            Query(won, Words("won", "贏得")),
            Query(total("target_amount", window=QUARTER), Words("target", "目標"), colour="grey"),
            Query(total("target_gap_amount", window=QUARTER), Words("missing", "差距"), colour="orange"),
            *with_goal(won, "won", "amount"),
        ),
        "money",
        8,
        4,
        kpi="target",
        reading="amount",
        period="fiscal_quarter",
    )


def _actual_forecast_target() -> Panel:
    won = total("won_amount", window=QUARTER)
    return Panel(
        "timeseries",
        Words("Actual against forecast and target", "整體業務績效和預測的比較"),
        Words(
            "Amount won, the target pro rata and in full, and won plus weighted forecast, over time.",
            "贏得金額、分攤目標、全季目標,以及贏得加上加權預測,隨時間變化。",
        ),
        (
            Query(won, Words("won", "贏得"), colour="blue"),
            Query(total("target_pace_amount", window=QUARTER), Words("pace", "應達進度"), colour="orange"),
            Query(total("target_amount", window=QUARTER), Words("target", "目標"), colour="grey"),
            Query(
                f"{won} + {total('forecast_weighted_amount', window=QUARTER)}",
                Words("won + weighted forecast", "贏得+加權預測"),
                colour="purple",
            ),
        ),
        "money",
        12,
        9,
        kpi="weighted_forecast",
        reading="amount",
        period="fiscal_quarter",
        lowest=0,
    )


def _team_leaderboard() -> Panel:
    won = f"sum by (team) ({by_team('won_amount', window=QUARTER)})"
    target = f"sum by (team) ({by_team('target_amount', window=QUARTER)})"
    return Panel(
        "bargauge",
        Words("Attainment by team", "各團隊業績達標"),
        Words("Amount won this quarter / target, by team.", "本季贏得金額 ÷ 目標,依團隊。"),
        (Query(f"sort_desc({ratio(won, target)})", Words("{{team}}", "{{team}}")),),
        "ratio",
        8,
        9,
        kpi="attainment",
        reading="amount",
        period="fiscal_quarter",
    )


def _acv() -> Panel:
    def per_contract(reading: str, window: str) -> str:
        amount = total_of("acv_amount", "contract_type", reading=reading, window=window)
        contracts = total_of("acv_contracts", "contract_type", reading=reading, window=window)
        return f"{amount} / on (job, reading, window) group_left () ({contracts} > 0)"

    return Panel(
        "stat",
        Words("Annual contract value (ACV)", "年度合約價值"),
        Words(
            "Average annual value of a contract: booked in the window chosen, and in force now. "
            "The goal is the quarter's.",
            "每份合約的平均年度價值:所選期間簽訂,以及目前有效。目標值為本季。",
        ),
        (
            Query(per_contract("booked", "$window"), Words("booked", "期間簽訂")),
            Query(per_contract("active", "now"), Words("in force", "目前有效")),
            Query(
                total("acv_per_contract_samples", reading="active", window="now"),
                Words("contracts (n)", "合約數 (n)"),
                unit="count",
            ),
            *with_goal(per_contract("booked", QUARTER), "acv", "booked_per_contract"),
            *with_goal(
                per_contract("active", "now"),
                "acv",
                "active_per_contract",
                about=Words("in force", "目前有效"),
            ),
        ),
        "money",
        12,
        4,
        kpi="acv",
        reading="booked_per_contract",
        period="${window}",
    )


def _clv() -> Panel:
    def per_customer(stem: str) -> str:
        customers = total("clv_per_customer_samples", reading="historic")
        return f"sum by (job) ({total(stem)}) / (sum by (job) ({customers}) > 0)"

    return Panel(
        "stat",
        Words("Customer lifetime value (CLV)", "客戶終身價值"),
        Words(
            "Per customer that ever bought: value accrued until now, and value signed.",
            "每位曾購買客戶:至今累計價值與已簽訂價值。",
        ),
        (
            Query(per_customer("clv_accrued_amount"), Words("historic", "歷史")),
            Query(per_customer("clv_signed_amount"), Words("signed", "已簽訂")),
            Query(total("clv_per_customer_samples", reading="historic"), CUSTOMERS, unit="count"),
            *with_goal(per_customer("clv_accrued_amount"), "clv", "historic"),
            *with_goal(per_customer("clv_signed_amount"), "clv", "signed", about=Words("signed", "已簽訂")),
        ),
        "money",
        12,
        4,
        kpi="clv",
        reading="historic",
    )


def _retention() -> Panel:
    at_start = total("customer_retention_samples", window=YEAR)
    kept = ratio(total("customers_retained", window=YEAR), at_start)
    lost = ratio(total("customers_churned", window=YEAR), at_start)
    at_start_of_quarter = total("customer_retention_samples", window=QUARTER)
    kept_this_quarter = ratio(total("customers_retained", window=QUARTER), at_start_of_quarter)
    lost_this_quarter = ratio(total("customers_churned", window=QUARTER), at_start_of_quarter)
    in_grace = total("customers_in_grace")
    return Panel(
        "stat",
        Words("Customer retention and churn", "客戶留存率與流失率"),
        Words(
            "Of the customers active twelve months ago, the share still active and the share lost; "
            "customers in grace count as lost until they renew. The goal is the quarter's.",
            "十二個月前的有效客戶中,仍有效與流失的比例;寬限期客戶在續約前計為流失。目標值為本季。",
        ),
        (
            Query(kept, Words("retained", "留存率")),
            Query(lost, Words("churned", "流失率"), colour="orange"),
            Query(in_grace, Words("in grace", "續約寬限期"), unit="count"),
            Query(at_start, CUSTOMERS, unit="count"),
            *with_goal(kept_this_quarter, "customer_retention", "logo"),
            *with_goal(lost_this_quarter, "churn", "logo", about=Words("churned", "流失率")),
            *with_goal(
                in_grace, "customers", "in_grace", about=Words("in grace", "續約寬限期"), unit="count"
            ),
        ),
        "ratio",
        12,
        4,
        kpi="customer_retention",
        reading="logo",
        period="trailing_12m",
    )


def _revenue_retention() -> Panel:
    def retained(*changes: str, window: str = YEAR) -> str:
        start = total("recurring_start_amount", window=window)
        parts = [
            total_of("recurring_change_amount", "change", change=name, window=window) for name in changes
        ]
        return f"({' + '.join((start, *parts))}) / ({start} > 0)"

    gross, net = ("contraction", "churn"), ("expansion", "contraction", "churn")
    return Panel(
        "stat",
        Words("Revenue retention (GRR, NRR)", "收入留存率 (GRR、NRR)"),
        Words(
            "Annual revenue kept from the customers of twelve months ago: without expansion (GRR) and "
            "with it (NRR). Goals are the quarter's.",
            "十二個月前客戶的年度收入留存:不含擴充 (GRR) 與含擴充 (NRR)。目標值為本季。",
        ),
        (
            Query(retained(*gross), Words("GRR", "GRR")),
            Query(retained(*net), Words("NRR", "NRR")),
            Query(total("revenue_retention_samples", reading="grr", window=YEAR), CUSTOMERS, unit="count"),
            *with_goal(
                retained(*gross, window=QUARTER), "customer_retention", "grr", about=Words("GRR", "GRR")
            ),
            *with_goal(
                retained(*net, window=QUARTER), "customer_retention", "nrr", about=Words("NRR", "NRR")
            ),
        ),
        "ratio",
        6,
        4,
        kpi="customer_retention",
        reading="grr",
        period="trailing_12m",
    )


def _rep_retention() -> Panel:
    kept = total("reps_retained", reading="trailing", window=YEAR)
    at_start = total("reps_retained_samples", reading="trailing", window=YEAR)
    return Panel(
        "stat",
        Words("Rep retention", "業務人員留任率"),
        Words(
            "Of the reps in a sales role twelve months ago, the share still in one.",
            "十二個月前的業務人員中,仍在職的比例。",
        ),
        (
            Query(ratio(kept, at_start), Words("retained", "留任率")),
            Query(at_start, Words("reps (n)", "人數 (n)"), unit="count"),
            Query(total("reps_active"), Words("reps now", "目前人數"), unit="count"),
        ),
        "ratio",
        6,
        4,
        kpi="rep_retention",
        reading="trailing",
        period="trailing_12m",
    )


def _restated(title: Words, stem: str, unit: str, kpi: str, reading: str) -> Panel:
    window = "previous_quarter"
    now, then = total(stem, window=window), total(f"reported_{stem}", window=window)
    return Panel(
        "stat",
        title,
        Words(
            "The last complete quarter: as known now, as frozen after its end, and the difference.",
            "上一個完整季度:依目前所知、季末凍結的數字,以及差異。",
        ),
        (
            Query(now, Words("restated", "重述")),
            Query(then, Words("as reported", "當時報告"), colour="grey"),
            Query(f"{now} - {then}", Words("difference", "差異"), colour="purple"),
        ),
        "money" if unit == "money" else "count",
        8,
        4,
        kpi=kpi,
        reading=reading,
        period="previous_quarter",
        empty=Words("not frozen yet", "尚未凍結"),
    )


BOARD = Board(
    "executive",
    Words("Executive", "高階主管"),
    Words("The whole company against its plan, and what the numbers rest on.", "全公司的業績、預測與客戶。"),
    (
        header(),
        (None, (_won_and_target(), sales.attainment_stat(5, 4), sales.pace_stat(5, 4), sales.coverage(6, 4))),
        (
            Words("Company-wide opportunity status", "全公司的商機狀況"),
            (
                sales.stage_counts(8, 9, title=Words("Open deals by stage", "各階段商機數")),
                sales.stage_amounts(8, 9),
                sales.open_total(8, 9),
            ),
        ),
        (
            Words("Plan", "目標"),
            (_actual_forecast_target(), sales.waterfall(12, 9)),
        ),
        (
            Words("Attainment leaderboard", "業績達標排行榜"),
            (_team_leaderboard(), sales.leaderboard(16, 9)),
        ),
        (Words("Customers and people", "客戶與人員"), (_acv(), _clv())),
        (None, (_retention(), _revenue_retention(), _rep_retention())),
        (
            Words("Last quarter, restated against as reported", "上季:重述與當時報告"),
            (
                _restated(Words("Amount won", "贏得金額"), "won_amount", "money", "won", "amount"),
                _restated(Words("Deals won", "贏得商機"), "opportunities_won", "count", "won", "count"),
                _restated(Words("Customers lost", "流失客戶"), "customers_churned", "count", "churn", "logo"),
            ),
        ),
    ),
    ("team", "window"),
)
