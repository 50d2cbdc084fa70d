"""The rules of Prometheus are the ones of ecosystem.md 2, and say what the registry knows."""

import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporters import monitoring
from exporters.alert_cases import ENGINE, SALES
from exporters.alerts import ALERTS, SECONDS_OF_A_DAY, Alert, thresholds
from exporters.rules import RECORDINGS
from exporters.settings import AlertSettings
from tests.monitoring.query_check import findings, selectors

PROMETHEUS = monitoring.ROOT / "monitoring/prometheus"
needs_prometheus = [
    pytest.mark.prometheus,
    pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed"),
]

# ecosystem.md 2, the table of alerts: for, severity.
TABLE = {
    "SalesPipelineStalled": ("1h", "warning"),
    "SalesPipelineDryingUp": ("1d", "warning"),
    "PipelineCoverageLow": ("4h", "info"),
    "NewOpportunitiesBehind": ("1d", "info"),
    "WinRateDrop": ("2h", "warning"),
    "TargetPaceBehind": ("1d", "info"),
    "CustomerChurnSpike": ("1h", "warning"),
    "ContractsExpiringUnrenewed": ("1h", "info"),
    "StalledDealsRep": ("1d", "info"),
    "RampUpOverdue": ("1d", "info"),
    "SalesDataStale": ("2m", "critical"),
    "SalesSourceSilent": ("15m", "warning"),
    "ClockSkew": ("5m", "warning"),
    "SalesDataIncomplete": ("10m", "warning"),
    "SalesDataAbsent": ("10m", "critical"),
    "OpportunitiesUnpriced": ("1h", "info"),
    "WorkerLagHigh": ("5m", "warning"),
    "WorkerStuck": ("5m", "critical"),
    "CheckpointsFailing": ("5m", "critical"),
    "DeadLettersGrowing": ("1m", "warning"),
    "DealpulseTargetDown": ("2m", "critical"),
    "DealpulseExporterAbsent": ("5m", "critical"),
    "NoWorker": ("2m", "critical"),
    "VerifyMismatch": ("", "critical"),
    "Watchdog": ("", "none"),
}


def expression_of(alert: str) -> str:
    return next(one.expression for one in ALERTS if one.name == alert)


def test_the_alerts_are_those_of_the_contract() -> None:
    assert {one.name: (one.lasting, one.severity) for one in ALERTS} == TABLE
    assert [one.audience for one in ALERTS] == ["sales"] * 10 + ["engine"] * 15
    assert {one.name: one.keep for one in ALERTS if one.keep} == {
        "SalesDataStale": "5m",
        "DeadLettersGrowing": "30m",
    }


def test_the_shipped_thresholds_are_those_of_the_contract() -> None:
    served = {(kind, alert): value for kind, alert, value in thresholds(AlertSettings())}
    assert served == {
        ("ratio", "SalesPipelineStalled"): 0.3,
        ("ratio", "SalesPipelineDryingUp"): 0.6,
        ("samples", "SalesPipelineDryingUp"): 12,
        ("ratio", "PipelineCoverageLow"): 2,
        ("ratio", "NewOpportunitiesBehind"): 0.7,
        ("ratio", "WinRateDrop"): 0.2,
        ("samples", "WinRateDrop"): 20,
        ("ratio", "TargetPaceBehind"): 0.8,
        ("ratio", "CustomerChurnSpike"): 2,
        ("samples", "CustomerChurnSpike"): 3,
        ("samples", "ContractsExpiringUnrenewed"): 0,
        ("samples", "StalledDealsRep"): 10,
        ("seconds", "RampUpOverdue"): 30 * SECONDS_OF_A_DAY,
    }


def test_a_threshold_set_in_part_keeps_its_other_part() -> None:
    settings = AlertSettings.model_validate({"WinRateDrop": {"ratio": 0.25}})
    assert (settings.win_rate_drop.ratio, settings.win_rate_drop.samples) == (0.25, 20)
    with pytest.raises(ValueError, match="WinRateDrop has no 'days': it takes ratio, samples"):
        AlertSettings.model_validate({"WinRateDrop": {"days": 3}})


def test_every_sales_alert_reads_its_own_thresholds() -> None:
    for kind, alert, _ in thresholds(AlertSettings()):
        assert f'dealpulse_alert_threshold_{kind}{{alert="{alert}"}}' in expression_of(alert)


@pytest.mark.parametrize("query", [*RECORDINGS.values(), *(one.expression for one in ALERTS)])
def test_every_expression_holds_against_the_registry(query: str) -> None:
    assert findings(query) == []


