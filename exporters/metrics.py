"""Everything that `/metrics` shows: KPI families by their pace, and what the exporter says of itself."""

import platform
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import time
from functools import partial
from typing import Final

from aggregators.calendar import Calendar
from aggregators.contracts import agreements
from aggregators.kpis import find_kpi, registry
from aggregators.kpis.ramp_up import prospect_contacts
from aggregators.meaning import Meaning
from aggregators.tables.answer import is_of_customers, is_prompt
from events.clock import Clock
from events.event import EPOCH_UNIX_S
from events.log import get_logger
from exporters.counted import Counted
from exporters.evaluate import Evaluator
from exporters.exposition import Histogram, Samples
from exporters.extras import Extras
from exporters.family import Family
from exporters.figures import Asked, Figures, Series
from exporters.kept import Kept
from exporters.labels import VISIBILITY_BUCKETS
from exporters.names import FAMILIES
from exporters.settings import AlertSettings, ExporterSettings
from exporters.snapshot import Snapshot
from exporters.tabled import Tabled

log = get_logger("exporter")

Build = Callable[[], dict[str, Series]]
SLOW_EVERY_MS: Final = 15_000
"""Sets of customers and people, the waterfall and plug-ins are worked out at most so often."""
_SLOW_ANYWAY_MS: Final = 60_000
"""Those that may move with the clock are worked out so often even if no event came."""
MOVING: Final = ("stagnation", "stalled", "pace")
"""KPIs that move with the clock alone: anew at every refresh."""


