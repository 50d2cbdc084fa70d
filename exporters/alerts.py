"""The 25 alerts: what each says to whom, when it fires, and which threshold of `[alerts]` it reads.

Sales thresholds are read from `dealpulse_alert_threshold_*`, which the exporter serves from its
settings, so they change without touching Prometheus; engine thresholds are literals. Source:
ecosystem.md, section 2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from exporters.promql import over_instances, over_windows, select
from exporters.settings import AlertSettings

Severity = Literal["critical", "warning", "info", "none"]
Audience = Literal["sales", "engine"]
ThresholdKind = Literal["ratio", "samples", "seconds"]

SECONDS_OF_A_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Alert:
    """One alerting rule. `lasting` is its `for`, `keep` its `keep_firing_for`; empty means none.

    `summary` is one sentence that a salesperson understands, with the figure in it; `advice` says
    what to do first; `board` is the uid of the dashboard that shows more.
    """

    name: str
    expression: str
    lasting: str
    severity: Severity
    audience: Audience
    summary: str
    advice: str
    board: str
    keep: str = ""


def thresholds(settings: AlertSettings) -> Iterator[tuple[ThresholdKind, str, float]]:
    """What the exporter serves as `dealpulse_alert_threshold_<kind>{alert=...}`: kind, alert, value."""
    for alert, threshold in settings.by_alert().items():
        if threshold.ratio is not None:
            yield "ratio", alert, threshold.ratio
        if threshold.samples is not None:
            yield "samples", alert, float(threshold.samples)
        if threshold.days is not None:
            yield "seconds", alert, threshold.days * SECONDS_OF_A_DAY


def _threshold(kind: ThresholdKind, alert: str) -> str:
    served = select(f"dealpulse_alert_threshold_{kind}", alert=alert)
    return f"on (job) group_left () max without (instance, alert) ({served})"


def _less_threshold(alert: str) -> str:
    served = select("dealpulse_alert_threshold_ratio", alert=alert)
    return f"on (job) group_left () (1 - max without (instance, alert) ({served}))"


def _m(stem: str, **labels: str) -> str:
    return over_instances(select(f"dealpulse_{stem}", **labels))


def _w(stem: str, **labels: str) -> str:
    return over_windows(select(f"dealpulse_{stem}", **labels))


_QUARTER: Final = "quarter_to_date"
_TEAM: Final = "Team {{ $labels.team }}: "
_PERCENT: Final = "{{ $value | humanizePercentage }}"
_COUNT: Final = '{{ printf "%.0f" $value }}'
_AGE: Final = "{{ $value | humanizeDuration }}"


def _sales() -> Iterator[Alert]:
    stalled = "SalesPipelineStalled"
    yield Alert(
        name=stalled,
        expression=f"team:dealpulse_stalled_amount:ratio > {_threshold('ratio', stalled)}",
        lasting="1h",
        severity="warning",
        audience="sales",
        summary=f"{_TEAM}{_PERCENT} of the open pipeline is stalled",
        advice="Open the stalest deals on the manager board and agree on the next step of each, or close them.",
        board="dealpulse-manager",
    )
    drying = "SalesPipelineDryingUp"
    yield Alert(
        name=drying,
        expression=(
            f"{_m('opportunities_created_recent')}\n"
            f"  < on (job, team) {_m('opportunities_created_baseline')}"
            f" * {_threshold('ratio', drying)}\n"
            f"and on (job, team) {_m('opportunities_created_baseline_samples')}"
            f" >= {_threshold('samples', drying)}"
        ),
        lasting="1d",
        severity="warning",
        audience="sales",
        summary=f"{_TEAM}the pipeline is drying up, only {_COUNT} new opportunities in the last 28 days",
        advice="Compare new opportunities per rep with the 12 weeks before, and plan prospecting time now.",
        board="dealpulse-manager",
    )
    coverage = "PipelineCoverageLow"
    yield Alert(
        name=coverage,
        expression=(f"{_m('coverage_ratio', window=_QUARTER)} < {_threshold('ratio', coverage)}"),
        lasting="4h",
        severity="info",
        audience="sales",
        summary=(
            f'{_TEAM}the open pipeline is only {{{{ printf "%.1f" $value }}}} times '
            "what is missing to this quarter's target"
        ),
        advice="Look for deals that can be pulled into the quarter, and at the forecast by category.",
        board="dealpulse-executive",
    )
    behind = "NewOpportunitiesBehind"
    yield Alert(
        name=behind,
        expression=(
            f"{_m('opportunities_created', window=_QUARTER)}\n"
            f"  < on (job, team, window) {_m('opportunities_needed', window=_QUARTER)}\n"
            f"  * on (job, team, window) ({_m('target_pace_amount', window=_QUARTER)}"
            f" / {_m('target_amount', window=_QUARTER)})\n"
            f"  * {_threshold('ratio', behind)}"
        ),
        lasting="1d",
        severity="info",
        audience="sales",
        summary=f"{_TEAM}{_COUNT} new opportunities this quarter are too few to reach the target",
        advice="See which reps create fewer opportunities than their target needs.",
        board="dealpulse-manager",
    )
    drop = "WinRateDrop"
    closed = "closed_count"
    yield Alert(
        name=drop,
        expression=(
            f"{_w('win_ratio', reading=closed, window=_QUARTER)}\n"
            f"  < on (job, team, reading) {_w('win_ratio', reading=closed, window='trailing_12m')}"
            f" * {_less_threshold(drop)}\n"
            f"and on (job, team) {_w('win_samples', reading=closed, window=_QUARTER)}"
            f" >= {_threshold('samples', drop)}"
        ),
        lasting="2h",
        severity="warning",
        audience="sales",
        summary=f"{_TEAM}only {_PERCENT} of this quarter's closed deals were won, well under the last 12 months",
        advice="Read the reasons of the lost deals, and compare the win rate by rep and stage.",
        board="dealpulse-manager",
    )
    pace = "TargetPaceBehind"
    yield Alert(
        name=pace,
        expression=f"{_m('pace_ratio', window=_QUARTER)} < {_threshold('ratio', pace)}",
        lasting="1d",
        severity="info",
        audience="sales",
        summary=f"{_TEAM}this quarter's wins are at {_PERCENT} of where the target should stand today",
        advice="Check the deals expected to close this quarter, and the coverage of what is missing.",
        board="dealpulse-executive",
    )
    churn = "CustomerChurnSpike"
    yield Alert(
        name=churn,
        expression=(
            "team:dealpulse_customers_churned:past_grace\n"
            f"  / on (job, team) ({_w('customer_retention_samples', window=_QUARTER)} > 0)\n"
            f"  > on (job, team) {_w('customer_churn_ratio', window='trailing_12m')}"
            f" / 4 * {_threshold('ratio', churn)}\n"
            f"and on (job, team) team:dealpulse_customers_churned:past_grace >= {_threshold('samples', churn)}"
        ),
        lasting="1h",
        severity="warning",
        audience="sales",
        summary=f"{_TEAM}{_PERCENT} of the customers left this quarter, far more than usual",
        advice="List the customers that left, look for what they share, and call those whose contracts end next.",
        board="dealpulse-executive",
    )
    expiring = "ContractsExpiringUnrenewed"
    yield Alert(
        name=expiring,
        expression=f"{_m('contracts_expiring', band='0_30d')} > {_threshold('samples', expiring)}",
        lasting="1h",
        severity="info",
        audience="sales",
        summary=f"{_TEAM}contracts that end within 30 days and are not renewed: {_COUNT}",
        advice="Call these customers about their renewal before the contract ends.",
        board="dealpulse-manager",
    )
    idle = "StalledDealsRep"
    yield Alert(
        name=idle,
        expression=f"{_m('rep_stalled_opportunities')} > {_threshold('samples', idle)}",
        lasting="1d",
        severity="info",
        audience="sales",
        summary=(
            f"{{{{ $labels.rep }}}} (team {{{{ $labels.team }}}}): {_COUNT} deals have not moved for too long"
        ),
        advice="Go through the rep's stalest deals: next step, hand-over, or close as lost.",
        board="dealpulse-rep",
    )
    overdue = "RampUpOverdue"
    ramping = {"milestone": "first_contact", "window": "trailing_12m"}
    yield Alert(
        name=overdue,
        expression=(
            f"{_m('ramping_rep_seconds', **ramping)}\n"
            f"  / ({_m('ramping_reps', **ramping)} > 0)\n"
            f"  > {_threshold('seconds', overdue)}"
        ),
        lasting="1d",
        severity="info",
        audience="sales",
        summary=f"{_TEAM}new reps without a first contact have been here for {_AGE} on average",
        advice="Join their first calls; check that their activities are recorded under their own ids.",
        board="dealpulse-manager",
    )


def _engine() -> Iterator[Alert]:
    def engine(
        name: str,
        expression: str,
        lasting: str,
        severity: Severity,
        summary: str,
        advice: str,
        *,
        keep: str = "",
    ) -> Alert:
        return Alert(name, expression, lasting, severity, "engine", summary, advice, "dealpulse-engine", keep)

    yield engine(
        "SalesDataStale",
        "time() - max by (job) (max_over_time(dealpulse_freshness_timestamp_seconds[1d])) > 300",
        "2m",
        "critical",
        f"The sales figures on all boards are {_AGE} old",
        "Run `dealpulse doctor`; then look at workers, Kafka and Redis on the engine board.",
        keep="5m",
    )
    newest = 'max_over_time(dealpulse_last_event_timestamp_seconds{topic="crm.opportunity"}[1d])'
    yield engine(
        "SalesSourceSilent",
        f"time() - max by (job, topic) ({newest}) > 14400\n"
        "and on (job) min by (job) (min_over_time(dealpulse_office_open[4h])) == 1",
        "15m",
        "warning",
        f"No deal has changed in the CRM for {_AGE} of office hours",
        "Check the CRM's integration: connector, webhook subscription, credentials, gateway.",
    )
    yield engine(
        "ClockSkew",
        "max by (job, topic) (dealpulse_last_event_timestamp_seconds) - time() > 300",
        "5m",
        "warning",
        f"Events on {{{{ $labels.topic }}}} come from {_AGE} in the future",
        "Compare the clocks of the publishing system, the brokers and the exporter.",
    )
    yield engine(
        "SalesDataIncomplete",
        f"{_m('partitions_missing')} > 0 or {_m('resync_pending')} > 0",
        "10m",
        "warning",
        f"The sales figures lack data: {_COUNT} "
        "{{ if $labels.topic }}statements awaited from {{ $labels.source }}"
        "{{ else }}pieces of the store{{ end }}",
        "`dealpulse doctor` says which; a pending resync is settled by a complete statement or an import.",
    )
    # SalesDataStale compares with a freshness of the last day: here there was none, so nothing else wakes anybody.
    yield engine(
        "SalesDataAbsent",
        "max by (job) (dealpulse_partitions_missing) > 0\n"
        "unless on (job) max by (job) (max_over_time(dealpulse_freshness_timestamp_seconds[1d]))",
        "10m",
        "critical",
        f"There are no sales figures on any board: {_COUNT} pieces of the store are missing",
        "`dealpulse doctor` says which pieces, and why.",
    )
    yield engine(
        "OpportunitiesUnpriced",
        f"sum by (job) ({_m('unpriced_opportunities', state='open', window='now')}) > 0",
        "1h",
        "info",
        f"{_COUNT} open deals are counted without an amount, their exchange rate is missing",
        "Publish the missing rate on `finance.fx_rate`; `dealpulse doctor` names the currencies.",
    )
    yield engine(
        "WorkerLagHigh",
        "max by (job, topic) (dealpulse_worker_lag_seconds) > 120",
        "5m",
        "warning",
        f"The sales figures run {_AGE} behind the events of {{{{ $labels.topic }}}}",
        "See whether lag falls by itself; else add a worker or look for a slow Redis.",
    )
    lag = "sum by (job, instance) (dealpulse_worker_lag_events) > 0"
    rate = "sum by (job, instance) (rate(dealpulse_worker_events_total[5m])) == 0"
    yield engine(
        "WorkerStuck",
        f"{lag}\nand on (job, instance) {rate}",
        "5m",
        "critical",
        f"Worker {{{{ $labels.instance }}}} stands still with {_COUNT} events waiting",
        "Restart that worker; it resumes at its last checkpoint without loss.",
    )
    yield engine(
        "CheckpointsFailing",
        'sum by (job, instance) (increase(dealpulse_worker_checkpoints_total{result="failed"}[10m])) > 0',
        "5m",
        "critical",
        f"Worker {{{{ $labels.instance }}}} cannot save its figures, {_COUNT} attempts failed",
        "Check that Redis answers, its memory limit and its eviction policy (noeviction).",
    )
    yield engine(
        "DeadLettersGrowing",
        "sum by (job, topic, reason) (increase(dealpulse_dead_letters_total[15m])) > 0",
        "1m",
        "warning",
        "Unreadable records on {{ $labels.topic }} ({{ $labels.reason }}): "
        '{{ printf "%.0f" $value }} in 15 minutes',
        "`dealpulse dlq list` says why; fix the source, then `dealpulse dlq replay --all`.",
        keep="30m",
    )
    yield engine(
        "DealpulseTargetDown",
        'up{job=~"dealpulse-.*"} == 0',
        "2m",
        "critical",
        "{{ $labels.job }} on {{ $labels.instance }} does not answer",
        "Look whether the process runs, then at its log and its /readyz.",
    )
    yield engine(
        "DealpulseExporterAbsent",
        'absent(up{job="dealpulse-exporter"})',
        "5m",
        "critical",
        "Prometheus knows no dealpulse exporter, so the boards are empty",
        "Check the job dealpulse-exporter in prometheus.yml and the service's name.",
    )
    yield engine(
        "NoWorker",
        'absent(up{job="dealpulse-worker"}) or sum by (job) (up{job="dealpulse-worker"}) == 0',
        "2m",
        "critical",
        "No worker runs, so the sales figures stand still",
        "Start a worker; it resumes at the last checkpoint.",
    )
    yield engine(
        "VerifyMismatch",
        f"{_m('verify_mismatches')} > 0",
        "",
        "critical",
        f"{_COUNT} figures differ from the recomputation of the whole log",
        "Keep the output of `dealpulse verify --json`, then `dealpulse rebuild --all --yes`, or only the shards that "
        "it names: `dealpulse rebuild --partition crm.opportunity/3 --yes`.",
    )
    yield engine(
        "Watchdog",
        "vector(1)",
        "",
        "none",
        "The alerting of dealpulse works",
        "Nothing to do: its absence is the alarm.",
    )


ALERTS: Final = (*_sales(), *_engine())
