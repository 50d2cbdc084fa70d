"""Each alert has one page that says what to do, and each page quotes the rule in force."""

import pytest

from exporters import monitoring
from exporters.alerts import ALERTS, Alert
from exporters.settings import AlertSettings

RUNBOOKS = monitoring.ROOT / "monitoring/runbooks"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda one: one.name)
def test_a_page_says_what_it_means_what_to_do_and_when_it_ends(alert: Alert) -> None:
    page = (RUNBOOKS / f"{alert.name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {alert.name}\n\nSeverity {alert.severity}, ")
    headings = ["## What it means for sales", "## Look at first", "## Commands", "## When it resolves"]
    places = [page.index(heading) for heading in headings]
    assert places == sorted(places)
    assert f"```promql\n{alert.expression}\n```" in page
    if alert.name in AlertSettings().by_alert():
        assert f"[alerts] {alert.name} = {{" in page


def test_there_are_no_other_pages() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {alert.name for alert in ALERTS}
