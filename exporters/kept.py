"""Families kept while nothing they depend on has changed: no event, no local day, no instant that matters.

Most seconds bring no event, and then only what moves with the clock alone has to be worked out again.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from aggregators.calendar import Calendar
from aggregators.deal_facts import NEVER
from aggregators.meaning import Meaning
from exporters.evaluate import Evaluator
from exporters.figures import Series

_ALWAYS: Final = 2**62


class Kept:
    """The families of the last refresh, by the name of what built them."""

    def __init__(self, meaning: Meaning) -> None:
        self._calendar = Calendar(meaning.company)
        self._families: dict[str, dict[str, Series]] = {}
        self._token: object = None
        self._from_ms = self._until_ms = 0

    def begin(self, evaluator: Evaluator, now_ms: int) -> None:
        """Forget everything if something has changed, or will have by now."""
        snapshot = evaluator.snapshot
        token = snapshot.deals.version, snapshot.company, snapshot.company.version, self._calendar.day(now_ms)
        if token == self._token and self._from_ms <= now_ms < self._until_ms:
            return
        self._token, self._families = token, {}
        self._from_ms, self._until_ms = now_ms, self._next_change(evaluator, now_ms)

    def take(self, name: str, build: Callable[[], dict[str, Series]]) -> dict[str, Series]:
        """What was kept under a name, else what `build` gives."""
        if name not in self._families:
            self._families[name] = build()
        return self._families[name]

    def _next_change(self, evaluator: Evaluator, now_ms: int) -> int:
        """The next instant at which a deal stands otherwise, by what is known now (a close takes effect, say)."""
        states, heads = evaluator.snapshot.deals.states, evaluator.snapshot.deals.heads
        found = _ALWAYS
        for instants in (states["since"], states["until"], heads["created"]):
            later = instants[(instants > now_ms) & (instants < NEVER)]
            found = min(found, int(np.min(later, initial=_ALWAYS)))
        return found
