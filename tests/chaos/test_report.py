"""The blocks of docs/reliability.md come from records, and a soak that grows is not called flat."""

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.report import BLOCKS, PAGE, chaos, outage, replaced, rewrite
from tests.chaos.run import together
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


def test_rounds_add_up_to_one_record_and_one_table() -> None:
    def one_round(kind: str, recovery_s: float, differences: int) -> dict[str, Any]:
        compared = {"records": 10, "entities": 4, "states": 5, "kpis": 31, "rows": 7, "road": "tables"}
        return {
            "started": "2026-11-25T22:52:00Z",
            "seed": 1,
            "rate": 5_000,
            "seconds": 60,
            "machine": MACHINE,
            "sent": dict.fromkeys(
                ("acknowledged", "poison", "twice", "late", "misplaced", "skewed", "large"), 3
            ),
            "notes": {"seen": 1},
            "every_fault": [{"kind": kind, "recovery_s": recovery_s}],
            "proof": {
                "verify": {"compared": compared, "differences": differences},
                "counts": {"applied": 9, "dead_lettered": 1},
                "records": 10,
                "answers": {"kpis": 31, "rows": 6, "differences": 0},
            },
        }

    found = together([one_round("kill", 1.0, 0), one_round("kill", 3.0, 2)])

    assert (found["rounds"], found["faults"], found["seconds"], found["notes"]) == (2, 2, 120, {"seen": 2})
    assert found["proof"]["verify"]["compared"]["kpis"] == 31
    text = chaos(found)
    assert "2 faults in 2.0 minutes at 5,000 records/s, in 2 rounds, each on fresh servers; 6 records" in text
    assert "| kill | 2 | 2.0 s | 3.0 s | 2 |" in text
    assert "After each round: `dealpulse verify` compared 20 records, 8 entities in all, 31 KPIs" in text
