"""`dealpulse explain`: what a figure is made of, what moved it, and one record's story."""

from pathlib import Path
from typing import Any

import click

from dealpulse.cli.invocation import Invocation, pass_invocation
from dealpulse.cli.output import format_option, print_json
from dealpulse.event_files import EventFiles
from events.errors import FaultFoundError, UsageError


@click.command("explain")
@click.argument("words", nargs=-1, metavar="[KPI] [FILE]...")
@click.option(
    "--events",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A file of events (JSON Lines, also .gz; - is stdin); may be given more than once. "
    "Without it the running exporter answers.",
)
@click.option("--reading", help="Which reading; default: the primary one.")
@click.option(
    "--where",
    multiple=True,
    metavar="DIMENSION=LABEL",
    help="Which group, as in rep=ann; one for each dimension.",
)
@click.option("--window", metavar="WINDOW", help="As of `dealpulse kpi`.")
@click.option("--as-of", metavar="DAY|INSTANT", help="The end of that day, or that instant. Default: now.")
@click.option(
    "--against", metavar="DAY|INSTANT|reported", help="List the records that moved the figure since."
)
@click.option("--attribution", type=click.Choice(["at_the_time", "current"]), help="As of `dealpulse kpi`.")
@click.option(
    "--entity", metavar="ID", help="Tell one record's story: opp-4711, or contract/c-1, account/acme, …"
)
@click.option(
    "--sort", default="-numerator", help="numerator, denominator, on or record; with - turned round."
)
@click.option("--page", type=click.IntRange(min=1), default=1, help="Which page of records.")
@click.option("--per-page", type=click.IntRange(1, 10_000), default=50, show_default=True)
@format_option("text", "json")
@pass_invocation
def explain_command(
    invocation: Invocation,
    /,
    *,
    words: tuple[str, ...],
    files: tuple[Path, ...],
    format_: str,
    where: tuple[str, ...],
    **asked: Any,
) -> None:
    """Show the definition, the arithmetic and the records behind a figure.

    \b
    dealpulse explain win_rate --where rep=ann --window fiscal_quarter
    dealpulse explain won --reading amount --as-of 2026-03-31 --against 2026-03-15
    dealpulse explain --entity opp-4711
    """
    asked["kpi"], more_files = _kpi_and_files(words, asked["entity"])
    if more_files and not files:
        raise UsageError(f"{more_files[0]} is no option: files are named with --events, groups with --where")
    files = (*files, *more_files)
    if (asked["kpi"] is None) == (asked["entity"] is None):
        raise UsageError("name a KPI, as in `dealpulse explain win_rate`, or a record with --entity opp-4711")
    if not files:
        _print(_from_exporter(invocation, where, asked), format_)
        return
    events = EventFiles(files)
    _print(_from_files(invocation, events, where, asked), format_)
    if events.refused:
        raise FaultFoundError(
            f"{events.refused} lines are no events, and in no figure. The first: {events.first_refusal}"
        )


def _kpi_and_files(words: tuple[str, ...], entity: str | None) -> tuple[str | None, list[Path]]:
    """The KPI is the word that names one, else the first; files may follow `--events` with a pattern."""
    if not words:
        return None, []
    from aggregators.kpis import registry

    named = [word for word in words if word in registry()]
    if entity is not None and not named:
        return None, [Path(word) for word in words]
    kpi = named[0] if named else words[0]
    rest = list(words)
    rest.remove(kpi)
    return kpi, [Path(word) for word in rest]


def _from_files(
    invocation: Invocation, events: EventFiles, where: tuple[str, ...], asked: dict[str, Any]
) -> dict[str, Any]:
    from aggregators.company import Company
    from aggregators.explain_page import explained
    from events.clock import Clock

    meaning = invocation.settings().meaning
    company = Company.from_events(meaning, events)
    return explained(company, now_ms=Clock.from_env().now_ms(), where=where, **asked)


def _from_exporter(invocation: Invocation, where: tuple[str, ...], asked: dict[str, Any]) -> dict[str, Any]:
    from dealpulse.api import get_json

    listen = invocation.settings().exporter.listen
    parameters: dict[str, str | tuple[str, ...]] = {
        name: str(value) for name, value in asked.items() if value not in (None, "")
    }
    found: dict[str, Any] = get_json(listen, "/api/explain", {**parameters, "where": where})
    return found


def _print(found: dict[str, Any], format_: str) -> None:
    from aggregators.explain_text import explanation_text

    if format_ == "json":
        print_json(found)
    else:
        click.echo(explanation_text(found), nl=False)
