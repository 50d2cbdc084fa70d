"""The Maven data by examples/maven-crm.toml: golden figures, counted from the emitted events by brute force."""

from collections import Counter, defaultdict
from datetime import date, timedelta
from statistics import mean
from typing import Any

import pytest

from events.importing import Import, load_mapping
from events.reader import read
from tests.events.importing.data import EXAMPLES, data_set

Deal = dict[str, Any]
EPOCH = date(2000, 1, 1)


@pytest.fixture(scope="module")
def events() -> list[bytes]:
    work = Import(data_set("maven-crm"), load_mapping(EXAMPLES / "maven-crm.toml"))
    steps = list(work.steps())
    assert work.refused == 0
    return [event.value for step in steps for event in step.events]


@pytest.fixture(scope="module")
def deals(events: list[bytes]) -> dict[str, Deal]:
    """Each deal's newest value of each field, and when it was first told of."""
    found: dict[str, Deal] = defaultdict(dict)
    read_ = sorted((read(value) for value in events), key=lambda event: event.time_ns)
    for event in read_:
        if event.entity == "opportunity":
            found[event.subject] |= event.data
    return found


def day_of(created_ms: int) -> date:
    return EPOCH + timedelta(milliseconds=created_ms)


def quarter(day: date) -> str:
    return f"{day.year}Q{(day.month - 1) // 3 + 1}"


def test_stages_and_won_amount(deals: dict[str, Deal]) -> None:
    assert Counter(deal["stage"] for deal in deals.values()) == {
        "Won": 4_238,
        "Lost": 2_473,
        "Engaging": 1_589,
        "Prospecting": 500,
    }
    assert sum(deal["amount"] for deal in deals.values() if deal["stage"] == "Won") == 10_005_534


def test_closed_by_quarter(deals: dict[str, Deal]) -> None:
    won: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    amount: Counter[str] = Counter()
    for deal in deals.values():
        if deal["stage"] == "Won":
            won[quarter(deal["close_date"])] += 1
            amount[quarter(deal["close_date"])] += int(deal["amount"])
        elif deal["stage"] == "Lost":
            lost[quarter(deal["close_date"])] += 1
    assert won == {"2017Q1": 531, "2017Q2": 1_254, "2017Q3": 1_257, "2017Q4": 1_196}
    assert lost == {"2017Q1": 116, "2017Q2": 778, "2017Q3": 790, "2017Q4": 789}
    assert amount == {"2017Q1": 1_134_672, "2017Q2": 3_086_111, "2017Q3": 2_982_255, "2017Q4": 2_802_496}


def test_creations_by_quarter(deals: dict[str, Deal]) -> None:
    created = Counter(
        quarter(day_of(deal["created_at"])) for deal in deals.values() if deal["created_at"] is not None
    )

    assert created == {"2016Q4": 358, "2017Q1": 1_619, "2017Q2": 2_388, "2017Q3": 2_770, "2017Q4": 1_165}


def test_prospecting_deals_have_an_unknown_creation(deals: dict[str, Deal]) -> None:
    for deal in deals.values():
        assert (deal["created_at"] is None) == (deal["stage"] == "Prospecting")


def test_cycles_are_whole_days_with_the_golden_mean(deals: dict[str, Deal]) -> None:
    cycles = [
        (deal["close_date"] - day_of(deal["created_at"])).days
        for deal in deals.values()
        if deal["stage"] == "Won"
    ]

    assert mean(cycles) == pytest.approx(51.7820, abs=5e-5)
    assert all(
        deal["created_at"] % 86_400_000 == 0 for deal in deals.values() if deal["created_at"] is not None
    )


def test_the_age_of_engaging_deals(deals: dict[str, Deal]) -> None:
    ages = [
        (date(2017, 12, 31) - day_of(d["created_at"])).days
        for d in deals.values()
        if d["stage"] == "Engaging"
    ]

    assert mean(ages) == pytest.approx(198.8162, abs=5e-5)
    assert sum(age > 90 for age in ages) == 1_479


def test_agents_own_deals_by_name(deals: dict[str, Deal]) -> None:
    closed: Counter[tuple[str, str]] = Counter()
    for deal in deals.values():
        if deal["owner_id"] == "Darcel Schlecht" and "close_date" in deal:
            closed[quarter(deal["close_date"]), deal["stage"]] += 1
    assert [closed[f"2017Q{q}", "Won"] for q in (1, 2, 3, 4)] == [44, 96, 115, 94]
    assert [closed[f"2017Q{q}", "Lost"] for q in (1, 2, 3, 4)] == [13, 60, 66, 65]


def test_one_product_has_one_name(deals: dict[str, Deal]) -> None:
    products = {deal["name"].partition(" for ")[0] for deal in deals.values()}

    assert "GTX Pro" in products
    assert "GTXPro" not in products
    assert len(products) == 7


def test_people_have_teams_and_managers(events: list[bytes]) -> None:
    people = [event for event in map(read, events) if event.entity == "employee"]

    assert Counter(event.data["role"] for event in people) == {"sales": 35, "sales manager": 6}
    assert {event.data["team"] for event in people} == {"Central", "East", "West"}
    managers = {event.subject for event in people if event.data["role"] == "sales manager"}
    assert {event.data["manager_id"] for event in people if event.data["role"] == "sales"} == managers


def test_a_second_run_says_the_same(events: list[bytes]) -> None:
    work = Import(data_set("maven-crm"), load_mapping(EXAMPLES / "maven-crm.toml"))

    assert [event.value for step in work.steps() for event in step.events] == events
    assert len({(event.source, event.id) for event in map(read, events)}) == len(events)
