"""Imports and simulations to real brokers: everything arrives, twice changes nothing, interrupted goes on."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dealpulse.cli import import_, main
from events.errors import BadEventError
from events.importing import Import, load_mapping
from events.keys import partition_of
from events.reader import read
from tests.events.importing.data import EXAMPLES, data_set
from tests.integration.servers import Broker
from tests.integration.traffic import Log, whole_log

DEALPULSE = [sys.executable, "-m", "dealpulse"]
MAPPING = """
source = "/salesforce/test"
full = true
[[files]]
path = "deals.csv"
[[files.events]]
type = "opportunity.changed"
subject = "id"
time = { constant = "2026-03-01T00:00:00Z" }
[files.events.data]
name = "name"
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEALPULSE, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def values(log: Log) -> list[tuple[str, bytes]]:
    return [
        (topic, record.value) for topic, parts in log.items() for found in parts.values() for record in found
    ]


def misplaced(log: Log) -> list[Any]:
    """Records that do not lie on the partition of their subject, or under another key."""
    return [
        record
        for topic, parts in log.items()
        for number, found in parts.items()
        for record in found
        if record.key != (subject := read(record.value, topic).subject.encode())
        or partition_of(subject, len(parts), "murmur2") != number
    ]


def test_the_maven_data_arrives_whole_and_a_second_import_says_the_same(
    empty_broker: Broker, tmp_path: Path
) -> None:
    folder = data_set("maven-crm")
    work = Import(folder, load_mapping(EXAMPLES / "maven-crm.toml"))
    expected = Counter((event.topic, event.value) for step in work.steps() for event in step.events)
    command = [
        "import",
        str(folder),
        "--mapping",
        str(EXAMPLES / "maven-crm.toml"),
        "--brokers",
        empty_broker.brokers,
    ]

    first = run(tmp_path, *command)
    assert first.returncode == 0, first.stderr
    log = whole_log(empty_broker.brokers)
    assert Counter(values(log)) == expected
    assert misplaced(log) == []
    assert list(tmp_path.iterdir()) == []

    assert run(tmp_path, *command).returncode == 0
    assert Counter(values(whole_log(empty_broker.brokers))) == Counter(dict.fromkeys(expected, 2))


def test_an_interrupted_import_is_taken_up_where_it_stopped(empty_broker: Broker, tmp_path: Path) -> None:
    count = 70_000
    (tmp_path / "mapping.toml").write_text(MAPPING)
    (tmp_path / "deals.csv").write_text(
        "id,name\n" + "".join(f"d{number},Deal {number}\n" for number in range(count))
    )
    command = ["import", "deals.csv", "--mapping", "mapping.toml", "--brokers", empty_broker.brokers]
    state = tmp_path / "deals.csv.import-state.json"
    with subprocess.Popen([*DEALPULSE, *command], cwd=tmp_path, stderr=subprocess.DEVNULL) as importing:
        deadline = time.monotonic() + 60
        while not state.exists() and importing.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        importing.send_signal(signal.SIGINT)
        assert importing.wait(30) == 130
    stopped_at = json.loads(state.read_text())["line"]
    assert 1 < stopped_at < count

    second = run(tmp_path, *command)

    assert second.returncode == 0, second.stderr
    assert f"taking up an interrupted import after line {stopped_at} of file 1" in second.stderr
    assert f"{count + 1 - stopped_at:,} rows ({stopped_at - 1:,} more by an earlier run)" in second.stderr
    assert "open resyncs of this source are settled on 1 topics" in second.stderr
    assert not state.exists()
    events = [read(value, topic) for topic, value in values(whole_log(empty_broker.brokers))]
    assert {event.subject for event in events} == {f"d{number}" for number in range(count)} | {"*"}


def test_an_import_whose_place_cannot_be_kept_goes_on_and_says_so_once(
    empty_broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(import_, "_SAVE_EVERY_S", 0.0)
    Path("mapping.toml").write_text(MAPPING)
    Path("deals.csv").write_text("id,name\nd1,One\nd2,Two\nd3,Three\n")
    command = ["import", "deals.csv", "--mapping", "mapping.toml", "--brokers", empty_broker.brokers]

    result = CliRunner().invoke(main, [*command, "--rejects", "no/such/folder/bad.csv"])

    assert result.exit_code == 0, result.output
    told = "no/such/folder/deals.csv.import-state.json cannot be written (No such file or directory)"
    assert result.stderr.count(told) == 1
    events = [read(value, topic) for topic, value in values(whole_log(empty_broker.brokers))]
    assert sorted(event.subject for event in events if event.subject != "*") == ["d1", "d2", "d3"]


def test_a_simulated_history_and_live_records_arrive_and_sigterm_ends_it_well(
    empty_broker: Broker, tmp_path: Path
) -> None:
    command = ["simulate", "--quarters", "1", "--rate", "100", "--poison", "--brokers", empty_broker.brokers]
    with subprocess.Popen(
        [*DEALPULSE, *command], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as simulating:
        assert simulating.stderr is not None
        told = next(line for line in simulating.stderr if "records of history" in line)
        past = int(told.split(": ")[1].split()[0].replace(",", ""))
        deadline = time.monotonic() + 30
        while len(values(whole_log(empty_broker.brokers))) < past + 50 and time.monotonic() < deadline:
            time.sleep(0.1)
        simulating.send_signal(signal.SIGTERM)
        assert simulating.wait(20) == 0
        ended = simulating.stderr.read()

    log = whole_log(empty_broker.brokers)
    assert f"{past:,} records of history and {len(values(log)) - past:,} live ones published" in ended
    assert len(values(log)) >= past + 50
    good, bad = 0, 0
    for topic, value in values(log):
        try:
            read(value, topic)
        except BadEventError:
            bad += 1
        else:
            good += 1
    assert 0 < bad < 0.01 * good
    keyed = [
        record
        for parts in log.values()
        for found in parts.values()
        for record in found
        if record.key is not None
    ]
    assert 0 < len(values(log)) - len(keyed) < 0.03 * len(keyed)


@pytest.mark.parametrize("seconds", ["0", "1s"])
def test_a_simulation_ends_by_itself_when_told_how_long(
    empty_broker: Broker, tmp_path: Path, seconds: str
) -> None:
    done = run(tmp_path, "simulate", "--quarters", "0", "--for", seconds, "--brokers", empty_broker.brokers)

    assert done.returncode == 0, done.stderr
    assert len(values(whole_log(empty_broker.brokers))) > 300
