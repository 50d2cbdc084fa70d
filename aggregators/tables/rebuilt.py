"""Deals of the exact road, rebuilt from fact tables: for KPIs that have no fast road yet, and `explain`."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from fractions import Fraction
from typing import Final

import numpy as np

from aggregators.ask import Ask
from aggregators.calendar import Span
from aggregators.company import Entity
from aggregators.deal_facts import (
    FLAG_CLOSE_AFTER_EVENT,
    FLAG_CLOSE_BEFORE_CREATION,
    HEAD,
    LOST,
    NEVER,
    NO_DATE,
    OMITTED,
    OPEN,
    UNKNOWN,
    WON,
    fact_outcome,
)
from aggregators.opportunity import CLOSE_AFTER_EVENT, CLOSE_BEFORE_CREATION, UNKNOWN_STAGE, Deal, Opportunity
from aggregators.rows import CATEGORIES, TYPES
from aggregators.state import DealState
from aggregators.tables.cut import Cut
from aggregators.tables.deals import DealTable
from aggregators.tables.split import DAY_ZERO, day_number, day_of
from aggregators.zones import Int64

_COLUMNS: Final = (
    "name",
    "account",
    "type",
    "lead_source",
    "referrer",
    "pipeline",
    "stage",
    "outcome",
    "created",
    "created_day",
    "creator",
    "owner",
    "closer",
    "closed_at",
    "closed_day",
    "dated",
    "cycle",
    "expected_day",
    "currency",
    "amount",
    "probability",
    "category",
    "forward",
    "entered",
    "stalls_at",
    "flags",
)


_OF_HEAD: Final = frozenset(HEAD.names or ())
Visit = tuple[str, Deal, Deal, str | None]
"""How a deal came into a window of the waterfall, the deal then, the deal as it left or at the end, how it left."""


class TabledDeals:
    """The opportunities of a company whose deals live in a table, and their statements in packed states."""

    def __init__(self, table: DealTable, states: Iterable[DealState]) -> None:
        self._table, self._states = table, tuple(states)

    @property
    def version(self) -> int:
        """Grows with every change of the table."""
        return self._table.version

    def deals_at(self, ask: Ask, instant_ms: int) -> list[Deal]:
        """Every deal that exists at an instant, as it stands then, by id."""
        return deals_at(self._table, ask, instant_ms)

    def days_of(self, ask: Ask, what: str) -> dict[str, list[date]]:
        """Each rep's days of creations (`created`) or wins (`won`), each day once."""
        cut = Cut(self._table, ask.as_of_ms)
        here, owner, day = (
            (cut.exists, "creator", "created_day") if what == "created" else (cut.won, "closer", "closed_day")
        )
        rows = np.flatnonzero(here & (cut[owner] != 0))
        pairs = np.unique(cut[owner][rows].astype(np.int64) << 32 | (cut[day][rows].astype(np.int64) + 2**31))
        found: dict[str, list[date]] = defaultdict(list)
        for pair in pairs.tolist():
            source, _, id_ = self._table.names.texts[pair >> 32].partition("\0")
            rep = ask.people.resolve(id_, source)
            if rep is not None:
                found[rep].append(day_of((pair & 0xFFFFFFFF) - 2**31))
        return found

    def referred(self, ask: Ask) -> list[Deal]:
        """Every deal that exists at the as-of instant and names a referrer, as it stands then."""
        cut = Cut(self._table, ask.as_of_ms)
        rows = cut.rows[cut["referrer"] != 0]
        return built(self._table, ask, rows, np.full(len(rows), ask.as_of_ms, dtype=np.int64))

    def stays(self, ask: Ask, window: Span, start_ms: int, end_ms: int) -> Iterator[Visit]:
        """The waterfall's stays of all deals that were never deleted nor merged; `histories` has the others."""
        table, states = self._table, self._table.states
        rows = np.flatnonzero((states["since"] <= end_ms) & (states["until"] > start_ms))
        rows = rows[(table.heads["died"][states["deal"][rows]] == 0)]
        if not len(rows):
            return
        expected = states["expected_day"][rows]
        inside = (
            (states["outcome"][rows] == OPEN)
            & (expected >= day_number(window.start))
            & (expected <= day_number(window.end))
        )
        deals = states["deal"][rows]
        starts = np.flatnonzero(np.append(True, deals[1:] != deals[:-1]))
        here = np.arange(len(rows))
        into = np.minimum.reduceat(np.where(inside, here, len(rows)), starts)
        last_in = np.maximum.reduceat(np.where(inside, here, -1), starts)
        some = last_in >= 0
        begin, into, last_in = starts[some], into[some], last_in[some]
        end = np.append(starts[1:], len(rows))[some] - 1
        since, outcome = states["since"][rows], states["outcome"][rows]

        stayed, closed = end == last_in, (outcome[end] == WON) | (outcome[end] == LOST)
        out = np.where(stayed | closed, end, np.minimum(last_in + 1, end))
        left_at = np.where(stayed | closed, end_ms, since[out])
        firsts = built(table, ask, rows[into], np.maximum(since[into], start_ms))
        lasts = built(table, ask, rows[out], left_at)
        came = np.select(
            [since[into] <= start_ms, since[begin] > start_ms, outcome[begin] == OPEN],
            ["start", "created", "pulled_in"],
            "reopened",
        )
        exits = {OPEN: "pushed_out", OMITTED: "deleted", WON: "won", LOST: "lost"}
        for how, first, last, stays, kind in zip(
            came.tolist(), firsts, lasts, stayed.tolist(), outcome[end].tolist(), strict=True
        ):
            yield how, first, last, None if stays else exits[kind]

    def histories(self, ask: Ask, start_ms: int, end_ms: int) -> list[Opportunity]:
        """The opportunities that were ever deleted or merged, and open at any instant between; by id."""
        rows = self._table.states
        stood = (rows["outcome"] == OPEN) & (rows["since"] <= end_ms) & (rows["until"] > start_ms)
        stood &= self._table.heads["died"][rows["deal"]] != 0
        subjects = sorted({self._table.ids[deal] for deal in rows["deal"][stood].tolist()})
        found = []
        for subject in subjects:
            entity = self.entity(subject)
            if entity.statements:
                found.append(Opportunity(ask.company, entity))
        return found

    def entity(self, subject: str) -> Entity:
        """One opportunity with all its statements; without any if it is unknown."""
        entity = Entity("opportunity", subject)
        for state in self._states:
            for event in state.events_of(subject):
                entity.fold(event)
        return entity


