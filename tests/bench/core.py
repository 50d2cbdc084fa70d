"""Each stage alone: decode, fold, checkpoint, load, refresh, render; and what an entity takes of memory."""

import gc
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import psutil

from aggregators.company import Company
from aggregators.meaning import Meaning
from aggregators.question import Question
from aggregators.rows import read_row
from aggregators.state import PartitionState, partition_state
from aggregators.symbols import Symbols
from aggregators.tables.answer import answer
from aggregators.tables.deals import DealTable
from events.fast import REFUSED
from events.keys import partitions_of
from exporters.exposition import Exposition
from exporters.figures import Series
from exporters.names import KPI_FAMILIES
from tests.bench.log import END_MS, Line, lines

PARTITIONS = 4
CHECKPOINT_EVERY = 50_000


def run(count: int = 200_000) -> dict[str, Any]:
    """Microseconds of CPU per event or per series, and bytes per deal."""
    told = lines(500_000)[:count]
    memory = _resident()
    fold_us, checkpoint_us, states, chunks = _fold(told)
    entities = sum(state.entities for state in states)
    grown = _resident() - memory
    table = DealTable()
    return {
        "events": count,
        "deals": entities,
        "decode_us": _decode(told),
        "fold_us": fold_us,
        "checkpoint_us": checkpoint_us,
        "load_us": _load(states, count),
        "bytes_per_deal": round(grown / entities),
        "apply_us": _per(count, lambda: _apply(table, chunks)),
        "refresh_ms": _refresh(table),
        "render_100k_series_ms": _render(100_000),
    }


def _decode(told: Sequence[Line]) -> float:
    labels, names = Symbols(), Symbols()

    def all_rows() -> None:
        for line in told:
            try:
                read_row(line.value, labels, names)
            except REFUSED:
                continue

    return _per(len(told), all_rows)


def _fold(told: Sequence[Line]) -> tuple[float, float, list[PartitionState], list[tuple[str, bytes]]]:
    states = [
        partition_state("crm.opportunity", p, PARTITIONS, "murmur2", Meaning()) for p in range(PARTITIONS)
    ]
    where = partitions_of([line.key for line in told], PARTITIONS, "murmur2").tolist()
    fold = checkpoint = 0.0
    chunks = []
    gc.freeze()
    for start in range(0, len(told), CHECKPOINT_EVERY):
        split: list[tuple[list[bytes | None], list[bytes | None]]] = [([], []) for _ in states]
        end = start + CHECKPOINT_EVERY
        for line, partition in zip(told[start:end], where[start:end], strict=True):
            split[partition][0].append(line.key)
            split[partition][1].append(line.value)
        for number, (state, (keys, values)) in enumerate(zip(states, split, strict=True)):
            before = time.process_time()
            state.fold(keys, values)
            between = time.process_time()
            change = state.take_change()
            fold, checkpoint = fold + between - before, checkpoint + time.process_time() - between
            if change is not None:
                chunks.append((f"crm.opportunity/{number}", change.facts))
            gc.freeze()
    return round(fold / len(told) * 1e6, 2), round(checkpoint / len(told) * 1e6, 2), states, chunks


def _load(states: Sequence[PartitionState], count: int) -> float:
    dumps = [state.dump(state.subjects(), first=True).statements for state in states]
    fresh = [
        partition_state("crm.opportunity", p, PARTITIONS, "murmur2", Meaning()) for p in range(PARTITIONS)
    ]
    return _per(count, lambda: [state.load([dump]) for state, dump in zip(fresh, dumps, strict=True)])


def _apply(table: DealTable, chunks: Sequence[tuple[str, bytes]]) -> None:
    for shard, chunk in chunks:
        table.apply(shard, [chunk])


def _refresh(table: DealTable) -> float:
    """All readings of the opportunity KPIs, by team and by rep, over the published windows."""
    company = Company(Meaning())
    started_at = time.process_time()
    for kpi in ("created", "won", "lost", "win_rate", "open", "stagnation", "stalled", "sales_cycle"):
        for by in (("team",), ("rep", "team")):
            for window in ("day", "week", "month", "fiscal_quarter", "trailing_12m"):
                answer(table, company, Question(kpi, END_MS, window, by, 2 if "fiscal" in window else 1))
    return round(1000 * (time.process_time() - started_at), 1)


def _render(count: int) -> float:
    family = KPI_FAMILIES["dealpulse_opportunities_created"]
    samples: Series = {(f"team-{n}", "day"): float(n) for n in range(count)}
    exposition = Exposition()
    exposition.render([(family, samples)], openmetrics=False)
    started_at = time.process_time()
    exposition.render([(family, samples)], openmetrics=False)
    return round(1000 * (time.process_time() - started_at), 1)


def _per(count: int, work: Callable[[], object]) -> float:
    started_at = time.process_time()
    work()
    return round((time.process_time() - started_at) / count * 1e6, 2)


def _resident() -> int:
    gc.collect()
    return int(psutil.Process(os.getpid()).memory_info().rss)
