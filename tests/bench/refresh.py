"""How long a refresh of `/metrics` takes in a large company, and what a change of a second costs."""

import gc
import itertools
import random
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from typing import Any

from aggregators.meaning import Meaning
from exporters.exposition import Exposition
from exporters.metrics import KpiMetrics
from exporters.names import KPI_FAMILIES
from exporters.settings import ExporterSettings
from tests.exporters.stand import Stand, instant, record

REPS, TEAMS, DEALS, CONTRACTS, YEARS = 500, 40, 200_000, 50_000, 5
TODAY = date(2026, 5, 20)
NOW_MS = instant("2026-05-20T04:00:00Z")
STAGES = ("Prospecting", "Qualification", "Needs Analysis", "Proposal", "Negotiation")
Message = tuple[str, bytes, bytes]


def run(deals: int = DEALS, contracts: int = CONTRACTS, reps: int = REPS) -> dict[str, Any]:
    """Seconds of: a first refresh, one after nothing, one after a second's changes, the figures worked out aside.

    The latter in this process: the first of them reads all contracts, as the child does that is forked for it.
    """
    stand = Stand(Meaning())
    built = _seconds(lambda: stand.take(history(deals, contracts, reps), at_ms=NOW_MS))
    gc.freeze()  # as an exporter does once it holds so much
    metrics = KpiMetrics(stand.meaning, ExporterSettings(), stand.snapshot)
    found: dict[str, Any] = {"deals": deals, "contracts": contracts, "reps": reps, "build_s": built}
    found["first_refresh_s"] = _seconds(lambda: metrics.evaluate(NOW_MS))
    found["idle_refresh_s"] = _best(lambda n: metrics.evaluate(NOW_MS + 1000 * n))
    changes = second_changes(deals)

    seconds, cpu_seconds = [], []
    for n in range(8):
        at_ms = NOW_MS + 10_000 + 1000 * n
        stand.take(next(changes), at_ms=at_ms)
        cpu = time.process_time()
        seconds.append(_seconds(partial(metrics.evaluate, at_ms)))
        cpu_seconds.append(time.process_time() - cpu)
    found["changed_refresh_s"] = min(seconds)
    found["changed_refresh_cpu_s"] = round(sorted(cpu_seconds)[len(cpu_seconds) // 2], 3)
    due = metrics.slow_due(NOW_MS)
    started, cpu = time.perf_counter(), time.process_time()
    slow: dict[str, float] = {}
    for kpi in due:
        slow[kpi] = _seconds(partial(metrics.slow_families, [kpi], NOW_MS))
    found["slow_s"] = {
        **slow,
        "together": round(time.perf_counter() - started, 3),
        "together_cpu": round(time.process_time() - cpu, 3),
    }
    everything, failed = metrics.slow_families(due, NOW_MS)
    assert not failed, failed
    metrics.keep(everything, failed, due)
    stand.take(next(changes), at_ms=NOW_MS + 60_000)
    after = metrics.slow_due(NOW_MS + 60_000)
    found["slow_after_deals_changed"] = len(after)
    cpu = time.process_time()
    metrics.slow_families(after, NOW_MS + 60_000)
    found["slow_after_deals_changed_cpu_s"] = round(time.process_time() - cpu, 3)
    families = [(KPI_FAMILIES[name], series) for name, series in metrics.evaluate(NOW_MS).items()]
    exposition = Exposition()
    exposition.render(families, openmetrics=True)
    found["series"] = sum(len(series) for _, series in families)
    found["render_s"] = _seconds(lambda: exposition.render(families, openmetrics=True))
    return found


def history(deals: int, contracts: int, reps: int) -> Iterator[Message]:
    """People, accounts, targets, contracts and deals of five years, in no order."""
    rng = random.Random(7)
    first = TODAY - timedelta(days=365 * YEARS)
    for n in range(reps):
        hired = first + timedelta(days=rng.randrange(365 * YEARS) if n % 3 == 0 else 0)
        data: dict[str, Any] = {"name": f"Rep {n}", "role": "sales", "team": f"team-{n % TEAMS}"}
        if n % 11 == 0:
            data |= {"left_on": str(min(TODAY, hired + timedelta(days=400))), "leave_kind": "voluntary"}
        yield record("employee", f"r{n}", f"{hired}T08:00:00Z", hired_on=str(hired), **data)
        target = {"amount": "100000.00", "currency": "USD", "wins": 10}
        yield record("target", f"rep:r{n}/2026-Q2", "2026-03-20T08:00:00Z", **target)
    for n in range(contracts // 2):
        account = {"name": f"Account {n}", "owner_id": f"r{rng.randrange(reps)}"}
        yield record("account", f"a{n}", f"{first}T08:00:00Z", **account)
    for n in range(contracts):
        start = first + timedelta(days=rng.randrange(365 * YEARS))
        yield record(
            "contract",
            f"c{n}",
            f"{start}T08:00:00Z",
            account_id=f"a{rng.randrange(contracts // 2)}",
            owner_id=f"r{rng.randrange(reps)}",
            signed_on=str(start),
            start_date=str(start),
            end_date=str(start + timedelta(days=364)),
            recurring_amount=f"{rng.randrange(100, 10_000)}.00",
            currency="USD",
            kind="new" if n % 2 else "renewal",
        )
    for n in range(deals):
        created = first + timedelta(days=rng.randrange(365 * YEARS))
        yield _deal(n, rng, created, reps)
        closed = created + timedelta(days=rng.randrange(10, 120))
        if closed < TODAY and rng.random() < 0.97:
            stage = "Closed Won" if rng.random() < 0.4 else "Closed Lost"
            yield record("opportunity", f"o{n}", f"{closed}T10:00:00Z", stage=stage, close_date=str(closed))


def second_changes(deals: int) -> Iterator[list[Message]]:
    """What twenty deals do in one second, second after second."""
    rng = random.Random(8)
    for n in itertools.count():
        yield [
            record(
                "opportunity",
                f"o{rng.randrange(deals)}",
                f"2026-05-20T04:00:{10 + n % 50:02}Z",
                stage=rng.choice((*STAGES, "Closed Won")),
                amount=f"{rng.randrange(100, 90_000)}.00",
            )
            for _ in range(20)
        ]


def _deal(number: int, rng: random.Random, created: date, reps: int) -> Message:
    return record(
        "opportunity",
        f"o{number}",
        f"{created}T09:00:00Z",
        stage=rng.choice(STAGES),
        owner_id=f"r{rng.randrange(reps)}",
        amount=f"{rng.randrange(100, 90_000)}.00",
        currency="USD",
        created_at=f"{created}T09:00:00Z",
        close_date=str(created + timedelta(days=90)),
        account_id=f"a{rng.randrange(25_000)}",
    )


def _best(work: Callable[[int], object], times: int = 4) -> float:
    return min(_seconds(partial(work, n)) for n in range(1, times + 1))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return round(time.perf_counter() - started, 3)
