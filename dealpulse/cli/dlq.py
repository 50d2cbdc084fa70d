"""`dealpulse dlq`: the dead letters."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dealpulse.cli.invocation import Invocation, pass_invocation
from dealpulse.cli.output import format_option, print_json
from events.errors import UsageError
from events.instants import instant_text, time_ns
from events.topics import TOPICS

if TYPE_CHECKING:
    from streams.deadletters import DeadLetter
    from streams.letterbox import Choice, Letterbox

Done = TypeVar("Done")


def chosen(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose among dead letters."""
    for option in reversed(
        (
            click.argument("names", nargs=-1, metavar="[TOPIC/PARTITION/OFFSET]..."),
            click.option("--topic", "topics", multiple=True, help="Only of these."),
            click.option("--reason", "reasons", multiple=True, help="Only these, such as invalid_data."),
            click.option("--since", help="Appended at or after this instant (RFC 3339)."),
            click.option("--until", help="Appended before this instant."),
            click.option("--brokers", help="Kafka's addresses; default: kafka.brokers."),
            click.option("--redis", "redis_url", help="Redis' address; default: redis.url."),
        )
    ):
        command = option(command)
    return command


@click.group()
def dlq() -> None:
    """List, show, replay or drop dead letters: records that are no events.

    Each is named by the topic, partition and offset of the record it was.
    """


@dlq.command("list")
@chosen
@click.option("--all", "every", is_flag=True, help="Also those that were replayed or dropped.")
@format_option("text", "json")
@pass_invocation
def list_(invocation: Invocation, /, *, every: bool, format_: str, **options: Any) -> None:
    """List dead letters, oldest first: name, time, reason, and what is wrong in words.

    With --json one line each.

    \b
    dealpulse dlq list --topic crm.opportunity --reason invalid_data --since 2026-11-23T00:00:00Z
    """
    letters = _run(
        invocation,
        options,
        lambda box, choice, topics: box.letters(choice, topics, bare=True),
        every=every,
    )
    for letter, fate in letters:
        if format_ == "json":
            click.echo(json.dumps(_listed(letter) | {"state": fate}, ensure_ascii=False))
        else:
            state = "" if fate == "waiting" else click.style(f"  ({fate})", dim=True)
            click.echo(f"{letter.name}  {_instant(letter)}  {letter.reason}: {letter.message}{state}")
    invocation.say(f"{len(letters)} dead letters")


@dlq.command()
@chosen
@format_option("text", "json")
@pass_invocation
def show(invocation: Invocation, /, *, format_: str, **options: Any) -> None:
    """Show dead letters whole: the reason in words with the field's path, and the original bytes.

    Bytes that are no text are shown as base64.

    \b
    dealpulse dlq show crm.opportunity/2/4711
    """
    letters = _run(invocation, options, lambda box, choice, topics: box.letters(choice, topics), every=True)
    whole = [_listed(letter) | {"state": fate} | _original(letter) for letter, fate in letters]
    if format_ == "json":
        print_json(whole)
        return
    for each in whole:
        for key, value in each.items():
            click.echo(f"{key + ':':<14}{value}")
        click.echo()


@dlq.command()
@chosen
@click.option("--all", "every", is_flag=True, help="All that wait.")
@format_option("text", "json")
@pass_invocation
def replay(invocation: Invocation, /, *, every: bool, format_: str, **options: Any) -> None:
    """Publish dead letters again to their topic, with their key and bytes, after a fix.

    One that is still no event comes back as a new dead letter. Replaying one twice changes nothing, as
    an event that is known already changes nothing.

    \b
    dealpulse dlq replay --reason unknown_type
    dealpulse dlq replay crm.opportunity/2/4711
    """
    _require_choice(options, every=every)

    async def replayed(box: "Letterbox", choice: "Choice", topics: tuple[str, ...]) -> Any:
        letters = await box.letters(choice, topics)
        return await box.replay([letter for letter, _ in letters])

    # By name also what was replayed or dropped before; otherwise what waits.
    done, without_value = _run(invocation, options, replayed, every=bool(options["names"]))
    if format_ == "json":
        print_json(
            {
                "replayed": [letter.name for letter in done],
                "too_large": [letter.name for letter in without_value],
            }
        )
    for letter in without_value:
        invocation.say(f"{letter.name}: too large for its dead letter topic; only the log still holds it")
    invocation.say(f"{len(done)} replayed")
    click.get_current_context().exit(1 if without_value else 0)


