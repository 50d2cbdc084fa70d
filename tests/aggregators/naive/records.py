"""Events by the record they are about, in their one order; and who is meant by an account's id."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from events.canonical import order_key
from events.event import Event


class Record:
    """All events about one opportunity, contract, account, ..."""

    def __init__(self, id_: str, events: Iterable[Event]) -> None:
        self.id = id_
        newest: dict[tuple[str, str], Event] = {}
        for event in sorted(events, key=order_key):
            newest[event.source, event.id] = event  # G1: the same source and id is the same event
        self.events = sorted(newest.values(), key=order_key)
        self.statements = [event for event in self.events if event.verb in ("changed", "completed")]

    def said(self, field: str) -> list[tuple[Any, Event]]:
        """Every statement of a field; a full one that does not name it clears it."""
        return [
            (event.data.get(field), event)
            for event in self.statements
            if event.complete or field in event.data
        ]

    def last(self, field: str) -> Any:
        """The newest value of a field."""
        said = self.said(field)
        return said[-1][0] if said else None

    def lives(self, until_ms: float = float("inf")) -> bool:
        """Neither deleted nor merged away by what was said until an instant; something was ever stated."""
        deleted = merged = False
        for event in self.events:
            if event.time_ms > until_ms:
                break
            if event.verb == "deleted":
                deleted = True
            elif event.verb == "merged":
                merged = True
            elif event.verb == "restored":
                deleted = merged = False
            elif event.complete:
                deleted = False
        return bool(self.statements) and not deleted and not merged

    @property
    def merged_into(self) -> str | None:
        """The survivor's id, while a merge stands."""
        into = None
        for event in self.events:
            if event.verb == "merged":
                into = event.data["into"]
            elif event.verb == "restored":
                into = None
        return into


class Records:
    """The records of each kind, by id."""

    def __init__(self, events: Iterable[Event]) -> None:
        found: dict[str, dict[str, list[Event]]] = defaultdict(lambda: defaultdict(list))
        for event in events:
            found[event.entity][event.subject].append(event)
        self.kinds = {
            kind: {id_: Record(id_, about) for id_, about in sorted(of_kind.items())}
            for kind, of_kind in found.items()
        }

    def all(self, kind: str) -> list[Record]:
        """Every record of a kind, by id."""
        return list(self.kinds.get(kind, {}).values())

    def living(self, kind: str) -> list[Record]:
        """Those that are neither deleted nor merged away."""
        return [record for record in self.all(kind) if record.lives()]

    # Accounts

    def survivor(self, account_id: str | None) -> str | None:
        """The account that is meant by an id."""
        accounts = self.kinds.get("account", {})
        return follow(account_id, lambda one: accounts[one].merged_into if one in accounts else None)

    def account(self, account_id: str | None) -> Record | None:
        """The account that is meant by an id, if it was told of and is not deleted."""
        found = self.kinds.get("account", {}).get(self.survivor(account_id) or "")
        if found is None or not found.statements:
            return None
        return found if found.lives() or found.merged_into else None

    def top(self, account_id: str | None) -> str | None:
        """The top of an account's parents (F35)."""

        def parent(one: str) -> str | None:
            account = self.account(one)
            return self.survivor(account.last("parent_id")) if account else None

        return follow(self.survivor(account_id), parent)


def follow(start: str | None, step: Callable[[str], str | None]) -> str | None:
    """The end of a chain; of one that turns in a circle, the smallest of the circle."""
    if start is None:
        return None
    path = [start]
    while (after := step(path[-1])) is not None:
        if after in path:
            return min(path[path.index(after) :])
        path.append(after)
    return path[-1]
