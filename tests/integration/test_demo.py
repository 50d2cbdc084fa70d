"""The demo as a newcomer starts it: numbers soon, the same from its dump, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from dealpulse.child import free_port, require_free

READY_S = 60.0


def start(*arguments: str, folder: Path) -> "subprocess.Popen[str]":
    environ = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-m", "dealpulse", "demo", *arguments],
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )


def until_it_shows_figures(demo: "subprocess.Popen[str]") -> None:
    assert demo.stderr is not None
    said = []
    for line in demo.stderr:
        said.append(line)
        if "true as of" in line:
            return
    raise AssertionError(f"the demo ended: {said}")


def ask(port: int, question: str) -> list[dict[str, Any]]:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/kpi?{question}", timeout=10) as answer:
                found: list[dict[str, Any]] = json.load(answer)
                return found
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ending_the_demo_leaves_no_child_no_port_and_no_file(number: signal.Signals, tmp_path: Path) -> None:
    port = free_port()
    with start("--port", str(port), folder=tmp_path) as demo:
        until_it_shows_figures(demo)
        rows = ask(port, "kpi=won,open,win_rate&by=rep")
        assert len({row["by"]["rep"] for row in rows}) >= 5
        family = children(demo.pid)
        assert len(family) >= 5
        demo.send_signal(number)
        assert demo.wait(40) == 0
    gone, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert gone
    require_free(port, wanted_by="test")
    assert not list(tmp_path.iterdir())


def test_the_dump_gives_the_figures_that_were_shown(tmp_path: Path) -> None:
    port = free_port()
    dump = tmp_path / "events.jsonl.gz"
    as_of = "2026-06-30"
    with start("--port", str(port), "--dump", str(dump), folder=tmp_path) as demo:
        until_it_shows_figures(demo)
        shown = ask(port, f"kpi=won,created,win_rate,sales_cycle&by=rep&as_of={as_of}")
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(60) == 0
    command = [
        sys.executable,
        "-m",
        "dealpulse",
        "kpi",
        "--events",
        str(dump),
        "--as-of",
        as_of,
        "--by",
        "rep",
    ]
    done = subprocess.run(
        [*command, "--kpi", "won,created,win_rate,sales_cycle", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == shown


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with start("--port", "0", "--for", "0s", folder=tmp_path) as demo:
        demo.kill()
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with start("--port", str(port), folder=tmp_path) as demo:
            assert demo.wait(20) == 2  # as of every listen address that cannot be had
            assert demo.stderr is not None
            said = demo.stderr.read().strip().splitlines()
    assert "cannot be used" in said[-1]
    assert "Traceback" not in "\n".join(said)


def test_a_redis_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with start("--port", "0", "--redis", f"redis://127.0.0.1:{free_port()}/0", folder=tmp_path) as demo:
        assert demo.wait(20) == 3
        assert demo.stderr is not None
        said = demo.stderr.read().strip().splitlines()
    assert said[-1].startswith("Error: Redis does not answer at the address of --redis")


def test_a_dump_that_cannot_be_written_is_told_before_anything_starts(tmp_path: Path) -> None:
    with start("--port", "0", "--dump", "no/such/folder.jsonl", folder=tmp_path) as demo:
        assert demo.wait(20) == 2
        assert demo.stderr is not None
        said = demo.stderr.read()
    assert said == "Error: no/such/folder.jsonl cannot be written: No such file or directory.\n"
