"""The golden figures of kpi-definitions.md, as a person gets them: `dealpulse import`, then `dealpulse kpi`."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dealpulse.cli import main

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "maven-crm"
DAY_S = 86_400


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not DATA.exists():
        pytest.skip(f"{DATA} is not there")
    out = tmp_path_factory.mktemp("maven") / "events.jsonl.gz"
    mapping = ROOT / "examples" / "maven-crm.toml"
    run("import", str(DATA), "--mapping", str(mapping), "--out", str(out))
    return out


def run(*args: str) -> str:
    result = CliRunner().invoke(main, list(args), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def ask(events: Path, kpi: str, **options: str) -> list[dict[str, Any]]:
    options = {"as-of": "2017-12-31", **options}
    words = [word for name, option in options.items() for word in (f"--{name}", option)]
    config = ROOT / "examples" / "maven-crm.dealpulse.toml"
    found: list[dict[str, Any]] = json.loads(
        run("kpi", "--config", str(config), "--events", str(events), "--kpi", kpi, *words, "--json")
    )
    return found


def values(found: list[dict[str, Any]], reading: str, **by: str) -> list[Any]:
    return [row["value"] for row in found if row["reading"] == reading and row["by"] == by]


@pytest.mark.rule("golden")
def test_the_whole_of_the_data(events: Path) -> None:
    found = ask(events, "won,lost,win_rate,sales_cycle", window="all")

    assert values(found, "count") == [4_238, 2_473]
    assert values(found, "amount")[0] == "10005534.00"
    assert round(values(found, "closed_count")[0], 6) == 0.631501
    assert round(values(found, "cohort")[0], 6) == 0.481591
    assert round(values(found, "mean")[0] / DAY_S, 4) == 51.7820


@pytest.mark.rule("golden")
def test_the_quarters_of_2017(events: Path) -> None:
    found = ask(events, "won,lost,win_rate,sales_cycle", window="fiscal_quarter", periods="4")

    assert values(found, "count") == [531, 1_254, 1_257, 1_196, 116, 778, 790, 789]
    assert values(found, "amount")[:4] == ["1134672.00", "3086111.00", "2982255.00", "2802496.00"]
    assert [round(value, 4) for value in values(found, "closed_count")] == [0.8207, 0.6171, 0.6141, 0.6025]
    days = [round(value / DAY_S, 4) for value in values(found, "mean")]
    assert days == [65.6252, 51.0104, 48.8170, 49.5610]


@pytest.mark.rule("golden")
def test_created_by_quarter(events: Path) -> None:
    found = ask(events, "new_opportunities", window="fiscal_quarter", periods="5")

    assert values(found, "count") == [358, 1_619, 2_388, 2_770, 1_165]


@pytest.mark.rule("golden")
def test_the_open_deals(events: Path) -> None:
    midnight = ask(events, "stagnation,stalled", by="stage", **{"as-of": "2017-12-31T00:00:00Z"})
    end = ask(events, "open,stagnation", by="stage")

    assert values(end, "count", stage="Engaging") == [1_589]
    assert values(end, "count", stage="Prospecting") == [500]
    for found, age in ((midnight, 198.8162), (end, 199.8162)):
        assert round(values(found, "age", stage="Engaging")[0] / DAY_S, 4) == age
    assert values(midnight, "count", stage="Engaging") == [1_479]


@pytest.mark.rule("golden")
def test_two_reps(events: Path) -> None:
    found = ask(events, "win_rate", by="rep", window="fiscal_quarter", periods="4")
    closed = [row for row in found if row["reading"] == "closed_count"]
    darcel = [row for row in closed if row["by"] == {"rep": "Darcel Schlecht"}]
    rosie = [row for row in closed if row["by"] == {"rep": "Rosie Papadopoulos"}]

    assert [row["numerator"] for row in darcel] == [44, 96, 115, 94]
    assert [row["denominator"] - row["numerator"] for row in darcel] == [13, 60, 66, 65]
    third = next(row for row in rosie if row["window"]["start"] == "2017-07-01")
    assert (third["numerator"], third["denominator"], round(third["value"], 4)) == (23, 31, 0.7419)
