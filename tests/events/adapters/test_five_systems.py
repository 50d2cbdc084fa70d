"""One history, told by five systems: they all end in equal KPIs."""

from collections import Counter
from functools import cache
from random import Random

import pytest

from aggregators.answer import answer
from aggregators.company import Company
from aggregators.kpis import registry
from aggregators.meaning import Company as CompanySettings
from aggregators.meaning import Meaning
from aggregators.question import Question, Row
from events.adapters.catalogue import translator
from events.adapters.cloudevents import structured
from events.adapters.outgoing import Outgoing
from events.event import EPOCH_UNIX_S
from events.reader import read
from tests.events.adapters.histories import TELLERS, Step, deliveries, history
from tests.events.adapters.payloads import TAIPEI

DEALS = 200
MEANING = Meaning(company=CompanySettings(timezone="Asia/Taipei", currency="TWD"))


@cache
def told_history() -> list[Step]:
    return history(DEALS, seed=812)


def events_of(system: str, random: Random) -> list[Outgoing]:
    """What becomes of a system's deliveries, shuffled, a tenth of them twice."""
    sent = deliveries(system, told_history())
    sent += random.sample(sent, len(sent) // 10)
    random.shuffle(sent)
    _, settings = TELLERS[system]
    translate = translator(settings, zone=TAIPEI).translate if settings else structured
    return [one for body in sent for one in translate(body)]


@cache
def company_of(system: str) -> Company:
    events = [read(one.value, one.topic) for one in events_of(system, Random(5))]
    return Company.from_events(MEANING, events)


def as_of(share: float) -> int:
    """An instant of the history, in ms since 2000: 0 its beginning, 1 its end."""
    first, last = told_history()[0].ms, told_history()[-1].ms
    return round(first + (last - first) * share) - EPOCH_UNIX_S * 1000


def figures(system: str, kpi: str) -> list[Row]:
    rows: list[Row] = []
    for share in (0.4, 1.01):
        for by in ((), ("rep",), ("type",)):
            if set(by) <= set(registry()[kpi].dimensions):
                rows += answer(company_of(system), Question(kpi, as_of(share), by=by, periods=2))
    return rows


def test_the_history_has_everything_in_it() -> None:
    deeds = Counter(step.deed for step in told_history())
    closings = Counter(
        (step.before["stage"], step.changed["stage"])
        for step in told_history()
        if step.deed == "edit" and "stage" in step.changed
    )

    assert deeds["create"] >= DEALS
    assert min(deeds[deed] for deed in ("merge", "delete", "restore")) >= 5
    for closed in ("Closed Won", "Closed Lost"):
        assert sum(number for (_, to), number in closings.items() if to == closed) >= 10
        assert sum(number for (was, _), number in closings.items() if was == closed) >= 3, "reopened"


@pytest.mark.parametrize("system", [system for system in TELLERS if system != "publisher"])
def test_every_system_ends_in_the_same_deals(system: str) -> None:
    def state(company: Company) -> dict[str, dict[str, object]]:
        fields = ("name", "account_id", "owner_id", "stage", "amount", "close_date", "type", "created_at")
        return {
            one.id: {field: one.newest(field) for field in fields} for one in company.living("opportunity")
        }

    ours, theirs = state(company_of("publisher")), state(company_of(system))

    assert theirs == ours
    assert len(ours) > DEALS / 3


@pytest.mark.parametrize("kpi", registry())
@pytest.mark.parametrize("system", [system for system in TELLERS if system != "publisher"])
def test_every_system_ends_in_equal_kpis(system: str, kpi: str) -> None:
    assert figures(system, kpi) == figures("publisher", kpi)


def test_the_kpis_say_something() -> None:
    for kpi in ("win_rate", "new_opportunities", "stagnation", "won", "lost", "open", "sales_cycle"):
        assert any(row.samples > 10 for row in figures("publisher", kpi)), kpi


@pytest.mark.parametrize("system", TELLERS)
def test_deliveries_in_any_order_give_the_same_set_of_events(system: str) -> None:
    once, again = ({one.value for one in events_of(system, Random(seed))} for seed in (1, 2))

    assert once == again
