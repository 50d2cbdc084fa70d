"""Each alert has one page that says what to do, and each page quotes the rule in force."""

import shlex
from pathlib import Path

import click
import pytest

from dealpulse.cli import COMMANDS, LazyGroup
from exporters import monitoring
from exporters.alerts import ALERTS, Alert
from exporters.settings import AlertSettings

RUNBOOKS = monitoring.ROOT / "monitoring/runbooks"


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


def _commands() -> list[tuple[str, list[str]]]:
    found = []
    for path in sorted(RUNBOOKS.glob("*.md")):
        block = path.read_text(encoding="utf-8").split("```sh\n")[1].split("```")[0]
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if ">" in words:
                words = words[: words.index(">")]
            if words[0] == "dealpulse":
                found.append((path.stem, words[1:]))
    return found


@pytest.mark.parametrize(
    ("page", "words"), _commands(), ids=lambda one: " ".join(one) if isinstance(one, list) else one
)
def test_a_command_of_a_page_is_one_that_dealpulse_takes(page: str, words: list[str], tmp_path: Path) -> None:
    root = LazyGroup()
    name, *rest = words
    command = root.get_command(click.Context(root), name)
    if command is None:
        assert name in COMMANDS, f"{page}: there is no command {name}"
        pytest.skip(f"dealpulse {name} is not built yet")
    (tmp_path / "export").mkdir()
    (tmp_path / "crm.toml").touch()
    rest = [str(tmp_path / word) if word in {"export/", "crm.toml"} else word for word in rest]
    context = click.Context(root)
    while isinstance(command, click.Group):
        found = command.get_command(context, rest.pop(0))
        assert found is not None, f"{page}: {words}"
        command = found
    command.make_context(name, rest, parent=context)
