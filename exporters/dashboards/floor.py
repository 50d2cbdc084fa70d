"""The sales floor's board, for a TV: six panels, no legends, no tooltips; opened with `?kiosk`."""

from exporters.dashboards import look, sales
from exporters.dashboards.header import AGE, incomplete, true_as_of
from exporters.dashboards.panel import Board, Panel, Query, Words
from exporters.dashboards.queries import judged, total
from exporters.dashboards.sales import QUARTER


def _as_of() -> Panel:
    shown, missing = true_as_of(), incomplete()
    return Panel(
        "stat",
        Words("True as of", "資料時間"),
        shown.about,
        (
            shown.queries[0],
            Query(
                judged(f"({AGE})", 60, 300, high_is_good=False),
                Words("state", "狀態"),
                unit="state",
                state=look.FRESH,
            ),
            missing.queries[-1],
        ),
        "seconds",
        8,
        9,
        empty=shown.empty,
    )


def _won() -> Panel:
    won = total("won_amount", window=QUARTER)
    return Panel(
        "stat",
        Words("Won", "贏得"),
        Words("Amount and number of deals won today and this quarter.", "今天與本季贏得的金額與件數。"),
        (
            Query(total("won_amount", window="day"), Words("today", "今天")),
            Query(total("opportunities_won", window="day"), Words("deals today", "今天件數"), unit="count"),
            Query(won, Words("this quarter", "本季")),
            *sales.with_goal(won, "won", "amount"),
        ),
        "money",
        8,
        9,
        kpi="won",
        reading="amount",
        period="day",
    )


def _new() -> Panel:
    return Panel(
        "stat",
        Words("New opportunities this week", "本週新商機"),
        Words(
            "Opportunities created this week; the goal is the quarter's.", "本週新建的商機數;目標值為本季。"
        ),
        (
            Query(total("opportunities_created", window="week_to_date"), Words("new", "新商機")),
            *sales.with_goal(total("opportunities_created", window=QUARTER), "new_opportunities", "count"),
        ),
        "count",
        8,
        9,
        kpi="new_opportunities",
        reading="count",
        period="week",
    )


def _win_rate() -> Panel:
    return Panel(
        "stat",
        Words("Win rate this quarter", "本季贏率"),
        Words("Of the deals closed this quarter, the share that was won.", "本季結案的商機中贏得的比例。"),
        (
            Query(sales.win_ratio(), Words("win rate", "贏率")),
            Query(sales.closed(), Words("deals", "件數"), unit="count"),
            *sales.with_goal(sales.win_ratio(), "win_rate", "closed_count"),
        ),
        "ratio",
        8,
        9,
        kpi="win_rate",
        reading="closed_count",
        period="fiscal_quarter",
    )


BOARD = Board(
    "floor",
    Words("Sales floor", "業務現場"),
    Words("For the TV on the sales floor: open it with ?kiosk.", "業務現場電視用:以 ?kiosk 開啟。"),
    (
        (None, (_as_of(), _won(), sales.attainment_stat(8, 9))),
        (None, (sales.leaderboard(8, 9), _win_rate(), _new())),
    ),
    ("team",),
    refresh="5s",
    kiosk=True,
)
