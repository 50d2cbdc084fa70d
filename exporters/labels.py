"""The values that labels of metrics may have: windows, readings, states (ecosystem.md, section 1)."""

from collections.abc import Mapping
from typing import Final

PREFIX: Final = "dealpulse_"

NOW: Final = "now"
QUARTERS: Final = ("quarter_to_date", "previous_quarter", "trailing_12m")
FLOWS: Final = ("day", "week_to_date", "month_to_date", *QUARTERS)
PLANS: Final = ("month_to_date", "quarter_to_date", "year_to_date", "next_quarter")
RUNNING_PLANS: Final = PLANS[:3]
AHEAD: Final = ("quarter_to_date", "next_quarter")
YEAR: Final = ("trailing_12m",)
REPORTED: Final = ("previous_quarter", "previous_month")
REP_WINDOWS: Final = ("quarter_to_date", "previous_quarter")
REP_PLANS: Final = ("month_to_date", "quarter_to_date")

ASKED_AS: Final[Mapping[str, tuple[str, int]]] = {
    "day": ("day", 0),
    "week_to_date": ("week", 0),
    "month_to_date": ("month", 0),
    "quarter_to_date": ("fiscal_quarter", 0),
    "year_to_date": ("fiscal_year", 0),
    "previous_month": ("month", 1),
    "previous_quarter": ("fiscal_quarter", 1),
    "next_quarter": ("fiscal_quarter", -1),
    "trailing_12m": ("trailing_12m", 0),
}
"""`window` label -> the command line's window name, and how many periods before the running one it lies."""

WIN_READINGS: Final = ("closed_count", "cohort", "closed_amount")
CONTRACT_TYPES: Final = ("new", "expansion", "cross_sell", "renewal")
OUTCOMES: Final = ("won", "lost", "open", "omitted")
MILESTONES: Final = ("first_contact", "first_opportunity", "first_win")
REVENUE_CHANGES: Final = ("expansion", "contraction", "churn")
BANDS: Final = ("0_30d", "31_60d", "61_90d")
FORECAST_CATEGORIES: Final = ("commit", "best_case", "pipeline")
LEAVE_REASONS: Final = ("left_role", "left_company")
WATERFALL_CHANGES: Final = (
    "created",
    "pulled_in",
    "amount_up",
    "won",
    "lost",
    "pushed_out",
    "amount_down",
    "deleted",
    "transferred",
    "reopened",
    "revalued",
)
RECORD_RESULTS: Final = ("applied", "unchanged", "rekeyed", "dead_lettered")
DEAD_LETTER_REASONS: Final = (
    "malformed",
    "invalid_envelope",
    "unknown_type",
    "invalid_data",
    "bitmap_not_expanded",
)
REFUSALS: Final = ("signature", "expired", "malformed", "too_large")
CHECKPOINT_RESULTS: Final = ("written", "fenced", "failed")
VISIBILITY_BUCKETS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
DURATION_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

UNASSIGNED: Final = "unassigned"
"""The `team` (and `rep`) of records without one."""
