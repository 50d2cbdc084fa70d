"""`dealpulse import`: turn history (CSV, exports, JSON Lines) into events."""

import asyncio
import csv
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dealpulse.cli.invocation import Invocation, pass_invocation
from dealpulse.cli.output import print_json
from dealpulse.progress import Progress

if TYPE_CHECKING:
    from events.importing import Import, LinesImport, Position, Refusal, Step
    from events.settings import KafkaSettings

_SAVE_EVERY_S = 2.0


@click.command("import")
@click.argument("arguments", nargs=-1, required=True, metavar="[SOURCE] PATH")
@click.option(
    "--mapping",
    "mapping_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The mapping (TOML): which columns of which files become which events.",
)
@click.option("--source", "events_source", help="The CloudEvents source; default: the mapping's.")
@click.option("--zone", help="The zone of instants that name none; default: the mapping's.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Into a file (JSON Lines, also .gz) or -."
)
@click.option("--brokers", help="Kafka's addresses; default: kafka.brokers.")
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file of refused rows; default: <PATH's name>.rejects.csv in the working folder. While an import "
    "to Kafka runs, <PATH's name>.import-state.json lies beside it, from which it can be resumed.",
)
@click.option(
    "--exported-at",
    metavar="INSTANT",
    help="When the export was made, which settles open resyncs of its source; default: its newest file's time.",
)
@click.option(
    "--restart", is_flag=True, help="From the first row, though an interrupted import could be resumed."
)
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON on stdout.")
@pass_invocation
def import_(
    invocation: Invocation,
    *,
    arguments: tuple[str, ...],
    mapping_file: Path | None,
    events_source: str | None,
    zone: str | None,
    out: Path | None,
    brokers: str | None,
    rejects: Path | None,
    exported_at: str | None,
    restart: bool,
    as_json: bool,
) -> None:
    """Turn history into events, to Kafka or into a file. Importing the same twice changes nothing.

    SOURCE says what PATH (a file or a folder) is: csv (the default, with --mapping), jsonl (events, one a
    line, also the default for .jsonl and .jsonl.gz), salesforce, hubspot, adventureworks; the last three
    bring their own mapping, which --mapping replaces.

    A row that cannot be read is refused alone, with its line and reason in the rejects file; exit code 1
    says that some were. An import to Kafka that was interrupted is taken up where it stopped.

    \b
    dealpulse import data/maven-crm --mapping examples/maven-crm.toml --out maven.jsonl.gz
    dealpulse import salesforce export/ --source /salesforce/acme --zone Asia/Taipei
    dealpulse import history.jsonl.gz --brokers localhost:9092
    """
    from events.errors import FaultFoundError, UsageError

    # An import that is told to stop is not done, whoever tells: like Ctrl-C, it tidies up and may be resumed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if out is not None and brokers is not None:
        raise UsageError("give --out or --brokers, not both")
    if as_json and str(out) == "-":
        raise UsageError("--out - and --json both write to stdout: give --out a file")
    source, path = _source_and_path(arguments)
    work = _work(source, path, mapping_file, events_source, zone, to_topics=out is None)
    rejects = rejects or Path(f"{path.resolve().name}.rejects.csv")
    progress = Progress(work.bytes_total, quiet=invocation.quiet)
    exported = _exported_at(work, exported_at)
    if out is not None:
        with _rejected_to(rejects, afresh=True) as refuse:
            settled = _write(work, out, refuse, progress, exported)
    else:
        kafka = invocation.settings({"kafka.brokers": brokers}).kafka
        place = rejects.with_name(f"{path.resolve().name}.import-state.json")
        state = _State(place, work, kafka.brokers, invocation.say)
        if restart:
            state.forget()
        after = state.position()
        if after.line:
            invocation.say(
                f"taking up an interrupted import after line {after.line} of file {after.file + 1}"
            )
        with _rejected_to(rejects, afresh=not after.line) as refuse:
            settled = asyncio.run(_publish(work, kafka, state, refuse, progress, exported))
    if as_json:
        print_json(_summary(work, settled, rejects))
    else:
        _tell(invocation, work, settled)
    if work.refused:
        raise FaultFoundError(
            f"{_rows(work.refused)} refused; {rejects} gives line and reason. "
            "Mend them and import again: what is in already stays as it is"
        )


