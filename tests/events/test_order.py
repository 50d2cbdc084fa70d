"""The order of events is one, for every reader, whatever arrives when."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from events.canonical import canonical, order_key
from events.event import Event
from events.reader import read
from tests.events.documents import Exact, documents, dump
from tests.events.test_reader import GOOD


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Events that often stand on one place of the order, so that its later parts decide."""
    few: dict[str, Any] = {
        "time": draw(
            st.sampled_from(["2026-11-23T09:30:00Z", "2026-11-23T17:30:00+08:00", "2026-11-24T00:00:00Z"])
        ),
        "source": draw(st.sampled_from(["/a", "/b"])),
        "id": draw(st.sampled_from(["1", "2", "10"])),
        "sequence": draw(st.sampled_from([None, "00000000000000000002", "00000000000000000010"])),
    }
    return read(dump(draw(documents()) | few))


@given(events(), events())
def test_any_two_events_have_one_order(one: Event, other: Event) -> None:
    first, second = order_key(one), order_key(other)

    assert (first < second) + (first == second) + (first > second) == 1
    if first == second:
        assert (one.verb, one.complete, one.data) == (other.verb, other.complete, other.data)


@given(st.lists(events(), max_size=8), st.randoms())
def test_sorting_does_not_depend_on_arrival(said: list[Event], random: Any) -> None:
    shuffled = list(said)
    random.shuffle(shuffled)

    assert [order_key(e) for e in sorted(shuffled, key=order_key)] == [
        order_key(e) for e in sorted(said, key=order_key)
    ]


def test_time_weighs_first_then_sequence_then_source_then_id() -> None:
    def key(**attributes: str) -> Any:
        return order_key(read(dump(GOOD | attributes)))

    assert key(time="2026-11-23T09:30:00Z", sequence="9") < key(time="2026-11-23T09:30:00.000000001Z")
    assert key(sequence="00010", source="/z") > key(sequence="00009", source="/a") > key(source="/z")
    assert key(source="/a", id="9") < key(source="/b", id="1")
    assert key(id="10") < key(id="9")


def test_how_a_value_is_written_does_not_show_in_the_canonical_bytes() -> None:
    ways: list[Any] = ["12500.00", "12500", Exact("1.25e4"), 12500, Exact("12500.0")]

    assert len({canonical(read(dump(GOOD | {"data": {"amount": way}}))) for way in ways}) == 1


def test_unknown_names_do_not_show_in_the_canonical_bytes() -> None:
    assert canonical(read(dump(GOOD | {"data": {"x": 1}}))) == canonical(read(dump(GOOD | {"data": {}})))


def test_a_full_statement_and_a_partial_one_differ() -> None:
    full = read(dump(GOOD | {"data": {"complete": True}}))

    assert canonical(full) != canonical(read(dump(GOOD | {"data": {"complete": False}})))
