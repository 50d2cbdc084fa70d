"""`dealpulse demo`: a whole company on this machine, servers included."""

import asyncio
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import click

from dealpulse.cli.invocation import Invocation, pass_invocation


@click.command()
@click.option(
    "--company",
    type=click.Choice(["sauls-dolls", "joys-toys"]),
    default="sauls-dolls",
    show_default=True,
    help="Saul's Dolls are healthy and hire; at Joy's Toys new opportunities dry up.",
)
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed tells the same story.")
@click.option("--reps", type=click.IntRange(1, 500), default=12, show_default=True, help="Reps at first.")
@click.option("--for", "for_", metavar="DURATION", help="End by itself after, say, 30s of live events.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8402, show_default=True,
              help="Where the exporter listens; 0: any free port.")  # fmt: skip
@click.option("--brokers", help="A Kafka that runs already, instead of the embedded one.")
@click.option("--redis", "redis_url", help="A Redis that runs already, instead of the embedded one.")
@click.option(
    "--dump",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the events that are played to this file (JSON Lines, also .gz), for `dealpulse kpi --events`.",
)
@pass_invocation
def demo(
    invocation: Invocation,
    *,
    company: str,
    seed: int,
    reps: int,
    for_: str | None,
    port: int,
    brokers: str | None,
    redis_url: str | None,
    dump: Path | None,
) -> None:
    """Play a whole company on this machine: broker, Redis, two workers, an exporter, and its events.

    A history of five quarters is published at full speed, then deals go on live. Nothing is kept:
    Ctrl-C (or SIGTERM) ends every process and removes every file.

    \b
    dealpulse demo
    dealpulse demo --for 30s --port 0 --dump events.jsonl
    dealpulse kpi --events events.jsonl --kpi win_rate --by rep
    """
    from dealpulse.demo import DemoOptions, run_demo
    from events.clock import Clock
    from events.duration import seconds_of
    from events.errors import UsageError

    invocation.settings(talks=True)
    try:
        seconds = None if for_ is None else seconds_of(for_)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from None
    options = DemoOptions(company, seed, reps, seconds, port, brokers, redis_url, dump)

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await run_demo(options, Clock.from_env(), say=invocation.say, stop=stop, moving=_moving(invocation))

    asyncio.run(run())


def _moving(invocation: Invocation) -> Callable[[str], None] | None:
    """What writes the figures over those before, on a terminal; None where there is none."""
    if invocation.quiet or not sys.stderr.isatty():
        return None
    drawn = 0

    def show(figures: str) -> None:
        nonlocal drawn
        back = f"\x1b[{drawn}A" if drawn else ""
        width = shutil.get_terminal_size().columns - 1  # a line that wraps would not be written over
        lines = [line[:width] for line in figures.splitlines()]
        drawn = len(lines)
        sys.stderr.write(back + "".join(f"\r{line}\x1b[K\n" for line in lines))
        sys.stderr.flush()

    return show
