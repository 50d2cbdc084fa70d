"""`dealpulse import`: into a file, refused rows, what it says, and progress."""

import gzip
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dealpulse.cli import main
from dealpulse.config import load
from dealpulse.progress import Progress
from events.reader import read
from tests.events.importing.data import EXAMPLES

MAPPING = """
source = "/import/test"
[[files]]
path = "deals.csv"
[[files.events]]
type = "opportunity.changed"
subject = "id"
time = { column = "day", instant = "%Y-%m-%d" }
[files.events.data]
stage = "stage"
"""
DEALS = "id,day,stage,note\nd1,2026-03-01,Proposal,a\nd2,soon,Proposal,b\nd3,2026-03-03,Closed Won,c\n"


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mapping.toml").write_text(MAPPING)
    Path("deals.csv").write_text(DEALS)


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ["import", *args])


def test_good_rows_become_events_and_bad_ones_are_listed() -> None:
    result = run("deals.csv", "--mapping", "mapping.toml", "--out", "out.jsonl.gz")

    assert result.exit_code == 1
    assert "1 row was refused; deals.csv.rejects.csv gives line and reason" in result.stderr
    assert "columns mapped: " in result.stderr
    assert "columns not mapped: note" in result.stderr
    events = [read(line) for line in gzip.decompress(Path("out.jsonl.gz").read_bytes()).splitlines()]
    assert [event.subject for event in events] == ["d1", "d3"]
    head, refused = Path("deals.csv.rejects.csv").read_text().splitlines()
    assert head == "file,line,reason,row"
    assert (
        refused
        == """deals.csv,3,time (column day): 'soon' is not written as %Y-%m-%d,"d2,soon,Proposal,b\""""
    )


def test_a_second_import_after_mending_leaves_no_rejects_behind() -> None:
    run("deals.csv", "--mapping", "mapping.toml", "--out", "first.jsonl")
    Path("deals.csv").write_text(DEALS.replace("soon", "2026-03-02"))

    result = run("csv", "deals.csv", "--mapping", "mapping.toml", "--out", "second.jsonl")

    assert result.exit_code == 0
    assert not Path("deals.csv.rejects.csv").exists()
    first, second = (Path(name).read_text().splitlines() for name in ("first.jsonl", "second.jsonl"))
    assert [line for line in second if line in first] == first


def test_the_summary_as_json() -> None:
    result = run(
        "deals.csv", "--mapping", "mapping.toml", "--out", "out.jsonl", "--json", "--rejects", "bad.csv"
    )

    assert json.loads(result.stdout) == {
        "files": [
            {
                "file": "deals.csv",
                "rows": 3,
                "refused": 1,
                "skipped": 0,
                "events": {"dealpulse.opportunity.changed": 2},
                "columns_mapped": ["id", "day", "stage"],
                "columns_not_mapped": ["note"],
                "columns_missing": [],
            }
        ],
        "events": 2,
        "refused": 1,
        "rejects": "bad.csv",
        "resync_completed": 0,
    }


def test_canonical_lines_are_taken_over_as_they_are() -> None:
    run("deals.csv", "--mapping", "mapping.toml", "--out", "out.jsonl")
    lines = Path("out.jsonl").read_bytes()
    Path("more.jsonl").write_bytes(lines + b"\n{not json\n" + lines)

    result = run("more.jsonl", "--out", "-")

    assert result.exit_code == 1
    assert result.stdout_bytes == lines + lines
    assert 'more.jsonl,4,"malformed: not JSON' in Path("more.jsonl.rejects.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["deals.csv"], 2, "CSV needs --mapping FILE"),
        (["nowhere"], 2, "nowhere does not exist"),
        (["salesforce"], 2, "PATH is missing: dealpulse import salesforce PATH"),
        (["excel", "deals.csv"], 2, "unknown source 'excel'; there are csv, jsonl, salesforce"),
        (["csv", "deals.csv", "more"], 2, "3 arguments; expected [SOURCE] PATH"),
        (["salesforce", "."], 2, "has no Opportunity.csv"),
        (["deals.csv", "--mapping", "mapping.toml", "--out", "a", "--brokers", "b:1"], 2, "not both"),
        (
            ["deals.csv", "--mapping", "mapping.toml", "--exported-at", "2026-01-01T00:00:00Z"],
            2,
            "full = true",
        ),
        (["deals.csv", "--mapping", "mapping.toml", "--out", "no/such/folder"], 2, "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], code: int, told: str) -> None:
    result = run(*arguments)

    assert result.exit_code == code, result.output
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_refused_rows_that_cannot_be_written_name_their_own_file() -> None:
    result = run("deals.csv", "--mapping", "mapping.toml", "--out", "out.jsonl", "--rejects", "no/bad.csv")

    assert result.exit_code == 2
    assert "no/bad.csv cannot be written: No such file or directory" in result.stderr


def test_a_kafka_that_is_away_is_one_line_and_exit_code_3() -> None:
    command = [sys.executable, "-m", "dealpulse", "import", "deals.csv", "--mapping", "mapping.toml"]
    done = subprocess.run(
        [*command, "--brokers", "127.0.0.1:1"], capture_output=True, check=False, timeout=60, text=True
    )

    assert done.returncode == 3, done.stderr
    assert "127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_left_of_a_file_whose_import_failed() -> None:
    Path("mapping.toml").write_text(MAPPING.replace('"id"', '"idd"'))

    assert run("deals.csv", "--mapping", "mapping.toml", "--out", "out.jsonl").exit_code == 2
    assert {path.name for path in Path().iterdir()} == {"deals.csv", "mapping.toml"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_import_that_is_told_to_stop_leaves_no_half_a_file(number: signal.Signals) -> None:
    Path("deals.csv").write_text("id,day,stage,note\n" + "d1,2026-03-01,Proposal,a\n" * 300_000)
    command = [sys.executable, "-m", "dealpulse", "import", "deals.csv", "--mapping", "mapping.toml"]
    with subprocess.Popen([*command, "--out", "out.jsonl"], stderr=subprocess.PIPE, text=True) as importing:
        deadline = time.monotonic() + 30
        while not list(Path().glob(".*.part")) and time.monotonic() < deadline:
            time.sleep(0.01)
        importing.send_signal(number)
        _, told = importing.communicate(timeout=30)

    assert importing.returncode == 130
    assert told.strip() == "Interrupted."
    assert {path.name for path in Path().iterdir()} == {"deals.csv", "mapping.toml"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*dealpulse.toml")), ids=lambda path: path.name)
def test_configurations_among_the_examples_are_good(path: Path) -> None:
    assert load(path).settings.pipelines


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_line_every_ten_seconds_where_there_is_no_terminal() -> None:
    stream, now = io.StringIO(), 0.0
    progress = Progress(1_000, stream=stream, now_s=lambda: now)
    for now in (1.0, 9.0, 11.0, 12.0, 22.0):
        progress.show(int(now * 10), int(now * 1_000))
    progress.end()

    assert (
        stream.getvalue()
        == " 11%  11,000 events, 1,000/s, 1:29 left\n 22%  22,000 events, 1,000/s, 1:18 left\n"
    )


def test_progress_is_a_bar_on_a_terminal_after_two_seconds() -> None:
    stream, now = Terminal(), 0.0
    progress = Progress(1_000, stream=stream, now_s=lambda: now)
    progress.show(250, 5)
    now = 2.5
    progress.show(500, 10)
    progress.end()

    assert stream.getvalue() == "\r[############............]  50%  10 events, 4/s, 0:02 left\x1b[K\r\x1b[K"
