"""Who is meant, where he works, and as what, on a day."""

from datetime import date
from typing import Any

import pytest

from aggregators.people import People, Spell
from events.event import Event
from tests.aggregators.told import company_of, meaning, told


def day(text: str) -> date:
    return date.fromisoformat(text)


def hr(time: str, **fields: Any) -> Event:
    return told("employee", "ann", time, source="/hr", **fields)


def people(*events: Event) -> People:
    return People(company_of(*events))


def spells(*events: Event) -> list[tuple[str, str | None]]:
    found = people(*events).employees["ann"].spells
    return [(each.start.isoformat(), each.end.isoformat() if each.end else None) for each in found]


def selling(*events: Event) -> list[Spell]:
    found = people(*events)
    return found.sales_spells(found.employees["ann"])


def test_a_later_hired_on_is_a_correction_unless_a_leaving_lies_between() -> None:
    assert spells(hr("2026-01-01", hired_on="2026-01-05"), hr("2026-01-02", hired_on="2026-02-01")) == [
        ("2026-02-01", None)
    ]
    again = [
        hr("2026-01-01", hired_on="2026-01-05"),
        hr("2026-03-01", left_on="2026-03-31"),
        hr("2026-06-01", hired_on="2026-06-01"),
    ]
    assert spells(*again) == [("2026-01-05", "2026-03-31"), ("2026-06-01", None)]


def test_a_leaving_ends_the_spell_it_falls_into_and_the_newest_wins() -> None:
    events = [
        hr("2026-01-01", hired_on="2026-01-05"),
        hr("2026-03-01", left_on="2026-03-31"),
        hr("2026-03-02", left_on="2026-04-15"),
        hr("2026-06-01", hired_on="2026-06-01"),
        hr("2026-06-02", left_on="2026-04-20"),
    ]
    assert spells(*events) == [("2026-01-05", "2026-04-20"), ("2026-06-01", None)]


def test_a_withdrawn_notice_ends_nothing() -> None:
    assert spells(
        hr("2026-01-01", hired_on="2026-01-05"),
        hr("2026-03-01", left_on="2026-03-31"),
        hr("2026-03-02", left_on=None),
    ) == [("2026-01-05", None)]


def test_a_leaving_told_before_the_hiring_waits_for_it() -> None:
    assert spells(hr("2026-01-01", left_on="2026-03-31"), hr("2026-02-01", hired_on="2026-01-05")) == [
        ("2026-01-05", "2026-03-31")
    ]


HIRED_AGAIN = [("2020-01-05", "2020-12-31"), ("2021-06-01", None)]


@pytest.mark.parametrize(
    "events",
    [
        (  # the leaving comes in late: till then the second first day looked like a correction
            hr("2020-01-01", hired_on="2020-01-05"),
            hr("2021-06-01", hired_on="2021-06-01"),
            hr("2021-07-01", left_on="2020-12-31"),
        ),
        (  # both in one statement
            hr("2020-01-01", hired_on="2020-01-05"),
            hr("2021-06-01", hired_on="2021-06-01", left_on="2020-12-31"),
        ),
        (  # a corrected first day of long ago
            hr("2020-01-01", hired_on="2020-02-01"),
            hr("2020-01-02", hired_on="2020-01-05"),
            hr("2021-06-01", hired_on="2021-06-01"),
            hr("2021-07-01", left_on="2020-12-31"),
        ),
    ],
)
def test_a_rehire_is_one_in_whatever_order_it_was_told(events: tuple[Event, ...]) -> None:
    assert spells(*events) == HIRED_AGAIN


def test_a_leaving_before_every_spell_ends_none() -> None:
    """An HR system may keep the day on which somebody left long before it knew of a hiring."""
    assert spells(hr("2026-04-01", hired_on="2026-05-01", left_on="2024-03-31")) == [("2026-05-01", None)]


def test_a_first_day_moved_to_an_earlier_one_is_no_rehire_after_a_leaving_between_the_two() -> None:
    assert spells(
        hr("2026-01-01", hired_on="2026-03-01"),
        hr("2026-01-20", hired_on="2026-02-01"),
        hr("2026-02-15", left_on="2026-02-15"),
    ) == [("2026-02-01", "2026-02-15")]


def test_a_withdrawn_hiring_takes_the_last_spell_away() -> None:
    back = [hr("2021-05-01", hired_on="2021-06-01"), hr("2021-05-02", hired_on=None)]
    gone = [hr("2020-01-01", hired_on="2020-01-05"), hr("2020-12-01", left_on="2020-12-31")]
    assert spells(*gone, *back) == [("2020-01-05", "2020-12-31")]


def kinds(*events: Event) -> list[str | None]:
    return [spell.kind for spell in people(*events).employees["ann"].spells]


