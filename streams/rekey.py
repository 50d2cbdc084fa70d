"""Records under a wrong or missing key, or on another partition than their key's, put where they belong."""

from functools import partial

from events.headers import RECORDED
from events.keys import Partitioner, partition_of
from events.reader import read
from streams.deadletters import too_large
from streams.outbox import Outgoing
from streams.shard import Record


def rekeyed(
    topic: str, partition: int, record: Record, *, partitions: int, partitioner: Partitioner
) -> Outgoing:
    """The same record, of that partition, under its subject as key, on that key's partition.

    Value and headers stay; the header `dealpulse-recorded` carries the time of the first append on, so
    that publishing again does not make an event known later. The record must hold a good event.
    """
    key = read(record.value, topic).subject.encode()
    headers = list(record.headers)
    if not any(name == RECORDED for name, _ in headers):
        headers.append((RECORDED, b"%d" % record.timestamp))
    place = partition_of(key, partitions, partitioner)
    return Outgoing(topic, key, record.value, headers, place, partial(too_large, topic, partition, record))
