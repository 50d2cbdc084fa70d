"""`dealpulse kpi` and `dealpulse explain`: from files, and from an exporter."""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from dealpulse.cli import main
from events.canonical import encode
from tests.aggregators.told import opp, rate, told

CONFIG = """
[company]
currency = "USD"
[[pipelines.default.stages]]
name = "Proposal"
[[pipelines.default.stages]]
name = "Won"
kind = "won"
[[pipelines.default.stages]]
name = "Lost"
kind = "lost"
"""
EVENTS = (
    told("employee", "ann", "2026-01-01", hired_on="2026-01-01", role="sales", team="North"),
    rate("EUR/USD", "2026-02-10", "1.25"),
    opp("a", "2026-01-05", stage="Proposal", owner_id="ann", name="Acme 玩具"),
    opp("a", "2026-02-10", stage="Won", amount="100", currency="EUR"),
    opp("b", "2026-02-11", stage="Lost", owner_id="bob"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dealpulse.toml").write_text(CONFIG, encoding="utf-8")
    lines = [encode(event) + b"\n" for event in EVENTS]
    (tmp_path / "first.jsonl").write_bytes(b"".join(lines[:3]))
    (tmp_path / "rest.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines[3:])))
    return tmp_path


def run(*args: str, **environ: str) -> Result:
    return CliRunner().invoke(main, list(args), env=environ, catch_exceptions=False)


def ask(folder: Path, command: str, *args: str) -> Result:
    files = ("--events", str(folder / "first.jsonl"), str(folder / "rest.jsonl.gz"))
    return run(command, "--config", str(folder / "dealpulse.toml"), *files, *args)


def as_json(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.rule("answer")
def test_files_are_answered_without_a_server(folder: Path) -> None:
    found = as_json(
        ask(folder, "kpi", "--kpi", "win_rate,won", "--by", "rep,team", "--as-of", "2026-03-31", "--json")
    )
    closed = [row for row in found if row["reading"] == "closed_count"]
    assert [(row["by"], row["value"]) for row in closed] == [
        ({"rep": "ann", "team": "North"}, 1),
        ({"rep": "bob", "team": "unassigned"}, 0),
    ]
    assert [row["value"] for row in found if row["kpi"] == "won"] == [1, "125.00"]


def test_all_kpis_are_asked_where_none_is_named(folder: Path) -> None:
    names = {row["kpi"] for row in as_json(ask(folder, "kpi", "--as-of", "2026-03-31", "--json"))}
    assert names >= {"won", "win_rate", "stagnation", "acv", "churn", "waterfall"}


@pytest.mark.rule("answer")
def test_a_table_and_csv_show_the_same_figures(folder: Path) -> None:
    args = ("--kpi", "won", "--window", "2026-02-01..2026-02-28", "--as-of", "2026-03-31")
    table = ask(folder, "kpi", *args)
    (count, amount) = csv.DictReader(io.StringIO(ask(folder, "kpi", *args, "--format", "csv").stdout))

    assert "125.00 USD" in table.stdout
    assert "as of 2026-03-31T23:59:59.999+00:00" in table.stdout
    assert (count["value"], amount["value"], amount["start"]) == ("1", "125.00", "2026-02-01")


def test_the_list_names_every_kpi_with_its_readings(folder: Path) -> None:
    found = {each["kpi"]: each for each in as_json(run("kpi", "--list", "--json"))}
    assert found["win_rate"]["readings"][0]["reading"] == "closed_count"
    assert found["win_rate"]["title"]["zh-TW"] == "轉換率(贏率)"
    assert "stagnation, age, time_in_stage" in run("kpi", "--list").stdout


@pytest.mark.rule("answer")
@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--kpi", "won", "--by", "colour"), "it can by rep, team, manager"),
        (("--kpi", "won", "--window", "quarter"), "fiscal_quarter"),
        (("--kpi", "wonn"), "Did you mean 'won'?"),
        (("--kpi", "won", "--as-of", "today"), "neither a day such as"),
    ],
)
def test_a_wrong_question_is_exit_code_2_and_says_what_there_is(
    folder: Path, args: tuple[str, ...], said: str
) -> None:
    result = ask(folder, "kpi", *args)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_missing_file_is_exit_code_2_and_named(folder: Path) -> None:
    result = run("kpi", "--events", str(folder / "none.jsonl"), "--kpi", "won")
    assert result.exit_code == 2
    assert "none.jsonl cannot be read" in result.stderr


def test_a_kpi_in_the_place_of_a_file_is_told_where_it_belongs() -> None:
    result = run("kpi", "win_rate")
    assert result.exit_code == 2
    assert "dealpulse kpi --kpi win_rate" in result.stderr


def test_lines_that_are_no_events_are_told_and_the_rest_is_answered(folder: Path) -> None:
    with (folder / "first.jsonl").open("ab") as file:
        file.write(b'{"specversion": "1.0"}\nnot json\n')
    result = ask(folder, "kpi", "--kpi", "won", "--as-of", "2026-03-31", "--json")

    assert json.loads(result.stdout)[0]["value"] == 1
    assert result.exit_code == 1
    assert "2 lines are no events" in result.stderr
    assert "first.jsonl, line 4: invalid_envelope" in result.stderr


def test_explain_lists_the_records_and_tells_a_story(folder: Path) -> None:
    found = as_json(
        ask(folder, "explain", "win_rate", "--where", "team=North", "--as-of", "2026-03-31", "--json")
    )
    assert [each["name"] for each in found["records"]["list"]] == ["Acme 玩具"]
    text = ask(
        folder, "explain", "won", "--reading", "amount", "--as-of", "2026-03-31", "--against", "2026-02-01"
    )
    assert "moved from 0.00 USD" in text.stdout
    story = ask(folder, "explain", "--entity", "a", "--as-of", "2026-03-31")
    assert "stage = Won" in story.stdout
    assert ask(folder, "explain").exit_code == 2


class Exporter(BaseHTTPRequestHandler):
    """Repeats what it was asked, or refuses."""

    asked: ClassVar[list[tuple[str, dict[str, list[str]]]]] = []

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        parameters = parse_qs(url.query)
        self.asked.append((url.path, parameters))
        code, body = 200, json.dumps([])
        if parameters.get("by") == ["colour"]:
            code, body = 400, json.dumps({"title": "No", "detail": "cannot be split by 'colour'"})
        if parameters.get("by") == ["rep"]:
            code, body = 503, "no complete merge yet"
        self.send_response(code)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@pytest.fixture
def exporter() -> Iterator[str]:
    Exporter.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.rule("answer")
def test_without_files_the_exporter_is_asked_under_the_same_names(exporter: str) -> None:
    listen = {"DEALPULSE_EXPORTER__LISTEN": exporter}
    result = run("kpi", "--kpi", "won", "--as-of", "2026-03-31", "--periods", "4", "--json", **listen)

    assert as_json(result) == []
    assert Exporter.asked == [("/api/kpi", {"kpi": ["won"], "as_of": ["2026-03-31"], "periods": ["4"]})]
    refused = run("kpi", "--by", "colour", **listen)
    assert (refused.exit_code, refused.stderr) == (2, "Error: cannot be split by 'colour'\n")
    failed = run("kpi", "--by", "rep", **listen)
    assert (failed.exit_code, "answered 503: no complete merge yet" in failed.stderr) == (3, True)


def test_an_exporter_that_does_not_answer_is_exit_code_3() -> None:
    result = run("kpi", "--kpi", "won", DEALPULSE_EXPORTER__LISTEN="127.0.0.1:1")

    assert result.exit_code == 3
    assert "no exporter answers at 127.0.0.1:1" in result.stderr
