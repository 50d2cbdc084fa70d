"""An opportunity as it stands at an instant, worked out plainly from its ordered statements.

Each statement holds *from* an instant: usually its own time, but the first one from the creation on, and
one that closes the deal already from the end of its close date (F19). The deal at an instant is what the
last statement in order that holds by then, and all before it, have said.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from aggregators.accounts import Accounts
from aggregators.calendar import ALWAYS, DAY_MS, Span
from aggregators.company import Company, Entity
from aggregators.meaning import Stage
from aggregators.money import Rates, minor_units
from aggregators.people import People
from aggregators.question import Number
from events.event import Event

DEFAULT_PIPELINE = "default"
OPEN, WON, LOST, OMITTED = "open", "won", "lost", "omitted"

NO_RATE = "no rate: not priced"
NO_AMOUNT = "no amount"
CLOSE_AFTER_EVENT = "close date after the closing event"
CLOSE_BEFORE_CREATION = "closed before its creation"
UNKNOWN_STAGE = "unknown stage"


@dataclass(frozen=True, slots=True)
class Closing:
    """One close of a deal: when it took effect, until when it stood, and what it counts for."""

    outcome: str
    event: Event
    on: date
    """The close date (G10, F18)."""
    dated: bool
    """Whether that date was given with the close, or is the day of the closing event."""
    at_ms: int
    """The instant from which the deal is closed (F19)."""
    flags: tuple[str, ...] = ()


@dataclass(slots=True)
class Said:
    """What holds after one statement: every field that keeps a history, as last stated."""

    from_ms: int
    event: Event
    stage: str | None = None
    pipeline: str = DEFAULT_PIPELINE
    owner: str | None = None
    amount: Decimal | None = None
    currency: str | None = None
    expected_on: date | None = None
    probability: Decimal | None = None
    category: str | None = None
    outcome: str = OPEN
    closing: Closing | None = None
    """The close that stands after it; None while the deal is open."""


@dataclass(frozen=True, slots=True)
class Deal:
    """An opportunity at one instant. Amounts are minor units, instants and durations ms."""

    id: str
    as_of_ms: int
    name: str | None
    account_id: str | None
    """The account that is meant, after merges."""
    type: str
    lead_source: str | None
    referred_by: str | None
    pipeline: str
    stage: str | None
    stage_label: str | None
    """The stage, `pipeline/stage` where the company has several pipelines."""
    outcome: str
    """`open`, `won`, `lost` or `omitted`."""
    created_at: int | None
    """None: stated to be unknown. It may lie after the instant, of a deal closed before (F20)."""
    created_on: date | None
    creator: str | None
    """The owner at the creation (F21)."""
    owner: str | None
    """The owner at the instant."""
    closer: str | None
    """The owner after the closing event (F10); None while open."""
    closed_at: int | None
    """When it stopped being open (F19)."""
    closed_on: date | None
    """Its close date (G10); None while open."""
    close_dated: bool
    cycle_ms: int | None
    """From creation to close (F8, F9)."""
    expected_on: date | None
    """The close date stated last."""
    currency: str
    native_amount: int | None
    """In minor units of `currency`."""
    amount: Number | None
    """In minor units of the reporting currency; None without an amount or a rate."""
    probability: Fraction
    forecast_category: str
    idle_ms: int
    """Since the last forward move, less the time it was closed since (KPI 4, stagnation)."""
    in_stage_ms: int
    stalls_after_ms: int | None
    """The threshold of its stage; None: it never stalls."""
    flags: tuple[str, ...]

    @property
    def note(self) -> str:
        """What is odd about it, for people; empty if nothing is."""
        return ", ".join(self.flags)

    @property
    def record(self) -> str:
        """Its name among the records of a figure."""
        return f"opportunity/{self.id}"

    @property
    def is_open(self) -> bool:
        """Neither won, lost nor omitted."""
        return self.outcome == OPEN

    def created_in(self, window: Span) -> bool:
        """Created in the window, and by the instant.

        A deal of unknown creation is in no window of days, but in `all`: it is there, so it was created.
        """
        if self.created_at is None:
            return window == ALWAYS
        return self.created_at <= self.as_of_ms and self.created_on in window

    @property
    def age_ms(self) -> int | None:
        """Since its creation; None if that is unknown."""
        return None if self.created_at is None else self.as_of_ms - self.created_at

    @property
    def stalled(self) -> bool:
        """Open, and idle for longer than its stage allows (F11)."""
        return self.is_open and self.stalls_after_ms is not None and self.idle_ms > self.stalls_after_ms

    @property
    def priced(self) -> bool:
        """Whether it has an amount in the reporting currency."""
        return self.amount is not None

    @property
    def unpriced(self) -> bool:
        """It has an amount, and there is no rate for it (G4): counted, not priced."""
        return self.native_amount is not None and self.amount is None

    @property
    def price_note(self) -> str:
        """Why it adds nothing to an amount; empty if it does."""
        return NO_RATE if self.unpriced else "" if self.priced else NO_AMOUNT


class Opportunity:
    """One opportunity with its whole history, from which `at` gives it at any instant."""

    def __init__(self, company: Company, entity: Entity) -> None:
        self.entity, self.id = entity, entity.id
        self._company, self._meaning, self._calendar = company, company.meaning, company.calendar
        self._people = company.derived(People, lambda: People(company), "employee")
        self._accounts = company.derived(Accounts, lambda: Accounts(company), "account")
        self.created_at = self._creation()
        self.created_on = None if self.created_at is None else self._calendar.day(self.created_at)
        self.said = self._history()

    def at(self, instant_ms: int, rates: Rates) -> Deal | None:
        """The deal at an instant, as known now; None if it does not exist by then."""
        known = self.known(instant_ms)
        return self._deal(known, instant_ms, rates) if known else None

    def known(self, instant_ms: int) -> list[Said]:
        """What holds by an instant: up to the last statement in order that holds by then."""
        for number in range(len(self.said), 0, -1):
            if self.said[number - 1].from_ms <= instant_ms:
                return self.said[:number]
        return []

    # The history

    def _creation(self) -> int | None:
        """`created_at`; never stated: the earliest time seen; null: unknown (events.md)."""
        if not self.entity.history("created_at"):
            return self.entity.first_ms
        created: int | None = self.entity.newest("created_at")
        return created

    def _history(self) -> list[Said]:
        said: list[Said] = []
        for event in self.entity.statements:
            said.append(self._after(said[-1] if said else None, event))
        self._close(said)
        self._begin(said)
        return said

    def _after(self, before: Said | None, event: Event) -> Said:
        """What holds after a statement: what it names, and what held before."""

        def stated(field: str, held: Any) -> Any:
            return event.data.get(field) if event.complete or field in event.data else held

        held = before or Said(event.time_ms, event)
        after = Said(
            from_ms=event.time_ms,
            event=event,
            stage=stated("stage", held.stage),
            pipeline=stated("pipeline", held.pipeline) or DEFAULT_PIPELINE,
            owner=held.owner,
            amount=stated("amount", held.amount),
            currency=stated("currency", held.currency),
            expected_on=stated("close_date", held.expected_on),
            probability=stated("probability", held.probability),
            category=stated("forecast_category", held.category),
        )
        if event.complete or "owner_id" in event.data:
            after.owner = self._people.resolve(event.data.get("owner_id"), event.source)
        stage = self._stage(after)
        after.outcome = stage.kind if stage else OPEN
        return after

    def _close(self, said: list[Said]) -> None:
        """Give every closed stretch its closing: it begins with a close and ends before the next change.

        From won to won, or lost to lost, is the same close (G7); from won to lost is another one.
        """
        first = 0
        for number, one in enumerate(said):
            if number + 1 < len(said) and said[number + 1].outcome == one.outcome:
                continue
            if one.outcome != OPEN:
                stretch = said[first : number + 1]
                closing = self._closing(said[first - 1] if first else None, stretch)
                for closed in stretch:
                    closed.closing = closing
                stretch[0].from_ms = closing.at_ms
            first = number + 1

    def _closing(self, before: Said | None, stretch: list[Said]) -> Closing:
        """The close date is the newest one stated with the close or after it, else the event's day (F18).

        One that only repeats what was stated last before the close says nothing, unless the closing
        event itself says it; null takes the date back. It is never after the closing event's day.
        """
        event = stretch[0].event
        event_on = self._calendar.day(event.time_ms)
        expected = before.expected_on if before else None
        given: date | None = None
        for closed in stretch:
            if not (closed.event.complete or "close_date" in closed.event.data):
                continue
            stated = closed.event.data.get("close_date")
            if stated is None or closed is stretch[0] or stated != expected:
                given = stated
        on = min(given or event_on, event_on)
        flags = []
        if given and given > event_on:
            flags.append(CLOSE_AFTER_EVENT)
        at_ms = min(event.time_ms, self._calendar.end_ms(on))
        if self.created_at is not None and at_ms < self.created_at:
            flags.append(CLOSE_BEFORE_CREATION)
        return Closing(stretch[0].outcome, event, on, given is not None, at_ms, tuple(flags))

    def _begin(self, said: list[Said]) -> None:
        """Nothing but a close holds before the creation, and what was said first holds from it on.

        A deal first told of as closed was open before, in a stage nobody knows.
        """
        if not said:
            return
        created, first = self.created_at, said[0]
        began = self.entity.first_ms if created is None else created
        if first.outcome == OPEN:
            first.from_ms = began
        elif created is not None and created < first.event.time_ms:
            said.insert(
                0,
                Said(
                    created,
                    first.event,
                    None,
                    first.pipeline,
                    first.owner,
                    first.amount,
                    first.currency,
                    first.expected_on,
                    first.probability,
                    first.category,
                ),
            )
        if created is not None:
            for one in said:
                if one.outcome == OPEN:
                    one.from_ms = max(one.from_ms, created)

    # The deal at an instant

    def _stage(self, said: Said) -> Stage | None:
        found = self._meaning.stages.get((said.pipeline, said.stage or ""))
        return found[1] if found else None

    def _order(self, said: Said) -> int:
        """The stage's place among the open stages of its pipeline; -1 for a closed or unknown one (F29)."""
        found = self._meaning.stages.get((said.pipeline, said.stage or ""))
        return found[0] if found else -1

    def _deal(self, known: list[Said], instant_ms: int, rates: Rates) -> Deal:
        now, closing, newest = known[-1], known[-1].closing, self.entity.newest
        stage = self._stage(now)
        currency = now.currency or rates.reporting
        native = None if now.amount is None else minor_units(now.amount, currency)
        rate_day = closing.on if closing else self._calendar.day(instant_ms)
        threshold = stage.stalled_after_days if stage and not closing else None
        flags = closing.flags if closing else ()
        if stage is None:
            flags = (*flags, UNKNOWN_STAGE)
        return Deal(
            id=self.id,
            as_of_ms=instant_ms,
            name=newest("name"),
            account_id=self._accounts.survivor(newest("account_id")),
            type=newest("type") or "new",
            lead_source=newest("lead_source"),
            referred_by=newest("referred_by"),
            pipeline=now.pipeline,
            stage=now.stage,
            stage_label=f"{now.pipeline}/{now.stage}"
            if now.stage and len(self._meaning.pipelines) > 1
            else now.stage,
            outcome=now.outcome,
            created_at=self.created_at,
            created_on=self.created_on,
            creator=self._creator(known),
            owner=now.owner,
            closer=next(one.owner for one in known if one.closing is closing) if closing else None,
            closed_at=closing.at_ms if closing else None,
            closed_on=closing.on if closing else None,
            close_dated=closing.dated if closing else False,
            cycle_ms=self._cycle(closing) if closing else None,
            expected_on=now.expected_on,
            currency=currency,
            native_amount=native,
            amount=None if native is None else rates.convert(native, currency, rate_day),
            probability=_probability(now, stage),
            forecast_category=now.category or (stage.forecast_category if stage else "pipeline"),
            idle_ms=self._idle(known, instant_ms),
            in_stage_ms=instant_ms - _entered(known),
            stalls_after_ms=None if threshold is None else threshold * DAY_MS,
            flags=flags,
        )

    def _creator(self, known: list[Said]) -> str | None:
        """The owner in force at `created_at`; if none yet, the first owner ever stated (F21)."""
        if self.created_at is not None:
            by_then = [one for one in self.said if one.event.time_ms <= self.created_at]
            if by_then and by_then[-1].owner:
                return by_then[-1].owner
        return next((one.owner for one in known if one.owner), None)

    def _cycle(self, closing: Closing) -> int | None:
        if self.created_at is None or self.created_on is None:
            return None
        if closing.dated:
            return (closing.on - self.created_on).days * DAY_MS
        return closing.event.time_ms - self.created_at

    def _idle(self, known: list[Said], instant_ms: int) -> int:
        """Since the last forward move: the entry into a stage of a higher order than any before (F29)."""
        moved, best, pipeline = known[0].from_ms, -1, known[0].pipeline
        for one in known:
            if one.pipeline != pipeline:
                best, pipeline = -1, one.pipeline
            if self._order(one) > best:
                moved, best = one.from_ms, self._order(one)
        return instant_ms - moved - _closed_within(known, moved)


def _entered(known: list[Said]) -> int:
    """When the deal entered the stage it is in."""
    entered = known[0]
    for before, after in pairwise(known):
        if (before.pipeline, before.stage) != (after.pipeline, after.stage):
            entered = after
    return entered.from_ms


def _closed_within(known: list[Said], since_ms: int) -> int:
    """For how long, since an instant, a deal that was reopened had been closed."""
    closed = [
        (max(before.closing.at_ms, since_ms), max(after.from_ms, since_ms))
        for before, after in pairwise(known)
        if before.closing and not after.closing
    ]
    return _union(closed)


def _union(intervals: Iterable[tuple[int, int]]) -> int:
    covered, end = 0, None
    for start, stop in sorted(intervals):
        start = start if end is None else max(start, end)
        covered += max(0, stop - start)
        end = stop if end is None else max(end, stop)
    return covered


def _probability(said: Said, stage: Stage | None) -> Fraction:
    """As stated, else the stage's; of an unknown stage 0. Exactly the decimal that was written."""
    if said.probability is not None:
        return Fraction(said.probability)
    return Fraction(str(stage.probability)) if stage else Fraction(0)
