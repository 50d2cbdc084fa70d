"""One chaos run: the schedule of faults under load, then the proof, and a record of both as JSON."""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from events.errors import DealpulseError
from tests.chaos.faults import Run, schedule
from tests.chaos.growth import grow
from tests.chaos.proof import prove
from tests.chaos.record import machine, now_text
from tests.chaos.system import System

RECOVERY_S = 300.0
GROWTH_S = 90.0
"""How long the load goes on around a growth of partitions, at least."""


def run(
    *,
    seed: int,
    rate: int,
    short: bool,
    only: str = "",
    least_s: float = 0.0,
    pause_s: float = 20.0,
    part: tuple[int, int] = (0, 1),
    grows: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Do it all, or the faults of one part of so many. Raises AssertionError or TimeoutError if anything is not as promised.

    A fault after which something is wrong is told at once and raised in the end: the others are done, too. `grows`:
    after the faults, partitions grow.
    """
    told = [fault for fault in schedule(seed, short=short) if only in fault.kind]
    number, parts = part
    told = told[len(told) * number // parts : len(told) * (number + 1) // parts]
    done: list[dict[str, Any]] = []
    failed: list[str] = []
    with (
        System(rate=rate, seed=seed + number, scrape_s=5 if short else 15) as system,
        tempfile.TemporaryDirectory(prefix="chaos-") as folder,
    ):
        world = Run(system, Random(f"lots {seed + number}"), pause_s=pause_s)
        began, started = time.monotonic(), now_text()
        ready_s = system.watch.recovery_s(began, seconds=60)
        say(f"all is well {ready_s:.1f} s after the start; {len(told)} faults follow")
        calm = time.monotonic()
        _pass_until(calm + 3, system)
        ages = system.watch.ages_s(calm)
        for at_fault, fault in enumerate(told):
            at = time.monotonic()
            try:
                ended = fault.act(world)
                recovery_s = system.watch.recovery_s(ended, seconds=RECOVERY_S)
                for worker in system.workers:
                    assert worker.running, "a worker has ended"
            except (AssertionError, OSError, DealpulseError) as error:
                say(
                    f"{at_fault + 1:>4} {at - began:7.1f} s  {fault.kind}: FAILED: {error}\n{system.last_words()}"
                )
                failed.append(f"{fault.kind}: {error}")
                system.heal()
                system.watch.recovery_s(time.monotonic(), seconds=RECOVERY_S)
                continue
            done.append(
                {
                    "kind": fault.kind,
                    "at_s": round(at - began, 1),
                    "lasted_s": round(ended - at, 2),
                    "recovery_s": round(recovery_s, 2),
                }
            )
            age_s = system.watch.ages_s(at)
            say(
                f"{at_fault + 1:>4} {at - began:7.1f} s  {fault.kind:<62} {ended - at:6.2f} s, "
                f"current after {recovery_s:5.2f} s (age {age_s[0]:.1f} to {age_s[-1]:.1f} s)"
            )
        if grows:
            _pass_until(began + least_s / 2, system)
            at_s = round(time.monotonic() - began, 1)
            done.append({"at_s": at_s, **grow(system, say, within_s=RECOVERY_S)})
        _pass_until(began + least_s, system)
        seconds = time.monotonic() - began
        sent = system.publishing.end()
        say(f"{sent['acknowledged']:,} records in {seconds:.0f} s ({sent['acknowledged'] / seconds:,.0f}/s)")
        proof = prove(system, Path(folder), say)
        assert not failed, failed
    return {
        "started": started,
        "seed": seed,
        "rate": rate,
        "seconds": round(seconds),
        "machine": machine(),
        "rounds": 1,
        "faults": len(done),
        "calm_age_s": {"p50": median(ages), "max": ages[-1]} if ages else {},
        "sent": sent,
        "notes": world.notes,
        "kinds": kinds(done),
        "every_fault": done,
        "proof": proof,
    }


def run_in_rounds(
    *, seed: int, rate: int, rounds: int, least_s: float, say: Callable[[str], None] = print
) -> Iterator[dict[str, Any]]:
    """The long form in rounds, each on fresh servers and proved by itself; after each the record of all so far.
    One more round has nothing but partitions that grow.

    What is held grows with every record, and so does whatever writes or reads it in full: a system that holds
    what 5,000 records a second bring in half an hour is larger than two cores carry beside its load.
    """
    found: list[dict[str, Any]] = []
    for number in range(rounds + 1):
        grows = number == rounds
        say(f"round {number + 1} of {rounds + 1}")
        found.append(
            run(
                seed=seed,
                rate=rate,
                short=False,
                least_s=GROWTH_S if grows else least_s / rounds,
                part=(number, rounds),
                grows=grows,
                say=say,
            )
        )
        yield together(found)


def together(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The record of several rounds as one."""
    every = [{"round": number + 1, **each} for number, one in enumerate(found) for each in one["every_fault"]]
    proofs = [one["proof"] for one in found]
    compared = [proof["verify"]["compared"] for proof in proofs]
    return {
        **found[0],
        "rounds": len(found),
        "seconds": sum(one["seconds"] for one in found),
        "faults": len(every),
        "sent": _added(one["sent"] for one in found),
        "notes": _added(one["notes"] for one in found),
        "kinds": kinds(every),
        "every_fault": every,
        "proof": {
            "verify": {
                "compared": {**compared[0], **_added({**each, "kpis": 0, "road": 0} for each in compared)}
                | {"kpis": compared[0]["kpis"], "road": compared[0]["road"]},
                "differences": sum(proof["verify"]["differences"] for proof in proofs),
            },
            "counts": _added(proof["counts"] for proof in proofs),
            "records": sum(proof["records"] for proof in proofs),
            "answers": {
                **proofs[0]["answers"],
                "rows": sum(proof["answers"]["rows"] for proof in proofs),
                "differences": sum(proof["answers"]["differences"] for proof in proofs),
            },
        },
    }


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(total)


def kinds(done: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per kind of fault: how many, and how long until figures were current again."""
    by_kind: dict[str, list[float]] = {}
    for each in done:
        by_kind.setdefault(each["kind"], []).append(each["recovery_s"])
    return [
        {
            "kind": kind,
            "count": len(times),
            "recovery_p50_s": round(median(times), 2),
            "recovery_max_s": max(times),
        }
        for kind, times in sorted(by_kind.items())
    ]


def _pass_until(instant: float, system: System) -> None:
    """Let the load flow on until an instant (monotonic)."""
    while (left := instant - time.monotonic()) > 0:
        assert system.publishing.running, system.publishing.output()[-1_000:]
        time.sleep(min(left, 1.0))
