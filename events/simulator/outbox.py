"""The outbox: turns what happened into event records, and makes the mess that real systems make.

Some records are told late, some twice, some overtake others, and a few carry no key or a wrong one.
What was true when never changes by that: a reader that folds by event order sees one history.
"""

import heapq
import json
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

from ..topics import topic_of
from .days import DAY_MS, HOUR_MS, instant_text


class Record(NamedTuple):
    """One record to publish, and when: `key` is its subject, unless a careless publisher wrote it.

    `event` is the canonical event as a JSON-ready mapping, and None for a poison record, whose bytes
    are no event at all.
    """

    told_ms: int
    topic: str
    key: str | None
    event: dict[str, Any] | None
    poison: bytes = b""

    @property
    def value(self) -> bytes:
        """The bytes to publish: compact JSON in UTF-8."""
        if self.event is None:
            return self.poison
        return json.dumps(self.event, ensure_ascii=False, separators=(",", ":")).encode()


class Outbox:
    """Collects records and gives them out in the order in which they are told."""

    def __init__(self, slug: str, seed: int, *, mess: bool, poison: bool) -> None:
        self.crm_source = f"/crm/{slug}"
        self._sources = {"employee": f"/hr/{slug}", "fx_rate": f"/finance/{slug}", "target": f"/plan/{slug}"}
        self._seed, self._told, self._pushed = seed, 0, 0
        self._random = Random(f"mess {slug} {seed}")  # its own, so that mess changes no history
        self._mess, self._poison = mess, poison
        self._waiting: list[tuple[int, int, Record]] = []

    def tell(
        self,
        kind: str,
        subject: str,
        data: dict[str, Any] | None,
        *,
        time_ms: int,
        recorded_ms: int | None = None,
        told_ms: int | None = None,
    ) -> None:
        """State something of an entity: `kind` is the type without `dealpulse.`.

        `time_ms` is when it became true, `recorded_ms` when the system knew (default: then too),
        `told_ms` when it is published (default: when recorded).
        """
        self._told += 1
        known_ms = time_ms if recorded_ms is None else recorded_ms
        entity = kind.partition(".")[0]
        source = self._sources.get(entity, self.crm_source)
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": f"{self._seed}-{self._told:08}",
            "source": source,
            "type": f"dealpulse.{kind}",
            "subject": subject,
            "time": instant_text(time_ms, utc=entity == "fx_rate"),
            "recordedtime": instant_text(known_ms, utc=True),
        }
        if data is not None:
            event["datacontenttype"] = "application/json"
            event["data"] = data
        record = Record(known_ms if told_ms is None else told_ms, topic_of(entity), subject, event)
        if self._mess:
            self._spoil(record)
        else:
            self._push(record)

    def due(self, until_ms: int) -> Iterator[Record]:
        """The records told up to an instant, in order, each once."""
        while self._waiting and self._waiting[0][0] <= until_ms:
            yield heapq.heappop(self._waiting)[2]

    def _push(self, record: Record) -> None:
        self._pushed += 1
        heapq.heappush(self._waiting, (record.told_ms, self._pushed, record))

    def _spoil(self, record: Record) -> None:
        draw = self._random.random
        lot = draw()
        if lot < 0.03:  # a retry after a hiccup: overtaken by what came after it
            record = record._replace(told_ms=record.told_ms + int(draw() * 20 * 60_000))
        elif lot < 0.04:  # a batch that waited over the weekend
            record = record._replace(told_ms=record.told_ms + int(draw() * 3 * DAY_MS))
        elif lot < 0.05:
            self._push(record._replace(told_ms=record.told_ms + int(draw() * 6 * HOUR_MS)))
        elif lot < 0.055:
            record = record._replace(key=None)
        elif lot < 0.057:
            record = record._replace(key=f"row-{int(draw() * 1e6)}")
        self._push(record)
        if self._poison and draw() < 0.001:
            self._push(record._replace(event=None, poison=b'{"specversion":"1.0","id":'))
