"""What a plug-in may not ask for is refused on files and live alike: never silently empty."""

from collections.abc import Iterator
from typing import Any

import pytest

from aggregators.answer import answer
from aggregators.ask import Ask, NotOfferedError
from aggregators.calendar import Span
from aggregators.company import Company
from aggregators.kpi import Contribution, Kpi, Reading, Text
from aggregators.kpis import registry
from aggregators.meaning import Meaning
from aggregators.question import Question
from events.reader import read
from exporters.evaluate import Evaluator
from tests.exporters.stand import Stand, instant, record

NOW_MS = instant("2026-05-20T12:00:00Z")
RECORDS = [record("opportunity", "a", "2026-05-02T00:00:00Z", stage="Prospecting")]


def ids(ask: Ask, _window: Span) -> Iterator[Contribution]:
    everyone: Any = ask.opportunities
    for opportunity in everyone:
        yield Contribution(f"opportunity/{opportunity.id}", (), 1)


def deals(ask: Ask, _window: Span) -> Iterator[Contribution]:
    for deal in ask.deals:
        yield Contribution(deal.record, (), 1)


def kpi_of(contributions: Any) -> Kpi:
    words = Text("Of a plug-in", "外掛")
    return Kpi("plugged", words, words, 1, (Reading("count", words, "count", contributions),), ())


@pytest.fixture(params=["files", "live"])
def ask_kpi(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Asks a KPI on one of the two roads."""
    stand = Stand(Meaning())
    stand.take(RECORDS, at_ms=NOW_MS)
    company = Company.from_events(stand.meaning, [read(value, topic) for topic, _, value in RECORDS])

    def asked(contributions: Any) -> Any:
        monkeypatch.setitem(registry(), "plugged", kpi_of(contributions))
        question = Question("plugged", NOW_MS)
        if request.param == "live":
            return Evaluator(stand.snapshot).answer(question)[0].value
        return answer(company, question)[0].value

    return asked


def test_whole_opportunities_are_refused_with_what_to_use(ask_kpi: Any) -> None:
    assert ask_kpi(deals) == 1
    with pytest.raises(NotOfferedError, match=r"use ask\.deals"):
        ask_kpi(ids)