def _source_and_path(arguments: tuple[str, ...]) -> tuple[str, Path]:
    from events.errors import UsageError
    from events.importing import SHIPPED

    sources = ("csv", "jsonl", *SHIPPED)
    match arguments:
        case (path,) if path not in sources or Path(path).exists():
            lines = path.removesuffix(".gz").endswith((".jsonl", ".ndjson"))
            return ("jsonl" if lines else "csv"), Path(path)
        case (source,):
            raise UsageError(f"{source!r} is a source, and PATH is missing: dealpulse import {source} PATH")
        case (source, path) if source in sources:
            return source, Path(path)
        case (source, _):
            raise UsageError(f"unknown source {source!r}; there are {', '.join(sources)}")
        case _:
            raise UsageError(f"{len(arguments)} arguments; expected [SOURCE] PATH")


def _work(
    source: str,
    path: Path,
    mapping_file: Path | None,
    events_source: str | None,
    zone: str | None,
    *,
    to_topics: bool,
) -> "Import | LinesImport":
    from events.errors import UsageError
    from events.importing import Import, LinesImport, load_mapping, shipped_mapping

    if not path.exists():
        raise UsageError(f"{path} does not exist: give the file or folder to import")
    if source == "jsonl":
        found = [path] if path.is_file() else sorted([*path.glob("*.jsonl"), *path.glob("*.jsonl.gz")])
        if not found:
            raise UsageError(f"{path} holds no .jsonl or .jsonl.gz file")
        if mapping_file or events_source or zone:
            raise UsageError(
                "events are taken over as they are: --mapping, --source and --zone are for tables"
            )
        return LinesImport(found, to_topics=to_topics)
    if mapping_file is not None:
        mapping = load_mapping(mapping_file, source=events_source, zone=zone)
    elif source == "csv":
        raise UsageError(
            "CSV needs --mapping FILE; examples/maven-crm.toml is one, docs/importing.md explains it"
        )
    else:
        mapping = shipped_mapping(source, source=events_source, zone=zone)
    return Import(path, mapping)


def _exported_at(work: "Import | LinesImport", given: str | None) -> str | None:
    """When the export was made, or None where it settles nothing."""
    from events.errors import UsageError
    from events.event import EPOCH_UNIX_S
    from events.importing import Import
    from events.instants import instant_text, time_ns

    if not isinstance(work, Import) or not work.mapping.full:
        if given is not None:
            raise UsageError(
                "--exported-at is for exports of everything: the mapping does not say full = true"
            )
        return None
    if given is None:
        return instant_text(int(work.exported_s() - EPOCH_UNIX_S) * 10**9)
    try:
        time_ns(given)
    except ValueError as error:
        raise UsageError(f"--exported-at {given!r}: {error}") from None
    return given


def _write(
    work: "Import | LinesImport", out: Path, refuse: "_Refuse", progress: Progress, exported_at: str | None
) -> int:
    """Everything into a file; how many topics were settled."""
    from dealpulse.event_sink import opened

    events = 0
    with opened(out) as lines:
        for step in work.steps():
            refuse(step)
            for event in step.events:
                lines.write(event.value + b"\n")
            events += len(step.events)
            progress.show(work.bytes_read, events)
        settled = _settled(work, exported_at)
        for event in settled:
            lines.write(event.value + b"\n")
    progress.end()
    return len(settled)


async def _publish(
    work: "Import | LinesImport",
    kafka: "KafkaSettings",
    state: "_State",
    refuse: "_Refuse",
    progress: Progress,
    exported_at: str | None,
) -> int:
    """Everything to Kafka, remembering how far it is acknowledged; how many topics were settled."""
    from events.bulk import Bulk
    from streams.topics import ensure

    loop = asyncio.get_running_loop()
    await asyncio.to_thread(ensure, kafka, repair=False)
    async with Bulk(kafka, client_id="dealpulse-import") as bulk:
        save_s = loop.time() + _SAVE_EVERY_S
        for number, step in enumerate(work.steps(state.position())):
            refuse(step)
            for event in step.events:
                await bulk.send(event.topic, event.key, event.value)
            if number % 200 == 0:
                await asyncio.sleep(0)  # let the client send
            if loop.time() >= save_s:
                await bulk.flush()
                state.save(step.position)
                save_s = loop.time() + _SAVE_EVERY_S
            progress.show(work.bytes_read, bulk.sent)
        await bulk.flush()
        # Only now: what settles a resync must not be known before what it vouches for.
        settled = _settled(work, exported_at)
        for event in settled:
            await bulk.send(event.topic, event.key, event.value)
    progress.end()
    state.forget()
    return len(settled)


