"""The first row of every board: the instant the numbers are true for, and what is missing from them."""

from exporters.dashboards import look
from exporters.dashboards.panel import Panel, Query, Words
from exporters.dashboards.queries import FRESHNESS, judged
from exporters.promql import over_instances, select

AGE = f"time() - {FRESHNESS}"
# With nothing pending no series of a resync exists: 0, as soon as an exporter answers at all. While shards are
# missing no KPI is told, the number of unpriced deals neither.
_NONE = f"0 * max by (job) ({select('dealpulse_partitions_missing')})"
_PENDING = f"sum by (job) ({over_instances(select('dealpulse_resync_pending'))}) or {_NONE}"
_MISSING = over_instances(select("dealpulse_partitions_missing"))
_UNPRICED_OPEN = over_instances(select("dealpulse_unpriced_opportunities", state="open", window="now"))
_UNPRICED = f"sum by (job) ({_UNPRICED_OPEN})"
_STATE = (
    f"clamp_max(2 * ({_MISSING} > bool 0) + on (job) "
    f"(({_PENDING}) + on (job) ({_UNPRICED} or {_NONE}) > bool 0), 2)"
)


def true_as_of(width: int = 12, height: int = 3) -> Panel:
    """How old the numbers are: warning from 60 s, bad from 300 s."""
    return Panel(
        "stat",
        Words("True as of", "資料時間"),
        Words(
            "The instant all numbers on this board are true for: every event stored before it is in them. "
            "Over 1 minute old is late, over 5 minutes stale.",
            "本頁所有數字的基準時間:在此之前寫入的事件都已計入。超過 1 分鐘為延遲,超過 5 分鐘為過期。",
        ),
        (
            Query(f"{FRESHNESS} * 1000", Words("as of", "截至"), unit="instant"),
            Query(AGE, Words("age", "資料年齡"), unit="seconds", limits=(60, 300)),
            Query(
                judged(f"({AGE})", 60, 300, high_is_good=False),
                Words("state", "狀態"),
                unit="state",
                state=look.FRESH,
            ),
        ),
        "seconds",
        width,
        height,
        empty=Words("no exporter", "無匯出程式"),
    )


def incomplete(width: int = 12, height: int = 3) -> Panel:
    """What the numbers lack: shards, full statements, exchange rates."""
    return Panel(
        "stat",
        Words("Incomplete", "不完整的資料"),
        Words(
            "What is missing from the numbers: shards that are absent, records awaiting a full statement, "
            "open deals without an exchange rate. All 0: complete.",
            "數字中缺少的部分:缺席的資料分片、等待完整敘述的紀錄、沒有匯率的未結商機。全部為 0 表示完整。",
        ),
        (
            Query(_MISSING, Words("shards missing", "缺少分片")),
            Query(_PENDING, Words("awaiting resync", "等待重新同步")),
            Query(_UNPRICED, Words("deals unpriced", "無匯率商機")),
            Query(
                _STATE,
                Words("state", "狀態"),
                unit="state",
                state=look.WHOLE,
            ),
        ),
        "count",
        width,
        height,
        empty=Words("no exporter", "無匯出程式"),
    )


def header() -> tuple[None, tuple[Panel, ...]]:
    """The row."""
    return None, (true_as_of(), incomplete())
