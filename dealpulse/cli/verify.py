"""`dealpulse verify`: recompute everything from the log and compare."""

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final

import click

from dealpulse.cli.invocation import Invocation, pass_invocation
from dealpulse.cli.output import format_option, print_json
from events.instants import instant_text

if TYPE_CHECKING:
    from streams.verify import Report

_SHARE: Final = 1 / 8
"""Of the machine's cores, and at most one of them: less shows in the latency of live numbers."""


@click.command()
@click.option(
    "--partition", "partitions", multiple=True, metavar="TOPIC/N", help="Only this one; may be repeated."
)
@click.option(
    "--sample",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    help="Only this share of the entities, such as 0.05.",
)
@click.option("--most", type=click.IntRange(1), default=20, show_default=True, help="Differences to print.")
@click.option("--brokers", help="Kafka's addresses; default: kafka.brokers.")
@click.option("--redis", "redis_url", help="Redis' address; default: redis.url.")
@click.option(
    "--fast", is_flag=True, help="Do not rest: where nothing that is live has to share the machine."
)
@format_option("text", "json")
@pass_invocation
def verify(
    invocation: Invocation, /, *, partitions: tuple[str, ...], fast: bool, format_: str, **options: Any
) -> None:
    """Recompute everything from the log and compare it with the shards in Redis.

    Each shard up to its own offset, while workers go on: every statement of every entity, the facts
    computed from them, the counts of records, and every KPI as of now, company-wide, by team and by
    rep. It takes an eighth of the machine's cores,
    and at most one, so that live numbers stay live; --fast takes one. With --partition or --sample KPIs are left out, and a success is not noted. It needs the
    configuration that the workers have. Exit code 0: no difference; 1: differences, see them;
    2: usage; 3: Kafka or Redis does not answer.

    \b
    dealpulse verify
    dealpulse verify --partition crm.opportunity/3
    dealpulse verify --sample 0.05 --json
    """
    if not fast:
        os.nice(10)  # beside workers on the same machine it shall be the one that waits
    settings = invocation.settings({"kafka.brokers": options["brokers"], "redis.url": options["redis_url"]})

    from streams.pace import resting

    with resting(1.0 if fast else _SHARE * _cores()):
        from dealpulse.progress import Progress
        from events.clock import Clock
        from streams.verify import Verification, place_of

        progress = Progress(1, quiet=invocation.quiet)

        def show(records: int, of: int) -> None:
            progress.expect(of)
            progress.show(records, records)

        verification = Verification(
            settings.kafka,
            settings.redis,
            settings.meaning,
            Clock.from_env(),
            places=[place_of(text) for text in partitions],
            sample=options["sample"],
            most=options["most"],
            show=show,
        )
        try:
            report = asyncio.run(verification.run())
        finally:
            progress.end()
    if format_ == "json":
        print_json(_document(report))
    else:
        click.echo(_text(report))
    click.get_current_context().exit(1 if report.differences.total else 0)


def _cores() -> int:
    """How many cores this process may use; all there are where the system does not tell (macOS)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _document(report: "Report") -> dict[str, Any]:
    return {
        "as_of": instant_text(report.as_of_ms * 1_000_000),
        "offsets": report.offsets,
        "compared": {
            "records": report.records,
            "entities": report.entities,
            "states": report.states,
            "kpis": report.kpis,
            "rows": report.rows,
            "road": report.road or None,
        },
        "differences": report.differences.total,
        "first_differences": [difference.document() for difference in report.differences.kept],
    }


def _text(report: "Report") -> str:
    lines = [
        f"{len(report.offsets)} shards, {report.records:,} records folded anew from the log:",
        f"  {report.entities:,} entities, statement by statement",
        f"  {report.states:,} spans of opportunities, field by field",
        f"  {report.kpis} KPIs, {report.rows:,} rows, as of {instant_text(report.as_of_ms * 1_000_000)}"
        + {"exact": ", by the exact road", "tables": ", by tables made from the log"}.get(report.road, "")
        if report.road
        else "  KPIs: not compared",
    ]
    total = report.differences.total
    if not total:
        return "\n".join([*lines, "No difference."])
    lines += [f"{total:,} differences:", *(f"  {difference}" for difference in report.differences.kept)]
    if total > len(report.differences.kept):
        lines.append(f"  and {total - len(report.differences.kept):,} more (--most)")
    return "\n".join([*lines, "`dealpulse rebuild --partition TOPIC/N` builds a shard anew from the log."])
