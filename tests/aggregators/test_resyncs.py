"""What a source has skipped: told once by each change, known whole by whoever loads, found out cheaply."""

import random
from collections.abc import Iterator

import pytest

from aggregators.meaning import Meaning
from aggregators.state import Change, PartitionState, partition_state, unpack
from tests.integration.traffic import envelope

KINDS = (("crm.opportunity", "opportunity"), ("crm.account", "account"))


def state(topic: str) -> PartitionState:
    return partition_state(topic, 0, 1, "murmur2", Meaning())


def skipped(into: PartitionState, subject: str, number: int, *, verb: str = "required") -> None:
    """A mark of `/test` about an entity, so many seconds into 2026."""
    data = {"reason": "gap"} if verb == "required" else {}
    assert not into.fold([subject.encode()], [envelope("resync", verb, subject, number, data)]).refused


def told(into: PartitionState, entity: str, subject: str, number: int, *, full: bool) -> None:
    data = {"name": "n", **({"complete": True} if full else {})}
    assert not into.fold([subject.encode()], [envelope(entity, "changed", subject, number, data)]).refused


def resyncs(change: Change | None) -> list[str]:
    """The subjects of the marks that a change carries."""
    assert change is not None
    return [each[0] for each in unpack(change.statements)[-1]]


@pytest.mark.parametrize("topic", [topic for topic, _ in KINDS])
def test_a_change_tells_the_marks_that_are_new_and_no_others(topic: str) -> None:
    written = state(topic)
    chunks = []
    for number in range(20):
        skipped(written, f"e{number}", number)
        change = written.take_change()
        assert resyncs(change) == [f"e{number}"]
        assert change is not None
        chunks.append(change.statements)
    skipped(written, "e3", 100)
    change = written.take_change()
    assert resyncs(change) == ["e3"]
    assert written.take_change() is None
    assert change is not None

    read = state(topic)
    read.load([*chunks, change.statements, chunks[3]])

    assert read._resyncs == written._resyncs
    assert read.resync_pending() == {"/test": 20}
    assert read.take_change() is None


@pytest.mark.parametrize("topic", [topic for topic, _ in KINDS])
def test_a_rewrite_tells_all_marks_and_the_checkpoint_beside_it_those_that_are_new(topic: str) -> None:
    written = state(topic)
    skipped(written, "e0", 0)
    written.take_change()
    skipped(written, "e1", 1)

    assert sorted(resyncs(written.dump([], first=True))) == ["e0", "e1"]
    assert resyncs(written.dump([], first=False)) == []
    assert resyncs(written.take_change()) == ["e1"]


@pytest.mark.parametrize(("topic", "entity"), KINDS)
def test_only_entities_that_changed_are_looked_at_again(
    topic: str, entity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = state(topic)
    looked_at: list[str] = []
    plain = written._newest_complete

    def counted(subject: str) -> bytes:
        looked_at.append(subject)
        return plain(subject)

    monkeypatch.setattr(written, "_newest_complete", counted)
    for number in range(10):
        skipped(written, f"e{number}", 1_000 + number)
    written.take_change()
    assert written.resync_pending() == {"/test": 10}

    looked_at.clear()
    told(written, entity, "other", 1, full=True)
    written.take_change()
    assert written.resync_pending() == {"/test": 10}
    assert looked_at == []

    told(written, entity, "e4", 2_000, full=True)
    assert written.resync_pending() == {"/test": 9}
    written.take_change()
    assert looked_at == ["e4"]
    assert ("/test", "e4") not in set(written.open_resyncs())


@pytest.mark.parametrize(("topic", "entity"), KINDS)
@pytest.mark.parametrize("seed", range(20))
def test_what_waits_is_what_the_definition_says_whatever_came_between(
    topic: str, entity: str, seed: int
) -> None:
    """A mark waits until the same source completes it, or a full statement at or after it is there."""
    rng, written = random.Random(seed), state(topic)
    for _ in range(60):
        subject, number = rng.choice(["e1", "e2", "*"]), rng.randrange(1_000)
        match rng.randrange(6):
            case 0 | 1:
                skipped(written, subject, number)
            case 2:
                skipped(written, subject, number, verb="completed")
            case 3 if subject != "*":
                told(written, entity, subject, number, full=rng.random() < 0.5)
            case 4:
                written.take_change()
            case _:
                assert sorted(written.open_resyncs()) == sorted(by_definition(written))
    assert sorted(written.open_resyncs()) == sorted(by_definition(written))
    read = state(topic)
    read.load([written.dump(written.subjects(), first=True).statements])
    assert sorted(read.open_resyncs()) == sorted(by_definition(written))


@pytest.mark.parametrize(("topic", "entity"), KINDS)
def test_who_loads_one_change_after_the_other_sees_what_each_settles(topic: str, entity: str) -> None:
    written, follows = state(topic), state(topic)
    for number, is_mark in ((5, True), (9, False), (20, True)):
        if is_mark:
            skipped(written, "e1", number)
        else:
            told(written, entity, "e1", number, full=True)
        change = written.take_change()
        assert change is not None
        follows.load([change.statements])
        assert follows.resync_pending() == written.resync_pending()


def by_definition(of: PartitionState) -> Iterator[tuple[str, str]]:
    for (subject, source, verb), required in of._resyncs.items():
        full = [
            key
            for key, event in zip(of.stored_of(subject)[0], of.events_of(subject), strict=True)
            if event.complete
        ]
        done = [of._resyncs.get((subject, source, "completed"), b""), *full]
        if verb == "required" and max(done) < required:
            yield source, subject
