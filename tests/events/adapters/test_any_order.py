"""The deliveries of one history, in any order and any of them twice, give each entity its final state."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregators.company import Company
from aggregators.meaning import Meaning
from events.adapters.catalogue import translator
from events.adapters.cloudevents import structured
from events.adapters.settings import BamboohrSettings, MergeSettings
from events.event import EPOCH_UNIX_S
from events.reader import read
from tests.events.adapters.histories import TELLERS, Step, deliveries, history
from tests.events.adapters.payloads import TAIPEI, merge

Translate = Callable[[bytes], Any]


def company(translate: Translate, sent: list[bytes], random: Random) -> Company:
    """What becomes of deliveries that arrive shuffled, a third of them twice."""
    arrived = sent + random.choices(sent, k=len(sent) // 3)
    random.shuffle(arrived)
    events = [read(one.value, one.topic) for body in arrived for one in translate(body)]
    return Company.from_events(Meaning(), events)


@cache
def told() -> tuple[Step, ...]:
    return tuple(history(12, seed=41))


def final_deals() -> dict[str, dict[str, Any]]:
    """The deals that are left, as the history itself says they ended."""
    left: dict[str, dict[str, Any]] = {}
    for step in told():
        left[step.deal] = step.state
        if step.deed in ("merge", "delete"):
            del left[step.deal]
    return {
        deal: state
        | {
            "amount": Decimal(state["amount"]),
            "close_date": date.fromisoformat(state["close_date"]),
            "created_at": round((state["created_at"].timestamp() - EPOCH_UNIX_S) * 1000),
        }
        for deal, state in left.items()
    }


@pytest.mark.parametrize("system", TELLERS)
@settings(max_examples=25, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_deals_end_as_their_history_says(system: str, random: Random) -> None:
    _, adapter = TELLERS[system]
    translate = translator(adapter, zone=TAIPEI).translate if adapter else structured
    found = company(translate, deliveries(system, list(told())), random)

    expected = final_deals()
    assert {
        deal.id: {field: deal.newest(field) for field in expected[deal.id]}
        for deal in found.living("opportunity")
    } == expected
    assert len(list(found.all("opportunity"))) > len(expected), "some ended deleted or merged"


PERSON = "67890"
FINAL = {"name": "Lin Yi-Chen", "hired_on": date(2025, 9, 1), "left_on": date(2026, 9, 30), "team": "South"}
# Hired into North, moved to South, renamed; gives notice, takes it back, and gives it for good.
CHANGES: list[tuple[str, dict[str, str | None]]] = [
    ("2025-09-01", {"displayName": "Lin Yi", "hireDate": "2025-09-01", "department": "North"}),
    ("2026-01-10", {"department": "South"}),
    ("2026-02-01", {"terminationDate": "2026-03-31"}),
    ("2026-02-20", {"terminationDate": "0000-00-00"}),
    ("2026-03-05", {"displayName": "Lin Yi-Chen"}),
    ("2026-08-15", {"terminationDate": "2026-09-30"}),
]


def by_bamboohr() -> list[bytes]:
    """Field-based bodies: the fields that changed, with their values."""
    return [
        json.dumps(
            {
                "employees": [
                    {
                        "id": PERSON, "action": "Updated", "timestamp": f"{day}T02:11:09+0000",
                        "changedFields": list(fields), "fields": {name: {"value": value} for name, value in fields.items()},
                    }
                ]
            }
        ).encode()
        for day, fields in CHANGES
    ]  # fmt: skip


def by_merge() -> list[bytes]:
    """After-images: all of the employee each time."""
    names = {
        "displayName": "display_full_name",
        "hireDate": "start_date",
        "terminationDate": "termination_date",
    }
    image: dict[str, Any] = {"manager": None, "employment_status": "ACTIVE"}
    sent = []
    for number, (day, fields) in enumerate(CHANGES):
        for name, value in fields.items():
            said = None if value == "0000-00-00" else value
            image[names.get(name, "team")] = f"{said}T00:00:00Z" if said and name.endswith("Date") else said
        at = datetime.fromisoformat(day).replace(hour=2, tzinfo=UTC).isoformat()
        event = "Employee.changed" if number else "Employee.added"
        sent.append(json.dumps(merge(event, modified_at=at, **image)).encode())
    return sent


@pytest.mark.parametrize(
    ("adapter", "sent"),
    [(BamboohrSettings(company="77"), by_bamboohr()), (MergeSettings(), by_merge())],
    ids=["bamboohr", "merge"],
)
@settings(max_examples=50, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_an_employee_ends_as_the_history_says(adapter: Any, sent: list[bytes], random: Random) -> None:
    found = company(translator(adapter, zone=TAIPEI).translate, sent, random)

    (person,) = found.living("employee")
    assert {field: person.newest(field) for field in FINAL} == FINAL
    assert [stated.value for stated in person.history("team") if stated.value == "North"]
