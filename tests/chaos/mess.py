"""What arrives in a chaos run: a simulated company at high speed, with every mess on top of the simulator's own.

The same seed gives the same records in the same order. Shares are of the records told:

    1 %    poison, every kind in turn, beside the good record
    5 %    twice, the second time up to a day later
    10 %   late by up to a year
    1 %    under no key, a wrong key, or on a wrong partition
    1 %    with a clock that is a day fast or slow
    0.5 %  about entities whose ids hold every surprise of Unicode
    0.2 %  gaps: a source says that it missed something, or that it has told all again
    1 in 20,000 of exactly 1 MiB, and 10,000 statements about one deal
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any, Final, NamedTuple

from events.instants import time_ns
from events.keys import partition_of
from events.simulator import SAULS_DOLLS, Record, Simulation
from events.simulator.days import DAY_MS, instant_text
from events.topics import MAX_VALUE_BYTES, topic_of
from tests.chaos.poison import POISONS, padded, text

PARTITIONS: Final = 4
GROWN: Final = 8
"""Partitions of each topic once they have grown."""
HOT: Final = "opp-hot"
HOT_STATEMENTS: Final = 10_000
_STAGES: Final = ("Prospecting", "Qualification", "Needs Analysis", "Proposal", "Negotiation", "Closed Won")
_LARGE_ONE_IN: Final = 20_000

UNICODE_IDS: Final = (
    "商機-4711",
    "👩‍👩‍👧‍👦",
    "e\u0301",  # the same letter twice, composed and not: two ids
    "\u00e9",
    "\u202eopp-right-to-left",
    "שלום/عليكم",
    "opp\u200bzero\u200dwidth\ufeff",
    "\ufeffbom",
    "line\nfeed\ttab\rreturn",
    "null\u0000inside",
    "\u2028\u2029",
    'quote"back\\slash',
    "{brace}:*?[a]",
    "\ufffd\uffff\U0010ffff",
    "𝕬𝖑𝖎𝖈𝖊",
    " spaces ",
    "İıŞß ﬁ",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘",
    "😀" * 255,
    "a" * 255,
    "\x7f\x01\x1f",
    "0",
    "-0",
    "1e400",
    "null",
    "true",
)


SOURCES: Final = ("/chaos/ünïcödé ✓", "/chaos/two\u2028lines=3", "/chaos/=\u2029")


class Sent(NamedTuple):
    """One record to publish. `partition` None: the client may choose; `skew_ms`: of its time stamp."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None
    skew_ms: int = 0


