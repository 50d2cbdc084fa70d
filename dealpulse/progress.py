"""Progress of long work on stderr: a bar on a terminal, else a line every ten seconds."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

_BAR_AFTER_S = 2.0
_REDRAW_S = 0.2
_LINE_EVERY_S = 10.0
_CELLS = 24


class Progress:
    """How much of some bytes is done, how fast, and how long it will take; quiet for the first seconds.

    `now_s` measures durations, nothing else.
    """

    def __init__(
        self,
        total_bytes: int,
        *,
        stream: TextIO | None = None,
        quiet: bool = False,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._quiet = max(1, total_bytes), quiet
        self._stream = sys.stderr if stream is None else stream
        self._bar, self._now_s = self._stream.isatty(), now_s
        self._began_s = now_s()
        self._due_s = self._began_s + (_BAR_AFTER_S if self._bar else _LINE_EVERY_S)
        self._drawn = False

    def expect(self, total_bytes: int) -> None:
        """How much there is, where that is found out on the way."""
        self._total = max(1, total_bytes)

    def show(self, done_bytes: int, events: int) -> None:
        """Tell how far it has come, if it is time to."""
        now_s = self._now_s()
        if self._quiet or now_s < self._due_s:
            return
        self._due_s = now_s + (_REDRAW_S if self._bar else _LINE_EVERY_S)
        text = self._text(min(1.0, done_bytes / self._total), events, now_s - self._began_s)
        if self._bar:
            self._drawn = True
            self._stream.write(f"\r{text}\x1b[K")
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()

    def end(self) -> None:
        """Leave the bar's line free for what comes next."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _text(self, share: float, events: int, seconds: float) -> str:
        rate = events / seconds if seconds > 0 else 0.0
        left = f", {_clock(seconds / share - seconds)} left" if share > 0 else ""
        text = f"{share:4.0%}  {events:,} events, {rate:,.0f}/s{left}"
        if not self._bar:
            return text
        full = int(share * _CELLS)
        return f"[{'#' * full}{'.' * (_CELLS - full)}] {text}"


def over_shards(progress: Progress, at_least: int = 0) -> Callable[[str, int, int], None]:
    """What a rebuild tells (shard, records folded, of at least so many), summed up for one bar.

    `at_least`: the records of all shards together, as far as they are known before.
    """
    seen: dict[str, tuple[int, int]] = {}

    def show(shard: str, records: int, of: int) -> None:
        seen[shard] = records, max(records, of)
        progress.expect(max(at_least, sum(of for _, of in seen.values())))
        done = sum(records for records, _ in seen.values())
        progress.show(done, done)

    return show


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02}"
