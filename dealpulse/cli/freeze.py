"""`dealpulse freeze`: keep the as-reported figures of periods that are due, or recompute them."""

import asyncio
from typing import TYPE_CHECKING, Any

import click

from dealpulse.cli.invocation import Invocation, pass_invocation
from dealpulse.cli.output import format_option, print_json

if TYPE_CHECKING:
    from aggregators.meaning import Meaning
    from aggregators.question import Row
    from aggregators.reported import Difference, Period
    from streams.freeze import Compared


@click.command()
@click.option(
    "--period",
    metavar="2026-Q3|2026-10|2026",
    help="Only this fiscal quarter, month or fiscal year. Default: all that are due and not frozen yet.",
)
@click.option(
    "--recompute",
    is_flag=True,
    help="Freeze nothing: compute frozen periods from the log again, and compare.",
)
@click.option("--brokers", help="Kafka's addresses; default: kafka.brokers.")
@format_option("text", "json")
@pass_invocation
def freeze(
    invocation: Invocation, *, period: str | None, recompute: bool, brokers: str | None, format_: str
) -> None:
    """Keep the as-reported figures of months, fiscal quarters and fiscal years.

    A period is due some business days after its end (kpis.freeze_after_business_days). What was known by
    then is read from the log and written to the topic dealpulse.reported, for good; nothing that is
    frozen is ever changed. The exporter does the same by itself.

    With --recompute exit code 1 says that a figure of an unchanged definition differs from the frozen
    one: a record of before the freeze was appended after it, or the configuration has changed.

    \b
    dealpulse freeze
    dealpulse freeze --period 2026-Q3
    dealpulse freeze --period 2026-Q3 --recompute
    """
    settings = invocation.settings({"kafka.brokers": brokers}, talks=True)

    from aggregators.reported import Schedule
    from events.clock import Clock
    from streams import freeze as freezing

    meaning, clock = settings.meaning, Clock.from_env()
    only = Schedule(meaning).named(period) if period else None
    if recompute:
        compared = asyncio.run(
            freezing.recompute(settings.kafka, meaning, clock, only=only, tell=invocation.say)
        )
        _show_compared(compared, meaning, format_)
        click.get_current_context().exit(1 if any(one.faults for one in compared) else 0)
    frozen = asyncio.run(freezing.freeze(settings.kafka, meaning, clock, only=only, tell=invocation.say))
    if format_ == "json":
        print_json([{**_period(one.period), "rows": one.rows} for one in frozen])
        return
    for one in frozen:
        click.echo(f"{one.period}: {one.rows} rows")
    if not frozen:
        invocation.say("Nothing to freeze: what is due is frozen.")


def _show_compared(compared: "list[Compared]", meaning: "Meaning", format_: str) -> None:
    if format_ == "json":
        print_json(
            [
                {
                    **_period(one.freeze.period),
                    "rows": one.rows,
                    "settings_changed": one.settings_changed,
                    "differences": [_difference(each, meaning) for each in one.differences],
                }
                for one in compared
            ]
        )
        return
    for one in compared:
        faults, others = len(one.faults), len(one.differences) - len(one.faults)
        words = f"{faults} of {one.rows} figures differ" if faults else f"all {one.rows} figures agree"
        words += f", {others} are of another definition version" if others else ""
        words += "; the configuration has changed since" if one.settings_changed else ""
        click.echo(f"{one.freeze.period}: {words}")
        for each in one.differences:
            click.echo("  " + _in_words(_difference(each, meaning)))


def _period(period: "Period") -> dict[str, Any]:
    return {"kind": period.kind, "start": period.start.isoformat(), "end": period.end.isoformat()}


def _difference(each: "Difference", meaning: "Meaning") -> dict[str, Any]:
    row = each.row
    return {
        "kpi": row.kpi,
        "reading": row.reading,
        "by": dict(row.by),
        "reported": _side(each.kept, meaning),
        "recomputed": _side(each.again, meaning),
        "compared": each.is_fault,
    }


def _side(row: "Row | None", meaning: "Meaning") -> dict[str, Any] | None:
    if row is None:
        return None
    from aggregators.render import Renderer

    render = Renderer(meaning)
    units = render.units(row)
    numbers = (row.value, row.numerator, row.denominator)
    return {
        "definition_version": row.definition_version,
        **{
            name: render.unrounded(number, unit)
            for name, number, unit in zip(("value", "numerator", "denominator"), numbers, units, strict=True)
        },
        "unit": row.unit,
        "samples": row.samples,
    }


def _in_words(difference: dict[str, Any]) -> str:
    group = "".join(f" {name}={label}" for name, label in difference["by"].items())
    sides = []
    for name in ("reported", "recomputed"):
        side = difference[name]
        if side is None:
            sides.append(f"{name} without a row")
            continue
        of = f" ({side['numerator']} / {side['denominator']})" if side["denominator"] is not None else ""
        value = "no sample" if side["value"] is None else f"{side['value']} {side['unit']}"
        sides.append(f"{name} {value}{of}, version {side['definition_version']}")
    return f"{difference['kpi']} {difference['reading']}{group}: {'; '.join(sides)}"
