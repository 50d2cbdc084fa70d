"""docs/metrics.md names every metric, rule and alert (that it is current, test_rules.py holds)."""

from exporters import monitoring
from exporters.alerts import ALERTS
from exporters.names import FAMILIES
from exporters.rules import RECORDINGS

PAGE = (monitoring.ROOT / "docs/metrics.md").read_text(encoding="utf-8")


def test_every_metric_rule_and_alert_is_on_the_page() -> None:
    for name in [*FAMILIES, *RECORDINGS, *(alert.name for alert in ALERTS)]:
        if name.startswith("dealpulse_rep_") and name != "dealpulse_rep_info":
            team = name.replace("dealpulse_rep_", "dealpulse_")
            row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{team}` |"))
            assert row.split("|")[2].strip(), f"{team} has a series per rep"
        else:
            assert name in PAGE


def test_selectors_stand_out() -> None:
    assert "**`reading`** (`closed_count`, `cohort`, `closed_amount`)" in PAGE
