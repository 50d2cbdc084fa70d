"""When a period may be frozen: once history has stopped coming in."""

import pytest

from aggregators.meaning import Meaning
from aggregators.reported import Schedule
from events.clock import Clock
from events.reader import read
from streams.freeze import Known, Log, NotSettledError, _require_settled
from tests.integration.traffic import envelope

CLOCK = Clock.parse("offset=2026-06-01T00:00:00Z")


def test_a_long_reading_settles_nothing() -> None:
    """Records come in while the log is read: how long that takes says nothing about when they stopped."""
    now_ms = CLOCK.now_ms()
    (period, *_) = Schedule(Meaning()).due(now_ms, now_ms - 90 * 86_400_000)
    event = read(envelope("opportunity", "changed", "opp-1", 1, {"stage": "Proposal"}))
    began_ms = now_ms - 600_000
    came_in = Known(period.frozen_ms - 1, began_ms - 1_000, began_ms - 1_000, event)

    with pytest.raises(NotSettledError, match="came in 1 s ago"):
        _require_settled(Log([came_in], read_ms=began_ms), period, CLOCK, 60.0)

    _require_settled(Log([came_in], read_ms=now_ms), period, CLOCK, 60.0)
