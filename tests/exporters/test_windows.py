from datetime import date

import pytest

from aggregators.calendar import Calendar
from aggregators.meaning import Company
from exporters.windows import asked_window


@pytest.mark.parametrize(
    ("label", "asked"),
    [
        ("quarter_to_date", "fiscal_quarter"),
        ("previous_quarter", "2026-01-01..2026-03-31"),
        ("previous_month", "2026-04-01..2026-04-30"),
        ("trailing_12m", "trailing_12m"),
        ("year_to_date", "fiscal_year"),
        ("2026-01-01..2026-01-31", "2026-01-01..2026-01-31"),
    ],
)
def test_a_label_of_a_metric_is_a_window_of_a_question(label: str, asked: str) -> None:
    assert asked_window(label, Calendar(Company()), date(2026, 5, 20)) == asked
