"""The registry of metric families holds the promises of ecosystem.md, section 1."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from aggregators.kpis import registry
from exporters import labels, names
from exporters.family import SELECTORS, Family
from exporters.names import ENGINE_FAMILIES, FAMILIES, KPI_FAMILIES

NEVER_LABELS = {"stage", "owner", "type", "region", "zone", "cluster", "service", "customer", "env"}
STAGES = 8
READINGS_OF_KPIS = {
    "acv": {"booked_per_contract", "booked_per_customer", "active_per_contract", "active_per_customer"},
    "clv": {"historic", "signed", "projected"},
    "new_opportunities": {"count", "amount"},
    "stagnation": {"stagnation", "age", "time_in_stage"},
    "stalled": {"count", "amount"},
    "win_rate": {"closed_count", "cohort", "cohort_open", "closed_amount"},
    "rep_retention": {"trailing", "tenured", "tenure"},
    "ramp_up": {"first_contact", "first_opportunity", "first_win"},
    "ramping_reps": {"count", "age"},
    "referrals": {"from_customers", "from_others", "won"},
    "customer_retention": {"logo", "grr", "nrr"},
    "churn": {"logo", "revenue"},
    "won": {"count", "amount"},
    "lost": {"count", "amount"},
    "created": {"count", "amount"},
    "open": {"count", "amount"},
    "unpriced_opportunities": {"open", "won", "lost"},
    "sales_cycle": {"mean"},
    "deal_size": {"mean"},
    "customers": {"active", "new", "churned", "in_grace"},
    "contracts_expiring": {"count", "amount"},
    "target": {"amount", "wins"},
    "attainment": {"amount", "wins"},
    "pace": {"amount", "wins"},
    "needed": {"count"},
    "coverage": {"amount"},
    "velocity": {"amount"},
    "weighted_forecast": {"amount"},
    "forecast": {"commit", "best_case", "pipeline"},
    "waterfall": {"amount", "count"},
    "goal": set(),
}


ECOSYSTEM = (Path(__file__).resolve().parents[2] / "docs" / "ecosystem.md").read_text("utf-8")
WINDOWS = {
    "Q": labels.QUARTERS,
    "F": labels.FLOWS,
    "P": labels.PLANS,
    "P less `next_quarter`": labels.RUNNING_PLANS,
}


def _rows(section: str) -> list[list[str]]:
    """The cells of each row of a section's table that begins with a metric's name."""
    text = ECOSYSTEM.split(f"### {section} ")[1].split("### ")[0]
    lines = [line.strip().strip("|") for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.split("|")] for line in lines if not line.startswith(" `window`")]


def _named(cell: str) -> list[str]:
    return re.findall(r"`(?:dealpulse_)?([a-z_<>]+)`", cell)


def test_the_catalogue_is_that_of_the_contract() -> None:
    promised = {name: row for row in _rows("1.2") for name in _named(row[0]) if "<" not in name}
    bare = {name.removeprefix("dealpulse_") for name in KPI_FAMILIES}
    derived = ("rep_", "reported_", "native_")

    assert {name for name in bare if not name.startswith(derived)} == set(promised)
    assert {name for name in bare if name.startswith("rep_") and not name.startswith("rep_native_")} == {
        *(f"rep_{name}" for name, row in promised.items() if row[3].startswith("R")), "rep_info",
    }  # fmt: skip
    for name, row in promised.items():
        one = KPI_FAMILIES[f"dealpulse_{name}"]
        if row[2] in WINDOWS:
            assert set(one.windows) - {"previous_month"} == set(WINDOWS[row[2]]), name
        if row[2] == "N" and "no `team`" not in row[1]:
            assert not one.windows, name


def test_the_engine_families_are_those_of_the_contract() -> None:
    promised = {name for row in _rows("1.3") for name in _named(row[0])}
    assert {name.removeprefix("dealpulse_") for name in ENGINE_FAMILIES} == promised


def _published(tier: str) -> int:
    """Series of one team or rep: the families on by default, goals apart."""
    return sum(
        len(one.cells) * (STAGES if "stage_name" in one.labels else 1)
        for one in KPI_FAMILIES.values()
        if one.tier == tier and not one.opt_in and "kpi" not in one.labels
    )


def test_the_cardinality_is_the_documented_one() -> None:
    assert _published("team") == 460
    assert 70 <= _published("rep") <= 80


def test_every_kpi_family_is_a_gauge_with_the_prefix() -> None:
    assert all(one.type == "gauge" for one in KPI_FAMILIES.values())
    assert all(re.fullmatch(r"dealpulse_[a-z0-9_]+", name) for name in FAMILIES)


@pytest.mark.parametrize("one", FAMILIES.values(), ids=lambda one: one.name)
def test_a_name_says_what_it_is(one: Family) -> None:
    assert one.name.endswith("_total") == (one.type == "counter")
    assert not re.search(r"(_count|_sum|_bucket)$|days|percent", one.name)
    if one.name not in {"dealpulse_config_info", "dealpulse_kpi_goal", "dealpulse_rep_kpi_goal"}:
        assert one.money == ("currency" in one.labels)
    if one.name.endswith(("_amount", "_amount_per_second")):
        assert one.money


@pytest.mark.parametrize("one", FAMILIES.values(), ids=lambda one: one.name)
def test_labels_are_distinct_and_allowed(one: Family) -> None:
    assert len(set(one.labels)) == len(one.labels)
    assert not set(one.labels) & NEVER_LABELS
    assert all(tuple(cell) == tuple(one.cells[0]) for cell in one.cells)
    assert set(one.cells[0]) <= set(one.labels)
    assert len({tuple(cell.items()) for cell in one.cells}) == len(one.cells)
    assert ("team" in one.labels) == (one.tier in {"team", "rep"})
    assert ("rep" in one.labels) == (one.tier == "rep")


@pytest.mark.parametrize("one", KPI_FAMILIES.values(), ids=lambda one: one.name)
def test_a_ratio_or_average_stands_beside_its_samples(one: Family) -> None:
    stems = [r"(.*)_ratio$", r"(.*)_average_(?:seconds|amount)$", r"(.*_per_customer)_amount$"]
    stem = next((found[1] for pattern in stems if (found := re.match(pattern, one.name))), None)
    twin = {"customer_churn": "customer_retention", "pace": "attainment"}
    if stem is None:
        return
    bare = stem.removeprefix("dealpulse_").removeprefix("rep_")
    samples = FAMILIES[stem.replace(bare, twin.get(bare, bare)) + "_samples"]
    assert set(map(str, one.cells)) <= set(map(str, samples.cells))


def test_rep_windows_are_the_two_quarters_and_plans_the_month_too() -> None:
    allowed = {"quarter_to_date", "previous_quarter", "month_to_date"}
    for one in KPI_FAMILIES.values():
        if one.tier == "rep":
            assert set(one.windows) <= allowed
            team = FAMILIES.get(one.name.replace("dealpulse_rep_", "dealpulse_"))
            assert team is None or set(one.windows) <= set(team.windows)


def test_every_window_has_a_question_of_the_command_line() -> None:
    used = {window for one in FAMILIES.values() for window in one.windows}
    assert used - {labels.NOW} == set(labels.ASKED_AS)


def test_now_stands_only_where_a_family_has_windows_too() -> None:
    for one in FAMILIES.values():
        assert one.windows != ("now",), one.name


def test_answers_name_kpis_and_readings_of_the_contract() -> None:
    for one in KPI_FAMILIES.values():
        assert one.kpi in READINGS_OF_KPIS or one.name.endswith("_info")
        for value, answer in one.answers.items():
            assert answer.reading in READINGS_OF_KPIS[answer.kpi], one.name
            assert value == "" or value in one.values(one.answer_label)


def test_as_reported_families_have_a_restated_twin_of_equal_windows() -> None:
    reported = [one for one in FAMILIES.values() if one.name.startswith("dealpulse_reported_")]
    assert len(reported) == 12
    for one in reported:
        twin = FAMILIES[one.name.replace("dealpulse_reported_", "dealpulse_")]
        assert twin.labels == one.labels
        assert set(map(str, one.cells)) <= set(map(str, twin.cells))


def test_an_unknown_name_says_where_the_names_are() -> None:
    with pytest.raises(names.UnknownFamilyError, match=r"exporters/names\.py"):
        names.family("dealpulse_win_rate")
    assert names.family("dealpulse_event_visibility_delay_seconds_bucket").type == "histogram"


def test_selectors_are_found_in_the_labels() -> None:
    assert FAMILIES["dealpulse_win_ratio"].selectors == ("reading", "window")
    assert {label for one in FAMILIES.values() for label in one.selectors} == SELECTORS


def _exposition() -> str:
    lines: list[str] = []
    for one in FAMILIES.values():
        lines += [f"# HELP {one.name} {one.help}", f"# TYPE {one.name} {one.type}"]
        for cell in one.cells:
            label_text = ",".join(f'{name}="{cell.get(name, "x")}"' for name in one.labels)
            for sample in one.series_names():
                bucket = [label_text, 'le="+Inf"'] if sample.endswith("_bucket") else [label_text]
                lines.append(f"{sample}{{{','.join(filter(None, bucket))}}} 1")
    return "\n".join(lines) + "\n"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_has_no_complaint_about_any_family() -> None:
    seen = subprocess.run(
        ["promtool", "check", "metrics"], input=_exposition(), text=True, capture_output=True, check=False
    )
    assert (seen.returncode, seen.stderr + seen.stdout) == (0, "")


def test_engine_families_say_who_serves_them() -> None:
    assert {who for one in ENGINE_FAMILIES.values() for who in one.served_by} == {
        "exporter",
        "worker",
        "gateway",
    }


def test_versions_are_those_of_the_definitions() -> None:
    for one in KPI_FAMILIES.values():
        if one.kpi:
            kpi = registry()[one.kpi]
            assert one.version == kpi.version, one.name
            assert not one.number.isdigit() or kpi.number in {None, int(one.number)}, one.name
            for answer in one.answers.values():
                assert answer.reading in {reading.name for reading in registry()[answer.kpi].readings}
