"""`python -m tests.chaos`: the parts of `make chaos` and `make soak`, one by one."""

from functools import partial
from pathlib import Path

import click


@click.group()
def main() -> None:
    """Faults on purpose, and the proof that nothing is lost or doubled."""


@main.command("run")
@click.option("--seed", default=1, show_default=True)
@click.option("--rate", default=5_000, show_default=True, help="Records a second.")
@click.option("--short", is_flag=True, help="One of most kinds, with shorter pauses.")
@click.option("--minutes", default=10.0, show_default=True, help="The load flows at least so long.")
@click.option(
    "--rounds", default=1, show_default=True, help="Rounds of the long form, each on fresh servers."
)
@click.option("--only", default="", metavar="TEXT", help="Only faults whose kind has this text in it.")
@click.option("--out", default="chaos.json", show_default=True, help="File in bench-results/.")
def run_command(
    *, seed: int, rate: int, short: bool, minutes: float, rounds: int, only: str, out: str
) -> None:
    """One run with its proof; the record goes to bench-results/."""
    from tests.chaos.record import write
    from tests.chaos.run import run, run_in_rounds

    if rounds > 1:
        say = partial(click.echo, err=True)
        for record in run_in_rounds(seed=seed, rate=rate, rounds=rounds, least_s=minutes * 60, say=say):
            click.echo(f"written to {write(record, out)}", err=True)
        return
    found = run(
        seed=seed,
        rate=rate,
        short=short,
        only=only,
        least_s=0 if short else minutes * 60,
        pause_s=5 if short else 20,
        say=lambda line: click.echo(line, err=True),
    )
    path: Path = write(found, out)
    click.echo(f"written to {path}", err=True)


@main.command("soak")
@click.option("--minutes", default=30.0, show_default=True)
@click.option("--rate", default=1_000, show_default=True, help="Records a second.")
def soak_command(*, minutes: float, rate: int) -> None:
    """The same population for half an hour: are the resident sets flat? Exit code 1: they are not."""
    from tests.chaos.record import write
    from tests.chaos.soak import soak

    found = soak(minutes=minutes, rate=rate, say=lambda line: click.echo(line, err=True))
    path: Path = write(found, "soak.json")
    for name, judged in found["judged"].items():
        click.echo(f"{name}: {judged}")
    click.echo(f"bytes per new statement: {found['bytes_per_new_statement']}")
    click.echo(f"flat: {found['flat']}; written to {path}")
    click.get_current_context().exit(0 if found["flat"] else 1)


@main.command("outage")
@click.option("--rounds", default=4, show_default=True, help="Kills of each kind.")
@click.option("--rate", default=1_000, show_default=True, help="Records a second.")
def outage_command(*, rounds: int, rate: int) -> None:
    """How long partitions stand still after kill -9, at default settings. Exit code 1: 15 s or more."""
    from tests.chaos.outage import outage
    from tests.chaos.record import write

    found = outage(rounds=rounds, rate=rate, say=lambda line: click.echo(line, err=True))
    path = write(found, "outage.json")
    click.echo(f"{found['outage_s']}; written to {path}")
    click.get_current_context().exit(0 if found["within_aim"] else 1)


@main.command("report")
def report_command() -> None:
    """Write the figures of docs/reliability.md anew from the records in bench-results/."""
    from tests.chaos.report import PAGE, rewrite

    click.echo(f"{PAGE.name}: {', '.join(rewrite()) or 'no record there'}")


if __name__ == "__main__":
    main()
