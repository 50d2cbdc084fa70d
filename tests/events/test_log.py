import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from events import log
from events.log import Sink, captured, configure, get_logger


class Stream(io.StringIO):
    def __init__(self, *, tty: bool = False) -> None:
        super().__init__()
        self.tty = tty

    def isatty(self) -> bool:
        return self.tty

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


class Wall:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def configured() -> Iterator[Stream]:
    stream = Stream()
    root = logging.getLogger()
    handlers, level, sink = root.handlers[:], root.level, log._sinks[-1]
    configure(stream=stream)
    yield stream
    root.handlers, log._sinks[-1] = handlers, sink
    root.setLevel(level)


def test_a_line_is_json_with_the_event_first_and_its_fields_after(configured: Stream) -> None:
    get_logger("worker", topic="crm.opportunity").info(
        "checkpoint.written", partition=3, offset=412, trace_id=None
    )

    (line,) = configured.lines
    assert list(line) == ["ts", "level", "event", "component", "topic", "partition", "offset"]
    assert line["ts"].endswith("Z")
    assert (line["level"], line["event"], line["offset"]) == ("info", "checkpoint.written", 412)


def test_on_a_terminal_a_line_is_text() -> None:
    stream = Stream(tty=True)
    Sink(stream, colour=False, wall=Wall()).write("warning", "worker", "kafka.away", {"error": "no route"})

    assert stream.getvalue() == '13:46:40.000 warning worker: kafka.away error="no route"\n'


def test_repeats_are_folded_and_told_with_the_next() -> None:
    stream, wall = Stream(), Wall()
    sink = Sink(stream, wall=wall)
    for _ in range(5):
        sink.write("warning", "worker", "kafka.away", {"broker": "a:1"})
    wall.now += log.FOLD_S
    sink.write("warning", "worker", "kafka.away", {"broker": "a:1"})

    assert [line.get("repeated") for line in stream.lines] == [None, 4]


def test_what_was_folded_is_told_at_the_end() -> None:
    stream = Stream()
    sink = Sink(stream, wall=Wall())
    for _ in range(3):
        sink.write("info", "worker", "a", {})
    sink.flush()

    assert [line.get("repeated") for line in stream.lines] == [None, 2]


def test_many_different_lines_do_not_fill_the_memory() -> None:
    sink = Sink(Stream(), wall=Wall())
    for i in range(2_000):
        sink.write("info", "worker", "a", {"i": i})

    assert len(sink._seen) <= 512


def test_payloads_are_shown_by_length_and_long_texts_are_cut() -> None:
    with captured() as lines:
        get_logger("worker").info(
            "a", value=b"secret", text="x" * 9_999, many={1, 2}, error=ValueError("bad \ud800")
        )

    assert lines[0]["value"] == "<6 bytes>"
    assert len(lines[0]["text"]) < 600
    assert lines[0]["error"] == "ValueError: bad ?"


def test_a_level_below_the_one_set_is_not_written(configured: Stream) -> None:
    get_logger("worker").debug("a")

    assert configured.lines == []


def test_what_libraries_warn_of_becomes_a_line_without_traceback(configured: Stream) -> None:
    try:
        raise OSError("refused")
    except OSError:
        logging.getLogger("aiokafka.client").exception("cannot reach %s", "a:1")
    logging.getLogger("aiokafka.client").info("chatter")

    (line,) = configured.lines
    assert (line["level"], line["component"]) == ("error", "aiokafka")
    assert (line["message"], line["error"]) == ("cannot reach a:1", "OSError: refused")


def test_a_closed_stderr_does_not_end_the_process() -> None:
    stream = Stream()
    stream.close()

    Sink(stream).write("error", "worker", "a", {})
