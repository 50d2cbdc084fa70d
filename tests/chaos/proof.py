"""The proof after a run: verify, the shards' own counts, and every KPI against a dump of the topics."""

import json
import subprocess
import sys
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from aggregators.kpis import registry
from events.clock import Clock
from events.errors import BadEventError
from events.instants import instant_text
from events.reader import read
from events.topics import TOPICS
from tests.chaos.system import System
from tests.integration.monitoring import fetch
from tests.integration.traffic import offsets_reached, wait_until, whole_log

Ends = dict[str, dict[int, int]]
"""Topic -> partition -> the offset at which its log ends."""
MANY, VERY_MANY = 500_000, 1_000_000
"""Records beyond which KPIs are not split by rep, or not split at all: each answer from files takes minutes then,
and gigabytes.
"""
KEYS = ("kpi", "reading", "by", "window")


def prove(system: System, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Wait until all is folded, then prove it. Raises AssertionError with the first differences."""
    began = time.monotonic()
    ends = _all_folded(system)
    say(f"all folded after {time.monotonic() - began:.1f} s; verify ...")
    verified = _verify(system)
    say(f"verify: {verified['compared']}, {verified['differences']} differences")
    counts = _counts(system, ends)
    say(f"counts of {len(counts)} shards add up; dump ...")
    dump = folder / "dump.jsonl"
    records = _dump(system, dump)
    say(f"{sum(records.values()):,} records dumped ({dict(records)}); the same figures from files ...")
    lines = records["lines"]
    answers = _answers(
        system, dump, by=("team", "rep") if lines <= MANY else ("team",) if lines <= VERY_MANY else ()
    )
    say(f"{answers['rows']} rows of {answers['kpis']} KPIs are the same")
    return {
        "verify": {"compared": verified["compared"], "differences": verified["differences"]},
        "counts": dict(sum((Counter(each) for each in counts.values()), Counter())),
        "records": sum(records.values()),
        "answers": answers,
    }


def _all_folded(system: System) -> Ends:
    """Wait until every shard in Redis has come to the end of its log; the ends."""
    folded_to: Ends = {}
    while (ends := _ends(system)) != folded_to:  # again, for what was published again where it belongs
        for topic in TOPICS:
            reached = partial(offsets_reached, system.store.url, topic, ends[topic])
            wait_until(reached, f"{topic} is folded to its end", seconds=900)
        folded_to = ends
    return ends


def _ends(system: System) -> Ends:
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=system.broker.brokers)
    try:
        found = consumer.end_offsets(
            [TopicPartition(topic, partition) for topic in TOPICS for partition in range(system.partitions)]
        )
    finally:
        consumer.close()
    ends: Ends = {topic: {} for topic in TOPICS}
    for place, offset in found.items():
        ends[place.topic][place.partition] = offset
    return ends


def run_dealpulse(system: System, *arguments: str, seconds: float) -> "subprocess.CompletedProcess[str]":
    """Run a command on the system, at most for so long."""
    return subprocess.run(
        [sys.executable, "-m", "dealpulse", "--quiet", *arguments],
        env=system.dealpulse_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )


def _verify(system: System) -> dict[str, Any]:
    done = run_dealpulse(system, "verify", "--fast", "--json", seconds=3_600)
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["differences"] == 0, found["first_differences"][:10]
    assert done.returncode == 0
    return found


def _counts(system: System, ends: Ends) -> dict[str, dict[str, int]]:
    """Each shard's own counts add up to the records below its offset, which is the end of its log."""
    found = {}
    for topic in TOPICS:
        for partition in range(system.partitions):
            name = f"{topic}/{partition}"
            meta = system.redis.hgetall(f"dealpulse:{{{name}}}:meta")
            counts = {
                result: int(meta[result.encode()])
                for result in ("applied", "unchanged", "rekeyed", "dead_lettered")
            }
            assert sum(counts.values()) == int(meta[b"offset"]) == ends[topic][partition], (
                name,
                counts,
                meta,
            )
            found[name] = counts
    return found


def _dump(system: System, path: Path) -> Counter[str]:
    """Every record as a line of JSON, as far as it can be one; how many, by what became of them.

    A file knows no topic, so an event on another type's topic is left out: it would be a good one there.
    A line break between two names of a pretty-printed event becomes a space.
    """
    found: Counter[str] = Counter()
    with path.open("wb") as file:
        for topic in TOPICS:
            for records in whole_log(system.broker.brokers, [topic], system.partitions)[topic].values():
                for record in records:
                    value = record.value
                    if value is None or _is_elsewhere(value, topic):
                        found["left out"] += 1
                        continue
                    file.write(value.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n")
                    found["lines"] += 1
    return found


def _is_elsewhere(value: bytes, topic: str) -> bool:
    entity = topic.rpartition(".")[2].encode()
    if b'"dealpulse.%s.' % entity in value or b"dealpulse.resync" in value:
        return False
    try:
        read(value, topic)
    except BadEventError as error:
        return error.reason == "unknown_type"
    return False


def _answers(system: System, dump: Path, *, by: Sequence[str]) -> dict[str, Any]:
    """All KPIs, and each by its first dimensions, at one as-of: the exporter's answers and those from the dump."""
    as_of = instant_text(Clock().now_ms() * 1_000_000)
    splits = {"": list(registry())}
    for dimension in by:
        splits[dimension] = [name for name, kpi in registry().items() if dimension in kpi.dimensions]
    held = {dimension: _served(system, kpis, dimension, as_of) for dimension, kpis in splits.items()}
    assert not (faults := system.faults_in_logs()), faults[:5]
    system.rest()  # millions of records in files want the memory
    rows = 0
    for dimension, kpis in splits.items():
        more = ("--by", dimension) if dimension else ()
        done = run_dealpulse(
            system,
            *("kpi", "--events", str(dump), "--json", "--as-of", as_of, "--kpi", ",".join(kpis)),
            *more,
            seconds=3_600,
        )
        assert done.returncode in (0, 1), done.stderr  # 1: some lines are no events, as planted
        wanted, found = _by_key(json.loads(done.stdout)), held[dimension]
        differing = [key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)]
        assert not differing, [(key, wanted.get(key), found.get(key)) for key in sorted(differing)[:5]]
        rows += len(wanted)
    return {"as_of": as_of, "kpis": len(splits[""]), "rows": rows, "differences": 0, "by": list(splits)}


def _served(system: System, kpis: Sequence[str], dimension: str, as_of: str) -> dict[str, dict[str, Any]]:
    """What the exporter answers."""
    held: dict[str, dict[str, Any]] = {}
    for kpi in kpis:
        asked = urllib.parse.urlencode(
            {"kpi": kpi, "as_of": as_of, **({"by": dimension} if dimension else {})}
        )
        status, body = _patiently(f"http://{system.exporter.address}/api/kpi?{asked}")
        assert status == 200, body
        held |= _by_key(json.loads(body))
    return held


def _patiently(address: str) -> tuple[int, str]:
    """An answer that may take its time."""
    import urllib.request

    try:
        with urllib.request.urlopen(address, timeout=600) as answer:
            return answer.status, answer.read().decode()
    except OSError:
        return fetch(address)


def _by_key(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {json.dumps([row[key] for key in KEYS], sort_keys=True): row for row in records}
    assert len(found) == len(records), "two rows under one key"
    return found
