"""What the documentation says is what the program has."""

from pathlib import Path

from dealpulse.cli import COMMANDS
from dealpulse.config_page import page

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_of_settings_is_current() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text("utf-8")

    assert written == page(), "run: make docs"


def test_every_setting_says_what_it_means() -> None:
    from dealpulse.config import all_keys

    silent = [key.dotted for key in all_keys() if not key.description and key.path[-1] != "<name>"]

    assert [key for key in silent if not key.endswith(".kind")] == []


def test_every_command_is_in_the_documentation() -> None:
    text = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs").glob("*.md"))
    text += (ROOT / "README.md").read_text("utf-8")

    assert [name for name in COMMANDS if f"dealpulse {name}" not in text] == []
