"""A company: what all its events say, entity by entity. The base of the exact road.

Nothing is worked out while folding: each entity keeps its statements, and whoever asks derives what he
needs from their one order (events.md, "Order"). Folding is commutative and idempotent, therefore.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from aggregators.calendar import Calendar
from aggregators.meaning import Meaning
from events.canonical import order_key
from events.event import Event

Derived = TypeVar("Derived")

MOST_DERIVED = 32
"""Snapshots kept at once: a question needs a handful, and old instants are not asked again."""

FIELDS: Mapping[str, tuple[str, ...]] = {
    "opportunity": (
        "name",
        "account_id",
        "owner_id",
        "stage",
        "pipeline",
        "amount",
        "currency",
        "created_at",
        "close_date",
        "type",
        "referred_by",
        "probability",
        "forecast_category",
        "lost_reason",
        "lead_source",
    ),
    "contract": (
        "account_id",
        "owner_id",
        "signed_on",
        "start_date",
        "end_date",
        "recurring_amount",
        "recurring_per",
        "one_time_amount",
        "currency",
        "kind",
        "supersedes",
        "cancelled_on",
        "trial",
        "ramp",
    ),
    "account": ("name", "owner_id", "parent_id", "segment", "region"),
    "activity": ("rep_id", "kind", "completed_at", "with", "opportunity_id", "account_id"),
    "employee": (
        "name",
        "aliases",
        "hired_on",
        "left_on",
        "leave_kind",
        "effective_on",
        "role",
        "team",
        "manager_id",
        "on_leave",
    ),
    "target": ("amount", "currency", "wins", "value"),
    "fx_rate": ("base", "quote", "date", "rate"),
}
"""The fields of each entity (events.md, "Data"): what a full statement clears if it does not name it."""


STATING = frozenset({"changed", "completed"})
"""The verbs that state fields; an activity is `completed`, everything else `changed`."""


class Stated(NamedTuple):
    """One statement of one field: its value (None: cleared), and the event that made it."""

    value: Any
    event: Event


class Entity:
    """All that was stated about one opportunity, contract, account, ... in the order of events."""

    def __init__(self, kind: str, entity_id: str) -> None:
        self.kind, self.id = kind, entity_id
        self._by_event: dict[tuple[str, str], Event] = {}

    @classmethod
    def of(cls, kind: str, entity_id: str, events: Iterable[Event]) -> Self:
        """The entity of which these events were told, no two with the same source and id."""
        entity = cls(kind, entity_id)
        entity._by_event = {(event.source, event.id): event for event in events}
        return entity

    def fold(self, event: Event) -> bool:
        """Take an event in; False if it was known. Of two with one `(source, id)` the greater stands."""
        name = (event.source, event.id)
        known = self._by_event.get(name)
        if known is not None and order_key(event) <= order_key(known):
            return False
        self._by_event[name] = event
        for derived in ("events", "statements", "alive", "_stated"):
            self.__dict__.pop(derived, None)
        return True

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """Every event about it, oldest first."""
        # No two have the same source and id any more, so the bytes of their data decide nothing.
        return tuple(
            sorted(
                self._by_event.values(), key=lambda each: (each.time_ns, each.sequence, each.source, each.id)
            )
        )

    @cached_property
    def statements(self) -> tuple[Event, ...]:
        """The events that state fields, oldest first."""
        return tuple(event for event in self.events if event.verb in STATING)

    @cached_property
    def _stated(self) -> dict[str, list[Stated]]:
        found: defaultdict[str, list[Stated]] = defaultdict(list)
        for event in self.statements:
            for field in FIELDS[self.kind] if event.complete else event.data:
                found[field].append(Stated(event.data.get(field), event))
        return dict(found)

    @cached_property
    def alive(self) -> bool:
        """Not deleted and not merged away (events.md, "Life and death").

        Only a restoration takes a merge back; a deletion also yields to a newer full statement. One
        of which nothing was ever stated is not alive: there is no record yet.
        """
        return bool(self.statements) and _lives(self.events)

    def alive_at(self, instant_ms: int) -> bool:
        """The same by what had become true until an instant: where a deletion is a change on its day."""
        return bool(self.statements) and _lives(event for event in self.events if event.time_ms <= instant_ms)

    @property
    def merged_into(self) -> str | None:
        """The survivor's id, while a merge stands."""
        for event in reversed(self.events):
            if event.verb == "restored":
                return None
            if event.verb == "merged":
                survivor: str = event.data["into"]
                return survivor
        return None

    @property
    def first_ms(self) -> int:
        """The earliest `time` seen, of any event."""
        return self.events[0].time_ms

    @property
    def last_ms(self) -> int:
        """The newest `time` seen, of any event."""
        return self.events[-1].time_ms

    def history(self, field: str) -> list[Stated]:
        """Every statement of a field, oldest first; a full statement that leaves it out clears it."""
        found: list[Stated] = self._stated.get(field, [])
        return found

    def newest(self, field: str) -> Any:
        """The field's newest value at every as-of; None if it was never stated, or cleared."""
        history = self.history(field)
        return history[-1].value if history else None

    def at(self, field: str, instant_ms: int) -> Any:
        """The field's value as of an instant; None if nothing was stated by then."""
        stated = self.stated_at(field, instant_ms)
        return stated.value if stated else None

    def stated_at(self, field: str, instant_ms: int) -> Stated | None:
        """The statement of a field that was in force at an instant."""
        by_then = [stated for stated in self.history(field) if stated.event.time_ms <= instant_ms]
        return by_then[-1] if by_then else None


