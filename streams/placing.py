"""What a shard was folded from, and what decided where a record belongs: two that disagree count some entities twice."""

from typing import Literal, NamedTuple

from events.keys import Partitioner

Told = Partitioner | Literal[""]
"""A partitioner; "" where a version wrote the shard that did not say, or none can be read."""


class Placing(NamedTuple):
    """How many partitions a topic had, and by which partitioner keys were placed on them."""

    partitions: int | None
    """None if none is held, or no number."""
    partitioner: Told
    topic_id: str = ""
    """See `streams.topic_ids`; "" if it is not known."""

    def is_under(self, partitions: int, partitioner: Partitioner) -> bool:
        """Whether records belonged then where they belong under these."""
        return self.partitions == partitions and self.partitioner in ("", partitioner)


def told_partitioner(field: bytes | None) -> Told:
    """What the field `partitioner` of a shard's meta says."""
    if field == b"murmur2":
        return "murmur2"
    return "crc32" if field == b"crc32" else ""


def other_partitioner(held: str, ours: str, partitions: int) -> str:
    """What to say of shards whose keys were placed by another partitioner than the configured one."""
    return (
        f"its shards were folded with kafka.partitioner = {held}, configured is {ours}: set {held} again "
        f"wherever it is set, or run `dealpulse repartition --partitions {partitions} --yes` to move every record"
    )
