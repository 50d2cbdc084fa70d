"""A worker that dies where it is told to: `python -m tests.chaos.launcher worker`.

The product knows no fault points. This module wraps its functions before it starts it, in a chaos run
alone. A file `armed` in the process's folder names a step; the process kills itself (`kill -9`) when it
next comes to it.
"""

import os
import signal
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, get_args

from dealpulse.cli import main
from streams.store import Outcome, RefusedError, Store, Stored, Switch, Write
from streams.transport import Consumer

Step = Literal[
    "before the write",
    "after the write, before the acknowledgement",
    "between acknowledgement and commit",
    "between two slices of a rewrite",
    "before the switch to a rewrite",
    "after the switch to a rewrite",
    "while a shard is loaded",
]
STEPS: Final[tuple[Step, ...]] = get_args(Step)
"""Every step of a checkpoint, of a rewrite and of taking a partition over."""
_ARMED = Path("armed")


def arm(folder: Path, step: Step) -> None:
    """Let the worker of this folder die when it next comes to a step."""
    part = folder / "armed.part"
    part.write_text(step)
    part.rename(folder / _ARMED)


def disarm(folder: Path) -> None:
    """Let it live."""
    (folder / _ARMED).unlink(missing_ok=True)


def _dies(step: Step) -> None:
    try:
        if _ARMED.read_text() != step:
            return
        _ARMED.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _wrap() -> None:
    write, push, switch, statements = Store.write, Store.push, Store.switch, Store.statements
    committable = Consumer._filter_committable_offsets

    async def written(self: Store, writes: Sequence[Write]) -> list[Outcome | RefusedError]:
        _dies("before the write")
        outcomes = await write(self, writes)
        if "written" in outcomes:
            _dies("after the write, before the acknowledgement")
        return outcomes

    async def pushed(self: Store, *arguments: Any) -> tuple[int, int]:
        done = await push(self, *arguments)
        _dies("between two slices of a rewrite")
        return done

    async def switched(self: Store, one: Switch) -> Outcome:
        _dies("before the switch to a rewrite")
        outcome = await switch(self, one)
        _dies("after the switch to a rewrite")
        return outcome

    async def loaded(self: Store, shard: str, stored: Stored) -> AsyncIterator[list[bytes]]:
        async for chunks in statements(self, shard, stored):
            _dies("while a shard is loaded")
            yield chunks

    def committed(self: Consumer, tps: Iterable[Any]) -> dict[Any, int]:
        found = committable(self, tps)
        if found:  # acknowledged to Faust by now, and not told Kafka yet
            _dies("between acknowledgement and commit")
        return found

    # mypy: each has the signature of what it wraps; assigning a function to a class is the point here
    Store.write, Store.push, Store.switch = written, pushed, switched  # type: ignore[method-assign, assignment]  # fault points exist only here
    Store.statements = loaded  # type: ignore[method-assign]  # a fault point, as above
    Consumer._filter_committable_offsets = committed  # type: ignore[method-assign]  # a fault point, as above


if __name__ == "__main__":
    _wrap()
    main()
