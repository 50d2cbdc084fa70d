"""Opportunities, as they stand at an instant."""

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from aggregators.meaning import Stage
from events.event import Event
from tests.aggregators.naive.records import Record
from tests.aggregators.naive.world import World

DAY_MS = 86_400_000


@dataclass
class State:
    """What holds from an instant on, after a statement."""

    from_ms: int
    event: Event
    stage: str | None = None
    pipeline: str = "default"
    owner: str | None = None
    amount: Decimal | None = None
    currency: str | None = None
    expected: date | None = None
    probability: Decimal | None = None
    category: str | None = None
    outcome: str = "open"
    closed: "Close | None" = None


@dataclass(frozen=True)
class Close:
    """One close: its date, whether that was given, and when the deal stopped being open."""

    on: date
    given: bool
    at_ms: int
    event_ms: int
    closer: str | None


@dataclass(frozen=True)
class Deal:
    """An opportunity at an instant; money in minor units of the reporting currency."""

    record: str
    at_ms: int
    outcome: str
    closed: Close | None
    created_ms: int | None
    created: date | None
    creator: str | None
    owner: str | None
    expected: date | None
    account: str | None
    referrer: str | None
    native: int | None
    currency: str
    amount: Fraction | None
    probability: Fraction
    category: str
    idle_ms: int
    in_stage_ms: int
    stalled: bool
    labels: dict[str, str | None]

    @property
    def open(self) -> bool:
        return self.outcome == "open"

    @property
    def unpriced(self) -> bool:
        return self.native is not None and self.amount is None

    def closed_in(self, window: "Window", *outcomes: str) -> bool:
        return self.outcome in outcomes and self.closed is not None and window.holds(self.closed.on)

    def created_in(self, window: "Window") -> bool:
        if self.created is None or self.created_ms is None:
            return window.is_all  # it is there, so it was created at some time
        return self.created_ms <= self.at_ms and window.holds(self.created)


@dataclass(frozen=True)
class Window:
    """Whole days, both inside."""

    start: date
    end: date
    is_all: bool = False

    def holds(self, day: date | None) -> bool:
        return day is not None and self.start <= day <= self.end


