"""One event as the rest of dealpulse sees it: a partial, dated statement about one entity."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EPOCH_UNIX_S = 946_684_800
"""2000-01-01T00:00:00Z in Unix seconds. Instants are integers since then: ms, or ns for the order."""


@dataclass(frozen=True, slots=True)
class Event:
    """A good event, read and checked.

    `entity` is `opportunity`, `contract`, `account`, `activity`, `employee`, `target`, `fx_rate` or
    `resync`; `verb` is `changed`, `deleted`, `restored`, `merged`, `required` or `completed`.
    `time_ns` (nanoseconds since 2000-01-01 UTC) serves the order; everything else uses `time_ms`.
    `data` holds the known fields that were stated: None where cleared, else a `str`, `bool`,
    `Decimal` (amounts, `probability`, `rate`, `value`), `datetime.date` (dates), `int` (instants, ms
    since 2000-01-01 UTC), a tuple of `str` (`aliases`) or a tuple of `(start, end, Decimal)` (`ramp`).
    `complete` is the full statement of events.md: it clears every known field it does not name.
    """

    entity: str
    verb: str
    subject: str
    source: str
    id: str
    time_ns: int
    sequence: str
    complete: bool
    recorded_ms: int | None
    data: Mapping[str, Any]

    @property
    def time_ms(self) -> int:
        """When it became true, in ms since 2000-01-01 UTC (rounded down)."""
        return self.time_ns // 1_000_000
