"""The blocks of docs/reliability.md come from records, and a soak that grows is not called flat."""

from pathlib import Path

import pytest

from tests.chaos.report import BLOCKS, PAGE, outage, replaced, rewrite
from tests.chaos.soak import judge

MACHINE = {"cores": 2, "python": "3.11.2", "system": "Linux"}
OUTAGE = {
    "machine": MACHINE,
    "session_timeout_s": 8.0,
    "rate": 1_000,
    "outage_s": {"left dead": {"p50": 8.2, "max": 9.1, "all": [8.2, 9.1]}},
}


def test_the_page_has_a_place_for_every_record() -> None:
    text = PAGE.read_text("utf-8")
    for name in BLOCKS:
        assert "anew\n" in replaced(text, name, "anew\n")


def test_a_block_is_replaced_and_the_rest_left_alone() -> None:
    before = "a\n<!-- outage: generated -->\nold\n<!-- outage: end -->\nb\n"

    after = replaced(before, "outage", outage(OUTAGE))

    assert after.startswith("a\n<!-- outage: generated -->\nAt default settings")
    assert "| left dead | 2 | 8.2 s | 9.1 s |" in after
    assert after.endswith("<!-- outage: end -->\nb\n")
    assert replaced(after, "outage", outage(OUTAGE)) == after


def test_a_page_without_the_marks_is_said() -> None:
    with pytest.raises(ValueError, match="outage: generated"):
        replaced("nothing", "outage", "x")


def test_blocks_without_a_record_stay(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text("utf-8"), "utf-8")

    assert rewrite(page, tmp_path) == []
    assert page.read_text("utf-8") == PAGE.read_text("utf-8")


def test_only_what_stays_is_flat() -> None:
    at_s = [float(n) for n in range(100)]
    noise = [100 + n % 3 for n in range(100)]

    assert judge(at_s, noise)["flat"]
    assert judge(at_s, [150, *noise[1:]])["flat"]  # before it has settled
    grown = judge(at_s, [100 + n / 20 for n in range(100)])
    assert not grown["flat"]
    assert grown["mb_per_hour"] == pytest.approx(180)
