"""The registry of KPIs: definitions as data, the generated page, plug-ins."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from aggregators import kpis
from aggregators.answer import answer
from aggregators.explain import explain
from aggregators.kpi_page import page
from aggregators.kpis import find_kpi, registry
from aggregators.question import Question
from events.errors import ConfigurationError, UsageError
from tests.aggregators.told import company_of, end_of, opp

ROOT = Path(__file__).resolve().parents[2]
PLUG_IN = ROOT / "examples" / "plug-in"


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.syspath_prepend(str(PLUG_IN))
    registry.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    registry.cache_clear()
    for name in [name for name in sys.modules if name.startswith("acme_kpis")]:
        del sys.modules[name]


def offer(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    point = EntryPoint("quick_wins", value, kpis.ENTRY_POINT_GROUP)
    monkeypatch.setattr(kpis, "entry_points", lambda group: [point] if group == point.group else [])


def test_every_kpi_is_defined_in_both_languages_with_a_version_and_readings() -> None:
    for name, kpi in registry().items():
        assert name == kpi.name
        assert kpi.version >= 1
        for text in (kpi.title, kpi.definition, *(reading.title for reading in kpi.readings)):
            assert text.en, name
            assert text.zh, name
        assert len({reading.name for reading in kpi.readings}) == len(kpi.readings)
        assert all(reading.contributions.__doc__ for reading in kpi.readings), name


def test_the_readings_are_those_of_the_page_the_primary_one_first() -> None:
    expected = {
        "new_opportunities": ["count", "amount"],
        "created": ["count", "amount"],
        "open": ["count", "amount"],
        "won": ["count", "amount"],
        "lost": ["count", "amount"],
        "stagnation": ["stagnation", "age", "time_in_stage"],
        "stalled": ["count", "amount"],
        "win_rate": ["closed_count", "cohort", "cohort_open", "closed_amount"],
        "sales_cycle": ["mean"],
        "deal_size": ["mean"],
        "unpriced_opportunities": ["open", "won", "lost"],
    }
    for name, readings in expected.items():
        assert [reading.name for reading in find_kpi(name).readings] == readings


def test_the_page_of_kpis_is_current() -> None:
    assert (ROOT / "docs" / "kpis.md").read_text("utf-8") == page(), "run: make docs"


def test_an_unknown_kpi_is_an_error_that_names_the_nearest_and_all() -> None:
    with pytest.raises(UsageError, match=r"Did you mean 'win_rate'\? There are .*new_opportunities"):
        find_kpi("winrate")


def test_a_plug_in_is_answered_and_explained_like_ours(plug_in: pytest.MonkeyPatch) -> None:
    offer(plug_in, "acme_kpis.quick_wins:QUICK_WINS")
    company = company_of(
        opp("a", "2026-01-05", stage="Proposal"),
        opp("a", "2026-01-20", stage="Won", owner_id="ann"),
        opp("b", "2026-01-05", stage="Proposal"),
        opp("b", "2026-03-20", stage="Won", owner_id="ann"),
    )
    question = Question("quick_wins", end_of("2026-03-31"), None, ("rep",))

    (row,) = answer(company, question)
    assert (row.by, row.numerator, row.denominator) == ((("rep", "ann"),), 1, 2)
    assert len(explain(company, question, where={"rep": "ann"}).contributions) == 2


def test_the_walk_through_shows_the_plug_in_as_it_is() -> None:
    text = (PLUG_IN / "acme_kpis" / "quick_wins.py").read_text("utf-8")

    assert text in (ROOT / "docs" / "plug-ins.md").read_text("utf-8")


def test_a_plug_in_may_not_take_a_name_or_be_anything_else(plug_in: pytest.MonkeyPatch) -> None:
    offer(plug_in, "acme_kpis.quick_wins:share")
    with pytest.raises(ConfigurationError, match=r"is a function: let it name an aggregators\.kpi\.Kpi"):
        registry()
    registry.cache_clear()
    offer(plug_in, "aggregators.kpis.won:WON")
    assert "won" in registry(), "the same object again is no clash"
