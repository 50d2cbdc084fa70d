"""`dealpulse simulate`: invent a company's events, repeatable by seed."""

import asyncio
import signal
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dealpulse.cli.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from events.clock import Clock
    from events.settings import KafkaSettings
    from events.simulator import Simulation


@click.command()
@click.option(
    "--company",
    type=click.Choice(["sauls-dolls", "joys-toys"]),
    default="sauls-dolls",
    show_default=True,
    help="Saul's Dolls are healthy and hire; at Joy's Toys new opportunities dry up.",
)
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed tells the same story.")
@click.option(
    "--reps", type=click.IntRange(1, 5_000), default=12, show_default=True, help="Reps on the first day."
)
@click.option(
    "--quarters",
    type=click.IntRange(0, 40),
    default=5,
    show_default=True,
    help="How many whole quarters of history lie before the running one.",
)
@click.option("--end", metavar="DAY|INSTANT", help="Where the history ends. Default: now.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    help="Live records a second: deals move as much faster as it takes. Default: the pace of the history.",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    help="Let the clock run so many times faster (86400: a day a second). Give the other processes the same "
    "clock by DEALPULSE_CLOCK, which is also the default.",
)
@click.option(
    "--for",
    "for_",
    metavar="DURATION",
    help="How long to go on after the history, such as 30s or 2h; 0 ends with it. "
    "Default: to Kafka without end, into a file 0.",
)
@click.option("--live-only", is_flag=True, help="Leave the history out: it was published before.")
@click.option("--tidy", is_flag=True, help="Nothing late, doubled, overtaken or badly keyed.")
@click.option("--poison", is_flag=True, help="Also a few records that are no events, for the dead letters.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Into a file (JSON Lines, also .gz) or -."
)
@click.option("--brokers", help="Kafka's addresses; default: kafka.brokers.")
@pass_invocation
def simulate(
    invocation: Invocation,
    *,
    company: str,
    seed: int,
    reps: int,
    quarters: int,
    end: str | None,
    rate: float | None,
    speed: float | None,
    for_: str | None,
    live_only: bool,
    tidy: bool,
    poison: bool,
    out: Path | None,
    brokers: str | None,
) -> None:
    """Invent a company's events: a history of some quarters, then its life as it goes on.

    Reps come, ramp up, change teams and leave; deals are created, worked on, won, lost, reopened, merged;
    contracts are signed, renewed and cancelled. Some records come late, twice or badly keyed, as they do.

    \b
    dealpulse simulate --out history.jsonl.gz
    dealpulse simulate --company joys-toys --brokers localhost:9092 --rate 2
    dealpulse simulate --seed 3 --end 2026-11-23 --out - | head
    """
    from events.errors import UsageError
    from events.simulator import COMPANIES, Simulation

    if out is not None and brokers is not None:
        raise UsageError("give --out or --brokers, not both")
    clock = _clock(speed)
    simulation = Simulation(
        COMPANIES[company],
        seed=seed,
        reps=reps,
        quarters=quarters,
        end_ms=clock.now_ms() if end is None else _instant_ms(end),
        mess=not tidy,
        poison=poison,
    )
    seconds = _seconds(for_)
    if out is not None:
        live_ms = int((seconds or 0.0) * float(clock.speed) * 1000)
        count = _write(simulation, out, rate=rate, live_ms=live_ms, live_only=live_only)
        if str(out) != "-":
            invocation.say(f"{simulation.company.name}: {count:,} events in {out}")
        return
    kafka = invocation.settings({"kafka.brokers": brokers}).kafka
    past, present = asyncio.run(
        _publish(
            simulation, kafka, clock, rate=rate, seconds=seconds, live_only=live_only, invocation=invocation
        )
    )
    invocation.say(
        f"{simulation.company.name}: {past:,} records of history and {present:,} live ones published"
    )


def _write(simulation: "Simulation", out: Path, *, rate: float | None, live_ms: int, live_only: bool) -> int:
    from dealpulse.event_sink import opened

    count = 0
    last_ms = simulation.end_ms + live_ms
    # A reader such as `head` may close its end early: that is no fault.
    with suppress(BrokenPipeError), opened(out) as lines:
        if not live_only:
            for record in simulation.history():
                lines.write(record.value + b"\n")
                count += 1
        if live_ms:
            for record in takewhile(lambda record: record.told_ms <= last_ms, simulation.live(rate=rate)):
                lines.write(record.value + b"\n")
                count += 1
    return count


async def _publish(
    simulation: "Simulation",
    kafka: "KafkaSettings",
    clock: "Clock",
    *,
    rate: float | None,
    seconds: float | None,
    live_only: bool,
    invocation: Invocation,
) -> tuple[int, int]:
    """How many records of history and how many live ones were published."""
    from events.bulk import Bulk
    from events.simulator.playing import play, publish
    from streams.topics import ensure

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    await asyncio.to_thread(ensure, kafka, repair=False)
    past = present = 0
    async with Bulk(kafka, client_id="dealpulse-simulator") as bulk:
        if not live_only:
            past = await publish(simulation.history(), bulk, stop=stop)
            invocation.say(f"{simulation.company.name}: {past:,} records of history published")
        if not stop.is_set() and seconds != 0:
            live_from_ms = clock.now_ms()
            until_ms = None if seconds is None else live_from_ms + int(seconds * float(clock.speed) * 1000)
            present = await play(simulation.live(rate=rate), bulk, clock=clock, stop=stop, until_ms=until_ms)
    return past, present


def _clock(speed: float | None) -> "Clock":
    from fractions import Fraction

    from events.clock import Clock

    clock = Clock.from_env()
    if speed is None:
        return clock
    return Clock(anchor_ns=clock.anchor_ns, shift_ns=clock.now_ns() - clock.anchor_ns, speed=Fraction(speed))


def _instant_ms(text: str) -> int:
    from events.errors import UsageError
    from events.instants import time_ns
    from events.simulator.days import DAY_MS, day_of, day_start

    try:
        if len(text) == len("2026-11-23"):
            from datetime import date

            return day_start(day_of(date.fromisoformat(text))) + DAY_MS - 1
        return time_ns(text) // 1_000_000
    except ValueError as error:
        raise UsageError(
            f"--end {text!r}: {error}. Write a day (2026-11-23, its end in Taipei) or an instant with an offset"
        ) from None


def _seconds(text: str | None) -> float | None:
    from events.duration import seconds_of
    from events.errors import UsageError

    if text is None:
        return None
    try:
        return seconds_of(text)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from None
