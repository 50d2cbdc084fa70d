"""The log that the benchmarks read: a simulated company of 500 reps, kept in `.cache/bench`."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from events.simulator.simulation import history

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "bench"
END_MS = 848_000_000_000  # 2026-11-14: the same log whenever it is made


class Line(NamedTuple):
    """One record: where it goes, and its bytes."""

    topic: str
    key: bytes
    value: bytes


def lines(count: int, *, every_kind: bool = False) -> list[Line]:
    """The first `count` records; of opportunities alone unless `every_kind`."""
    name = f"{'all' if every_kind else 'opportunity'}-{count}.tsv"
    path = CACHE / name
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".part").write_bytes(b"".join(_written(count, every_kind=every_kind)))
        path.with_suffix(".part").rename(path)
    found = []
    for line in path.read_bytes().splitlines():
        topic, key, value = line.split(b"\t", 2)
        found.append(Line(topic.decode(), key, value))
    return found


def _written(count: int, *, every_kind: bool) -> Iterator[bytes]:
    records = history("sauls-dolls", seed=7, reps=500, quarters=20, end_ms=END_MS)
    good = (
        record
        for record in records
        if record.event is not None
        and record.key == record.event["subject"]
        and (every_kind or record.topic == "crm.opportunity")
    )
    for record in islice(good, count):
        yield f"{record.topic}\t{record.key}\t".encode() + record.value + b"\n"
