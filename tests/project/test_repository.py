"""What holds for every file that is committed, and for the project as a whole."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def committed() -> list[Path]:
    """Every file that git tracks; outside a checkout there is nothing to look at."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def texts() -> dict[str, str]:
    """The committed files that are text."""
    found = {}
    for path in committed():
        try:
            found[str(path.relative_to(ROOT))] = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
    return found


def test_no_file_names_a_folder_of_one_machine() -> None:
    home = re.compile(r"(?<![\w.])/(?:home|Users|root|work|mnt)/[a-zA-Z]\w+")

    assert {name: found[0] for name, text in texts().items() if (found := home.findall(text))} == {}


def test_no_file_holds_a_package_index_or_a_credential() -> None:
    index = re.compile(r"--(?:extra-)?index-url|(?:https?://)[^/\s:@]+:[^/\s:@]+@(?!host|127|localhost)")
    allowed = {"tests/project/test_repository.py"}

    assert [name for name, text in texts().items() if name not in allowed and index.search(text)] == []


def test_the_locks_hold_hashes_for_every_dependency() -> None:
    for name in ("runtime", "dev"):
        lock = (ROOT / "requirements" / f"{name}.lock").read_text("utf-8")
        entries = re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z0-9,-]+\])?==\S+.*\\$", lock, re.MULTILINE)
        assert len(entries) == len(re.findall(r"^[a-z0-9]", lock, re.MULTILINE))
        assert lock.count("--hash=sha256:") > len(entries)
        wanted = {re.split(r"[\[=<>; ]", each)[0] for each in PROJECT["project"]["dependencies"]}
        assert wanted - set(entries) == set()


def test_the_entry_points_exist() -> None:
    from importlib.metadata import entry_points

    (transport,) = (each for each in entry_points(group="faust.transports") if each.name == "kafka-batches")
    (command,) = (each for each in entry_points(group="console_scripts") if each.name == "dealpulse")

    assert transport.value == "streams.transport:Transport"
    assert command.load().name == "main"


def test_every_make_target_has_a_line_of_help() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split()

    helped = re.findall(r"^([a-z][a-z0-9-]*):.*## ", makefile, re.MULTILINE)
    assert sorted(set(targets) - set(helped)) == ["format-check"]
    # As a person calls it, also when these tests run under make.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    listed = subprocess.run(
        ["make"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert [line.split()[1] for line in listed.splitlines()] == helped


def test_the_import_contract_is_kept() -> None:
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_the_licence_is_apache_2() -> None:
    licence = (ROOT / "LICENSE").read_text("utf-8")

    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence
    assert PROJECT["project"]["license"] == "Apache-2.0"


def test_the_wheel_holds_the_five_packages_and_their_data(tmp_path: Path) -> None:
    from zipfile import ZipFile

    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])

    names = ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "dealpulse", "events", "aggregators", "streams", "exporters",
    }  # fmt: skip
    data = {"events/py.typed", "events/schema/asyncapi.json", "exporters/runbooks/SalesDataStale.md"}
    assert data - set(names) == set()
    assert [name for name in names if "__pycache__" in name] == []
