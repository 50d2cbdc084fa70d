"""Recording and alerting rules, as Prometheus 2.42 and later read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from exporters.alerts import ALERTS, Alert
from exporters.promql import company, over_instances, over_windows, select


@dataclass(frozen=True, slots=True)
class Links:
    """Where the annotations of alerts lead; the defaults are the addresses of docker-compose.yml."""

    grafana: str = "http://localhost:3000"
    runbooks: str = "http://localhost:8402/runbooks"


def _stalled_share() -> str:
    parts = (
        f"sum without (stage_name) ({over_instances(select(name))})"
        for name in ("dealpulse_stalled_amount", "dealpulse_open_amount")
    )
    stalled, still_open = parts
    return f"{stalled}\n/ ({still_open} > 0)"


def _churned_past_grace() -> str:
    churned = over_windows(select("dealpulse_customers_churned", window="quarter_to_date"))
    in_grace = over_instances(select("dealpulse_customers_in_grace"))
    return f"clamp_min({churned}\n  - on (job, team) {in_grace}, 0)"


def _closed() -> str:
    won, lost = (
        company(select("dealpulse_opportunities_won")),
        company(select("dealpulse_opportunities_lost")),
    )
    return f"{won}\n+ {lost}"


RECORDINGS: Final[Mapping[str, str]] = {
    "team:dealpulse_stalled_amount:ratio": _stalled_share(),
    "team:dealpulse_customers_churned:past_grace": _churned_past_grace(),
    "company:dealpulse_won_amount:sum": company(select("dealpulse_won_amount")),
    "company:dealpulse_opportunities_won:sum": company(select("dealpulse_opportunities_won")),
    "company:dealpulse_opportunities_closed:sum": _closed(),
    "company:dealpulse_win:ratio": (
        f"{company(select('dealpulse_opportunities_won'))}\n/ (({_closed()}) > 0)"
    ),
    "company:dealpulse_attainment:ratio": (
        f"{company(select('dealpulse_won_amount'))}\n/ ({company(select('dealpulse_target_amount'))} > 0)"
    ),
}
"""Record -> expression. The boards work without them."""


def recording_rules() -> dict[str, Any]:
    """The document of `recording.yml`."""
    rules = [{"record": record, "expr": expression} for record, expression in RECORDINGS.items()]
    return {"groups": [{"name": "dealpulse-recording", "rules": rules}]}


def alerting_rules(links: Links) -> dict[str, Any]:
    """The document of `alerts.yml`, one group per audience."""
    return {
        "groups": [
            {
                "name": f"dealpulse-{audience}",
                "rules": [_rule(alert, links) for alert in ALERTS if alert.audience == audience],
            }
            for audience in ("sales", "engine")
        ]
    }


def dashboard_url(alert: Alert, links: Links) -> str:
    """The board that shows more, at the team and rep of the alert."""
    address = f"{links.grafana}/d/{alert.board}"
    if alert.audience == "engine":
        return address
    address += "?var-team={{ $labels.team | urlquery }}"
    return address + "&var-rep={{ $labels.rep | urlquery }}" if alert.board == "dealpulse-rep" else address


def _rule(alert: Alert, links: Links) -> dict[str, Any]:
    rule: dict[str, Any] = {"alert": alert.name, "expr": alert.expression}
    if alert.lasting:
        rule["for"] = alert.lasting
    if alert.keep:
        rule["keep_firing_for"] = alert.keep
    rule["labels"] = {"severity": alert.severity, "audience": alert.audience}
    rule["annotations"] = {
        "summary": alert.summary,
        "description": alert.advice,
        "runbook_url": f"{links.runbooks}/{alert.name}",
        "dashboard_url": dashboard_url(alert, links),
    }
    return rule
