"""The agenda: what happens next, on the calendar or in the course of work.

Two queues share one clock. *Calendar* deeds (a contract ends, somebody is hired, a rate is fixed) are
due at an instant. *Work* deeds (a deal moves on, a call is made) are due after a span of work, and
work can be quickened: at tempo 100, spans of work pass a hundred times faster while the calendar keeps
its pace. That is how a demonstration shows a living company without anybody living for a year.
"""

import heapq
from collections.abc import Callable
from typing import Any

from .days import office_instant

Deed = Callable[..., None]


class Agenda:
    """Deeds in the order in which they fall due; equal instants in the order in which they were planned."""

    def __init__(self, start_ms: int) -> None:
        self.now_ms = start_ms
        self.tempo = 1.0
        self._calendar: list[tuple[int, int, Deed, tuple[Any, ...]]] = []
        self._work: list[tuple[float, int, Deed, tuple[Any, ...]]] = []
        self._planned = 0
        # Work time and instants run side by side until the tempo changes; then this is their anchor.
        self._anchor_ms, self._anchor_work = start_ms, float(start_ms)

    def at(self, instant_ms: int, deed: Deed, *arguments: Any) -> None:
        """Plan a deed for an instant."""
        self._planned += 1
        heapq.heappush(self._calendar, (instant_ms, self._planned, deed, arguments))

    def after(self, work_ms: float, deed: Deed, *arguments: Any, share: float | None = None) -> None:
        """Plan a deed after a span of work; with `share` (0 to 1) pushed into office hours.

        Quickened work knows no nights and weekends.
        """
        due = self._work_time(self.now_ms) + work_ms
        if share is not None and self.tempo == 1.0:
            due = self._work_time(office_instant(self._instant(due), share))
        self._planned += 1
        heapq.heappush(self._work, (due, self._planned, deed, arguments))

    def quicken(self, tempo: float, *, from_ms: int) -> None:
        """Let work pass `tempo` times as fast as the calendar; everything before `from_ms` is done."""
        self.now_ms = max(self.now_ms, from_ms)
        self._anchor_work = self._work_time(self.now_ms)
        self._anchor_ms = self.now_ms
        self.tempo = tempo

    def next_ms(self) -> int:
        """When the next deed is due. Raises IndexError when there is none."""
        if not self._work:
            return self._calendar[0][0]
        work_ms = self._instant(self._work[0][0])
        return min(work_ms, self._calendar[0][0]) if self._calendar else work_ms

    def step(self) -> None:
        """Move the clock to the next deed and do it."""
        if self._work and (not self._calendar or self._instant(self._work[0][0]) < self._calendar[0][0]):
            due, _, deed, arguments = heapq.heappop(self._work)
            instant_ms = self._instant(due)
        else:
            instant_ms, _, deed, arguments = heapq.heappop(self._calendar)
        self.now_ms = max(self.now_ms, instant_ms)
        deed(*arguments)

    def _instant(self, work: float) -> int:
        return self._anchor_ms + int((work - self._anchor_work) / self.tempo)

    def _work_time(self, instant_ms: int) -> float:
        return self._anchor_work + (instant_ms - self._anchor_ms) * self.tempo
