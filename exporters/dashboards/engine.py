"""The engine's board: is the machinery well that makes the numbers?"""

from events.topics import TOPICS
from exporters.dashboards.header import header
from exporters.dashboards.panel import Board, Panel, Query, States, Words
from exporters.labels import DEAD_LETTER_REASONS, RECORD_RESULTS
from exporters.promql import select

UP = States(Words("● up", "● 運作"), Words("▲ down", "▲ 停止"), Words("▼ down", "▼ 停止"))
_RATE = "$__rate_interval"
CODES = ("200", "202", "204", "400", "401", "413", "429", "503")


def _line(
    title: Words,
    about: Words,
    queries: tuple[Query, ...],
    unit: str,
    *,
    width: int = 8,
    stacked: bool = False,
) -> Panel:
    known = {"count": "count", "seconds": "seconds", "bytes": "bytes"}
    return Panel(
        "timeseries",
        title,
        about,
        queries,
        known[unit],  # type: ignore[arg-type]
        width,
        8,
        lowest=0,
        stacked=stacked,
    )


def _per_second(label: str, name: str) -> str:
    return f"sum by ({label}) (rate({select(name)}[{_RATE}]))"


def _quantile(share: str, name: str) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({name}_bucket[{_RATE}])))"


def _halves(name: str) -> tuple[Query, ...]:
    return (
        Query(_quantile("0.5", name), Words("p50", "p50"), colour="blue"),
        Query(_quantile("0.99", name), Words("p99", "p99"), colour="orange"),
    )


def _processes() -> Panel:
    return Panel(
        "statetimeline",
        Words("Processes", "程序"),
        Words("Whether each exporter, worker and gateway answers.", "各匯出程式、工作程式與閘道是否回應。"),
        (
            Query(
                '1 - up{job=~"dealpulse-.*"}', Words("{{job}} {{instance}}", "{{job}} {{instance}}"), state=UP
            ),
        ),
        "state",
        16,
        8,
    )


def _build() -> Panel:
    return Panel(
        "table",
        Words("Build", "版本"),
        Words("Processes by version.", "各版本的程序數。"),
        (Query(f"count by (version) ({select('dealpulse_build_info')})", Words("processes", "程序數")),),
        "count",
        8,
        8,
        category="version",
    )


def _series() -> Panel:
    return Panel(
        "stat",
        Words("Series", "序列數"),
        Words(
            "Series in the last exposition; series of reps left out for the limit; TVs connected.",
            "上次輸出的序列數、因上限省略的業務人員序列、連線中的看板。",
        ),
        (
            Query(f"max by (job) ({select('dealpulse_exporter_series')})", Words("series", "序列")),
            Query(
                f"max by (job) ({select('dealpulse_exporter_suppressed_series')})", Words("left out", "省略")
            ),
            Query(f"sum by (job) ({select('dealpulse_exporter_sse_clients')})", Words("boards", "看板")),
        ),
        "count",
        12,
        4,
    )


def _rebalances() -> Panel:
    return Panel(
        "stat",
        Words("Rebalances and dead letters", "重新分配與無法讀取的紀錄"),
        Words(
            "Rebalances of the group and unreadable records in the last hour; dead letters still open.",
            "近一小時的群組重新分配與無法讀取的紀錄;尚未處理的數量。",
        ),
        (
            Query(
                f"sum by (job) (increase({select('dealpulse_worker_rebalances_total')}[1h]))",
                Words("rebalances, 1 h", "重新分配 (1 小時)"),
            ),
            Query(
                f"sum by (job) (increase({select('dealpulse_dead_letters_total')}[1h]))",
                Words("dead letters, 1 h", "無法讀取 (1 小時)"),
                colour="orange",
            ),
            Query(
                f"sum by (job) (max without (instance) ({select('dealpulse_dead_letters_pending')}))",
                Words("dead letters open", "尚未處理"),
            ),
        ),
        "count",
        12,
        4,
    )