class Story:
    """One opportunity's states in order."""

    def __init__(self, world: World, record: Record) -> None:
        self.world, self.record = world, record
        self.created = record.last("created_at") if record.said("created_at") else record.events[0].time_ms
        self.states = self._states()

    def at(self, instant_ms: int) -> Deal | None:
        """The deal at an instant, with today's knowledge (F2); None before it is there."""
        world, states = self.world, self.known(instant_ms)
        if not states:
            return None
        now = states[-1]
        stage, record = self._stage(now), self.record
        currency = now.currency or world.currency
        native = None if now.amount is None else world.minor(now.amount, currency)
        priced_on = now.closed.on if now.closed else world.day(instant_ms)
        idle = self._idle(states, instant_ms)
        threshold = stage.stalled_after_days if stage else None
        shown = now.stage
        if shown and len(world.meaning.pipelines) > 1:
            shown = f"{now.pipeline}/{shown}"
        return Deal(
            record=f"opportunity/{record.id}",
            at_ms=instant_ms,
            outcome=now.outcome,
            closed=now.closed,
            created_ms=self.created,
            created=None if self.created is None else world.day(self.created),
            creator=self._creator(states),
            owner=now.owner,
            expected=now.expected,
            account=world.records.survivor(record.last("account_id")),
            referrer=record.last("referred_by"),
            native=native,
            currency=currency,
            amount=None if native is None else world.convert(native, currency, priced_on),
            probability=_chance(now, stage),
            category=now.category or (stage.forecast_category if stage else "pipeline"),
            idle_ms=idle,
            in_stage_ms=instant_ms - self._entered(states),
            stalled=now.outcome == "open" and threshold is not None and idle > threshold * DAY_MS,
            labels={
                "type": record.last("type") or "new",
                "pipeline": now.pipeline,
                "currency": currency,
                "lead_source": record.last("lead_source"),
                "stage": shown,
                **world.of_account(record.last("account_id")),
            },
        )

    def known(self, instant_ms: int) -> list[State]:
        """All states up to the last one that holds by an instant."""
        holding = [number for number, state in enumerate(self.states) if state.from_ms <= instant_ms]
        return self.states[: max(holding) + 1] if holding else []

    def _states(self) -> list[State]:
        states: list[State] = []
        for event in self.record.statements:
            held = states[-1] if states else State(event.time_ms, event)
            said: dict[str, Any] = {"from_ms": event.time_ms, "event": event, "closed": None}
            for name, field in _FIELDS.items():
                if event.complete or field in event.data:
                    said[name] = event.data.get(field)
            if "owner" in said:
                said["owner"] = self.world.resolve(said["owner"], event)
            if "pipeline" in said:
                said["pipeline"] = said["pipeline"] or "default"
            state = replace(held, **said)
            stage = self._stage(state)
            states.append(replace(state, outcome=stage.kind if stage else "open"))
        for number, state in enumerate(states):
            before = states[number - 1] if number else None
            if state.outcome == "open":
                continue
            if before and before.outcome == state.outcome:
                state.closed = before.closed  # G7: won to won never moves the close
            else:
                state.closed = self._closing(states, number)
                state.from_ms = state.closed.at_ms  # F19
        return self._from_the_creation(states)

    def _closing(self, states: list[State], number: int) -> Close:
        """G10, F18: the date given with the close, or later while it is closed; else the event's day."""
        event, outcome = states[number].event, states[number].outcome
        told_before = states[number - 1].expected if number else None
        given = None
        for state in states[number:]:
            if state.outcome != outcome:
                break
            if state.event.complete or "close_date" in state.event.data:
                told = state.event.data.get("close_date")
                if told is None or state is states[number] or told != told_before:
                    given = told
        event_on = self.world.day(event.time_ms)
        on = event_on if given is None else min(given, event_on)
        at_ms = min(event.time_ms, self.world.end_ms(on))
        return Close(on, given is not None, at_ms, event.time_ms, states[number].owner)

    def _from_the_creation(self, states: list[State]) -> list[State]:
        """What was said first holds from the creation on; nothing but a close holds before it (F20)."""
        if not states:
            return []
        first, seen = states[0], self.record.events[0].time_ms
        if first.outcome == "open":
            first.from_ms = seen if self.created is None else self.created
        elif self.created is not None and self.created < first.event.time_ms:
            unseen = replace(first, from_ms=self.created, stage=None, outcome="open", closed=None)
            states = [unseen, *states]
        for state in states:
            if state.outcome == "open" and self.created is not None:
                state.from_ms = max(state.from_ms, self.created)
        return states

    def _stage(self, state: State) -> Stage | None:
        pipeline = self.world.meaning.pipelines.get(state.pipeline)
        stages = pipeline.stages if pipeline else ()
        return next((stage for stage in stages if stage.name == state.stage), None)

    def _order(self, state: State) -> int:
        """The place among the open stages of the pipeline; -1: none (F29)."""
        pipeline = self.world.meaning.pipelines.get(state.pipeline)
        names = [stage.name for stage in pipeline.stages if stage.kind == "open"] if pipeline else []
        return names.index(state.stage) if state.stage in names else -1

    def _creator(self, states: list[State]) -> str | None:
        """F21."""
        then = [one for one in self.states if self.created is not None and one.event.time_ms <= self.created]
        if then and then[-1].owner:
            return then[-1].owner
        return next((state.owner for state in states if state.owner), None)

    def _idle(self, states: list[State], instant_ms: int) -> int:
        """Since the last forward move, the time between a close and the reopening left out."""
        moved, highest = states[0].from_ms, -1
        for before, state in zip([states[0], *states], states, strict=False):
            if state.pipeline != before.pipeline:
                highest = -1
            if self._order(state) > highest:
                moved, highest = state.from_ms, self._order(state)
        # Counted half hour by half hour would be plainer: but a close date ends at a day's last millisecond.
        marks = sorted({moved, instant_ms, *(state.from_ms for state in states)})
        idle = 0
        for start, stop in pairwise(marks):
            if moved <= start and stop <= instant_ms and not self._closed_during(states, start):
                idle += stop - start
        return idle

    def _closed_during(self, states: list[State], instant_ms: int) -> bool:
        """Whether an instant lies between a close and the reopening after it."""
        return any(
            before.closed.at_ms <= instant_ms < after.from_ms
            for before, after in pairwise(states)
            if before.closed and not after.closed
        )

    def _entered(self, states: list[State]) -> int:
        entered = states[0].from_ms
        for before, after in pairwise(states):
            if (before.pipeline, before.stage) != (after.pipeline, after.stage):
                entered = after.from_ms
        return entered


_FIELDS = {
    "stage": "stage",
    "pipeline": "pipeline",
    "owner": "owner_id",
    "amount": "amount",
    "currency": "currency",
    "expected": "close_date",
    "probability": "probability",
    "category": "forecast_category",
}


def _chance(state: State, stage: Stage | None) -> Fraction:
    if state.probability is not None:
        return Fraction(state.probability)
    return Fraction(str(stage.probability)) if stage else Fraction(0)


def cycle_ms(deal: Deal) -> int | None:
    """From creation to close (F8, F9)."""
    if deal.created is None or deal.created_ms is None or deal.closed is None:
        return None
    if deal.closed.given:
        return (deal.closed.on - deal.created).days * DAY_MS
    return deal.closed.event_ms - deal.created_ms