def deals_at(table: DealTable, ask: Ask, instant_ms: int) -> list[Deal]:
    """Every deal that exists at an instant, as it stands then, by id: what `Ask.deals_at` gives."""
    cut = Cut(table, instant_ms)
    found = built(table, ask, cut.rows, np.full(len(cut), instant_ms, dtype=np.int64))
    found.sort(key=lambda deal: deal.id)
    return found


def built(table: DealTable, ask: Ask, rows: Int64, instants: Int64) -> list[Deal]:
    """The deal of each state (a row of the table), as it stands at that state's instant."""
    states, heads = table.states, table.heads
    deals = states["deal"][rows]
    labels, names = table.labels.texts, table.names.texts
    meaning, rates, accounts, people = ask.meaning, ask.rates, ask.accounts, ask.people
    several = len(meaning.pipelines) > 1
    days: dict[int, date | None] = {NO_DATE: None}
    persons: dict[int, str | None] = {0: None}

    def day(number: int) -> date | None:
        if number not in days:
            days[number] = DAY_ZERO + timedelta(days=number)
        return days[number]

    def person(code: int) -> str | None:
        if code not in persons:
            source, _, id_ = names[code].partition("\0")
            persons[code] = people.resolve(id_, source)
        return persons[code]

    found: list[Deal] = []
    columns = [(heads[name][deals] if name in _OF_HEAD else states[name][rows]).tolist() for name in _COLUMNS]
    for deal, instant_ms, *one in zip(deals.tolist(), instants.tolist(), *columns, strict=True):
        (
            name, account, type_, lead, referrer, pipeline, stage, outcome, created, created_day, creator,
            owner, closer, closed_at, closed_day, dated, cycle, expected_day, currency, amount, probability,
            category, forward, entered, stalls_at, flags,
        ) = one  # fmt: skip
        is_open = outcome == OPEN
        pipeline_name, stage_name = labels[pipeline], labels[stage] or None
        native = None if amount == UNKNOWN else amount
        closed_on = day(closed_day)
        found.append(
            Deal(
                id=table.ids[deal],
                as_of_ms=instant_ms,
                name=names[name] or None,
                account_id=accounts.survivor(names[account] or None),
                type=TYPES[type_],
                lead_source=names[lead] or None,
                referred_by=names[referrer] or None,
                pipeline=pipeline_name,
                stage=stage_name,
                stage_label=f"{pipeline_name}/{stage_name}" if stage_name and several else stage_name,
                outcome=fact_outcome(outcome),
                created_at=None if created == UNKNOWN else created,
                created_on=day(created_day),
                creator=person(creator),
                owner=person(owner),
                closer=None if is_open else person(closer),
                closed_at=None if is_open else closed_at,
                closed_on=closed_on,
                close_dated=bool(dated),
                cycle_ms=None if cycle == UNKNOWN else cycle,
                expected_on=day(expected_day),
                currency=labels[currency],
                native_amount=native,
                amount=None
                if native is None
                else rates.convert(native, labels[currency], closed_on or ask.calendar.day(instant_ms)),
                probability=Fraction(probability, 1_000_000),
                forecast_category=CATEGORIES[category],
                idle_ms=instant_ms - forward,
                in_stage_ms=instant_ms - entered,
                stalls_after_ms=None if stalls_at == NEVER else stalls_at - forward,
                flags=_flags(flags, (pipeline_name, stage_name or "") in meaning.stages),
            )
        )
    return found


def _flags(flags: int, is_known_stage: bool) -> tuple[str, ...]:
    named = (
        (flags & FLAG_CLOSE_AFTER_EVENT, CLOSE_AFTER_EVENT),
        (flags & FLAG_CLOSE_BEFORE_CREATION, CLOSE_BEFORE_CREATION),
        (not is_known_stage, UNKNOWN_STAGE),
    )
    return tuple(name for holds, name in named if holds)
