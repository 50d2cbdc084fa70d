"""Folding: order, repetition, life, resync."""

import pytest

from aggregators.company import Entity
from events.event import Event
from tests.aggregators.told import PLAIN, company_of, ms, opp, told

NOON = "2026-01-05T12:00:00Z"


def stage(*events: Event) -> str | None:
    entity = company_of(*events).find("opportunity", "a")
    found: str | None = entity.newest("stage") if entity else None
    return found


@pytest.mark.rule("G1")
def test_the_newest_statement_stands_whatever_came_last() -> None:
    old, new = opp("a", "2026-01-05", stage="Old"), opp("a", "2026-01-06", stage="New")

    assert stage(old, new) == stage(new, old) == "New"


@pytest.mark.rule("G1")
def test_equal_times_are_ordered_by_sequence_then_source_then_id() -> None:
    first = opp("a", NOON, sequence="1", source="/z", event_id="z", stage="first")
    second = opp("a", NOON, sequence="2", source="/a", event_id="a", stage="second")
    third = opp("a", NOON, sequence="2", source="/b", event_id="a", stage="third")
    fourth = opp("a", NOON, sequence="2", source="/b", event_id="b", stage="fourth")

    assert stage(fourth, third, second, first) == "fourth"
    assert stage(third, second, first) == "third"
    assert stage(second, first) == "second"


@pytest.mark.rule("G1")
def test_of_two_events_with_one_id_the_greater_stands_in_any_order() -> None:
    small = opp("a", "2026-01-05", event_id="e", stage="small")
    great = opp("a", "2026-01-06", event_id="e", stage="great")

    for events in ([small, great], [great, small], [small, great, small]):
        entity = company_of(*events).find("opportunity", "a")
        assert entity
        assert [event.data["stage"] for event in entity.events] == ["great"]


@pytest.mark.rule("G1")
def test_absent_is_unchanged_null_clears_and_a_full_statement_clears_the_rest() -> None:
    events = [
        opp("a", "2026-01-05", stage="Proposal", amount="5", name="Acme"),
        opp("a", "2026-01-06", amount=None),
        opp("a", "2026-01-07", complete=True, stage="Won"),
    ]
    entity = company_of(*events).find("opportunity", "a")

    assert entity
    assert entity.at("amount", ms("2026-01-05")) == 5
    assert entity.at("stage", ms("2026-01-06")) == "Proposal"
    assert entity.at("amount", ms("2026-01-06")) is None
    assert entity.newest("name") is None
    assert entity.at("stage", ms("2026-01-01")) is None


def test_nothing_but_its_death_makes_no_record() -> None:
    for verb in ("deleted", "restored"):
        entity = company_of(opp("a", "2026-01-05", verb)).find("opportunity", "a")
        assert entity
        assert not entity.alive


def test_what_is_derived_is_worked_out_anew_after_an_event() -> None:
    company = company_of(opp("a", "2026-01-05", stage="Proposal"))
    seen = [company.derived("count", lambda: len(list(company.all("opportunity")))) for _ in range(2)]
    company.fold(opp("b", "2026-01-05", stage="Proposal"))

    assert seen == [1, 1]
    assert company.derived("count", lambda: len(list(company.all("opportunity")))) == 2


def test_a_missed_entity_is_pending_until_a_newer_full_statement() -> None:
    required = told("resync", "a", "2026-01-05", "required", reason="gap")
    older = opp("a", "2026-01-04", complete=True, stage="Won")
    newer = opp("a", "2026-01-06", complete=True, stage="Won")

    assert [each.subject for each in company_of(required, older).pending()] == ["a"]
    assert company_of(required, older, newer).pending() == []
    for source, left in (("/crm", []), ("/other", ["a"])):
        done = told("resync", "a", "2026-01-06", "completed", source=source)
        assert [each.subject for each in company_of(required, done).pending()] == left


def test_a_missed_source_is_pending_until_it_completes() -> None:
    required = told("resync", "*", "2026-01-05", "required", source="/crm", reason="overflow")
    other = told("resync", "*", "2026-01-06", "completed", source="/other")
    own = told("resync", "*", "2026-01-06", "completed", source="/crm")

    assert [each.source for each in company_of(required, other).pending()] == ["/crm"]
    assert company_of(required, other, own).pending() == []


@pytest.mark.rule("G8")
def test_a_company_as_it_was_known_forgets_what_was_recorded_later() -> None:
    early = opp("a", "2026-01-05", stage="Proposal")
    late = opp("a", "2026-01-06", stage="Won")
    company = company_of(early, late)

    known = company.known_by(ms("2026-01-05")).find("opportunity", "a")
    assert known
    assert known.newest("stage") == "Proposal"
    assert company.meaning is PLAIN


def test_the_fields_are_those_of_the_events() -> None:
    from aggregators.company import FIELDS
    from events.models import data_model

    for entity, fields in FIELDS.items():
        model = data_model(entity, "changed")
        assert model
        names = {field.alias or name for name, field in model.model_fields.items()}
        assert names - {"complete"} == set(fields), entity


def test_what_is_kept_of_each_entity_is_asked_again_of_those_alone_that_changed() -> None:
    asked: list[str] = []

    def stage_of(entity: Entity) -> str | None:
        asked.append(entity.id)
        return entity.newest("stage") if entity.alive else None

    def stages() -> dict[str, str]:
        return dict(company.each("stage", stage_of, "opportunity"))

    company = company_of(opp("a", NOON, stage="Old"), opp("b", NOON, stage="Old"))
    assert stages() == {"a": "Old", "b": "Old"}
    assert sorted(asked) == ["a", "b"]

    third = opp("c", NOON, stage="Old")
    for event in (
        opp("a", "2026-01-06", stage="New"),
        third,
        told("opportunity", "b", "2026-01-07", verb="deleted"),
    ):
        company.fold(event)
    asked.clear()
    assert stages() == {"a": "New", "c": "Old"}
    assert sorted(asked) == ["a", "b", "c"]

    company.fold(third)
    asked.clear()
    assert stages() == {"a": "New", "c": "Old"}
    assert asked == [], "an event that was known changes nothing"
