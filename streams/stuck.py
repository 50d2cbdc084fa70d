"""Partitions that stand still: records wait, and none was taken for long.

Faust drops a batch that arrives just as it pauses a partition, and after the last records nothing else
would bring it back: such a partition is fetched anew.
"""

import time
from typing import Final

from faust.types import TP

STUCK_S: Final = 10.0
"""A partition with records left and none taken for so long is fetched anew."""


class Stuck:
    """Told again and again where partitions are, says which of them stand still."""

    def __init__(self) -> None:
        self._moves: dict[TP, tuple[int, float]] = {}

    def __call__(self, tp: TP, position: int, lag: int | None) -> bool:
        """Whether this partition has stood at this offset with records left for `STUCK_S`; then anew."""
        now = time.monotonic()
        moved_to, since = self._moves.get(tp, (-1, now))
        if not lag or moved_to != position:
            self._moves[tp] = position, now
            return False
        if now - since > STUCK_S:
            self._moves[tp] = position, now
            return True
        return False
