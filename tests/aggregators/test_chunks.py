"""Chunks of a shard: in the order in which they are written, they can be read, whatever came between."""

from itertools import count

from aggregators.meaning import Meaning
from aggregators.state import DealState, partition_state
from events.canonical import OrderKey, order_key
from tests.integration.traffic import envelope

TOPIC = "crm.opportunity"


def state() -> DealState:
    made = partition_state(TOPIC, 0, 1, "murmur2", Meaning())
    assert isinstance(made, DealState)
    return made


_numbers = count()


def fold(into: DealState, *subjects: str) -> None:
    """A statement about each, with names that nobody has used before."""
    for subject in subjects:
        number = next(_numbers)
        data = {"name": f"name {number}", "owner_id": f"owner {number}", "stage": f"stage {number}"}
        into.fold([subject.encode()], [envelope("opportunity", "changed", subject, number, data)])


def test_a_rewrite_can_be_read_though_a_change_waits_to_be_written_between_its_slices() -> None:
    written = state()
    fold(written, "o1", "o2", "o3")
    written.take_change()

    first = written.dump(["o1", "o2"], first=True)
    fold(written, "o3", "o4")
    waits = written.take_change()  # for acknowledgements, say: it comes behind the next slice
    fold(written, "o3")
    second = written.dump(["o3"], first=False)
    last = written.take_change()
    assert waits is not None
    assert last is not None

    for order in ([first, second, waits, last], [first, waits, second, last]):
        read = state()
        read.load([change.statements for change in order])
        assert statements(read) == statements(written)
        for change in order:  # facts are read by the same rule
            assert change.facts


def test_who_follows_the_changes_and_who_loads_the_rewrite_go_on_together() -> None:
    """Of a record that belongs elsewhere nothing is kept but its symbols: the rewrite carries them, too."""
    written, follows = state(), state()
    fold(written, "o1")
    told = written.take_change()
    assert told is not None
    follows.load([told.statements])
    stray = envelope("opportunity", "changed", "o2", next(_numbers), {"owner_id": "a stray's"})
    assert written.fold([b"other"], [stray]).misplaced

    rewrite = [written.dump(["o1"], first=True)]
    if (last := written.take_change()) is not None:
        follows.load([last.statements])
        rewrite.append(last)
    successor = state()
    successor.load([change.statements for change in rewrite])
    fold(successor, "o3")
    news = successor.take_change()

    assert news is not None
    follows.load([news.statements])
    assert statements(follows) == statements(successor)


def test_a_second_rewrite_begins_anew() -> None:
    written = state()
    fold(written, "o1", "o2")
    written.dump(["o1"], first=True)
    written.dump(["o2"], first=False)
    fold(written, "o3")

    read = state()
    read.load(
        [written.dump(["o3"], first=True).statements, written.dump(["o1", "o2"], first=False).statements]
    )

    assert statements(read) == statements(written)


def statements(of: DealState) -> list[tuple[str, OrderKey]]:
    return sorted((event.subject, order_key(event)) for event in of.events())


def test_an_owner_whose_id_holds_a_nul_keeps_it() -> None:
    written = state()
    value = envelope("opportunity", "changed", "o1", 1, {"owner_id": "null\0inside"})
    written.fold([b"o1"], [value])

    (event,) = written.events()

    assert event.data["owner_id"] == "null\0inside"
