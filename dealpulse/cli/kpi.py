"""`dealpulse kpi`: answer a question about a KPI, from files of events or from the running system."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dealpulse.cli.invocation import Invocation, pass_invocation
from dealpulse.cli.output import format_option, print_json
from dealpulse.event_files import EventFiles
from events.errors import FaultFoundError, UsageError

if TYPE_CHECKING:
    from aggregators.question import Question
    from aggregators.reported import Period

Records = list[dict[str, Any]]


@click.command("kpi")
@click.option(
    "--events",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A file of events (JSON Lines, also .gz; - is stdin); may be given more than once. "
    "Without it the running exporter answers.",
)
@click.argument("more_files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@click.option("--kpi", "kpi", default="", metavar="NAME[,NAME]", help="Which KPIs; default: all.")
@click.option("--by", default="", metavar="DIMENSION[,…]", help="Split by rep, team, stage, …")
@click.option(
    "--window",
    metavar="WINDOW",
    help="day, week, month, fiscal_quarter, fiscal_year, trailing_90d, trailing_12m, all, "
    "or 2017-04-01..2017-06-30 (both days inside). Default: the KPI's own.",
)
@click.option("--as-of", metavar="DAY|INSTANT", help="The end of that day, or that instant. Default: now.")
@click.option("--periods", type=click.IntRange(min=1), default=1, help="The last N windows. Default: 1.")
@click.option(
    "--attribution",
    type=click.Choice(["at_the_time", "current"]),
    help="Teams and managers of the day, or of today. Default: as configured.",
)
@click.option(
    "--reported",
    is_flag=True,
    help="Restated and as-reported figures side by side. Default window: the last complete fiscal quarter.",
)
@format_option("table", "json", "csv", "markdown")
@click.option("--list", "list_", is_flag=True, help="Name all KPIs with their readings and dimensions.")
@click.option("--watch", is_flag=True, help="Ask again every two seconds, until Ctrl-C.")
@pass_invocation
def kpi_command(
    invocation: Invocation,
    /,
    *,
    files: tuple[Path, ...],
    more_files: tuple[Path, ...],
    format_: str,
    reported: bool,
    list_: bool,
    watch: bool,
    **asked: Any,
) -> None:
    """Answer a question about one KPI, several, or all.

    \b
    dealpulse kpi --kpi win_rate --by rep
    dealpulse kpi --events events.jsonl.gz --kpi won,lost --window 2017-04-01..2017-06-30 --as-of 2017-12-31
    """
    if list_:
        _list(format_, kpi=asked["kpi"])
        return
    if reported and format_ == "markdown":
        raise UsageError("--reported is written as table, json or csv")
    paths = (*files, *more_files)
    if not paths:
        path = "/api/reported" if reported else "/api/kpi"
        _repeat(_from_exporter(invocation, path, asked), format_, watch=watch, reported=reported)
        return
    _require_no_kpi(more_files)
    events = EventFiles(paths)
    told = _reported_from_files if reported else _from_files
    _repeat(told(invocation, events, asked), format_, watch=watch, reported=reported)
    if events.refused:
        raise FaultFoundError(
            f"{events.refused} lines are no events, and in none of these figures. "
            f"The first: {events.first_refusal}"
        )


def _require_no_kpi(files: tuple[Path, ...]) -> None:
    """Raise UsageError for a KPI that stands where a file is expected."""
    from aggregators.kpis import registry

    for file in files:
        if str(file) in registry() and not file.exists():
            raise UsageError(f"{file} is a KPI, not a file of events: ask `dealpulse kpi --kpi {file}`")


def _from_files(invocation: Invocation, events: EventFiles, asked: dict[str, Any]) -> Callable[[], Records]:
    from aggregators.answer import answer
    from aggregators.company import Company
    from aggregators.render import Renderer
    from aggregators.request import questions
    from events.clock import Clock

    meaning = invocation.settings().meaning
    clock, render = Clock.from_env(), Renderer(meaning)
    calendar = Company(meaning).calendar
    questions(calendar, now_ms=clock.now_ms(), **asked)  # a wrong question costs no reading of files
    company = Company.from_events(meaning, events)

    def records() -> Records:
        put = questions(company.calendar, now_ms=clock.now_ms(), **asked)
        return [record for question in put for record in render.records(answer(company, question))]

    return records


def _reported_from_files(
    invocation: Invocation, events: EventFiles, asked: dict[str, Any]
) -> Callable[[], Records]:
    """As if every period that is due had been frozen: what was known by then is told by the events."""
    from aggregators.answer import answer
    from aggregators.company import Company
    from aggregators.explain_page import last_quarter
    from aggregators.render import Renderer
    from aggregators.reported import Schedule, as_if_frozen
    from aggregators.reported_page import frozen_kpis, period_questions, restated, side_by_side
    from aggregators.request import as_of_ms, questions
    from events.clock import Clock

    meaning = invocation.settings().meaning
    clock, render, schedule = Clock.from_env(), Renderer(meaning), Schedule(meaning)
    calendar = schedule.calendar

    def put() -> "list[tuple[Question, Period]]":
        now_ms = clock.now_ms()
        instant = now_ms if asked["as_of"] is None else as_of_ms(asked["as_of"], calendar)
        window = asked["window"] or last_quarter(calendar, instant)
        named = {**asked, "kpi": asked["kpi"] or frozen_kpis(asked["by"]), "window": window}
        return period_questions(schedule, questions(calendar, now_ms=now_ms, **named))

    put()
    company = Company.from_events(meaning, events)

    def records() -> Records:
        asked_now = put()
        held = as_if_frozen(company, {period for _, period in asked_now}, clock.now_ms())
        return [
            record
            for question, period in asked_now
            for rows in [restated(schedule, question, period, partial(answer, company))]
            for record in side_by_side(render, period, question, rows, held)
        ]

    return records


def _from_exporter(invocation: Invocation, path: str, asked: dict[str, Any]) -> Callable[[], Records]:
    from dealpulse.api import get_json

    listen = invocation.settings().exporter.listen
    parameters = {name: str(value) for name, value in asked.items() if value not in (None, "")}

    def records() -> Records:
        found: Records = get_json(listen, path, parameters)
        return found

    return records


def _repeat(records: Callable[[], Records], format_: str, *, watch: bool, reported: bool) -> None:
    from threading import Event as Signal

    pause = Signal()
    while True:
        found = records()
        if watch and format_ == "table":
            click.clear()
        _print(found, format_, reported=reported)
        if not watch:
            return
        pause.wait(2)


def _print(records: Records, format_: str, *, reported: bool) -> None:
    if reported and format_ != "json":
        from aggregators.reported_page import reported_csv, reported_text

        click.echo(reported_csv(records) if format_ == "csv" else reported_text(records), nl=False)
        return
    from aggregators.render import csv_text, markdown_text, table_text

    match format_:
        case "json":
            print_json(records)
        case "csv":
            click.echo(csv_text(records), nl=False)
        case "markdown":
            click.echo(markdown_text(records), nl=False)
        case _:
            click.echo(table_text(records), nl=False)


def _list(format_: str, *, kpi: str) -> None:
    from aggregators.kpis import find_kpi, registry
    from aggregators.render import columns

    kpis = [find_kpi(name.strip()) for name in kpi.split(",")] if kpi else list(registry().values())
    if format_ == "markdown":
        from aggregators.kpi_page import page

        click.echo(page(), nl=False)
        return
    if format_ == "json":
        print_json([kpi.document() for kpi in kpis])
        return
    heads = ["kpi", "readings (first is primary)", "window", "by", "title"]
    lines = [
        [
            each.name,
            ", ".join(reading.name for reading in each.readings),
            "now" if all(reading.level for reading in each.readings) else each.window,
            ", ".join(each.dimensions),
            f"{each.title.en} {each.title.zh}",
        ]
        for each in kpis
    ]
    click.echo(columns(heads, lines, set()), nl=False)
