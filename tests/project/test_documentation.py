"""What the documentation says is what the program has."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dealpulse.cli import COMMANDS, main
from dealpulse.config import all_keys, load
from dealpulse.config_page import page

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "monitoring" / "runbooks").glob("*.md"),
    ]
}


def command_lines(text: str) -> Iterator[list[str]]:
    """The words of each `dealpulse …` line in the examples of a page."""
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for line in re.findall(r"^\$ (.*dealpulse .*)$", block, re.MULTILINE):
            words = shlex.split(line.partition(" | ")[0], comments=True)
            while words and "=" in words[0]:
                words.pop(0)
            if words and words[0].rpartition("/")[2] == "dealpulse":
                yield [word for word in words[1:] if word != "&"]


EXAMPLES = [(name, words) for name, text in PAGES.items() for words in command_lines(text)]


def configurations() -> Iterator[tuple[str, str]]:
    """Each piece of TOML in the documentation but for those of other people's pyproject.toml."""
    for name, text in PAGES.items():
        for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL):
            if "[project" not in block:
                yield name, block


@pytest.mark.parametrize(("name", "block"), list(configurations()))
def test_every_configuration_in_the_documentation_is_a_good_one(
    name: str, block: str, tmp_path: Path
) -> None:
    (tmp_path / "dealpulse.toml").write_text(block, encoding="utf-8")

    assert load(tmp_path / "dealpulse.toml", environ={}).origins, name


def test_the_table_of_settings_is_current() -> None:
    assert PAGES["docs/configuration.md"] == page(), "run: make docs"


def test_every_setting_says_what_it_means() -> None:
    silent = [key.dotted for key in all_keys() if not key.description]

    assert [key for key in silent if not key.endswith(".kind")] == []


def test_every_command_is_in_the_documentation() -> None:
    text = "\n".join(PAGES.values())

    assert [name for name in COMMANDS if f"dealpulse {name}" not in text] == []


def promised(page: str, line: str) -> set[str]:
    """The commands that a README says are not there yet."""
    found = re.search(rf"^{line}(.*?)\n\n", PAGES[page], re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`dealpulse ([a-z]+)", found[1])) if found else set()


def test_every_command_that_the_documentation_names_exists_or_is_said_not_to() -> None:
    there = set(main.list_commands(click.Context(main)))
    named = {
        word
        for name, text in PAGES.items()
        if name != "CHANGELOG.md"
        for word in re.findall(r"`dealpulse ([a-z]+)", text)
    }
    absent = promised("README.md", "Not there yet:")

    assert absent & there == set(), "take these out of the line 'Not there yet' of the README"
    assert named - there == absent
    assert promised("README.zh-TW.md", "尚未提供:") == absent


@pytest.mark.parametrize(("name", "words"), EXAMPLES, ids=[f"{n}: {' '.join(w)}" for n, w in EXAMPLES])
def test_every_example_has_options_that_exist(name: str, words: list[str]) -> None:
    command: click.Command = main
    context = click.Context(main)
    known = {option for parameter in main.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help"}
    for word in words:
        if isinstance(command, click.Group) and not word.startswith("-"):
            found = command.get_command(context, word)
            assert found is not None, f"{name}: no command {word!r}"
            command = found
            known |= {
                option
                for parameter in command.params
                for option in (*parameter.opts, *parameter.secondary_opts)
            }
        elif word.startswith("-") and len(word) > 1:
            assert word.partition("=")[0] in known, f"{name}: {word} is no option of {' '.join(words)}"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_every_link_leads_somewhere(name: str) -> None:
    text = re.sub(r"```.*?```", "", PAGES[name], flags=re.DOTALL)
    folder = (ROOT / name).parent

    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    missing = [t for t in targets if t and "://" not in t and not (folder / t).exists()]
    assert missing == []


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {
        target
        for name, text in PAGES.items()
        for target in re.findall(r"(?:`|\$ )make (?:[A-Z]+=\S+ )?([a-z][a-z0-9-]*)", text)
    }

    assert named - targets == set()


def test_both_readmes_show_the_same_commands() -> None:
    english, chinese = (
        {tuple(words) for words in command_lines(PAGES[name])} for name in ("README.md", "README.zh-TW.md")
    )

    assert chinese <= english
    assert set(re.findall(r"`dealpulse ([a-z]+)", PAGES["README.md"])) == set(
        re.findall(r"`dealpulse ([a-z]+)", PAGES["README.zh-TW.md"])
    )
