"""The examples of docs/gateway.md and docs/adapters.md are configurations that load."""

import re
import tomllib
from pathlib import Path

import pytest

from dealpulse.config import Settings

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLES = [
    (page, block)
    for page in ("gateway.md", "adapters.md")
    for block in re.findall(r"```toml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
]


@pytest.mark.parametrize(("page", "block"), EXAMPLES)
def test_an_example_loads(page: str, block: str) -> None:
    Settings.model_validate(tomllib.loads(block))


def test_every_kind_of_adapter_is_described() -> None:
    from typing import get_args

    from events.adapters.settings import Adapter

    page = (DOCS / "adapters.md").read_text()
    kinds = [settings.model_fields["kind"].default for settings in get_args(get_args(Adapter)[0])]
    assert len(kinds) == 6
    for kind in kinds:
        assert f"`{kind}`" in page