BOARD = Board(
    "engine",
    Words("Engine health", "引擎健康"),
    Words("Is the machinery well that makes the numbers?", "產生數字的系統是否正常?"),
    (
        header(),
        (None, (_series(), _rebalances())),
        (None, (_processes(), _build())),
        (
            Words("Flow", "流量"),
            (
                _line(
                    Words("Events per second", "每秒事件數"),
                    Words("Records read, by what became of them.", "讀取的紀錄,依處理結果。"),
                    (
                        Query(
                            _per_second("result", "dealpulse_worker_events_total"),
                            Words("{{result}}", "{{result}}"),
                            names=(*RECORD_RESULTS, "translated"),
                        ),
                    ),
                    "count",
                    stacked=True,
                ),
                _line(
                    Words("Lag in events", "落後事件數"),
                    Words("Events waiting, by topic.", "等待處理的事件數,依主題。"),
                    (
                        Query(
                            f"sum by (topic) (max without (instance) ({select('dealpulse_worker_lag_events')}))",
                            Words("{{topic}}", "{{topic}}"),
                            names=TOPICS,
                        ),
                    ),
                    "count",
                ),
                _line(
                    Words("Lag in seconds", "落後秒數"),
                    Words(
                        "Age of the oldest event not yet folded, by topic.", "最舊的未處理事件年齡,依主題。"
                    ),
                    (
                        Query(
                            f"max by (topic) ({select('dealpulse_worker_lag_seconds')})",
                            Words("{{topic}}", "{{topic}}"),
                            names=TOPICS,
                        ),
                    ),
                    "seconds",
                ),
            ),
        ),
        (
            Words("Freshness", "即時性"),
            (
                _line(
                    Words("Age of the numbers", "數字的年齡"),
                    Words("Now less the instant the numbers are true for.", "現在減去數字的基準時間。"),
                    (
                        Query(
                            f"time() - max by (job) ({select('dealpulse_freshness_timestamp_seconds')})",
                            Words("age", "年齡"),
                            colour="blue",
                        ),
                    ),
                    "seconds",
                ),
                _line(
                    Words("Visibility delay", "可見延遲"),
                    Words(
                        "From a record's append to its effect in the numbers.",
                        "由寫入紀錄到反映於數字的時間。",
                    ),
                    _halves("dealpulse_event_visibility_delay_seconds"),
                    "seconds",
                ),
                _line(
                    Words("Checkpoint duration", "檢查點時間"),
                    Words("Time of one atomic write to Redis.", "一次原子寫入 Redis 的時間。"),
                    _halves("dealpulse_worker_checkpoint_duration_seconds"),
                    "seconds",
                ),
            ),
        ),
        (
            Words("State and input", "狀態與輸入"),
            (
                _line(
                    Words("Shard size", "分片大小"),
                    Words("Size of the state, by topic.", "狀態大小,依主題。"),
                    (
                        Query(
                            f"sum by (topic) (max without (instance) ({select('dealpulse_worker_shard_bytes')}))",
                            Words("{{topic}}", "{{topic}}"),
                            names=TOPICS,
                        ),
                    ),
                    "bytes",
                    stacked=True,
                ),
                _line(
                    Words("Dead letters per second", "每秒無法讀取的紀錄"),
                    Words("Records that could not be read, by reason.", "無法讀取的紀錄,依原因。"),
                    (
                        Query(
                            _per_second("reason", "dealpulse_dead_letters_total"),
                            Words("{{reason}}", "{{reason}}"),
                            names=DEAD_LETTER_REASONS,
                        ),
                    ),
                    "count",
                ),
                _line(
                    Words("Gateway answers per second", "閘道每秒回應"),
                    Words("HTTP answers by status code.", "HTTP 回應,依狀態碼。"),
                    (
                        Query(
                            _per_second("code", "dealpulse_gateway_requests_total"),
                            Words("{{code}}", "{{code}}"),
                            names=CODES,
                        ),
                    ),
                    "count",
                ),
            ),
        ),
    ),
    (),
)