def _lives(events: Iterable[Event]) -> bool:
    last = {"merged": -1, "deleted": -1, "restored": -1, "complete": -1}
    for number, event in enumerate(events):
        if event.verb not in STATING:
            last[event.verb] = number
        elif event.complete:
            last["complete"] = number
    deleted = last["deleted"] > max(last["restored"], last["complete"])
    return not deleted and last["merged"] <= last["restored"]


@dataclass(frozen=True, slots=True)
class Pending:
    """What a source missed, and has not told since: about an entity, or `*`: about any."""

    subject: str
    source: str
    since_ms: int


class _Each(NamedTuple):
    """What was derived of each entity of a kind, and the ids of those that have changed since."""

    values: dict[str, Any]
    changed: set[str]


class Tabled(Protocol):
    """Opportunities that live in fact tables and packed statements: what `aggregators.ask` needs of them."""

    @property
    def version(self) -> int:
        """Grows whenever something changed."""

    def deals_at(self, ask: Any, instant_ms: int) -> list[Any]:
        """What `Ask.deals_at` gives."""

    def histories(self, ask: Any, start_ms: int, end_ms: int) -> list[Any]:
        """What `Ask.histories` gives."""

    def stays(self, ask: Any, window: Any, start_ms: int, end_ms: int) -> Iterator[Any]:
        """What `Ask.stays` gives."""

    def days_of(self, ask: Any, what: str) -> Mapping[str, list[date]]:
        """Each rep's days of creations (`created`) or wins (`won`), in any order."""

    def referred(self, ask: Any) -> list[Any]:
        """Of what `Ask.deals` gives, the deals that name a referrer."""

    def entity(self, entity_id: str) -> Entity:
        """One opportunity with all its events; without any if it is unknown."""