class Mess:
    """The records of a run, without an end in practice; `counts` says what has been made so far."""

    def __init__(
        self, *, seed: int, end_ms: int, reps: int = 200, quarters: int = 60, large: bool = True
    ) -> None:
        self._simulation = Simulation(
            SAULS_DOLLS, seed=seed, reps=reps, quarters=quarters, end_ms=end_ms, poison=True
        )
        self._random = Random(f"chaos {seed}")
        self._gaps = Random(f"gaps {seed}")
        self._seed, self._end_ms, self._large = seed, end_ms, large
        self._waiting: list[tuple[int, int, Sent]] = []
        self._pushed = self._poisoned = self._hot = self._numbers = self._told_ms = 0
        self.counts: Counter[str] = Counter()
        self.partitions = PARTITIONS
        """Of each topic, as far as the publisher has heard."""

    def __iter__(self) -> Iterator[Sent]:
        waiting = self._waiting
        for record in self._told():
            while waiting and waiting[0][0] <= record.told_ms:
                yield heapq.heappop(waiting)[2]
            yield from self._messed(record)
        while waiting:
            yield heapq.heappop(waiting)[2]

    def rest(self) -> Iterator[Sent]:
        """What every run sends, however early it is ended: what is left of the statements about one deal."""
        while self._hot < HOT_STATEMENTS:
            yield self._about_hot(self._told_ms)

    def _told(self) -> Iterator[Record]:
        """The history, then life as it goes on, much faster than the clock."""
        yield from self._simulation.history()
        yield from self._simulation.live()

    def _messed(self, record: Record) -> Iterator[Sent]:
        random, counts = self._random, self.counts
        counts["told"] += 1
        self._told_ms = record.told_ms
        topic, event, key = record.topic, record.event, record.key
        if event is not None and random.random() < 0.01:
            skew_ms = random.choice((-DAY_MS, DAY_MS))
            event = event | {"time": instant_text(time_ns(event["time"]) // 1_000_000 + skew_ms)}
            counts["skewed"] += 1
        else:
            skew_ms = 0
        value = record.poison if event is None else text(event)
        if event is not None and self._large and counts["told"] % _LARGE_ONE_IN == _LARGE_ONE_IN // 2:
            value = padded(event, MAX_VALUE_BYTES)
            counts["large"] += 1
        sent = self._placed(topic, key, value, skew_ms)
        if random.random() < 0.01:
            sent = self._misplaced(sent)
        if random.random() < 0.10:
            counts["late"] += 1
            self._push(record.told_ms + int(random.random() * 365 * DAY_MS), sent)
        else:
            yield sent
        if random.random() < 0.05:
            counts["twice"] += 1
            self._push(record.told_ms + int(random.random() * DAY_MS), sent)
        if event is not None and event.get("data") and random.random() < 0.01:
            yield self._poison(topic, event)
        if random.random() < 0.005:
            yield self._surprising(record.told_ms)
        if event is not None and self._gaps.random() < 0.002:
            yield self._gap(topic, str(event["subject"]), record.told_ms)
        if self._hot < HOT_STATEMENTS and random.random() < 0.2:
            yield self._about_hot(record.told_ms)

    def _poison(self, topic: str, event: dict[str, Any]) -> Sent:
        kind = POISONS[self._poisoned % len(POISONS)]
        self._poisoned += 1
        if kind.is_large and (not self._large or self._random.random() < 0.9):
            kind = POISONS[0]
        self.counts["poison"] += 1
        self.counts[f"poison: {kind.name}"] += 1
        return self._placed(kind.topic or topic, str(event["subject"]), kind.spoil(event), 0)

    def _misplaced(self, sent: Sent) -> Sent:
        self.counts["misplaced"] += 1
        lot = self._random.randrange(3)
        if lot == 0:
            return sent._replace(key=None, partition=self._random.randrange(self.partitions))
        if lot == 1:
            key = b"row-%d" % self._random.randrange(10**6)
            return sent._replace(key=key, partition=partition_of(key, self.partitions, "murmur2"))
        return sent._replace(partition=((sent.partition or 0) + 1) % self.partitions)

    def _surprising(self, at_ms: int) -> Sent:
        self.counts["unicode"] += 1
        entity = self._random.choice(("opportunity", "account", "employee"))
        subject = self._random.choice(UNICODE_IDS)
        data: dict[str, Any] = {"name": subject}
        if entity == "opportunity":
            data = self._deal() | {"name": subject, "account_id": self._random.choice(UNICODE_IDS)}
        elif entity == "employee":
            data |= {"role": "sales", "team": self._random.choice(UNICODE_IDS), "hired_on": "2025-01-06"}
        return self._stated(entity, subject, at_ms, data)

    def _gap(self, topic: str, subject: str, at_ms: int) -> Sent:
        self.counts["gaps"] += 1
        verb = self._gaps.choice(("required", "required", "completed"))
        about = subject if verb == "required" and self._gaps.random() < 0.8 else "*"
        event = self._event("resync", verb, about, at_ms, {"reason": "chaos"}) | {
            "source": self._gaps.choice(SOURCES)
        }
        return self._placed(topic, about, text(event), 0)

    def _about_hot(self, at_ms: int) -> Sent:
        self._hot += 1
        self.counts["hot"] += 1
        return self._stated("opportunity", HOT, at_ms, self._deal())

    def _deal(self) -> dict[str, Any]:
        random = self._random
        return {
            "stage": random.choice(_STAGES),
            "owner_id": random.choice(UNICODE_IDS),
            "amount": f"{random.randrange(100_000)}.50",
            "currency": random.choice(("USD", "TWD", "JPY")),
        }

    def _stated(self, entity: str, subject: str, at_ms: int, data: dict[str, Any]) -> Sent:
        event = self._event(entity, "changed", subject, at_ms, data)
        return self._placed(topic_of(entity), subject, text(event), 0)

    def _event(
        self, entity: str, verb: str, subject: str, at_ms: int, data: dict[str, Any]
    ) -> dict[str, Any]:
        self._numbers += 1
        return {
            "specversion": "1.0",
            "id": f"{self._seed}-chaos-{self._numbers}",
            "source": SOURCES[0],
            "type": f"dealpulse.{entity}.{verb}",
            "subject": subject,
            "time": instant_text(at_ms + self._numbers % 1000),
            "data": data,
        }

    def _placed(self, topic: str, key: str | None, value: bytes | None, skew_ms: int) -> Sent:
        if key is None:
            return Sent(topic, None, value, self._random.randrange(self.partitions), skew_ms)
        raw = key.encode()
        return Sent(topic, raw, value, partition_of(raw, self.partitions, "murmur2"), skew_ms)

    def _push(self, due_ms: int, sent: Sent) -> None:
        self._pushed += 1
        heapq.heappush(self._waiting, (due_ms, self._pushed, sent))
