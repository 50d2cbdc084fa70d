"""Where the public data sets are, if they are."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[4] / "shared" / "data"
EXAMPLES = Path(__file__).parents[3] / "examples"


def data_set(name: str) -> Path:
    """The folder of a data set; the test is skipped where it is not there."""
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"needs the data set {name} in ../shared/data")
    return folder