@pytest.mark.parametrize(
    ("wrong", "finding"),
    [
        ("max without (instance) (dealpulse_win_rate)", "dealpulse_win_rate is no metric of the registry"),
        (
            'max without (instance) (dealpulse_pace_ratio{stage="x"})',
            "dealpulse_pace_ratio has no label stage",
        ),
        (
            'max without (instance) (dealpulse_pace_ratio{window="quarter"})',
            'dealpulse_pace_ratio never has window="quarter"',
        ),
        (
            "sum by (team) (max without (instance) (dealpulse_opportunities_won))",
            "dealpulse_opportunities_won is added up over window, whose values overlap",
        ),
        (
            'sum without (window) (max without (instance) (dealpulse_win_samples{reading="cohort"}))',
            "dealpulse_win_samples is added up over window, whose values overlap",
        ),
        (
            (
                'max without (instance) (dealpulse_win_ratio{window="trailing_12m"})'
                ' < on (team) max without (instance) (dealpulse_pace_ratio{window="quarter_to_date"})'
            ),
            "dealpulse_win_ratio is added up over reading, whose values overlap",
        ),
        (
            'max without (instance) (dealpulse_acv_amount{reading="active",window="trailing_12m"})',
            (
                "dealpulse_acv_amount never has these values together: "
                "{'reading': 'active', 'window': 'trailing_12m'}"
            ),
        ),
        (
            'dealpulse_pace_ratio{window="quarter_to_date"} < 1',
            "dealpulse_pace_ratio is read without max without (instance)",
        ),
        (
            "topk(3, max without (instance) (dealpulse_rep_won_amount))",
            "dealpulse_rep_won_amount is added up over window, whose values overlap",
        ),
        (
            "sum by (team) (max without (instance) (dealpulse_native_open_amount))",
            "dealpulse_native_open_amount is added up over currency",
        ),
        ("rate(dealpulse_worker_lag_events[5m]) > 0", "dealpulse_worker_lag_events is a gauge under rate"),
        ("dealpulse_dead_letters_total > 0", "dealpulse_dead_letters_total is a counter read without a rate"),
        (
            "sum by (region) (max without (instance) (dealpulse_customers_active))",
            "groups by region, which no series below has",
        ),
        (
            "max_over_time(dealpulse_freshness_timestamp_seconds[7d])",
            "reads 7 days, 0:00:00 of raw samples",
        ),
        ("max without (instance (x)", "does not parse: "),
    ],
)
def test_a_wrong_query_is_found_out(wrong: str, finding: str) -> None:
    assert any(found.startswith(finding) for found in findings(wrong)), findings(wrong)


JARGON = ("dealpulse", "metric", "series", "ratio", "exporter", "shard", "partition")


@pytest.mark.parametrize(
    "alert", [one for one in ALERTS if one.audience == "sales"], ids=lambda one: one.name
)
def test_a_salesperson_understands_the_summary_which_has_the_figure_in_it(alert: Alert) -> None:
    assert "$value" in alert.summary
    assert "{{ $labels.team }}" in alert.summary
    words = re.sub(r"\{\{.*?\}\}", "", alert.summary)
    assert not [word for word in JARGON if word in words]
    assert "\n" not in alert.summary


def test_every_alert_has_its_cases() -> None:
    assert {*(one.alert for one in SALES), *ENGINE} == {one.name for one in ALERTS}


class Situations:
    """What the generated cases of one alert put it through."""

    def __init__(self, alert: str) -> None:
        path = PROMETHEUS / f"tests/{alert}.yml"
        self._cases = yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
        self._families = {one.name for one in selectors(expression_of(alert)) if one.name}
        self._families |= {
            one.name
            for record in self._families & set(RECORDINGS)
            for one in selectors(RECORDINGS[record])
            if one.name
        }
        self._families = {one for one in self._families if "alert_threshold" not in one}

    def _seen(self, case: dict[str, Any]) -> list[bool]:
        checks = sorted(case["alert_rule_test"], key=lambda check: int(check["eval_time"].removesuffix("m")))
        return [bool(check["exp_alerts"]) for check in checks]

    def _told(self, case: dict[str, Any]) -> list[str]:
        named = [one["series"] for one in case["input_series"]]
        return [one for one in named if one.split("{")[0] in self._families]

    def met(self) -> set[str]:
        """The situations by name."""
        found = set()
        for case in self._cases:
            seen, told = self._seen(case), self._told(case)
            ends = any("stale" in one["values"] for one in case["input_series"])
            instances = {re.sub(r".*instance=\"([^\"]+)\".*", r"\1", one) for one in told}
            if (False, True) in pairwise(seen):
                found.add("fires, and not before its time")
            if (True, False) in pairwise(seen):
                found.add("resolves")
            if not any(seen) and told and not ends:
                found.add("is silent below")
            if ends:
                found.add("stale")
            if not told:
                found.add("absent")
            if any(seen) and len(instances) > 1:
                found.add("two processes")
        return found


