"""Families counted from records, where no row of an answer holds the figure: who came and left, what moved.

They use the contributions of the KPIs' own files, so that they add up with the answers: start +
changes = what revenue retention divides, reps there at the start less those who departed = those retained.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from fractions import Fraction
from typing import Final

from aggregators.ask import Ask
from aggregators.calendar import Calendar, Span
from aggregators.kpi import Reading
from aggregators.kpis import goal, ramp_up, rep_retention
from aggregators.meaning import Meaning
from aggregators.question import Number, Question
from aggregators.tables.answer import sums_of
from aggregators.tables.customers import revenue_changes
from aggregators.tables.fast import FastAsk
from events.currencies import EXPONENTS
from exporters.family import Answer
from exporters.figures import Asked, Series, spans
from exporters.labels import ASKED_AS, LEAVE_REASONS, MILESTONES, PLANS, QUARTERS, REP_PLANS, REVENUE_CHANGES

Keys = Iterable[tuple[str, ...]]


class Counted:
    """Works those families out, for one configuration."""

    def __init__(self, meaning: Meaning, extra_windows: Sequence[str] = ()) -> None:
        self._meaning, self._calendar = meaning, Calendar(meaning.company)
        self._windows = (*QUARTERS, *extra_windows)
        self._currency = meaning.company.currency
        self._minor = 10 ** EXPONENTS[self._currency]

    def families(
        self, kpi: str, asked: Asked, teams: Sequence[str], *, by_rep: bool = True
    ) -> dict[str, Series]:
        """The families that belong beside those of one KPI; none beside most."""
        build = _BESIDE.get(kpi)
        found = {} if build is None else build(self, asked, teams)
        return {name: series for name, series in found.items() if by_rep or not name.startswith(_BY_REP)}

    def _ask(self, asked: Asked, kpi: str) -> Ask:
        now_ms = asked.now_ms
        return Ask(asked.evaluator.company, Question(kpi, now_ms, None, ("team",), now_ms=now_ms))

    def _spans(self, ask: Ask) -> dict[str, Span]:
        return spans(self._calendar, ask.as_of_on, self._windows)

    def people(self, asked: Asked, teams: Sequence[str]) -> dict[str, Series]:
        """Reps in role now, hired in the last twelve months, and gone since their start, by how."""
        ask = self._ask(asked, "rep_retention")
        year = self._spans(ask)["trailing_12m"]
        active = _zeros((team,) for team in teams)
        hired = _zeros((team, "trailing_12m") for team in teams)
        departed = _zeros((team, reason, "trailing_12m") for team in teams for reason in LEAVE_REASONS)
        for employee, spell in rep_retention.hires(ask):
            if ask.as_of_on in spell:
                active[ask.by(employee.id, ask.as_of_on)] += 1
            if spell.start in year:
                hired[*ask.by(employee.id, spell.start), "trailing_12m"] += 1
        for one in rep_retention.at_the_start(ask, year):
            if not one.stayed:
                reason = "left_role" if one.spell.kind == "left_role" else "left_company"
                departed[*ask.by(one.employee.id, one.start_on), reason, "trailing_12m"] += 1
        return {
            "dealpulse_reps_active": dict(active),
            "dealpulse_reps_hired": dict(hired),
            "dealpulse_reps_departed": dict(departed),
        }

    def ramps(self, asked: Asked, teams: Sequence[str]) -> dict[str, Series]:
        """Reps whose milestone lies before their first day; and of all milestones, who is not there yet."""
        ask = self._ask(asked, "ramp_up")
        spans = self._spans(ask)
        names = [(team, name, window) for team in teams for name in MILESTONES for window in self._windows]
        clamped, waiting, ages = _zeros(names), _zeros(names), _zeros(names)
        milestones = {
            "first_contact": ramp_up.contacts,
            "first_opportunity": ramp_up.creations,
            "first_win": ramp_up.wins,
        }
        for name, milestone in milestones.items():
            for window, span in spans.items():
                for clock in ramp_up.clocks(ask, span, milestone):
                    key = (*ask.by(clock.employee.id, clock.spell.start), name, window)
                    if clock.reached_on is None:
                        if ask.as_of_on in clock.spell:
                            waiting[key] += 1
                            ages[key] += (ask.as_of_on - clock.spell.start).days * 86_400
                    elif clock.reached_on < clock.spell.start:
                        clamped[key] += 1
        return {
            "dealpulse_ramp_up_clamped_reps": dict(clamped),
            "dealpulse_ramping_reps": dict(waiting),
            "dealpulse_ramping_rep_seconds": dict(ages),
        }

    def revenue(self, asked: Asked, teams: Sequence[str]) -> dict[str, Series]:
        """What became of the annual revenue of the customers at a window's start, in three signed parts."""
        ask = self._ask(asked, "customer_retention")
        month = self._calendar.windows("month", ask.as_of_on, 2)[0][1]
        spans = {**self._spans(ask), "previous_month": month}
        changes = _zeros(
            (team, name, window) for team in teams for name in REVENUE_CHANGES for window in spans
        )
        fast = FastAsk(asked.evaluator.snapshot.deals, ask.company, ask.question)
        for window, span in spans.items():
            for name, moved in revenue_changes(fast, span).items():
                for labels, sums in sums_of([moved]).items():
                    changes[*labels, name, window] += float(Fraction(sums.numerator) / self._minor)
        found = {(*key, self._currency): value for key, value in changes.items()}
        return {"dealpulse_recurring_change_amount": found}

    def gaps(self, asked: Asked, _: Sequence[str]) -> dict[str, Series]:
        """What is missing to each target: max(0, target - won); absent without a target."""
        found: dict[str, Series] = {}
        for prefix, by, windows in (("", ("team",), PLANS), ("rep_", ("rep", "team"), REP_PLANS)):
            series: Series = {}
            for window in windows:
                rows = asked.pairs(Answer("coverage", "amount"), by, window, self._calendar)
                missing = {labels: row.denominator or 0 for labels, row in rows}
                for holder, row in asked.pairs(Answer("target", "amount"), by, window, self._calendar):
                    if row.samples:
                        gap = max(missing.get(holder, 0), 0)
                        series[*holder, window, self._currency] = float(gap) / self._minor
            found[f"dealpulse_{prefix}target_gap_amount"] = series
        return found

    def goals(self, asked: Asked, _: Sequence[str]) -> dict[str, Series]:
        """The goals of KPIs' readings; the company's has no team."""
        scopes: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
            ("", (), PLANS),
            ("", ("team",), PLANS),
            ("rep_", ("rep", "team"), REP_PLANS),
        )
        found: dict[str, Series] = defaultdict(dict)
        for prefix, by, windows in scopes:
            ask = Ask(asked.evaluator.company, Question("goal", asked.now_ms, None, by, now_ms=asked.now_ms))
            for window in windows:
                for one in goal.wanted_in(ask, self._plan_span(ask, window)):
                    labels = dict(one.labels)
                    holder = [labels[name] for name in by] if by else [""]
                    if one.value is None:
                        continue
                    value, currency = self._in_unit(one.reading, one.value)
                    key = (*holder, one.kpi, one.reading.name, currency, window)
                    found[f"dealpulse_{prefix}kpi_goal"][key] = value
        return dict(found)

    def _plan_span(self, ask: Ask, window: str) -> Span:
        """The whole period that a plan's window lies in."""
        name, back = ASKED_AS[window]
        span = self._calendar.windows(name, ask.as_of_on)[0][1]
        return span if back == 0 else self._calendar.windows(name, span.end + timedelta(days=1))[0][1]

    def _in_unit(self, reading: Reading, exact: Number) -> tuple[float, str]:
        """A goal in base units, and its currency (empty if it is no money)."""
        value = float(exact)
        match reading.unit:
            case "money":
                return value / self._minor, self._currency
            case "money_per_second":
                return value * 1000 / self._minor, self._currency
            case "seconds":
                return value / 1000, ""
            case _:
                return value, ""


Build = Callable[[Counted, Asked, Sequence[str]], dict[str, Series]]

_BESIDE: Final[Mapping[str, Build]] = {
    "rep_retention": Counted.people,
    "ramping_reps": Counted.ramps,
    "customer_retention": Counted.revenue,
    "coverage": Counted.gaps,
    "goal": Counted.goals,
}
"""KPI -> the families worked out beside it."""
_BY_REP: Final = "dealpulse_rep_"


def _zeros(keys: Keys) -> defaultdict[tuple[str, ...], float]:
    found: defaultdict[tuple[str, ...], float] = defaultdict(float)
    found.update(dict.fromkeys(keys, 0.0))
    return found