def test_a_leave_kind_is_of_the_leaving_that_it_was_told_with() -> None:
    again = [
        hr("2026-01-01", hired_on="2026-01-05"),
        hr("2026-03-01", left_on="2026-03-31"),
        hr("2026-06-01", hired_on="2026-06-01"),
    ]
    told = hr("2026-06-02", left_on="2026-03-31", leave_kind="voluntary")
    assert kinds(*again, told) == ["voluntary", None]
    assert kinds(*again, hr("2026-06-02", leave_kind="voluntary")) == ["voluntary", None]
    left = hr("2026-08-01", left_on="2026-08-31")
    assert kinds(*again, told, left) == ["voluntary", None]
    assert kinds(*again, told, left, hr("2026-08-02", leave_kind="involuntary")) == [
        "voluntary",
        "involuntary",
    ]
    notice = hr("2026-07-01", leave_kind="other")
    assert kinds(*again, told, notice, left) == ["voluntary", "other"]


@pytest.mark.rule("K6")
@pytest.mark.trap("rehire after 29 and 31 days")
@pytest.mark.parametrize(("back", "continuous"), [("2026-04-29", True), ("2026-05-01", False)])
def test_a_rehire_after_29_days_is_continuous_and_after_31_is_not(back: str, *, continuous: bool) -> None:
    found = selling(
        hr("2026-01-01", hired_on="2026-01-05", role="sales"),
        hr("2026-03-01", left_on="2026-03-31"),
        hr("2026-04-20", hired_on=back),
    )
    assert len(found) == (1 if continuous else 2)


@pytest.mark.rule("K6")
def test_moving_to_another_role_ends_the_spell_and_is_told_apart_from_leaving() -> None:
    found = selling(
        hr("2026-01-01", hired_on="2026-01-05", role="sales"),
        hr("2026-03-01", role="support", effective_on="2026-03-10"),
        hr("2026-03-12", role="sales", effective_on="2026-03-15"),
        hr("2026-06-01", left_on="2026-06-30", leave_kind="voluntary"),
    )
    assert found == [
        Spell(day("2026-01-05"), day("2026-03-09"), "left_role"),
        Spell(day("2026-03-15"), day("2026-06-30"), "voluntary"),
    ]


@pytest.mark.rule("F22")
def test_the_first_role_and_team_hold_from_the_hiring_unless_dated() -> None:
    found = people(hr("2026-02-20", hired_on="2026-01-05", role="sales", team="North"))
    assert found.team("ann", day("2026-01-05")) == "North"
    assert found.team("ann", day("2026-01-04")) is None

    dated = people(hr("2026-02-20", hired_on="2026-01-05", team="North", effective_on="2026-02-01"))
    assert dated.team("ann", day("2026-01-05")) is None
    assert dated.team("ann", day("2026-02-01")) == "North"


def test_a_team_without_any_hiring_day_holds_always() -> None:
    assert people(hr("2026-02-20", team="North")).team("ann", day("2001-01-01")) == "North"


def test_of_several_statements_for_one_effective_day_the_newest_counts() -> None:
    found = people(
        hr("2026-01-01", hired_on="2026-01-01", team="North"),
        hr("2026-02-01", team="South", effective_on="2026-03-01"),
        hr("2026-02-02", team="East", effective_on="2026-03-01"),
    )
    assert found.team("ann", day("2026-02-28")) == "North"
    assert found.team("ann", day("2026-03-01")) == "East"


def test_a_statement_without_a_day_counts_from_the_local_day_of_its_event() -> None:
    taipei = meaning(timezone="Asia/Taipei")
    found = People(
        company_of(
            hr("2026-01-01", hired_on="2026-01-01", team="North"),
            hr("2026-02-01T17:00:00Z", team="South"),
            meaning=taipei,
        )
    )
    assert found.team("ann", day("2026-02-01")) == "North"
    assert found.team("ann", day("2026-02-02")) == "South"


@pytest.mark.rule("F36")
def test_a_manager_is_known_by_an_alias_too() -> None:
    found = people(
        hr("2026-01-01", hired_on="2026-01-01", manager_id="m-7"),
        told("employee", "boss", "2026-01-01", aliases=("/hr:m-7",)),
    )
    assert found.manager("ann", day("2026-02-01")) == "boss"


def test_a_team_corrected_before_the_first_day_at_work_holds_from_that_day() -> None:
    found = people(
        hr("2026-01-01", hired_on="2026-03-01", team="North"),
        hr("2026-02-01", team="South"),
    )
    assert found.team("ann", day("2026-02-28")) is None
    assert found.team("ann", day("2026-03-01")) == "South"


def test_a_full_statement_that_does_not_say_how_somebody_left_clears_it() -> None:
    left = hr("2026-06-01", left_on="2026-06-30", leave_kind="voluntary")
    hired: dict[str, Any] = {"hired_on": "2026-01-01", "role": "sales"}
    again = hr("2026-06-02", left_on="2026-06-30", complete=True, **hired)
    found = people(hr("2026-01-01", **hired), left, again).employees["ann"].spells
    assert [(spell.end, spell.kind) for spell in found] == [(day("2026-06-30"), None)]