@dlq.command()
@chosen
@click.option("--all", "every", is_flag=True, help="All that wait.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@format_option("text", "json")
@pass_invocation
def drop(invocation: Invocation, /, *, every: bool, yes: bool, format_: str, **options: Any) -> None:
    """Count dead letters no more as waiting. Their bytes stay in Kafka, and `--all` lists them.

    \b
    dealpulse dlq drop --reason malformed --until 2026-11-01T00:00:00Z --yes
    """
    _require_choice(options, every=every)
    letters = [
        letter
        for letter, _ in _run(
            invocation, options, lambda box, choice, topics: box.letters(choice, topics, bare=True)
        )
    ]
    if letters and not yes:
        click.confirm(f"Drop {len(letters)} dead letters?", abort=True, err=True)

    async def dropped(box: "Letterbox", _choice: "Choice", _topics: tuple[str, ...]) -> None:
        await box.settle(letters, "dropped")

    _run(invocation, options, dropped)
    if format_ == "json":
        print_json({"dropped": [letter.name for letter in letters]})
    invocation.say(f"{len(letters)} dropped")


def _run(
    invocation: Invocation,
    options: dict[str, Any],
    deed: "Callable[[Letterbox, Choice, tuple[str, ...]], Awaitable[Done]]",
    *,
    every: bool = False,
) -> Done:
    """Do something with the letterbox and the choice that the options make."""
    settings = invocation.settings({"kafka.brokers": options["brokers"], "redis.url": options["redis_url"]})

    from events.adapters.settings import connect_topics
    from streams.letterbox import Choice, Fate, Letterbox

    fates: frozenset[Fate] = frozenset({"waiting"})
    choice = Choice(
        names=frozenset(options["names"]),
        reasons=frozenset(options["reasons"]),
        since_ms=_ms("--since", options["since"]),
        until_ms=_ms("--until", options["until"]),
        fates=fates | {"replayed", "dropped"} if every else fates,
    )

    topics = _topics(options["topics"], (*TOPICS, *connect_topics(settings.adapters)))

    async def run() -> Done:
        box = Letterbox(settings.kafka, settings.redis)
        try:
            return await deed(box, choice, topics)
        finally:
            await box.close()

    return asyncio.run(run())


def _topics(wanted: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """The topics that are meant: those of entities, and the Connect topics that adapters translate."""
    for topic in wanted:
        if topic not in known:
            raise UsageError(f"--topic: {topic!r} has no dead letters. There are {', '.join(known)}")
    return wanted or known


def _require_choice(options: dict[str, Any], *, every: bool) -> None:
    if not every and not any(options[name] for name in ("names", "topics", "reasons", "since", "until")):
        raise UsageError(
            "which dead letters? Name them (crm.opportunity/2/4711), choose by --topic, --reason, --since or "
            "--until, or say --all"
        )


def _ms(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return time_ns(text) // 1_000_000
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def _instant(letter: "DeadLetter") -> str:
    from events.event import EPOCH_UNIX_S

    return instant_text((letter.recorded_unix_ms - EPOCH_UNIX_S * 1000) * 1_000_000)


def _listed(letter: "DeadLetter") -> dict[str, Any]:
    return {
        "name": letter.name,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "appended_at": _instant(letter),
        "reason": letter.reason,
        "message": letter.message,
    }


def _original(letter: "DeadLetter") -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, content in (("key", letter.key), ("value", letter.value)):
        try:
            shown[name] = None if content is None else content.decode()
        except UnicodeDecodeError:
            assert content is not None
            shown[f"{name}_base64"] = base64.b64encode(content).decode()
    shown["headers"] = {name: value.decode(errors="replace") for name, value in letter.headers}
    return shown
