"""A company of packed statements is the company of their events, whatever came twice or out of order."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aggregators.codec import encode_event
from aggregators.company import Company
from aggregators.contracts import agreements
from aggregators.kpis.ramp_up import prospect_contacts
from aggregators.meaning import Meaning
from aggregators.packed import PackedCompany
from aggregators.rows import key_of
from aggregators.state import Statement
from events.canonical import order_key
from events.event import Event
from tests.aggregators.told import told

DAYS = st.integers(1, 28).map(lambda day: f"2026-03-{day:02}")
IDS = st.sampled_from(["a", "b", "c"])


def _event(kind: str, subject: str, day: str, number: int, verb: str) -> Event:
    own: dict[str, dict[str, Any]] = {
        "contract": {"start_date": day, "recurring_amount": "10"},
        "activity": {"rep_id": f"r{number}"},
    }
    fields: dict[str, Any] = own.get(kind, {"name": day}) if verb == "changed" else {}
    stating = "completed" if kind == "activity" and verb == "changed" else verb
    return told(kind, subject, day, stating, event_id=f"e{number}", **fields)


EVENTS = st.lists(
    st.builds(
        _event,
        st.sampled_from(["contract", "account", "activity"]),
        IDS,
        DAYS,
        st.integers(1, 6),
        st.sampled_from(["changed", "changed", "changed", "deleted", "restored"]),
    ),
    max_size=25,
)


def _statement(event: Event) -> Statement:
    key = key_of(event.time_ns, event.sequence, event.source, event.id)
    return Statement(event.subject.encode(), key, encode_event(event))


@given(EVENTS, st.randoms())
def test_packed_statements_make_the_company_of_their_events(events: list[Event], lots: object) -> None:
    company, packed = Company.from_events(Meaning(), events), PackedCompany(Meaning())
    told_twice = [*events, *events]
    lots.shuffle(told_twice)  # type: ignore[attr-defined]  # hypothesis' random.Random
    for number, event in enumerate(told_twice):
        packed.take(event.entity, [_statement(event)])
        if number % 3 == 0:  # what was asked before must not be what is answered after
            list(packed.living(event.entity)), agreements(packed), prospect_contacts(packed)

    for kind in ("contract", "account", "activity"):
        assert [entity.id for entity in packed.all(kind)] == [entity.id for entity in company.all(kind)]
        for entity in company.all(kind):
            found = packed.find(kind, entity.id)
            assert found
            assert found.events == entity.events
            assert found.alive == entity.alive
    assert packed.find("account", "nobody") is None
    assert agreements(packed) == agreements(company)
    assert prospect_contacts(packed) == prospect_contacts(company)
    assert sorted(map(order_key, packed.events())) == sorted(map(order_key, company.events()))
