"""The examples that show output are run, and print what the pages say."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = str(Path(sys.executable).parent / "dealpulse")


def examples(page: str) -> list[tuple[str, str]]:
    """`(command, output)` of the blocks of a page that show the output of dealpulse, in their order."""
    text = (ROOT / page).read_text("utf-8")
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        pairs = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
        if any(output for _, output in pairs) and all(
            ".venv/bin/dealpulse " in command for command, _ in pairs
        ):
            found += pairs
    return found


@pytest.mark.parametrize("page", ["README.md", "README.zh-TW.md"])
def test_every_example_prints_what_the_page_says(page: str, tmp_path: Path) -> None:
    pairs = examples(page)
    assert pairs

    for command, output in pairs:
        words = [PROGRAM if word == ".venv/bin/dealpulse" else word for word in shlex.split(command)]
        done = subprocess.run(
            words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        printed = [line.rstrip() for line in done.stdout.splitlines()]
        assert (done.returncode, printed) == (0, output.splitlines()), command
