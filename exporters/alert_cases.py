"""Cases for `promtool test rules`: for every alert when it fires, keeps silent, resolves, and why.

Every figure and every sentence expected here is written by hand, not taken from the rules; only
descriptions and addresses are. Minutes count from the start of a case, which promtool takes as
1970-01-01T00:00Z, so that `time()` is the age of the case in seconds.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus

from exporters.alerts import ALERTS
from exporters.rules import Links, dashboard_url

_EXPORTER: Final = 'job="dealpulse-exporter",instance="exporter-1:8402"'
_SECOND_EXPORTER: Final = 'job="dealpulse-exporter",instance="exporter-2:8402"'
_WORKER: Final = 'job="dealpulse-worker",instance="worker-1:8403"'
_SECOND_WORKER: Final = 'job="dealpulse-worker",instance="worker-2:8403"'

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Check:
    """At `minute`, `alert` fires with exactly these (labels, summary), or not at all."""

    minute: int
    alert: str
    firing: tuple[tuple[Labels, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """A run of series, one value per `step` minutes, and what must be seen."""

    name: str
    series: Mapping[str, str]
    checks: tuple[Check, ...]
    step: int = 1


@dataclass(frozen=True, slots=True)
class Sales:
    """A sales alert by its values: `firing` just past the threshold, `quiet` exactly at it.

    Keys are selectors without target labels. `no_sample` are the values when the figure is absent
    and its samples are 0; `too_few` those of a figure past the threshold over too few records.
    """

    alert: str
    minutes: int
    labels: Labels
    summary: str
    thresholds: Mapping[str, float]
    firing: Mapping[str, float]
    quiet: Mapping[str, float]
    no_sample: Mapping[str, float]
    too_few: Mapping[str, float] | None = None


def case_files(links: Links) -> dict[str, dict[str, Any]]:
    """Name of each file in monitoring/prometheus/tests -> its document."""
    documents = {one.alert: list(_sales_cases(one)) for one in SALES} | dict(ENGINE)
    named = {name: _document(cases, links) for name, cases in documents.items()}
    return named | {"recording": _recording_document()}


# --- how a case looks in the file ---


def _document(cases: Iterable[Case], links: Links) -> dict[str, Any]:
    found = list(cases)
    return {**_head(found[0].step), "tests": [_test(case, links) for case in found]}


def _head(step: int = 1) -> dict[str, Any]:
    return {
        "rule_files": ["../rules/recording.yml", "../rules/alerts.yml"],
        "evaluation_interval": f"{step}m",
        "group_eval_order": ["dealpulse-recording", "dealpulse-sales", "dealpulse-engine"],
    }


def _test(case: Case, links: Links) -> dict[str, Any]:
    return {
        "name": case.name,
        "interval": f"{case.step}m",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "alert_rule_test": [_alert_test(check, links) for check in case.checks],
    }


def _alert_test(check: Check, links: Links) -> dict[str, Any]:
    alert = next(one for one in ALERTS if one.name == check.alert)
    address = dashboard_url(alert, links)
    expected = []
    for labels, summary in check.firing:
        found = address
        for name, value in labels.items():
            found = found.replace(f"{{{{ $labels.{name} | urlquery }}}}", quote_plus(value))
        expected.append(
            {
                "exp_labels": {**labels, "severity": alert.severity, "audience": alert.audience},
                "exp_annotations": {
                    "summary": summary,
                    "description": alert.advice,
                    "runbook_url": f"{links.runbooks}/{alert.name}",
                    "dashboard_url": found,
                },
            }
        )
    return {"eval_time": f"{check.minute}m", "alertname": check.alert, "exp_alerts": expected}


def _flat(*runs: tuple[float, int]) -> str:
    """Runs of (value, how many times) as promtool writes them."""
    return " ".join(f"{value:g}+0x{times - 1}" for value, times in runs)


def _with_target(selector: str, target: str) -> str:
    name, _, matchers = selector.partition("{")
    return f"{name}{{{target},{matchers}" if matchers else f"{name}{{{target}}}"


# --- sales alerts: eight cases each, from their values ---


def _sales_cases(one: Sales) -> Iterator[Case]:
    # In steps of ten minutes or half an hour: a step evaluates every rule, which takes milliseconds.
    step = 30 if one.minutes >= _DAY else 10
    late = one.minutes // step + 10
    lasting = one.minutes // step
    fires = Check(one.minutes, one.alert, ((one.labels, one.summary),))

    def silent(steps: int) -> Check:
        return Check(steps * step, one.alert)

    def run(
        *parts: tuple[Mapping[str, float], int], target: str = _EXPORTER, tail: str = ""
    ) -> dict[str, str]:
        total = sum(times for _, times in parts)
        lines = {_with_target(name, target): _flat((value, total)) for name, value in one.thresholds.items()}
        for name in dict.fromkeys(name for values, _ in parts for name in values):
            pieces = [_flat((values[name], times)) for values, times in parts]
            lines[_with_target(name, target)] = " ".join([*pieces, tail]).strip()
        return lines

    def case(name: str, series: dict[str, str], *checks: Check) -> Case:
        return Case(name, series, checks, step)

    yield case("fires when it has lasted, not before", run((one.firing, late)), silent(lasting - 1), fires)
    yield case("is silent at the threshold itself", run((one.quiet, late)), silent(lasting + 8))
    yield case(
        "resolves when the figure is back",
        run((one.firing, lasting + 3), (one.quiet, 8)),
        fires,
        silent(lasting + 6),
    )
    yield case(
        "resolves when the exporter stops telling the figure",
        run((one.firing, lasting + 3), tail="stale"),
        fires,
        silent(lasting + 6),
    )
    yield case("is silent without any series of the figure", run(({}, late)), silent(lasting + 8))
    yield case("is silent without a sample", run((one.no_sample, late)), silent(lasting + 8))
    if one.too_few is not None:
        yield case("is silent over too few records", run((one.too_few, late)), silent(lasting + 8))
    yield case(
        "comes once from two exporters",
        run((one.firing, late)) | run((one.firing, late), target=_SECOND_EXPORTER),
        fires,
    )


def _team(**more: str) -> dict[str, str]:
    return {"job": "dealpulse-exporter", "team": "North", **more}


_DAY: Final = 24 * 60
_Q: Final = 'team="North",window="quarter_to_date"'
_STAGED: Final = 'team="North",stage_name="Proposal",currency="TWD"'
_OTHER_STAGE: Final = 'team="North",stage_name="Negotiation",currency="TWD"'
_CLOSED: Final = 'team="North",reading="closed_count"'


def _ratio(alert: str, value: float) -> dict[str, float]:
    return {f'dealpulse_alert_threshold_ratio{{alert="{alert}"}}': value}


def _samples(alert: str, value: float) -> dict[str, float]:
    return {f'dealpulse_alert_threshold_samples{{alert="{alert}"}}': value}


SALES: Final = (
    Sales(
        "SalesPipelineStalled",
        60,
        _team(currency="TWD"),
        "Team North: 31% of the open pipeline is stalled",
        _ratio("SalesPipelineStalled", 0.3),
        # 310 of 1,000 over two stages: the ratio is sum over sum.
        firing={
            f"dealpulse_stalled_amount{{{_STAGED}}}": 300,
            f"dealpulse_stalled_amount{{{_OTHER_STAGE}}}": 10,
            f"dealpulse_open_amount{{{_STAGED}}}": 400,
            f"dealpulse_open_amount{{{_OTHER_STAGE}}}": 600,
        },
        quiet={
            f"dealpulse_stalled_amount{{{_STAGED}}}": 290,
            f"dealpulse_stalled_amount{{{_OTHER_STAGE}}}": 10,
            f"dealpulse_open_amount{{{_STAGED}}}": 400,
            f"dealpulse_open_amount{{{_OTHER_STAGE}}}": 600,
        },
        no_sample={
            f"dealpulse_stalled_amount{{{_STAGED}}}": 0,
            f"dealpulse_open_amount{{{_STAGED}}}": 0,
        },
    ),
    Sales(
        "SalesPipelineDryingUp",
        _DAY,
        _team(),
        "Team North: the pipeline is drying up, only 5 new opportunities in the last 28 days",
        _ratio("SalesPipelineDryingUp", 0.6) | _samples("SalesPipelineDryingUp", 12),
        firing={
            'dealpulse_opportunities_created_recent{team="North"}': 5,
            'dealpulse_opportunities_created_baseline{team="North"}': 10,
            'dealpulse_opportunities_created_baseline_samples{team="North"}': 30,
        },
        quiet={
            'dealpulse_opportunities_created_recent{team="North"}': 6,
            'dealpulse_opportunities_created_baseline{team="North"}': 10,
            'dealpulse_opportunities_created_baseline_samples{team="North"}': 30,
        },
        no_sample={
            'dealpulse_opportunities_created_recent{team="North"}': 0,
            'dealpulse_opportunities_created_baseline{team="North"}': 0,
            'dealpulse_opportunities_created_baseline_samples{team="North"}': 0,
        },
        too_few={
            'dealpulse_opportunities_created_recent{team="North"}': 0,
            'dealpulse_opportunities_created_baseline{team="North"}': 3.6666,
            'dealpulse_opportunities_created_baseline_samples{team="North"}': 11,
        },
    ),
    Sales(
        "PipelineCoverageLow",
        240,
        _team(window="quarter_to_date"),
        "Team North: the open pipeline is only 1.9 times what is missing to this quarter's target",
        _ratio("PipelineCoverageLow", 2),
        firing={f"dealpulse_coverage_ratio{{{_Q}}}": 1.9, f"dealpulse_coverage_samples{{{_Q}}}": 4},
        quiet={f"dealpulse_coverage_ratio{{{_Q}}}": 2, f"dealpulse_coverage_samples{{{_Q}}}": 4},
        no_sample={f"dealpulse_coverage_samples{{{_Q}}}": 0},
    ),
    Sales(
        "NewOpportunitiesBehind",
        _DAY,
        _team(window="quarter_to_date"),
        "Team North: 13 new opportunities this quarter are too few to reach the target",
        _ratio("NewOpportunitiesBehind", 0.7),
        # 40 needed, half of the quarter gone, 70 %: 14.
        firing={
            f"dealpulse_opportunities_created{{{_Q}}}": 13,
            f"dealpulse_opportunities_needed{{{_Q}}}": 40,
            f'dealpulse_target_pace_amount{{{_Q},currency="TWD"}}': 500,
            f'dealpulse_target_amount{{{_Q},currency="TWD"}}': 1000,
        },
        quiet={
            f"dealpulse_opportunities_created{{{_Q}}}": 14,
            f"dealpulse_opportunities_needed{{{_Q}}}": 40,
            f'dealpulse_target_pace_amount{{{_Q},currency="TWD"}}': 500,
            f'dealpulse_target_amount{{{_Q},currency="TWD"}}': 1000,
        },
        no_sample={f"dealpulse_opportunities_created{{{_Q}}}": 0},
    ),
    Sales(
        "WinRateDrop",
        120,
        _team(reading="closed_count"),
        "Team North: only 39% of this quarter's closed deals were won, well under the last 12 months",
        _ratio("WinRateDrop", 0.2) | _samples("WinRateDrop", 20),
        firing={
            f'dealpulse_win_ratio{{{_CLOSED},window="quarter_to_date"}}': 0.39,
            f'dealpulse_win_ratio{{{_CLOSED},window="trailing_12m"}}': 0.5,
            f'dealpulse_win_samples{{{_CLOSED},window="quarter_to_date"}}': 20,
        },
        quiet={
            f'dealpulse_win_ratio{{{_CLOSED},window="quarter_to_date"}}': 0.4,
            f'dealpulse_win_ratio{{{_CLOSED},window="trailing_12m"}}': 0.5,
            f'dealpulse_win_samples{{{_CLOSED},window="quarter_to_date"}}': 20,
        },
        no_sample={
            f'dealpulse_win_ratio{{{_CLOSED},window="trailing_12m"}}': 0.5,
            f'dealpulse_win_samples{{{_CLOSED},window="quarter_to_date"}}': 0,
        },
        too_few={
            f'dealpulse_win_ratio{{{_CLOSED},window="quarter_to_date"}}': 0.1,
            f'dealpulse_win_ratio{{{_CLOSED},window="trailing_12m"}}': 0.5,
            f'dealpulse_win_samples{{{_CLOSED},window="quarter_to_date"}}': 19,
        },
    ),
    Sales(
        "TargetPaceBehind",
        _DAY,
        _team(window="quarter_to_date"),
        "Team North: this quarter's wins are at 79% of where the target should stand today",
        _ratio("TargetPaceBehind", 0.8),
        firing={f"dealpulse_pace_ratio{{{_Q}}}": 0.79, f"dealpulse_attainment_samples{{{_Q}}}": 5},
        quiet={f"dealpulse_pace_ratio{{{_Q}}}": 0.8, f"dealpulse_attainment_samples{{{_Q}}}": 5},
        no_sample={f"dealpulse_attainment_samples{{{_Q}}}": 0},
    ),
    Sales(
        "CustomerChurnSpike",
        60,
        _team(),
        "Team North: 6% of the customers left this quarter, far more than usual",
        _ratio("CustomerChurnSpike", 2) | _samples("CustomerChurnSpike", 3),
        # 8 churned, 2 of them in grace: 6 of 100; a usual quarter of 10 % a year is 2.5 %, twice that 5 %.
        firing={
            f"dealpulse_customers_churned{{{_Q}}}": 8,
            'dealpulse_customers_in_grace{team="North"}': 2,
            f"dealpulse_customer_retention_samples{{{_Q}}}": 100,
            'dealpulse_customer_churn_ratio{team="North",window="trailing_12m"}': 0.1,
        },
        # Exactly twice the usual, once those in grace are left out.
        quiet={
            f"dealpulse_customers_churned{{{_Q}}}": 7,
            'dealpulse_customers_in_grace{team="North"}': 2,
            f"dealpulse_customer_retention_samples{{{_Q}}}": 100,
            'dealpulse_customer_churn_ratio{team="North",window="trailing_12m"}': 0.1,
        },
        no_sample={
            f"dealpulse_customers_churned{{{_Q}}}": 0,
            'dealpulse_customers_in_grace{team="North"}': 0,
            f"dealpulse_customer_retention_samples{{{_Q}}}": 0,
        },
        too_few={
            f"dealpulse_customers_churned{{{_Q}}}": 2,
            'dealpulse_customers_in_grace{team="North"}': 0,
            f"dealpulse_customer_retention_samples{{{_Q}}}": 4,
            'dealpulse_customer_churn_ratio{team="North",window="trailing_12m"}': 0.1,
        },
    ),
    Sales(
        "ContractsExpiringUnrenewed",
        60,
        _team(band="0_30d"),
        "Team North: contracts that end within 30 days and are not renewed: 1",
        _samples("ContractsExpiringUnrenewed", 0),
        firing={'dealpulse_contracts_expiring{team="North",band="0_30d"}': 1},
        quiet={'dealpulse_contracts_expiring{team="North",band="0_30d"}': 0},
        no_sample={'dealpulse_contracts_expiring{team="North",band="31_60d"}': 9},
    ),
    Sales(
        "StalledDealsRep",
        _DAY,
        {"job": "dealpulse-exporter", "rep": "e-9", "team": "North & East"},
        "e-9 (team North & East): 11 deals have not moved for too long",
        _samples("StalledDealsRep", 10),
        firing={'dealpulse_rep_stalled_opportunities{rep="e-9",team="North & East"}': 11},
        quiet={'dealpulse_rep_stalled_opportunities{rep="e-9",team="North & East"}': 10},
        no_sample={'dealpulse_rep_stalled_opportunities{rep="e-9",team="North & East"}': 0},
    ),
    Sales(
        "RampUpOverdue",
        _DAY,
        _team(milestone="first_contact", window="trailing_12m"),
        "Team North: new reps without a first contact have been here for 31d 0h 0m 0s on average",
        {'dealpulse_alert_threshold_seconds{alert="RampUpOverdue"}': 30 * 86_400},
        firing={
            'dealpulse_ramping_rep_seconds{team="North",milestone="first_contact",window="trailing_12m"}': (
                2 * 31 * 86_400
            ),
            'dealpulse_ramping_reps{team="North",milestone="first_contact",window="trailing_12m"}': 2,
        },
        quiet={
            'dealpulse_ramping_rep_seconds{team="North",milestone="first_contact",window="trailing_12m"}': (
                2 * 30 * 86_400
            ),
            'dealpulse_ramping_reps{team="North",milestone="first_contact",window="trailing_12m"}': 2,
        },
        no_sample={
            'dealpulse_ramping_rep_seconds{team="North",milestone="first_contact",window="trailing_12m"}': 0,
            'dealpulse_ramping_reps{team="North",milestone="first_contact",window="trailing_12m"}': 0,
        },
    ),
)


# --- engine alerts: case by case ---

_FRESH: Final = "dealpulse_freshness_timestamp_seconds{%s}"
_NEWEST: Final = 'dealpulse_last_event_timestamp_seconds{%s,topic="crm.opportunity"}'
_OFFICE: Final = "dealpulse_office_open{%s}"
_JOB: Final = {"job": "dealpulse-exporter"}
_TOPIC: Final = {**_JOB, "topic": "crm.opportunity"}
_ON_TOPIC: Final = 'topic="crm.opportunity",partition="0"'
_WORKER_1: Final = {"job": "dealpulse-worker", "instance": "worker-1:8403"}


def _stale(minute: int, age: str) -> Check:
    summary = f"The sales figures on all boards are {age} old"
    return Check(minute, "SalesDataStale", ((_JOB, summary),))


def _absent(alert: str) -> Case:
    """Everything is scraped, and no series of the alert is there."""
    scraped = {f"up{{{_EXPORTER}}}": "1+0x100", f"up{{{_WORKER}}}": "1+0x100"}
    return Case("is silent without the series", scraped, _silent(alert, 95))


def _fresh_until(minute: int) -> str:
    return f"0+60x{minute}"


def _silent(alert: str, *minutes: int) -> tuple[Check, ...]:
    return tuple(Check(minute, alert) for minute in minutes)


_DATA_STALE: Final = [
    Case(
        "fires 300 s and 2 min after the figures stand still",
        {_FRESH % _EXPORTER: f"{_fresh_until(10)} 600+0x60"},
        (*_silent("SalesDataStale", 17), _stale(18, "8m 0s")),
    ),
    Case(
        "is silent at 300 s",
        {_FRESH % _EXPORTER: "-300+60x60"},
        _silent("SalesDataStale", 30, 59),
    ),
    Case(
        "still fires 70 minutes after the exporter was killed",
        {_FRESH % _EXPORTER: f"{_fresh_until(10)} stale"},
        (_stale(20, "10m 0s"), _stale(80, "1h 10m 0s")),
    ),
    Case(
        "resolves 5 minutes after the figures are fresh again",
        {_FRESH % _EXPORTER: f"{_fresh_until(10)} 600+0x19 1860+60x30"},
        (_stale(30, "20m 0s"), _stale(34, "20m 0s"), *_silent("SalesDataStale", 38)),
    ),
    Case(
        "is silent without the series: DealpulseExporterAbsent speaks",
        {f"up{{{_EXPORTER}}}": "1+0x60"},
        _silent("SalesDataStale", 50),
    ),
    Case(
        "is silent while one of two exporters is fresh",
        {
            _FRESH % _EXPORTER: f"{_fresh_until(10)} stale",
            _FRESH % _SECOND_EXPORTER: _fresh_until(60),
        },
        _silent("SalesDataStale", 50),
    ),
    Case(
        "comes once from two exporters",
        {
            _FRESH % _EXPORTER: f"{_fresh_until(10)} 600+0x60",
            _FRESH % _SECOND_EXPORTER: f"{_fresh_until(11)} 660+0x60",
        },
        (_stale(30, "19m 0s"),),
    ),
]

_STEP: Final = 15
_SIX_PM: Final = 18 * 60


def _clock(first: int, last: int) -> str:
    """An event at every step from minute to minute, both included."""
    return f"{first * 60}+{_STEP * 60}x{(last - first) // _STEP}"


def _still(since: int, first: int, last: int) -> str:
    """No event after the one of minute `since`, from minute to minute, both included."""
    return _flat((since * 60, (last - first) // _STEP + 1))


def _hours(*runs: tuple[int, int]) -> str:
    """The office: (1 open or 0 closed, for so many minutes)."""
    return _flat(*((state, minutes // _STEP) for state, minutes in runs))


# Closed until 9, open until 18, closed until the next 9, open until 18, then closed for two days.
_OFFICE_HOURS: Final = _hours((0, 540), (1, 540), (0, 900), (1, 540), (0, 3000))
_LAST_AT_SIX: Final = f"{_clock(0, _SIX_PM)} {_still(_SIX_PM, _SIX_PM + _STEP, 4 * _DAY)}"


def _source_silent(minute: int, age: str) -> Check:
    summary = f"No deal has changed in the CRM for {age} of office hours"
    return Check(minute, "SalesSourceSilent", ((_TOPIC, summary),))


_SOURCE_SILENT: Final = [
    Case(
        "is silent at night and when the office opens, and fires after four open hours",
        {_NEWEST % _EXPORTER: _LAST_AT_SIX, _OFFICE % _EXPORTER: _OFFICE_HOURS},
        (
            *_silent("SalesSourceSilent", _DAY + 3 * 60, _DAY + 9 * 60, _DAY + 12 * 60 + 45),
            _source_silent(_DAY + 13 * 60 + 30, "19h 30m 0s"),
        ),
        _STEP,
    ),
    Case(
        "is silent on a weekend",
        {_NEWEST % _EXPORTER: _LAST_AT_SIX, _OFFICE % _EXPORTER: _OFFICE_HOURS},
        _silent("SalesSourceSilent", 2 * _DAY + 12 * 60, 3 * _DAY),
        _STEP,
    ),
    Case(
        "is silent while deals change",
        {
            _NEWEST % _EXPORTER: _clock(0, 2 * _DAY),
            _OFFICE % _EXPORTER: _OFFICE_HOURS,
        },
        _silent("SalesSourceSilent", _DAY + 14 * 60),
        _STEP,
    ),
    Case(
        "resolves with the next event",
        {
            _NEWEST % _EXPORTER: (
                f"{_clock(0, _SIX_PM)} {_still(_SIX_PM, _SIX_PM + _STEP, _DAY + 825)} "
                f"{_clock(_DAY + 840, _DAY + 900)}"
            ),
            _OFFICE % _EXPORTER: _OFFICE_HOURS,
        },
        (
            _source_silent(_DAY + 13 * 60 + 45, "19h 45m 0s"),
            *_silent("SalesSourceSilent", _DAY + 14 * 60 + 15),
        ),
        _STEP,
    ),
    Case(
        "is silent without the series",
        {_OFFICE % _EXPORTER: _OFFICE_HOURS},
        _silent("SalesSourceSilent", _DAY + 14 * 60),
        _STEP,
    ),
    Case(
        "is silent without any series of ours",
        {f"up{{{_EXPORTER}}}": "1+0x100"},
        _silent("SalesSourceSilent", 1_200),
        _STEP,
    ),
    Case(
        "is silent four hours after the exporter stopped telling",
        {
            _NEWEST % _EXPORTER: f"{_clock(0, 600)} stale",
            _OFFICE % _EXPORTER: f"{_hours((0, 540), (1, 60))} stale",
        },
        _silent("SalesSourceSilent", 16 * 60),
        _STEP,
    ),
    Case(
        "comes once from two exporters",
        {
            _NEWEST % _EXPORTER: _LAST_AT_SIX,
            _NEWEST % _SECOND_EXPORTER: _LAST_AT_SIX,
            _OFFICE % _EXPORTER: _OFFICE_HOURS,
            _OFFICE % _SECOND_EXPORTER: _OFFICE_HOURS,
        },
        (_source_silent(_DAY + 13 * 60 + 30, "19h 30m 0s"),),
        _STEP,
    ),
]


def _skewed(minute: int, age: str) -> Check:
    return Check(minute, "ClockSkew", ((_TOPIC, f"Events on crm.opportunity come from {age} in the future"),))


_CLOCK_SKEW: Final = [
    Case(
        "fires for events over 300 s ahead after 5 minutes",
        {_NEWEST % _EXPORTER: "360+60x30", _NEWEST % _SECOND_EXPORTER: "360+60x30"},
        (*_silent("ClockSkew", 4), _skewed(5, "6m 0s")),
    ),
    Case("is silent at 300 s", {_NEWEST % _EXPORTER: "300+60x30"}, _silent("ClockSkew", 20)),
    Case(
        "resolves when the clocks agree",
        {_NEWEST % _EXPORTER: "360+60x9 600+60x20"},
        (_skewed(9, "6m 0s"), *_silent("ClockSkew", 12)),
    ),
    Case(
        "is silent when the exporter stops telling",
        {_NEWEST % _EXPORTER: "360+60x9 stale"},
        (_skewed(9, "6m 0s"), *_silent("ClockSkew", 12)),
    ),
    _absent("ClockSkew"),
]

_MISSING: Final = "dealpulse_partitions_missing{%s}"
_RESYNC: Final = 'dealpulse_resync_pending{%s,source="/salesforce/acme",topic="crm.opportunity"}'
_PIECES: Final = (_JOB, "The sales figures lack data: 2 pieces of the store")
_AWAITED: Final = (
    {**_TOPIC, "source": "/salesforce/acme"},
    "The sales figures lack data: 3 statements awaited from /salesforce/acme",
)
_INCOMPLETE: Final = [
    Case(
        "fires for missing partitions and for pending resyncs, once from two exporters",
        {
            _MISSING % _EXPORTER: "2+0x30",
            _MISSING % _SECOND_EXPORTER: "2+0x30",
            _RESYNC % _EXPORTER: "3+0x30",
            _RESYNC % _SECOND_EXPORTER: "3+0x30",
        },
        (
            *_silent("SalesDataIncomplete", 9),
            Check(10, "SalesDataIncomplete", (_PIECES, _AWAITED)),
        ),
    ),
    Case(
        "is silent at 0",
        {_MISSING % _EXPORTER: "0+0x30"},
        _silent("SalesDataIncomplete", 20),
    ),
    Case(
        "resolves when all is there",
        {_MISSING % _EXPORTER: "2+0x12 0+0x20"},
        (Check(12, "SalesDataIncomplete", (_PIECES,)), *_silent("SalesDataIncomplete", 14)),
    ),
    Case(
        "resolves when the exporter stops telling: DealpulseTargetDown speaks",
        {_MISSING % _EXPORTER: "2+0x12 stale"},
        (Check(12, "SalesDataIncomplete", (_PIECES,)), *_silent("SalesDataIncomplete", 15)),
    ),
    _absent("SalesDataIncomplete"),
]

_NO_FIGURES: Final = (_JOB, "There are no sales figures on any board: 2 pieces of the store are missing")
_DATA_ABSENT: Final = [
    Case(
        "fires when there never was a complete merge, once from two exporters",
        {_MISSING % _EXPORTER: "28+0x4 2+0x30", _MISSING % _SECOND_EXPORTER: "28+0x4 2+0x30"},
        (*_silent("SalesDataAbsent", 9), Check(10, "SalesDataAbsent", (_NO_FIGURES,))),
    ),
    Case(
        "is silent while one of two exporters has all",
        {
            _MISSING % _EXPORTER: "2+0x30",
            _MISSING % _SECOND_EXPORTER: "0+0x30",
            _FRESH % _SECOND_EXPORTER: _fresh_until(30),
        },
        _silent("SalesDataAbsent", 25),
    ),
    Case(
        "is silent where figures were there within the last day, and takes over from SalesDataStale after it",
        {
            _MISSING % _EXPORTER: f"0+0x60 2+0x{27 * 60}",
            _FRESH % _EXPORTER: f"{_fresh_until(60)} stale",
        },
        (
            Check(24 * 60, "SalesDataStale", ((_JOB, "The sales figures on all boards are 23h 0m 0s old"),)),
            *_silent("SalesDataAbsent", 24 * 60),
            Check(26 * 60, "SalesDataAbsent", (_NO_FIGURES,)),
            *_silent("SalesDataStale", 26 * 60),
        ),
    ),
    Case(
        "is silent where a shard's statements alone are missing: the figures go on",
        {_MISSING % _EXPORTER: "1+0x30", _FRESH % _EXPORTER: _fresh_until(30)},
        _silent("SalesDataAbsent", 25),
    ),
    Case(
        "resolves with the first complete merge",
        {_MISSING % _EXPORTER: "2+0x12 0+0x20", _FRESH % _EXPORTER: "_x13 780+60x20"},
        (Check(12, "SalesDataAbsent", (_NO_FIGURES,)), *_silent("SalesDataAbsent", 14)),
    ),
    Case(
        "resolves when the exporter stops telling: DealpulseTargetDown speaks",
        {_MISSING % _EXPORTER: "2+0x12 stale"},
        (Check(12, "SalesDataAbsent", (_NO_FIGURES,)), *_silent("SalesDataAbsent", 15)),
    ),
    _absent("SalesDataAbsent"),
]

_UNPRICED: Final = 'dealpulse_unpriced_opportunities{%s,team="%s",state="%s",window="%s"}'
_PRICELESS: Final = (
    _JOB,
    "5 open deals are counted without an amount, their exchange rate is missing",
)
_OPEN_UNPRICED: Final = [
    Case(
        "adds up the teams, once from two exporters",
        {
            _UNPRICED % (_EXPORTER, "North", "open", "now"): "2+0x90",
            _UNPRICED % (_EXPORTER, "South", "open", "now"): "3+0x90",
            _UNPRICED % (_SECOND_EXPORTER, "North", "open", "now"): "2+0x90",
            _UNPRICED % (_SECOND_EXPORTER, "South", "open", "now"): "3+0x90",
        },
        (*_silent("OpportunitiesUnpriced", 59), Check(60, "OpportunitiesUnpriced", (_PRICELESS,))),
    ),
    Case(
        "is silent at 0, and for closed deals",
        {
            _UNPRICED % (_EXPORTER, "North", "open", "now"): "0+0x90",
            _UNPRICED % (_EXPORTER, "North", "won", "quarter_to_date"): "4+0x90",
        },
        _silent("OpportunitiesUnpriced", 80),
    ),
    Case(
        "resolves with the rate",
        {_UNPRICED % (_EXPORTER, "North", "open", "now"): "5+0x65 0+0x30"},
        (Check(65, "OpportunitiesUnpriced", (_PRICELESS,)), *_silent("OpportunitiesUnpriced", 70)),
    ),
    Case(
        "resolves when the exporter stops telling",
        {_UNPRICED % (_EXPORTER, "North", "open", "now"): "5+0x65 stale"},
        (Check(65, "OpportunitiesUnpriced", (_PRICELESS,)), *_silent("OpportunitiesUnpriced", 70)),
    ),
    _absent("OpportunitiesUnpriced"),
]

_LAG_SECONDS: Final = 'dealpulse_worker_lag_seconds{%s,topic="crm.opportunity",partition="%d"}'
_BEHIND: Final = (
    {"job": "dealpulse-worker", "topic": "crm.opportunity"},
    "The sales figures run 3m 0s behind the events of crm.opportunity",
)
_LAG_HIGH: Final = [
    Case(
        "fires for the slowest partition, once for two workers",
        {_LAG_SECONDS % (_WORKER, 0): "121+0x20", _LAG_SECONDS % (_SECOND_WORKER, 1): "180+0x20"},
        (*_silent("WorkerLagHigh", 4), Check(5, "WorkerLagHigh", (_BEHIND,))),
    ),
    Case(
        "is silent at 120 s",
        {_LAG_SECONDS % (_WORKER, 0): "120+0x20"},
        _silent("WorkerLagHigh", 15),
    ),
    Case(
        "resolves when the worker has caught up",
        {_LAG_SECONDS % (_WORKER, 0): "180+0x8 0+0x20"},
        (Check(8, "WorkerLagHigh", (_BEHIND,)), *_silent("WorkerLagHigh", 10)),
    ),
    Case(
        "resolves when the partition has left the worker",
        {_LAG_SECONDS % (_WORKER, 0): "180+0x8 stale"},
        (Check(8, "WorkerLagHigh", (_BEHIND,)), *_silent("WorkerLagHigh", 10)),
    ),
    _absent("WorkerLagHigh"),
]

_LAG: Final = f"dealpulse_worker_lag_events{{%s,{_ON_TOPIC}}}"
_READ: Final = 'dealpulse_worker_events_total{%s,topic="crm.opportunity",result="applied"}'
_STUCK: Final = (_WORKER_1, "Worker worker-1:8403 stands still with 40 events waiting")
_WORKER_STUCK: Final = [
    Case(
        "fires for the one that stands still, not for the one that works",
        {
            _LAG % _WORKER: "40+0x30",
            _READ % _WORKER: "500+0x30",
            _LAG % _SECOND_WORKER: "40+0x30",
            _READ % _SECOND_WORKER: "0+100x30",
        },
        (*_silent("WorkerStuck", 4), Check(8, "WorkerStuck", (_STUCK,))),
    ),
    Case(
        "is silent without lag",
        {_LAG % _WORKER: "0+0x30", _READ % _WORKER: "500+0x30"},
        _silent("WorkerStuck", 20),
    ),
    Case("is silent while lag is unknown", {_READ % _WORKER: "500+0x30"}, _silent("WorkerStuck", 20)),
    Case(
        "resolves when it reads again",
        {_LAG % _WORKER: "40+0x40", _READ % _WORKER: "500+0x12 510+10x30"},
        (Check(10, "WorkerStuck", (_STUCK,)), *_silent("WorkerStuck", 16)),
    ),
    Case(
        "resolves when the worker is gone: DealpulseTargetDown speaks",
        {_LAG % _WORKER: "40+0x12 stale", _READ % _WORKER: "500+0x12 stale"},
        (Check(10, "WorkerStuck", (_STUCK,)), *_silent("WorkerStuck", 15)),
    ),
    _absent("WorkerStuck"),
]

_FAILED: Final = 'dealpulse_worker_checkpoints_total{%s,result="failed"}'
_WRITTEN: Final = 'dealpulse_worker_checkpoints_total{%s,result="written"}'
_UNSAVED: Final = (_WORKER_1, "Worker worker-1:8403 cannot save its figures, 10 attempts failed")
_CHECKPOINTS: Final = [
    Case(
        "fires for the worker whose checkpoints keep failing, not for the other",
        {_FAILED % _WORKER: "0+0x15 1+1x60", _FAILED % _SECOND_WORKER: "0+0x75"},
        (
            *_silent("CheckpointsFailing", 15, 20),
            Check(40, "CheckpointsFailing", (_UNSAVED,)),
        ),
    ),
    Case(
        "is silent for written ones, and for old failures",
        {_FAILED % _WORKER: "3+0x60", _WRITTEN % _WORKER: "0+9x60"},
        _silent("CheckpointsFailing", 30, 59),
    ),
    Case(
        "resolves ten minutes after the last failure",
        {_FAILED % _WORKER: "0+1x20 20+0x40"},
        (Check(20, "CheckpointsFailing", (_UNSAVED,)), *_silent("CheckpointsFailing", 31)),
    ),
    Case(
        "resolves after the worker is gone",
        {_FAILED % _WORKER: "0+1x20 stale"},
        (Check(20, "CheckpointsFailing", (_UNSAVED,)), *_silent("CheckpointsFailing", 31)),
    ),
    _absent("CheckpointsFailing"),
]

_DEAD: Final = 'dealpulse_dead_letters_total{%s,topic="crm.opportunity",reason="invalid_data"}'
_DEAD_LABELS: Final = {
    "job": "dealpulse-worker",
    "topic": "crm.opportunity",
    "reason": "invalid_data",
}


def _unreadable(minute: int, count: int) -> Check:
    summary = f"Unreadable records on crm.opportunity (invalid_data): {count} in 15 minutes"
    return Check(minute, "DeadLettersGrowing", ((_DEAD_LABELS, summary),))


_DEAD_LETTERS: Final = [
    Case(
        "hears the very first dead letter, since the counter starts at 0",
        {_DEAD % _WORKER: "0+0x20 1+0x120"},
        (*_silent("DeadLettersGrowing", 20), _unreadable(23, 1), _unreadable(60, 1)),
    ),
    Case(
        "resolves 30 minutes after the 15 without a new one",
        {_DEAD % _WORKER: "0+0x20 1+0x120"},
        (_unreadable(30, 1), *_silent("DeadLettersGrowing", 70)),
    ),
    _absent("DeadLettersGrowing"),
    Case(
        "is silent for old dead letters",
        {_DEAD % _WORKER: "7+0x60"},
        _silent("DeadLettersGrowing", 30),
    ),
    Case(
        "is not fooled by a worker that starts again at 0",
        {_DEAD % _WORKER: "7+0x20 0+0x60"},
        _silent("DeadLettersGrowing", 30),
    ),
    Case(
        "adds up two workers in one alert",
        {_DEAD % _WORKER: "0+0x20 1+0x60", _DEAD % _SECOND_WORKER: "0+0x20 1+0x60"},
        (_unreadable(30, 2),),
    ),
    Case(
        "keeps firing for 30 minutes when the worker dies",
        {_DEAD % _WORKER: "0+0x20 1+0x5 stale"},
        (_unreadable(30, 1), *_silent("DeadLettersGrowing", 80)),
    ),
]

_NO_ANSWER: Final = (
    {**_JOB, "instance": "exporter-1:8402"},
    "dealpulse-exporter on exporter-1:8402 does not answer",
)
_NO_ANSWER_EITHER: Final = (_WORKER_1, "dealpulse-worker on worker-1:8403 does not answer")
_TARGET_DOWN: Final = [
    Case(
        "fires per process, for every job of ours and for no other",
        {
            f"up{{{_EXPORTER}}}": "1+0x5 0+0x20",
            f"up{{{_WORKER}}}": "1+0x30",
            'up{job="node",instance="host:9100"}': "0+0x30",
        },
        (
            *_silent("DealpulseTargetDown", 5, 7),
            Check(8, "DealpulseTargetDown", (_NO_ANSWER,)),
        ),
    ),
    Case(
        "resolves when it answers, and is silent when the target is no longer configured",
        {f"up{{{_EXPORTER}}}": "0+0x5 1+0x20", f"up{{{_WORKER}}}": "0+0x5 stale"},
        (
            Check(4, "DealpulseTargetDown", (_NO_ANSWER, _NO_ANSWER_EITHER)),
            *_silent("DealpulseTargetDown", 7),
        ),
    ),
    Case(
        "is silent without any target: DealpulseExporterAbsent and NoWorker speak",
        {'up{job="node",instance="host:9100"}': "0+0x30"},
        _silent("DealpulseTargetDown", 25),
    ),
]
_EMPTY_BOARDS: Final = (_JOB, "Prometheus knows no dealpulse exporter, so the boards are empty")
_EXPORTER_ABSENT: Final = [
    Case(
        "fires when no exporter is scraped at all",
        {f"up{{{_EXPORTER}}}": "1+0x10 stale"},
        (
            *_silent("DealpulseExporterAbsent", 10, 15),
            Check(16, "DealpulseExporterAbsent", (_EMPTY_BOARDS,)),
        ),
    ),
    Case(
        "is silent while one of two is there, even if it is down",
        {f"up{{{_EXPORTER}}}": "1+0x10 stale", f"up{{{_SECOND_EXPORTER}}}": "0+0x30"},
        _silent("DealpulseExporterAbsent", 25),
    ),
    Case(
        "resolves when it comes back",
        {f"up{{{_EXPORTER}}}": "1+0x10 stale _x10 1+0x20"},
        (Check(20, "DealpulseExporterAbsent", (_EMPTY_BOARDS,)), *_silent("DealpulseExporterAbsent", 23)),
    ),
]
_IDLE: Final = ({"job": "dealpulse-worker"}, "No worker runs, so the sales figures stand still")
_NO_WORKER: Final = [
    Case(
        "fires when all workers are down, not when one is",
        {f"up{{{_WORKER}}}": "1+0x5 0+0x30", f"up{{{_SECOND_WORKER}}}": "1+0x15 0+0x20"},
        (
            *_silent("NoWorker", 12, 17),
            Check(18, "NoWorker", (_IDLE,)),
        ),
    ),
    Case(
        "fires when Prometheus knows no worker",
        {f"up{{{_EXPORTER}}}": "1+0x30"},
        (
            *_silent("NoWorker", 1),
            Check(2, "NoWorker", (_IDLE,)),
        ),
    ),
    Case(
        "resolves when one is up again",
        {f"up{{{_WORKER}}}": "0+0x5 1+0x30"},
        (Check(5, "NoWorker", (_IDLE,)), *_silent("NoWorker", 6)),
    ),
    Case(
        "fires when the last one is no longer known",
        {f"up{{{_WORKER}}}": "1+0x10 stale"},
        (*_silent("NoWorker", 10, 12), Check(13, "NoWorker", (_IDLE,))),
    ),
]
_DIFFERENT: Final = (_JOB, "2 figures differ from the recomputation of the whole log")
_VERIFY: Final = [
    Case(
        "fires at once, and once from two exporters",
        {
            f"dealpulse_verify_mismatches{{{_EXPORTER}}}": "0+0x4 2+0x10",
            f"dealpulse_verify_mismatches{{{_SECOND_EXPORTER}}}": "0+0x4 2+0x10",
        },
        (
            *_silent("VerifyMismatch", 4),
            Check(5, "VerifyMismatch", (_DIFFERENT,)),
        ),
    ),
    Case(
        "resolves after a clean run",
        {f"dealpulse_verify_mismatches{{{_EXPORTER}}}": "2+0x4 0+0x10"},
        (Check(4, "VerifyMismatch", (_DIFFERENT,)), *_silent("VerifyMismatch", 5)),
    ),
    Case(
        "resolves when the exporter stops telling: DealpulseTargetDown speaks",
        {f"dealpulse_verify_mismatches{{{_EXPORTER}}}": "2+0x4 stale"},
        (Check(4, "VerifyMismatch", (_DIFFERENT,)), *_silent("VerifyMismatch", 5)),
    ),
    Case(
        "is silent at 0",
        {f"dealpulse_verify_mismatches{{{_EXPORTER}}}": "0+0x10"},
        _silent("VerifyMismatch", 8),
    ),
    Case("is silent before the first run", {f"up{{{_EXPORTER}}}": "1+0x10"}, _silent("VerifyMismatch", 8)),
]
_WATCHDOG: Final = [
    Case(
        "always fires, also without any series",
        {},
        (
            Check(0, "Watchdog", (({}, "The alerting of dealpulse works"),)),
            Check(60, "Watchdog", (({}, "The alerting of dealpulse works"),)),
        ),
    ),
]

ENGINE: Final[Mapping[str, list[Case]]] = {
    "SalesDataStale": _DATA_STALE,
    "SalesSourceSilent": _SOURCE_SILENT,
    "ClockSkew": _CLOCK_SKEW,
    "SalesDataIncomplete": _INCOMPLETE,
    "SalesDataAbsent": _DATA_ABSENT,
    "OpportunitiesUnpriced": _OPEN_UNPRICED,
    "WorkerLagHigh": _LAG_HIGH,
    "WorkerStuck": _WORKER_STUCK,
    "CheckpointsFailing": _CHECKPOINTS,
    "DeadLettersGrowing": _DEAD_LETTERS,
    "DealpulseTargetDown": _TARGET_DOWN,
    "DealpulseExporterAbsent": _EXPORTER_ABSENT,
    "NoWorker": _NO_WORKER,
    "VerifyMismatch": _VERIFY,
    "Watchdog": _WATCHDOG,
}


# --- recording rules ---


def _recording_document() -> dict[str, Any]:
    """Two exporters, two teams; every expected figure added up by hand."""
    north, south = 'team="North",%s', 'team="South",%s'
    window = 'window="quarter_to_date"'
    values = {
        f'dealpulse_won_amount{{{north % window},currency="TWD"}}': 300,
        f'dealpulse_won_amount{{{south % window},currency="TWD"}}': 500,
        f'dealpulse_target_amount{{{north % window},currency="TWD"}}': 600,
        f'dealpulse_target_amount{{{south % window},currency="TWD"}}': 1000,
        f"dealpulse_opportunities_won{{{north % window}}}": 3,
        f"dealpulse_opportunities_won{{{south % window}}}": 1,
        f"dealpulse_opportunities_lost{{{north % window}}}": 1,
        f"dealpulse_opportunities_lost{{{south % window}}}": 11,
        f"dealpulse_stalled_amount{{{_STAGED}}}": 300,
        f"dealpulse_open_amount{{{_STAGED}}}": 400,
        f"dealpulse_open_amount{{{_OTHER_STAGE}}}": 600,
        f"dealpulse_customers_churned{{{north % window}}}": 2,
        'dealpulse_customers_in_grace{team="North"}': 5,
        f"dealpulse_customers_churned{{{south % window}}}": 7,
        'dealpulse_customers_in_grace{team="South"}': 3,
    }
    job, money = 'job="dealpulse-exporter"', 'currency="TWD",job="dealpulse-exporter",'
    company = f"{job},{window}"
    expected: dict[str, dict[str, float]] = {
        "team:dealpulse_stalled_amount:ratio": {f'{money}team="North"': 0.3},
        # More in grace than churned this quarter is none past the grace, not a negative number.
        "team:dealpulse_customers_churned:past_grace": {
            f'{job},team="North"': 0,
            f'{job},team="South"': 4,
        },
        "company:dealpulse_won_amount:sum": {f"{money}{window}": 800},
        "company:dealpulse_opportunities_won:sum": {company: 4},
        "company:dealpulse_opportunities_closed:sum": {company: 16},
        "company:dealpulse_win:ratio": {company: 0.25},
        "company:dealpulse_attainment:ratio": {f"{money}{window}": 0.5},
    }

    def samples(record: str, found: Mapping[str, float]) -> list[dict[str, Any]]:
        # `clamp_min` and arithmetic drop the name, a recording gives it back.
        return [{"labels": f"{record}{{{labels}}}", "value": value} for labels, value in found.items()]

    return {
        **_head(),
        "tests": [
            {
                "name": "teams add up once over two exporters, ratios are sum over sum",
                "interval": "1m",
                "input_series": [
                    {"series": _with_target(name, target), "values": _flat((value, 10))}
                    for target in (_EXPORTER, _SECOND_EXPORTER)
                    for name, value in values.items()
                ],
                "promql_expr_test": [
                    {"expr": record, "eval_time": "5m", "exp_samples": samples(record, found)}
                    for record, found in expected.items()
                ],
            },
            {
                "name": "no sample: nothing closed, no target, nothing open give no ratio",
                "interval": "1m",
                "input_series": [
                    {"series": _with_target(name, _EXPORTER), "values": _flat((0, 10))} for name in values
                ],
                "promql_expr_test": [
                    {"expr": record, "eval_time": "5m", "exp_samples": []}
                    for record in expected
                    if record.endswith(":ratio")
                ],
            },
        ],
    }
