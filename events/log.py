"""Logs: a constant event name and fields, as JSON lines on stderr, or as text on a terminal.

    log = get_logger("worker")
    log.info("checkpoint.written", topic="crm.opportunity", partition=3, offset=412)

A line that repeats (same level, component, event and fields) is written once per `FOLD_S` seconds; the
next one written says how many were folded. Fields hold ids and figures, never payloads, tokens or names
of people: bytes are shown by their length, and long texts are cut.
"""

import atexit
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

Level = Literal["debug", "info", "warning", "error"]
LEVELS: Final[tuple[Level, ...]] = ("debug", "info", "warning", "error")
FOLD_S: Final = 30.0
"""A repeated line is written at most once per this many seconds."""
_MAX_TEXT = 500
_MAX_REMEMBERED = 512

_WALL = time.time  # noqa: TID251 - a log line tells the real time, whatever DEALPULSE_CLOCK says
_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31"}


class Sink:
    """Where lines go: a stream, or (for tests) a list. Thread-safe."""

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        level: Level = "info",
        form: Literal["auto", "json", "text"] = "auto",
        colour: bool = True,
        wall: Callable[[], float] = _WALL,
    ) -> None:
        self.level, self.form, self.colour = level, form, colour
        self._stream, self._wall = stream, wall
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, int, dict[str, Any]]] = {}
        self.captured: list[dict[str, Any]] | None = None

    def write(self, level: Level, component: str, event: str, fields: dict[str, Any]) -> None:
        """Write one line, or fold it into one just like it."""
        if LEVELS.index(level) < LEVELS.index(self.level):
            return
        line = {"level": level, "event": event, "component": component}
        line |= {name: _plain(value) for name, value in fields.items() if value is not None}
        with self._lock:
            if self.captured is not None:
                self.captured.append(line)
                return
            if (folded := self._folded(line)) is not None:
                self._emit(line | ({"repeated": folded} if folded else {}))

    def flush(self) -> None:
        """Write what was folded and not yet told."""
        with self._lock:
            for _, count, line in self._seen.values():
                if count:
                    self._emit(line | {"repeated": count})
            self._seen.clear()

    def _folded(self, line: dict[str, Any]) -> int | None:
        """How many lines like it were folded before this one; None if it is folded itself."""
        key = json.dumps(line, sort_keys=True)
        now = self._wall()
        first, count, _ = self._seen.get(key, (None, 0, line))
        if first is not None and 0 <= now - first < FOLD_S:
            self._seen[key] = (first, count + 1, line)
            return None
        self._seen.pop(key, None)  # so that the oldest stands first
        self._seen[key] = (now, 0, line)
        if len(self._seen) > _MAX_REMEMBERED:
            _, untold, oldest = self._seen.pop(next(iter(self._seen)))
            if untold:
                self._emit(oldest | {"repeated": untold})
        return count

    def _emit(self, line: dict[str, Any]) -> None:
        stream = self._stream or sys.stderr
        ts = (
            datetime.fromtimestamp(self._wall(), UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
        try:
            if self.form == "json" or (self.form == "auto" and not stream.isatty()):
                stream.write(json.dumps({"ts": ts} | line, ensure_ascii=False) + "\n")
            else:
                stream.write(self._text(ts, line) + "\n")
            stream.flush()
        except (ValueError, OSError):  # a closed stderr must not end a worker
            pass

    def _text(self, ts: str, line: dict[str, Any]) -> str:
        level, event = str(line["level"]), str(line["event"])
        shown = f"{level:<7}"
        if self.colour:
            shown = f"\033[{_COLOURS[level]}m{shown}\033[0m"
        rest = " ".join(
            f"{name}={value if isinstance(value, str) and ' ' not in value else json.dumps(value, ensure_ascii=False)}"
            for name, value in line.items()
            if name not in ("level", "event", "component")
        )
        return f"{ts[11:23]} {shown} {line['component']}: {event} {rest}".rstrip()


class Logger:
    """Writes lines of one component, with fields that stand on each of them."""

    def __init__(self, component: str, **fields: Any) -> None:
        self.component, self._fields = component, fields

    def bind(self, **fields: Any) -> "Logger":
        """A logger of the same component whose lines also carry these fields."""
        return Logger(self.component, **(self._fields | fields))

    def debug(self, event: str, **fields: Any) -> None:
        """For whoever looks for a fault."""
        _sinks[-1].write("debug", self.component, event, self._fields | fields)

    def info(self, event: str, **fields: Any) -> None:
        """Something happened that is worth a line; none per record or checkpoint."""
        _sinks[-1].write("info", self.component, event, self._fields | fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Someone should look."""
        _sinks[-1].write("warning", self.component, event, self._fields | fields)

    def error(self, event: str, **fields: Any) -> None:
        """A promise of the design is at risk."""
        _sinks[-1].write("error", self.component, event, self._fields | fields)


_sinks = [Sink()]


def get_logger(component: str, **fields: Any) -> Logger:
    """The logger of a component (`worker`, `exporter`, `gateway`, …)."""
    return Logger(component, **fields)


def configure(
    *,
    level: Level = "info",
    form: Literal["auto", "json", "text"] = "auto",
    stream: TextIO | None = None,
    colour: bool = True,
    libraries: Level = "warning",
) -> None:
    """Set the level and form of all lines; what libraries log from `libraries` on becomes lines too."""
    _sinks[-1].flush()
    _sinks[-1] = Sink(stream, level=level, form=form, colour=colour)
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _LibraryHandler)]
    root.addHandler(_LibraryHandler())
    root.setLevel(libraries.upper())


@contextmanager
def captured() -> Iterator[list[dict[str, Any]]]:
    """Collect lines as dictionaries instead of writing them: for tests. Nothing is folded."""
    lines: list[dict[str, Any]] = []
    sink = Sink(level="debug")
    sink.captured = lines
    _sinks.append(sink)
    try:
        yield lines
    finally:
        _sinks.remove(sink)


class _LibraryHandler(logging.Handler):
    """Turns the records of the standard library's logging into lines, without tracebacks."""

    def emit(self, record: logging.LogRecord) -> None:
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        if record.levelno < logging.WARNING:
            level = "info" if record.levelno >= logging.INFO else "debug"
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a library's wrong format string is no reason to fail
            message = str(record.msg)
        error = record.exc_info[1] if record.exc_info else None
        _sinks[-1].write(
            level, record.name.split(".")[0], "library.said", {"message": message, "error": error}
        )


def _plain(value: Any) -> Any:
    """A field's value as JSON can hold it; bytes by their length, exceptions by type and message."""
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, BaseException):
        value = f"{type(value).__name__}: {value}"
    elif isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    elif isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    text = str(value).encode(errors="replace").decode()
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}… ({len(text)} characters)"


@atexit.register
def _flush() -> None:
    _sinks[-1].flush()