EVERY_SITUATION = {
    "fires, and not before its time", "resolves", "is silent below", "stale", "absent", "two processes",
}  # fmt: skip
CANNOT_BE = {
    # `up` is 0 or 1, and cases of it hold some target's: theirs are among the cases by name.
    "DealpulseTargetDown": {"is silent below", "absent"},
    "DealpulseExporterAbsent": {"is silent below", "absent", "two processes"},  # absence is what it tells
    "NoWorker": {"is silent below", "absent"},
    "Watchdog": EVERY_SITUATION,
}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda one: one.name)
def test_every_alert_is_tried_in_every_situation_it_can_be_in(alert: Alert) -> None:
    assert EVERY_SITUATION - Situations(alert.name).met() - CANNOT_BE.get(alert.name, set()) == set()


def test_annotations_lead_somewhere() -> None:
    document = yaml.safe_load((PROMETHEUS / "rules/alerts.yml").read_text(encoding="utf-8"))
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    assert len(rules) == 25
    for rule in rules:
        assert set(rule["labels"]) == {"severity", "audience"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url", "dashboard_url"}
        page = (
            monitoring.ROOT
            / "monitoring/runbooks"
            / f"{rule['annotations']['runbook_url'].rsplit('/')[-1]}.md"
        )
        assert page.is_file(), f"{page.name} is missing"


def _seen(*command: str, cwd: Path = PROMETHEUS) -> str:
    found = subprocess.run(command, cwd=cwd, text=True, capture_output=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


class TestWithTheRealTools:
    pytestmark = needs_prometheus

    def test_promtool_reads_configuration_and_rules(self) -> None:
        said = _seen("promtool", "check", "config", "prometheus.yml")
        assert "7 rules found" in said
        assert "25 rules found" in said

    @pytest.mark.timeout(180)
    def test_every_alert_fires_and_keeps_silent_as_its_cases_say(self) -> None:
        files = sorted(str(path.relative_to(PROMETHEUS)) for path in (PROMETHEUS / "tests").glob("*.yml"))
        assert len(files) == 26
        _seen("promtool", "test", "rules", *files)

    def test_a_wrong_expectation_fails(self, tmp_path: Path) -> None:
        for name in ("rules/recording.yml", "rules/alerts.yml", "tests/VerifyMismatch.yml"):
            target = tmp_path / name
            target.parent.mkdir(exist_ok=True)
            text = (PROMETHEUS / name).read_text(encoding="utf-8")
            target.write_text(
                text.replace("dealpulse_verify_mismatches) > 0", "dealpulse_verify_mismatches) > 2")
            )
        found = subprocess.run(
            ["promtool", "test", "rules", "tests/VerifyMismatch.yml"],
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        assert found.returncode != 0

    @pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed")
    def test_amtool_reads_configuration_and_templates(self) -> None:
        said = _seen("amtool", "check-config", "alertmanager.yml", cwd=PROMETHEUS.parent / "alertmanager")
        assert "4 receivers" in said
        assert "1 templates" in said

    @pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed")
    @pytest.mark.parametrize(
        ("labels", "receiver"),
        [
            (["alertname=SalesPipelineStalled", "audience=sales", "severity=warning"], "sales"),
            (["alertname=DealpulseTargetDown", "audience=engine", "severity=critical"], "oncall"),
            (["alertname=ClockSkew", "audience=engine", "severity=warning"], "engine"),
            (["alertname=Watchdog", "audience=engine", "severity=none"], "deadman"),
        ],
    )
    def test_alerts_reach_their_audience(self, labels: list[str], receiver: str) -> None:
        folder = PROMETHEUS.parent / "alertmanager"
        said = _seen(
            "amtool", "config", "routes", "test", "--config.file=alertmanager.yml", *labels, cwd=folder
        )
        assert said.strip() == receiver


def test_generated_files_are_current() -> None:
    stale = monitoring.outdated(monitoring.files(), monitoring.ROOT)
    assert stale == [], "run python -m exporters.monitoring"