class Company:
    """Everything that is known of one company, and the meaning of it."""

    def __init__(self, meaning: Meaning) -> None:
        self.meaning = meaning
        self.calendar = Calendar(meaning.company)
        self._entities: dict[str, dict[str, Entity]] = defaultdict(dict)
        self._versions: dict[str, int] = {}
        self._derived: dict[Hashable, tuple[tuple[int, ...], Any]] = {}
        self._each: dict[str, dict[Hashable, _Each]] = defaultdict(dict)
        self.tabled: Tabled | None = None
        """Where the opportunities are, if they are not among the entities here."""

    @classmethod
    def from_events(cls, meaning: Meaning, events: Iterable[Event]) -> Self:
        """The company that these events tell of, whatever their order."""
        company = cls(meaning)
        for event in events:
            company.fold(event)
        return company

    def fold(self, event: Event) -> None:
        """Take one event in. Any order, any repetition gives the same company."""
        kind = self._entities[event.entity]
        entity = kind.get(event.subject)
        if entity is None:
            entity = kind[event.subject] = Entity(event.entity, event.subject)
        if entity.fold(event):
            self._has_changed(event.entity, event.subject)

    def _has_changed(self, kind: str, entity_id: str) -> None:
        self._versions[kind] = self._versions.get(kind, 0) + 1
        if kind in self._each:
            for kept in self._each[kind].values():
                kept.changed.add(entity_id)

    def _kinds(self) -> Iterable[str]:
        return self._entities

    def _ids(self, kind: str) -> Iterable[str]:
        return self._entities.get(kind, ())

    def _apart(self, kind: str, entity_id: str) -> Entity:
        """An entity to ask and to let go of: nothing of what is derived from it is kept."""
        return Entity.of(kind, entity_id, self._entities[kind][entity_id].events)

    def versions(self, *kinds: str) -> tuple[int, ...]:
        """Of each kind of entity a number that grows with every event that changed something."""
        return tuple(self._versions.get(kind, 0) for kind in kinds)

    @property
    def version(self) -> int:
        """Grows with every event that changed something."""
        return sum(self._versions.values())

    def known_by(self, instant_ms: int) -> Self:
        """The company as it was known by an instant: of what was recorded later, nothing (G8).

        An event without `recordedtime` counts as known at its own time.
        """
        return type(self).from_events(
            self.meaning,
            (
                event
                for event in self.events()
                if (event.time_ms if event.recorded_ms is None else event.recorded_ms) <= instant_ms
            ),
        )

    def all(self, kind: str) -> Iterator[Entity]:
        """Every entity of a kind, dead ones too, by id."""
        entities = self._entities.get(kind, {})
        return (entities[entity_id] for entity_id in sorted(entities))

    def living(self, kind: str) -> Iterator[Entity]:
        """Every entity of a kind that is neither deleted nor merged away, by id."""
        return (entity for entity in self.all(kind) if entity.alive)

    def derived(self, key: Hashable, derive: Callable[[], Derived], *kinds: str) -> Derived:
        """What `derive()` gives, kept under `key` until an event about one of `kinds` (none: any) changes it."""
        token = self.versions(*(kinds or self._versions))
        kept = self._derived.pop(key, None)
        if kept is None or kept[0] != token:
            kept = (token, derive())
            if len(self._derived) >= MOST_DERIVED:
                del self._derived[next(iter(self._derived))]
        self._derived[key] = kept  # put back as the newest: the one unused for longest goes first
        found: Derived = kept[1]
        return found

    def each(
        self, key: Hashable, derive: Callable[[Entity], Derived | None], kind: str
    ) -> Mapping[str, Derived]:
        """What `derive` gives of every entity of a kind, by id, in no order; where it is None, nothing.

        It is kept under `key`, and asked again of those alone that have changed since.
        """
        kept = self._each[kind].get(key)
        if kept is None:
            kept = self._each[kind][key] = _Each({}, set(self._ids(kind)))
        for entity_id in kept.changed:
            value = derive(self._apart(kind, entity_id))  # there may be a million of them
            if value is None:
                kept.values.pop(entity_id, None)
            else:
                kept.values[entity_id] = value
        kept.changed.clear()
        return kept.values

    def events(self) -> Iterator[Event]:
        """Every event that stands, in no order."""
        for kind in self._kinds():
            for entity_id in self._ids(kind):
                yield from self._apart(kind, entity_id).events

    def pending(self) -> list[Pending]:
        """What sources have to tell again (events.md, "Resync"), by subject and source.

        Each is pending until the same source completes it, an entity also until a newer full statement about it.
        """
        found: list[Pending] = []
        for resync in self.all("resync"):
            newest = {event.source: event for event in resync.events if event.verb == "required"}
            for source, required in sorted(newest.items()):
                settled = [
                    event for event in resync.events if event.verb == "completed" and event.source == source
                ]
                if resync.id != "*":
                    settled += (
                        event
                        for kind in tuple(self._kinds())
                        for entity in [self.find(kind, resync.id)]
                        if entity
                        for event in entity.statements
                        if event.complete
                    )
                if all(order_key(event) < order_key(required) for event in settled):
                    found.append(Pending(resync.id, source, required.time_ms))
        return found

    def find(self, kind: str, entity_id: str) -> Entity | None:
        """The entity of that id, dead or alive; None if nothing was ever said of it."""
        if kind == "opportunity" and self.tabled is not None:
            entity = self.tabled.entity(entity_id)
            return entity if entity.events else None
        return self._entities.get(kind, {}).get(entity_id)

    def name_of(self, record: str) -> str | None:
        """What people call a record (`<entity>/<id>`), a contract by its account; None if it has no name."""
        kind, _, entity_id = record.partition("/")
        entity = self.find(kind, entity_id)
        if entity is not None and kind == "contract":
            entity = self.find("account", entity.newest("account_id") or "")
        return entity.newest("name") if entity else None