class KpiMetrics:
    """The KPI families as of an instant; those of the fast road anew each time."""

    def __init__(self, meaning: Meaning, settings: ExporterSettings, snapshot: Snapshot) -> None:
        self._settings = settings
        self._evaluator = Evaluator(snapshot)
        self._figures, self._extras = Figures(meaning, settings), Extras(meaning)
        self.families = self._figures.shown_families
        self._counted = Counted(meaning, settings.extra_windows)
        self._tabled = Tabled(meaning, settings.extra_windows)
        self._calendar = Calendar(meaning.company)
        self._slow: dict[str, dict[str, Series]] = {}
        self._slow_tokens: dict[str, object] = {}
        self._slow_ms: int | None = None
        self.slow_evaluated_ms: int | None = None
        """The instant that the figures worked out aside are true for; None until they are worked out."""
        self._slow_kpis = [name for name, kpi in registry().items() if not is_prompt(kpi)]
        self._prompt_kpis = [name for name in self._figures.kpis if is_prompt(find_kpi(name))]
        self._by_purchases = meaning.kpis.customer_basis == "purchases"
        self._failing: set[str] = set()
        self._gives: dict[str, frozenset[str]] = {}
        """The families that each job has ever built."""
        self._kept = Kept(meaning)

    def slow_due(self, now_ms: int) -> dict[str, object]:
        """The KPIs to be worked out aside anew, at most so often, each with what it will be true for.

        Left out are those of which nothing has changed.
        """
        if self._slow_ms is not None and 0 <= now_ms - self._slow_ms < SLOW_EVERY_MS:
            return {}
        tokens = {kpi: self._token(kpi, now_ms) for kpi in self._slow_kpis}
        due = {kpi: token for kpi, token in tokens.items() if self._slow_tokens.get(kpi) != token}
        if due:
            self._slow_ms = now_ms
        else:  # nothing has changed since
            self.slow_evaluated_ms = now_ms
        return due

    def _token(self, kpi: str, now_ms: int) -> object:
        """What the figures of a KPI of the slow road depend on."""
        snapshot = self._evaluator.snapshot
        company, today = snapshot.company, self._calendar.day(now_ms)
        if is_of_customers(find_kpi(kpi)) and not self._by_purchases:
            return company, company.versions("contract", "account", "employee", "fx_rate"), today
        # A plug-in's may move with the clock, and a deal may change at an instant without an event.
        return company, company.version, snapshot.deals.version, now_ms // _SLOW_ANYWAY_MS

    def prepare_slow(self) -> None:
        """Bring up to date what is kept of every activity and contract: what a forked child works out is lost."""
        prospect_contacts(self._evaluator.snapshot.company)
        agreements(self._evaluator.snapshot.company)

    def slow_families(
        self, kpis: Iterable[str], now_ms: int
    ) -> tuple[dict[str, dict[str, Series]], dict[str, str]]:
        """The families of some KPIs of the slow road, by KPI; and of those that failed, why."""
        found: dict[str, dict[str, Series]] = {}
        failed: dict[str, str] = {}
        for kpi in kpis:
            try:
                found[kpi] = self._slow_families(kpi, now_ms)
            except Exception as error:  # noqa: BLE001 - one KPI (a plug-in's, say) must not cost the others
                failed[kpi] = f"{type(error).__name__}: {error}"
        return found, failed

    def keep(
        self,
        families: Mapping[str, dict[str, Series]],
        failed: Iterable[str] = (),
        due: Mapping[str, object] | None = None,
    ) -> None:
        """Show these from now on, and none of those that failed; `due` is what `slow_due` gave."""
        self._slow.update(families)
        self.slow_evaluated_ms = self._slow_ms
        self._slow_tokens.update({kpi: token for kpi, token in (due or {}).items() if kpi in families})
        for kpi in failed:
            self._slow.pop(kpi, None)

    def _slow_families(self, kpi: str, now_ms: int) -> dict[str, Series]:
        asked = Asked(self._evaluator, now_ms)
        teams, reps = (
            self._figures.teams(self._evaluator, now_ms),
            self._figures.reps(self._evaluator, now_ms),
        )
        return self._families(kpi, asked, teams, reps)

    def _families(
        self, kpi: str, asked: Asked, teams: Sequence[str], reps: Sequence[tuple[str, ...]]
    ) -> dict[str, Series]:
        return {
            **self._figures.families(kpi, asked, teams, reps),
            **self._counted.families(kpi, asked, teams, by_rep=self._settings.rep_series),
        }

    def evaluate(self, now_ms: int, names: Collection[str] = ()) -> dict[str, Series]:
        """All KPI families in the order of the registry, those of the slow road as last worked out.

        With `names`, only what these families need is worked out; what comes with it is given, too. Figures that
        fail leave out the families of their own KPI, and a line in the log, once.
        """
        evaluator, asked = self._evaluator, Asked(self._evaluator, now_ms)
        teams, reps = self._figures.teams(evaluator, now_ms), self._figures.reps(evaluator, now_ms)
        found = {name: series for one in self._slow.values() for name, series in one.items()}
        jobs: list[tuple[str, Build]] = [
            (kpi, partial(self._families, kpi, asked, teams, reps)) for kpi in self._prompt_kpis
        ]
        by_rep = reps if self._settings.rep_series else None
        jobs += [
            ("recent", lambda: self._extras.recent(evaluator, now_ms, teams, by_rep)),
            ("cohorts", lambda: self._tabled.cohorts(evaluator, now_ms, teams)),
            ("omitted", lambda: self._tabled.omitted(evaluator, now_ms, teams)),
            ("configuration", self._extras.configuration),
        ]
        if self._settings.native_money:
            jobs.append(("native_money", lambda: self._tabled.native(evaluator, now_ms)))
        if self._settings.rep_names:
            jobs.append(("rep_names", lambda: self._extras.rep_names(evaluator, now_ms)))
        self._kept.begin(evaluator, now_ms)
        for name, build in jobs:
            if names and not self._gives.get(name, frozenset(names)).intersection(names):
                continue
            try:
                built = build() if name in MOVING else self._kept.take(name, build)
                self._gives[name] = self._gives.get(name, frozenset()).union(built)
                found.update(built)
            except Exception as error:  # noqa: BLE001 - one KPI (a plug-in's, say) must not cost the others
                self._fails(name, error)
            else:
                self._failing.discard(name)
        return {name: found[name] for name in self.families if name in found}

    def _fails(self, name: str, error: Exception) -> None:
        if name not in self._failing:
            self._failing.add(name)
            log.error("figures.failed", kpi=name, error=f"{type(error).__name__}: {error}")


