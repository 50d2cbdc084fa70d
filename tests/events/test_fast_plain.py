"""The fast readers of activities and accounts accept no event the canonical one refuses, and read equal values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import fast
from events.errors import BadEventError
from events.event import Event
from events.fast_plain import READERS
from events.reader import read
from tests.events.documents import documents, dump, spoiled

TYPES = {"crm.activity": ("dealpulse.activity.completed",), "crm.account": ("dealpulse.account.changed",)}


def read_fast(value: bytes, topic: str) -> Event | None:
    try:
        return READERS[topic](value)
    except fast.REFUSED:
        return None


@pytest.mark.parametrize("topic", sorted(READERS))
@given(data=st.data())
def test_what_it_accepts_is_what_the_canonical_reader_reads(topic: str, data: st.DataObject) -> None:
    document: Any = data.draw(st.one_of(documents(TYPES[topic]), spoiled(TYPES[topic])))
    value = dump(document)
    found = read_fast(value, topic)
    if found is not None:
        assert found == read(value, topic)


@pytest.mark.parametrize("topic", sorted(READERS))
@given(data=st.data())
def test_it_accepts_nearly_every_plain_event(topic: str, data: st.DataObject) -> None:
    value = dump(data.draw(documents(TYPES[topic])))
    try:
        expected = read(value, topic)
    except BadEventError:
        return
    found = read_fast(value, topic)
    assert found is None or found == expected


def test_an_activity_as_systems_send_it_goes_the_fast_way() -> None:
    value = (
        b'{"specversion":"1.0","id":"1","source":"/crm","type":"dealpulse.activity.completed","subject":"a",'
        b'"time":"2026-11-23T09:30:00.250+08:00","data":{"rep_id":"r1","kind":"call","with":"prospect"}}'
    )
    found = read_fast(value, "crm.activity")
    assert found is not None
    assert found.data == {"rep_id": "r1", "kind": "call", "with": "prospect"}
