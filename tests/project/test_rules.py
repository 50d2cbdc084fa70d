"""Every rule of docs/kpi-definitions.md, and every trap, has a test that says so: the map is read from the files."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from aggregators.kpi import DEAL_DIMENSIONS, OPEN_DEAL_DIMENSIONS
from aggregators.kpis import registry

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "kpi-definitions.md").read_text("utf-8")
TRAPS = frozenset(
    {
        "won, open, won",
        "won by mistake and deleted",
        "a merge",
        "wins and no losses",
        "an empty denominator",
        "closed at 23:30 at UTC+8 on the last day of the quarter",
        "daylight-saving night",
        "fiscal year from February",
        "4-4-5 with a 53rd week",
        "a transfer in mid-quarter",
        "rehire after 29 and 31 days",
        "a contact before the first day",
        "a referral by a customer that had already left",
        "a renewal signed late",
        "JPY, TWD and KWD",
        "an amount told before its currency",
        "a Saturday's win converted at Friday's rate",
        "two publishers with different partitioners",
        "an account merged away and its contracts kept",
        "a contract moved to another account",
        "a full statement that repeats an old expected close date",
        "a deleted deal that a late change must not revive",
    }
)
"""What is easily got wrong: each has a test by its name."""


def rules_of_the_page() -> set[str]:
    """G1 and F12 as they are numbered, K1 to K9 for the nine KPIs, the roles by their names, and the answers."""
    numbered = re.findall(r"^\| ([GF]\d+) \|", PAGE, re.MULTILINE)
    kpis = [f"K{number}" for number in re.findall(r"^(\d)\. \*\*", PAGE, re.MULTILINE)]
    roles = re.findall(
        r"^- \*\*(.+?)\*\*", PAGE.split("## What the roles look at")[1].split("## ")[0], re.MULTILINE
    )
    parts = {"golden": "## Golden figures", "answer": "## How an answer looks"}
    return {*numbered, *kpis, *roles, *(name for name, title in parts.items() if title in PAGE)}


@cache
def marked() -> dict[str, dict[str, list[str]]]:
    """Marker (`rule`, `trap`) -> what it names -> the tests that bear it."""
    found: dict[str, dict[str, list[str]]] = {"rule": defaultdict(list), "trap": defaultdict(list)}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for test in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef) and test.name.startswith("test_"):
                for marker, name in _markers(test):
                    found[marker][name].append(f"{path.relative_to(ROOT)}::{test.name}")
    return found


def _markers(test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, str]]:
    for mark in test.decorator_list:
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) in ("pytest.mark.rule", "pytest.mark.trap"):
            for argument in mark.args:
                yield ast.unparse(mark.func).rpartition(".")[2], ast.literal_eval(argument)


def test_the_page_has_all_its_rules() -> None:
    expected = (
        {f"G{n}" for n in range(1, 11)} | {f"F{n}" for n in range(1, 37)} | {f"K{n}" for n in range(1, 10)}
    )

    assert expected <= rules_of_the_page()


@pytest.mark.parametrize("rule", sorted(rules_of_the_page()))
def test_every_rule_has_a_test_that_names_it(rule: str) -> None:
    assert marked()["rule"][rule], f'mark a test that fails if {rule} is broken: @pytest.mark.rule("{rule}")'


def test_no_test_names_a_rule_that_there_is_not() -> None:
    assert set(marked()["rule"]) - rules_of_the_page() == set()


def test_every_trap_has_a_test_and_no_test_names_another() -> None:
    assert {name for name, tests in marked()["trap"].items() if tests} == TRAPS


def _named(cell: str) -> list[str]:
    return re.findall(r"`([a-z_]+)`", cell)


def answers_of_the_page() -> Iterator[tuple[str, list[str]]]:
    """Each KPI and its readings, as the table of names has them; without `goal`, whose readings are any."""
    table = PAGE.split("| `kpi` | readings (first is primary)")[1].split("\n\n")[0]
    for line in table.splitlines():
        if line.startswith("| `"):
            kpis, readings = _named(line.split("|")[1]), line.split("|")[2]
            for kpi in kpis:
                own = re.search(rf"\({kpi}: (.*?)\)", readings)
                yield kpi, _named(own[1] if own else readings.partition("(")[0])


@pytest.mark.rule("answer")
@pytest.mark.parametrize(("kpi", "readings"), [each for each in answers_of_the_page() if each[0] != "goal"])
def test_every_kpi_has_the_readings_of_the_page_the_primary_one_first(kpi: str, readings: list[str]) -> None:
    assert [reading.name for reading in registry()[kpi].readings] == readings


@pytest.mark.rule("answer")
def test_every_kpi_can_be_split_as_the_page_says() -> None:
    text = PAGE.split("Dimensions (`--by`): ")[1].split("Several by commas")[0]
    deals, contracts, customers, departures, others = text.split(";")
    stage = ("stage",)
    assert tuple(_named(deals)) == (*DEAL_DIMENSIONS, *stage) == OPEN_DEAL_DIMENSIONS
    for name in (
        "won",
        "lost",
        "created",
        "new_opportunities",
        "win_rate",
        "sales_cycle",
        "deal_size",
        "velocity",
    ):
        assert registry()[name].dimensions == DEAL_DIMENSIONS, name
    for name in ("open", "stagnation", "stalled", "weighted_forecast", "forecast"):
        assert registry()[name].dimensions == OPEN_DEAL_DIMENSIONS, name
    for names, dimensions in (
        (_named(contracts)[:2], _named(contracts)[2:]),
        (_named(customers)[:2], _named(customers)[2:]),
        (_named(departures)[:1], _named(departures)[1:]),
        (_named(others)[:3], _named(others)[3:5]),
        (["target", "attainment", "pace", "needed", "coverage", "goal"], _named(others)[5:]),
    ):
        for name in names:
            assert list(registry()[name].dimensions) == dimensions, name


@pytest.mark.rule("answer")
def test_every_kpi_has_the_default_window_of_the_page() -> None:
    yearly = {"customer_retention", "churn", "rep_retention"}

    assert {name for name, kpi in registry().items() if kpi.window == "trailing_12m"} == yearly
    assert {kpi.window for name, kpi in registry().items() if name not in yearly} == {"fiscal_quarter"}
