"""The merged state of all shards, and the instant it is true for.

A `Sink` of `streams.follower`: it takes shards and deltas in, keeps the opportunities as fact tables and
every other entity as its statements, and knows which shards are missing. It holds no truth.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from aggregators.company import Company
from aggregators.meaning import Meaning
from aggregators.packed import PackedCompany
from aggregators.state import DealState, Statement, statements_in
from aggregators.tables.deals import DealTable
from aggregators.tables.rebuilt import TabledDeals
from events.canonical import order_key
from events.topics import entity_of
from streams.follower import CANNOT_BE_READ, DEALS, ShardState
from streams.names import RESULTS


class Snapshot:
    """Everything an exporter knows. One thread at a time may use it: it changes and is evaluated on one."""

    def __init__(self, meaning: Meaning, shards: Iterable[tuple[str, int]]) -> None:
        self.meaning = meaning
        self.deals = DealTable()
        self.shards: dict[str, ShardState | None] = {
            f"{topic}/{partition}": None for topic, partition in shards
        }
        self.reasons: dict[str, str] = {}
        """Why shards are not in the merge, or only as they were: what is stored of them by now cannot be merged."""
        self.unreadable: dict[str, str] = {}
        """Shards whose statements cannot be read, though their facts can: the token they were given under."""
        self.is_store_up = False
        self._rest: dict[str, list[bytes]] = defaultdict(list)  # statement chunks of the other shards
        self._histories: dict[str, tuple[str, int, DealState]] = {}
        self._company = PackedCompany(meaning)
        self._stale = False

    # Told by the follower

    def replace(self, shard: str, chunks: list[bytes], state: ShardState) -> None:
        """Take a whole shard in the place of what was held of it."""
        if _is_deals(shard):
            self.deals.drop(shard)
            self.deals.apply(shard, chunks)
        else:
            self._replace(shard, chunks)
        self._hold(shard, state)

    def _replace(self, shard: str, chunks: list[bytes]) -> None:
        """Fold what is new in a shard. Where something is gone from it, everything is folded anew, later.

        A worker that writes a shard again leaves nothing out; with another company all that is kept of entities
        would have to be worked out again.
        """
        held = self._rest[shard]
        self._rest[shard] = list(chunks)
        if held and not self._stale:
            entity = entity_of(shard.rpartition("/")[0])
            before, after = _statements(held), _statements(chunks)
            self._stale = not _stand_for(before - after, after, entity)
            if not self._stale:
                self._company.take(entity, after - before)
                return
        if self._stale:
            self._require_readable(chunks)
        else:
            self._fold(shard, chunks)

    def extend(self, shard: str, chunk: bytes, state: ShardState) -> None:
        """Take one more checkpoint in."""
        if _is_deals(shard):
            self.deals.apply(shard, [chunk])
        else:
            self._rest[shard].append(chunk)
            if not self._stale:
                self._fold(shard, [chunk])
            else:
                self._require_readable([chunk])
        self._hold(shard, state)

    def renew(self, shard: str, state: ShardState) -> None:
        """The shard as it is held is true for a later instant."""
        self._hold(shard, state)

    def missing(self, shard: str, reason: str) -> None:
        """Leave a shard out of the merge."""
        if _is_deals(shard):
            self.deals.drop(shard)
        elif self._rest.pop(shard, None):
            self._stale = True
        self.shards[shard] = None
        self.reasons[shard] = reason
        self.unreadable.pop(shard, None)

    def stands(self, shard: str, reason: str) -> None:
        """Go on with what is held of a shard, which gets no news."""
        self.reasons[shard] = reason

    # Read when somebody asks for histories

    def statements_held(self) -> dict[str, tuple[str, int]]:
        """Per shard of opportunities the token and the number of chunks of statements held."""
        return {shard: (token, count) for shard, (token, count, _) in self._histories.items()}

    def take_statements(self, found: Mapping[str, tuple[str, list[bytes]]]) -> dict[str, Exception]:
        """Take in what is new in the statements of each shard of opportunities.

        Returns of which shards it cannot be read, and why: what is held of these stays.
        """
        failed: dict[str, Exception] = {}
        for shard, (token, chunks) in found.items():
            held, count, state = self._histories.get(shard, ("", 0, None))
            if state is None or held != token:
                state, count = DealState(DEALS, 0, 1, "murmur2", self.meaning), 0
            try:
                state.load(chunks)
            except CANNOT_BE_READ as error:
                self.unreadable[shard], failed[shard] = token, error
                continue
            self._histories[shard] = token, count + len(chunks), state
            self.unreadable.pop(shard, None)
        return failed

    @property
    def tabled(self) -> TabledDeals:
        """The opportunities, for the exact road."""
        return TabledDeals(self.deals, [state for _, _, state in self._histories.values()])

    def store_up(self, up: bool) -> None:
        """Whether Redis answers."""
        self.is_store_up = up

    # Asked by the exporter

    @property
    def company(self) -> Company:
        """Everything but the opportunities, folded."""
        if self._stale:
            self._company = PackedCompany(self.meaning)
            for shard, chunks in self._rest.items():
                self._fold(shard, chunks)
            self._stale = False
        return self._company

    @property
    def is_complete(self) -> bool:
        """Whether every shard is in the merge."""
        return all(self.shards.values())

    @property
    def missing_shards(self) -> list[str]:
        """The shards that are not in the merge, or only as they were, or of which only the facts are."""
        absent = {shard for shard, state in self.shards.items() if state is None}
        return sorted(absent | {*self.reasons} | {*self.unreadable})

    def why_missing(self, shard: str) -> str:
        """Of a missing shard: the follower's reason, `statements` where only these cannot be read, or `not read yet`."""
        if self.shards[shard] is None:
            return self.reasons.get(shard, "not read yet")
        return f"{self.reasons[shard]}; figures as they were" if shard in self.reasons else "statements"

    @property
    def partitions_missing(self) -> int:
        """How many these are."""
        return len(self.missing_shards)

    @property
    def fresh_ms(self) -> int | None:
        """The instant (ms since 2000) up to which everything is in; None before the first full merge."""
        known = [state.fresh_ms for state in self.shards.values() if state is not None]
        return min(known) if known and self.is_complete else None

    @property
    def offsets(self) -> dict[str, int]:
        """The log offset that each shard is true for."""
        return {shard: state.offset for shard, state in self.shards.items() if state is not None}

    def newest_event_ms(self) -> dict[str, int]:
        """Per topic the newest event time folded, ms since 2000."""
        newest: dict[str, int] = {}
        for shard, state in self.shards.items():
            if state is not None and state.newest_event_ms is not None:
                topic = shard.rpartition("/")[0]
                newest[topic] = max(state.newest_event_ms, newest.get(topic, state.newest_event_ms))
        return newest

    def resync_pending(self) -> dict[tuple[str, str], int]:
        """Per (source, topic) how many entities wait for a full statement."""
        pending: dict[tuple[str, str], int] = defaultdict(int)
        for shard, state in self.shards.items():
            if state is not None:
                for source, count in state.resync_pending.items():
                    pending[source, shard.rpartition("/")[0]] += count
        return dict(pending)

    def records(self) -> dict[tuple[str, int, str], int]:
        """Per (topic, partition, result) the durable count of records."""
        return {
            (shard.rpartition("/")[0], int(shard.rpartition("/")[2]), name): state.counts[name]
            for shard, state in self.shards.items()
            if state is not None
            for name in RESULTS
        }

    def _fold(self, shard: str, chunks: Iterable[bytes]) -> None:
        entity = entity_of(shard.rpartition("/")[0])
        for chunk in chunks:
            self._company.take(entity, statements_in(chunk))

    def _require_readable(self, chunks: Iterable[bytes]) -> None:
        """Raise now, while it is told, what folding these chunks later would raise."""
        for chunk in chunks:
            for _ in statements_in(chunk):
                pass

    def _hold(self, shard: str, state: ShardState) -> None:
        self.shards[shard] = state
        self.reasons.pop(shard, None)


def _is_deals(shard: str) -> bool:
    return entity_of(shard.rpartition("/")[0]) == "opportunity"


def _stand_for(gone: Collection[Statement], after: Iterable[Statement], entity: str) -> bool:
    """Whether each of the statements that are gone has yielded to one of the same source and id.

    A list of chunks holds both of two such statements, a shard that is written anew the greater one alone.
    """
    if not gone:
        return True
    names = {statement.name for statement in gone}
    greatest: dict[tuple[bytes, bytes], Any] = {}
    for statement in after:
        if statement.name in names:
            key = order_key(statement.event(entity))
            greatest[statement.name] = max(key, greatest.get(statement.name, key))
    return all(
        statement.name in greatest and order_key(statement.event(entity)) <= greatest[statement.name]
        for statement in gone
    )


def _statements(chunks: Iterable[bytes]) -> set[Statement]:
    return {statement for chunk in chunks for statement in statements_in(chunk)}