class EngineMetrics:
    """What the exporter says of itself and of the shards.

    Its instants are real ones: Prometheus compares them with its own clock, which no `DEALPULSE_CLOCK`
    shifts or speeds up.
    """

    def __init__(
        self, meaning: Meaning, alerts: AlertSettings, snapshot: Snapshot, clock: Clock, *, version: str
    ) -> None:
        self._meaning, self._alerts, self._snapshot, self._clock = meaning, alerts, snapshot, clock
        self._calendar = Calendar(meaning.company)
        self._version = version
        self._delay_counts = [0] * (len(VISIBILITY_BUCKETS) + 1)
        self._delay_total = 0.0
        self.scrape_seconds: float | None = None
        self.series = 0
        self.suppressed = 0
        self.sse_clients = 0
        self.kept: Mapping[str, Mapping[tuple[str, ...], float]] = {}
        """Families whose samples others keep in Redis: the last verify, pending dead letters."""

    def observe_delay(self, delay_ms: float) -> None:
        """A record became visible that long after it was appended."""
        seconds = max(0.0, delay_ms / 1000)
        self._delay_counts[bisect_left(VISIBILITY_BUCKETS, seconds)] += 1
        self._delay_total += seconds

    def families(
        self, evaluated_ms: int | None, slow_evaluated_ms: int | None = None
    ) -> Iterator[tuple[Family, Samples]]:
        """The engine families served by an exporter, in the order of the registry."""
        snapshot = self._snapshot
        found: dict[str, Samples] = {
            "build_info": {(self._version, "", platform.python_version()): 1.0},
            "freshness_timestamp_seconds": _one(self._real(snapshot.fresh_ms)),
            "evaluated_timestamp_seconds": _one(self._real(evaluated_ms)),
            "slow_evaluated_timestamp_seconds": _one(self._real(slow_evaluated_ms)),
            "last_event_timestamp_seconds": {
                (topic,): self._real_s(newest) for topic, newest in snapshot.newest_event_ms().items()
            },
            "partitions_missing": _one(float(snapshot.partitions_missing)),
            "resync_pending": {key: float(count) for key, count in snapshot.resync_pending().items()},
            "office_open": _one(float(self.office_open(self._clock.now_ms()))),
            **self._thresholds(),
            "shard_records": {
                (topic, str(partition), result): float(count)
                for (topic, partition, result), count in snapshot.records().items()
            },
            "event_visibility_delay_seconds": Histogram(
                VISIBILITY_BUCKETS, _cumulated(self._delay_counts), self._delay_total
            ),
            "exporter_store_up": _one(float(snapshot.is_store_up)),
            "exporter_series": _one(float(self.series)),
            "exporter_suppressed_series": _one(float(self.suppressed)),
            "exporter_scrape_duration_seconds": _one(self.scrape_seconds),
            "exporter_sse_clients": _one(float(self.sse_clients)),
            **self.kept,
        }
        for name, samples in found.items():
            yield FAMILIES[f"dealpulse_{name}"], samples

    def office_open(self, now_ms: int) -> bool:
        """Whether the company works at an instant: a business day, within its hours."""
        company = self._meaning.company
        local = self._calendar.local(now_ms)
        start, end = (time.fromisoformat(part) for part in company.office_hours.split("-"))
        return self._calendar.is_business_day(local.date()) and start <= local.time() < end

    def _real(self, shown_ms: int | None) -> float | None:
        return None if shown_ms is None else self._real_s(shown_ms)

    def _real_s(self, shown_ms: int) -> float:
        """Unix seconds of the real instant at which the clock shows this one."""
        return self._clock.real_ms(shown_ms) / 1000 + EPOCH_UNIX_S

    def _thresholds(self) -> dict[str, Samples]:
        ratio: Series = {}
        samples: Series = {}
        seconds: Series = {}
        for alert, threshold in self._alerts.by_alert().items():
            if threshold.ratio is not None:
                ratio[alert,] = threshold.ratio
            if threshold.samples is not None:
                samples[alert,] = float(threshold.samples)
            if threshold.days is not None:
                seconds[alert,] = threshold.days * 86_400
        return {
            "alert_threshold_ratio": ratio,
            "alert_threshold_samples": samples,
            "alert_threshold_seconds": seconds,
        }


def _one(value: float | None) -> Series:
    return {} if value is None else {(): value}


def _cumulated(counts: list[int]) -> list[int]:
    total, found = 0, []
    for count in counts:
        total += count
        found.append(total)
    return found
