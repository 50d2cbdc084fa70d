"""SalesPipelineDryingUp against the simulator, which was there first: in time for Joy's Toys, never for Saul's Dolls.

Each day is judged as the rule judges it, with the thresholds that ship: creations of the last 28 days
by team against a third of those of the 84 days before, over at least so many records.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import pytest

from aggregators.ask import Ask
from aggregators.company import Company
from aggregators.meaning import Meaning
from aggregators.question import Question
from events.instants import time_ns
from events.reader import read
from events.simulator import JOYS_TOYS, SAULS_DOLLS, Simulation
from events.simulator import Company as Invented
from exporters.extras import BASELINE_DAYS, RECENT_DAYS
from exporters.settings import AlertSettings

END = "2026-11-24T12:00:00+08:00"
END_MS = time_ns(END) // 1_000_000
THRESHOLD = AlertSettings().sales_pipeline_drying_up
DAY = timedelta(days=1)
THREE_WEEKS = 21 * DAY


@dataclass
class Story:
    """What happened: creations by team, and deals by their days open."""

    created: dict[str, list[date]]
    closed_on: list[date | None]
    first: date
    last: date

    def fires(self) -> Iterator[date]:
        """The days on which the alert fires for some team, having held for a whole day."""
        held: dict[str, int] = defaultdict(int)
        day = self.first + (RECENT_DAYS + BASELINE_DAYS) * DAY
        while day <= self.last:
            for team, days in self.created.items():
                held[team] = held[team] + 1 if _low(days, day) else 0
                if held[team] > 1:
                    yield day
            day += DAY


def _low(created: list[date], day: date) -> bool:
    start = day - (RECENT_DAYS - 1) * DAY
    recent = bisect_right(created, day) - bisect_left(created, start)
    before = bisect_left(created, start) - bisect_left(created, start - BASELINE_DAYS * DAY)
    assert THRESHOLD.ratio is not None
    assert THRESHOLD.samples is not None
    baseline = before * RECENT_DAYS / BASELINE_DAYS
    return recent < baseline * THRESHOLD.ratio and before >= THRESHOLD.samples


def story(invented: Invented, seed: int, *, quarters: int, dry_days: int | None = None) -> Story:
    dry_from_ms = None if dry_days is None else END_MS - dry_days * 86_400_000
    simulation = Simulation(
        invented, seed=seed, quarters=quarters, end_ms=END_MS, dry_from_ms=dry_from_ms, mess=False
    )
    company = Company(Meaning())
    for record in simulation.history():
        if record.topic in {"crm.opportunity", "hr.employee"}:
            company.fold(read(record.value, record.topic))
    ask = Ask(company, Question("created", END_MS, None, ("team",)))
    created: defaultdict[str, list[date]] = defaultdict(list)
    for deal in ask.deals:
        if deal.created_on is not None:
            created[ask.by_deal(deal, deal.creator, deal.created_on)[0]].append(deal.created_on)
    for days in created.values():
        days.sort()
    first, last = company.calendar.day(simulation.start_ms), company.calendar.day(END_MS)
    return Story(dict(created), [deal.closed_on for deal in ask.deals], first, last)


SEEDS = [pytest.param(seed, marks=[] if seed == 1 else pytest.mark.e2e) for seed in range(1, 11)]


@pytest.mark.parametrize("seed", SEEDS)
def test_it_never_fires_in_two_years_of_sauls_dolls(seed: int) -> None:
    assert list(story(SAULS_DOLLS, seed, quarters=8).fires()) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_it_fires_three_weeks_before_the_pipeline_of_joys_toys_is_empty(seed: int) -> None:
    told = story(JOYS_TOYS, seed, quarters=8, dry_days=150)
    drying_from = told.last - 150 * DAY
    fired = list(told.fires())
    assert fired, "it never fired"
    assert fired[0] > drying_from, f"false alarm on {fired[0]}"
    closed = [day for day in told.closed_on if day is not None]
    empty_on = max(closed) if len(closed) == len(told.closed_on) else told.last + DAY
    assert empty_on - fired[0] >= THREE_WEEKS
