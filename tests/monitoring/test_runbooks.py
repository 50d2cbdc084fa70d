"""Each alert has one page that says what to do, each page quotes the rule in force, and its commands work."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import pytest
import yaml
from click.testing import CliRunner

from dealpulse.child import free_port
from dealpulse.cli import LazyGroup, main
from dealpulse.doctor import _COUNTS
from exporters import monitoring
from exporters.alerts import ALERTS, Alert
from exporters.settings import AlertSettings
from tests.integration.servers import RedisServer, running
from tests.integration.traffic import make_topics

RUNBOOKS = monitoring.ROOT / "monitoring/runbooks"
SERVICES: Final[dict[str, dict[str, Any]]] = yaml.safe_load(
    (monitoring.ROOT / "docker-compose.yml").read_text(encoding="utf-8")
)["services"]

SERVERS = {"worker", "exporter", "gateway"}
"""Commands that run until they are stopped."""
FROM_THIS_HOST = {"kpi", "explain", "import", *SERVERS}
"""Commands that need no server but those whose ports the compose file opens, or none: Kafka, the exporter."""


@pytest.mark.parametrize("alert", ALERTS, ids=lambda one: one.name)
def test_a_page_says_what_it_means_what_to_do_and_when_it_ends(alert: Alert) -> None:
    page = (RUNBOOKS / f"{alert.name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {alert.name}\n\nSeverity {alert.severity}, ")
    headings = ["## What it means for sales", "## Look at first", "## Commands", "## When it resolves"]
    places = [page.index(heading) for heading in headings]
    assert places == sorted(places)
    assert f"```promql\n{alert.expression}\n```" in page
    if alert.name in AlertSettings().by_alert():
        assert f"[alerts] {alert.name} = {{" in page


def test_there_are_no_other_pages() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {alert.name for alert in ALERTS}


class Line(NamedTuple):
    """A command of a page, as the words of a shell."""

    page: str
    words: tuple[str, ...]
    service: str = ""
    """The compose service in whose container it runs; empty: on this host."""

    def __str__(self) -> str:
        return " ".join((*([self.service] if self.service else []), *self.words))


def _lines() -> Iterator[Line]:
    for path in sorted(RUNBOOKS.glob("*.md")):
        for block in path.read_text(encoding="utf-8").split("```sh\n")[1:]:
            for line in block.split("```")[0].splitlines():
                words = shlex.split(line, comments=True)
                if ">" in words:
                    words = words[: words.index(">")]
                yield _line(path.stem, words)
    for alert in ALERTS:
        for quoted in re.findall(r"`(dealpulse [^`]*)`", alert.advice):
            yield _line(alert.name, shlex.split(quoted))


def _line(page: str, words: list[str]) -> Line:
    if words[:3] != ["docker", "compose", "exec"]:
        return Line(page, tuple(words))
    service, *inside = [word for word in words[3:] if word != "-T"]
    return Line(page, tuple(inside), service)


LINES: Final = list(_lines())
DEALPULSE: Final = sorted({line.words[1:] for line in LINES if line.words[0] == "dealpulse"})


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events of the rep, the team and the deal that the pages name."""
    told = [
        ("employee", "e-9", {"hired_on": "2026-01-01", "role": "sales", "team": "North"}),
        (
            "opportunity",
            "opp-4711",
            {"stage": "Prospecting", "owner_id": "e-9", "amount": 9, "currency": "EUR"},
        ),
    ]
    path = tmp_path_factory.mktemp("runbooks") / "events.jsonl"
    lines = [
        {
            "specversion": "1.0",
            "id": subject,
            "source": "/crm",
            "type": f"dealpulse.{entity}.changed",
            "subject": subject,
            "time": "2026-01-05T00:00:00Z",
            "data": data,
        }
        for entity, subject, data in told
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def environ() -> Iterator[dict[str, str]]:
    """A system without records: Kafka's protocol and Redis answer, nothing else runs."""
    with running("tansu") as broker, RedisServer() as redis:
        make_topics(broker.brokers)
        yield {
            "DEALPULSE_KAFKA__BROKERS": broker.brokers,
            "DEALPULSE_REDIS__URL": redis.url,
            "DEALPULSE_EXPORTER__LISTEN": f"127.0.0.1:{free_port()}",
        }


@pytest.mark.parametrize("words", DEALPULSE, ids=" ".join)
def test_a_command_of_a_page_does_its_work_where_nobody_is_asked(
    words: tuple[str, ...], records: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    """Questions are put to a file, for nothing is folded here."""
    name = words[0]
    if name in SERVERS or name == "import":
        _parses(words, tmp_path)
        return
    asked = [*words, "--events", str(records)] if name in {"kpi", "explain"} else list(words)

    found = CliRunner().invoke(main, asked, env=environ)

    # Whether it found a fault (no worker runs, so no shard is there) is not what is looked at.
    assert found.exit_code in ((0, 1) if words[0] in {"doctor", "verify"} else (0,)), found.output
    assert "a fault in dealpulse itself" not in found.output


def _parses(words: tuple[str, ...], folder: Path) -> None:
    """The command takes these words: a server would not end, and an import has no files here."""
    root = LazyGroup()
    command = root.get_command(click.Context(root), words[0])
    assert command is not None, words
    (folder / "export").mkdir()
    (folder / "crm.toml").touch()
    rest = [str(folder / word) if word in {"export/", "crm.toml"} else word for word in words[1:]]
    command.make_context(words[0], rest, parent=click.Context(root))


def test_no_fix_of_the_doctor_names_a_rebuild_that_asks_what_is_meant() -> None:
    named = [count.fix for count in _COUNTS if "dealpulse rebuild" in count.fix]
    assert len(named) == 2
    for fix in named:
        (words,) = re.findall(r"dealpulse rebuild ([^;,]*)", fix)
        assert {"--yes"} < set(words.split()) & {"--yes", "--all", "--partition"}, fix


def _opens(port: str) -> bool:
    return any(opened.split(":")[1] == port for one in SERVICES.values() for opened in one.get("ports", ()))


@pytest.mark.parametrize("page", sorted({line.page for line in LINES}))
def test_with_compose_every_page_leads_to_what_it_asks(page: str) -> None:
    """Redis and workers have no port on the host there, and images hold few programs."""
    lines = [line for line in LINES if line.page == page]
    inside = {line.words[: 2 if line.words[0] == "dealpulse" else 1] for line in lines if line.service}
    for line in lines:
        program = line.words[0]
        if line.service:
            holds = {"redis-cli"} if line.service == "redis" else {"dealpulse", "python"}
            assert line.service in SERVICES, f"{page}: {line}"
            assert program in holds, f"{page}: {line}"
        elif program == "docker":
            assert set(line.words[2:]) & {*SERVICES, "ps"}, f"{page}: {line}"
        elif program == "redis-cli" or (program == "dealpulse" and line.words[1] not in FROM_THIS_HOST):
            assert line.words[: 2 if program == "dealpulse" else 1] in inside, f"{page}: {line}"
        for port in re.findall(r"localhost:(\d+)", " ".join(line.words)):
            # 8403, which no other line of the page may need: one must ask about the workers in another way.
            others = [other for other in lines if f"localhost:{port}" not in str(other)]
            assert _opens(port) or any("worker" in str(other) for other in others), f"{page}: {line}"
