"""`dealpulse simulate`: into a file or a pipe, repeatable, history and what comes after."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dealpulse.cli import main
from events.reader import read


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ["simulate", "--end", "2026-11-23", "--quarters", "1", *args])


def test_the_same_seed_makes_the_same_file(tmp_path: Path) -> None:
    first, second, other = (tmp_path / name for name in ("a.jsonl.gz", "b.jsonl.gz", "c.jsonl.gz"))
    for path, seed in ((first, "5"), (second, "5"), (other, "6")):
        result = run("--seed", seed, "--out", str(path))
        assert result.exit_code == 0, result.output
        assert "Saul's Dolls: " in result.stderr

    assert first.read_bytes() == second.read_bytes() != other.read_bytes()
    events = [read(line) for line in gzip.decompress(first.read_bytes()).splitlines()]
    assert len(events) > 2_000


def test_time_after_the_history_is_written_at_once(tmp_path: Path) -> None:
    past, more = tmp_path / "past.jsonl", tmp_path / "more.jsonl"
    run("--tidy", "--out", str(past))

    assert run("--tidy", "--out", str(more), "--for", "30d").exit_code == 0
    assert more.read_text().startswith(past.read_text())
    newest = max(json.loads(line)["recordedtime"] for line in more.read_text().splitlines())
    assert newest > "2026-12-20"


def test_live_only_leaves_the_history_out(tmp_path: Path) -> None:
    out = tmp_path / "live.jsonl"

    assert (
        run(
            "--tidy",
            "--live-only",
            "--for",
            "10m",
            "--rate",
            "1",
            "--out",
            str(out),
        ).exit_code
        == 0
    )
    lines = out.read_text().splitlines()
    assert 300 < len(lines) < 1_200
    assert min(json.loads(line)["recordedtime"] for line in lines) >= "2026-11-23T15:59"


def test_a_reader_may_leave_early() -> None:
    command = f"{sys.executable} -m dealpulse simulate --out - | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False, timeout=60)

    assert read(done.stdout.strip()).source
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--out", "x", "--brokers", "b:1"], 2, "not both"),
        (["--end", "soon", "--out", "x"], 2, "--end 'soon'"),
        (["--for", "a while", "--out", "x"], 2, "is no length of time"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], code: int, told: str) -> None:
    result = run(*arguments)

    assert result.exit_code == code, result.output
    assert told in result.stderr


def test_a_kafka_that_is_away_is_one_line_and_exit_code_3() -> None:
    command = [sys.executable, "-m", "dealpulse", "simulate", "--brokers", "127.0.0.1:1", "--for", "1s"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, text=True)

    assert done.returncode == 3, done.stderr
    assert "127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
