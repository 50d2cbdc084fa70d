"""How many dead letters wait: those that the shards have counted, less those replayed or dropped."""

from collections.abc import Mapping

from exporters.figures import Series


def pending(dead: Mapping[str, int], settled: Mapping[str, int]) -> Series:
    """Topic -> dead letters that still wait. A letter that is bad again after a replay is a new one."""
    return {(topic,): float(max(0, count - settled.get(topic, 0))) for topic, count in dead.items()}