def _settled(work: "Import | LinesImport", exported_at: str | None) -> list[Any]:
    """What ends an export of everything; nothing if a row of it is missing."""
    from events.importing import Import

    if exported_at is None or not isinstance(work, Import) or work.refused:
        return []
    return list(work.settled(exported_at))


class _State:
    """How far an import to Kafka is acknowledged, in a small file beside that of refused rows while it runs.

    Where it cannot be written the import goes on, and `say` tells once that it could not be resumed.
    """

    def __init__(
        self, path: Path, work: "Import | LinesImport", brokers: str, say: Callable[[str], None]
    ) -> None:
        self._path, self._say, self._told = path, say, False
        self._about = {"import": work.digest(), "brokers": brokers}

    def position(self) -> "Position":
        """Where an interrupted run of just this import stopped, else the start."""
        from events.importing import START, Position

        try:
            told = json.loads(self._path.read_text())
            if {key: told[key] for key in self._about} == self._about:
                return Position(int(told["file"]), int(told["line"]))
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return START

    def save(self, position: "Position") -> None:
        """Remember a position, if it can be done."""
        part = self._path.with_suffix(".part")
        try:
            part.write_text(json.dumps(self._about | position._asdict()))
            part.replace(self._path)
        except OSError as error:
            if not self._told:
                self._told = True
                self._say(
                    f"{self._path} cannot be written ({error.strerror or error}): if this import is interrupted, "
                    "it cannot be taken up where it stopped. --rejects names a file in another folder"
                )

    def forget(self) -> None:
        """The import is done, or to be done anew. Raises UsageError."""
        from events.errors import UsageError

        try:
            _removed(self._path)
        except OSError as error:
            raise UsageError(
                f"{self._path} cannot be removed: {error.strerror or error}. Remove it by hand, else an import "
                "of the same takes up where this one was"
            ) from error


def _removed(path: Path) -> None:
    # On a read-only file system even a file that is not there "cannot be removed".
    if path.exists():
        path.unlink()


class _Refuse:
    """Writes refused rows to a CSV file, which is made when the first one comes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: Any = None

    def __call__(self, step: "Step") -> None:
        """Note the refusal of a step, if there is one."""
        refusal: Refusal | None = step.refusal
        if refusal is None:
            return
        with _written(self._path):
            if self._stream is None:
                new = not self._path.exists()
                self._stream = self._path.open("a", encoding="utf-8", newline="")
                if new:
                    csv.writer(self._stream).writerow(["file", "line", "reason", "row"])
            csv.writer(self._stream).writerow([refusal.file, refusal.line, refusal.reason, refusal.text])

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._stream is not None:
            with _written(self._path):
                self._stream.close()


@contextmanager
def _rejected_to(path: Path, *, afresh: bool) -> Iterator[_Refuse]:
    refuse = _Refuse(path)
    if afresh:
        with _written(path):
            _removed(path)
    yield refuse
    refuse.close()


@contextmanager
def _written(path: Path) -> Iterator[None]:
    from events.errors import UsageError

    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def _rows(count: int) -> str:
    return "1 row was" if count == 1 else f"{count:,} rows were"


def _summary(work: "Import | LinesImport", settled: int, rejects: Path) -> dict[str, Any]:
    return {
        "files": [summary.document() for summary in work.summaries],
        "events": sum(sum(summary.events.values()) for summary in work.summaries),
        "refused": work.refused,
        "rejects": str(rejects) if work.refused else None,
        "resync_completed": settled,
    }


def _tell(invocation: Invocation, work: "Import | LinesImport", settled: int) -> None:
    for summary in work.summaries:
        events = ", ".join(
            f"{count:,} {name.removeprefix('dealpulse.')}" for name, count in sorted(summary.events.items())
        )
        before = f" ({summary.skipped:,} more by an earlier run)" if summary.skipped else ""
        invocation.say(f"{summary.name}: {summary.rows:,} rows{before}, {summary.refused:,} refused")
        invocation.say(f"  events: {events or 'none'}")
        if summary.columns_mapped:
            invocation.say(f"  columns mapped: {', '.join(summary.columns_mapped)}")
        if summary.columns_not_mapped:
            invocation.say(f"  columns not mapped: {', '.join(summary.columns_not_mapped)}")
        if summary.columns_missing:
            invocation.say(
                f"  columns that the mapping knows and the file has not: {', '.join(summary.columns_missing)}"
            )
    if settled:
        invocation.say(f"open resyncs of this source are settled on {settled} topics")
