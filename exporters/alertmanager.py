"""The example configuration of Alertmanager: who hears which alert, and when it keeps quiet."""

from typing import Any, Final

_ENGINE_DOWN: Final = 'alertname=~"DealpulseTargetDown|DealpulseExporterAbsent|NoWorker"'
_STALE_OR_SILENT: Final = 'alertname=~"SalesDataStale|SalesDataAbsent|SalesSourceSilent"'

TEMPLATES: Final = """\
{{/* The texts of a message. They show the summaries of the alerts, which carry the figures. */}}
{{ define "dealpulse.title" -}}
{{ if eq .Status "firing" }}▲{{ else }}●{{ end }} {{ .CommonLabels.alertname }}
{{- if .CommonLabels.team }} · {{ .CommonLabels.team }}{{ end }}
{{- if eq .Status "resolved" }} · resolved{{ end }}
{{- end }}
{{ define "dealpulse.text" -}}
{{ range .Alerts }}{{ if eq .Status "resolved" }}Resolved: {{ end }}{{ .Annotations.summary }}
{{ if eq .Status "firing" }}{{ .Annotations.description }}
<{{ .Annotations.dashboard_url }}|Board> · <{{ .Annotations.runbook_url }}|What to do>
{{ end }}{{ end }}
{{- end }}
"""


def configuration(*, zone: str, mute: bool = True) -> dict[str, Any]:
    """The document of `alertmanager.yml`. Sales alerts are muted out of office hours in `zone`, unless not `mute`."""
    sales: dict[str, Any] = {"receiver": "sales", "matchers": ['audience="sales"']}
    if mute:
        sales["mute_time_intervals"] = ["outside-office"]
    document: dict[str, Any] = {
        "templates": ["templates/*.tmpl"],
        "route": {
            "receiver": "engine",
            "group_by": ["alertname", "team"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "24h",
            "routes": [
                {"receiver": "deadman", "matchers": ['alertname="Watchdog"'], "repeat_interval": "1m"},
                sales,
                {
                    "receiver": "oncall",
                    "matchers": ['audience="engine"', 'severity="critical"'],
                    "repeat_interval": "1h",
                },
            ],
        },
        "receivers": [
            {"name": "sales", "slack_configs": [_slack("#sales-pulse")]},
            {"name": "engine", "slack_configs": [_slack("#dealpulse-ops")]},
            {"name": "oncall", "webhook_configs": [{"url": "http://oncall:8080/alerts"}]},
            {"name": "deadman", "webhook_configs": [{"url": "http://deadman:8080/ping"}]},
        ],
        # Sales alerts are muted at night, not resolved; none fires on stale data.
        "inhibit_rules": [
            {"source_matchers": [_ENGINE_DOWN], "target_matchers": [_STALE_OR_SILENT]},
            {"source_matchers": ['alertname="SalesDataStale"'], "target_matchers": ['audience="sales"']},
        ],
    }
    if mute:
        document["time_intervals"] = [{"name": "outside-office", "time_intervals": _outside_office(zone)}]
    return document


def _slack(channel: str) -> dict[str, Any]:
    return {
        "channel": channel,
        "api_url_file": "/etc/alertmanager/slack_url",
        "send_resolved": True,
        "title": '{{ template "dealpulse.title" . }}',
        "text": '{{ template "dealpulse.text" . }}',
    }


def _outside_office(zone: str) -> list[dict[str, Any]]:
    # 'saturday:sunday' is refused, so two entries.
    nights = [
        {"start_time": "00:00", "end_time": "09:00"},
        {"start_time": "18:00", "end_time": "24:00"},
    ]
    return [{"weekdays": ["saturday", "sunday"], "location": zone}, {"times": nights, "location": zone}]
