"""Shards that are replaced as a whole: after a rewrite, a rebuild, a gap in what was followed."""

from typing import Any

from aggregators.company import Company
from aggregators.meaning import Meaning
from events.canonical import canonical
from tests.exporters.stand import Stand, instant, record

NOW = instant("2026-11-23T12:00:00Z")


def told(number: int, subject: str) -> tuple[str, bytes, bytes]:
    return record("account", subject, f"2026-11-{number:02}T09:00:00Z", name=f"name {number}")


def standing() -> Stand:
    stand = Stand(Meaning())
    stand.take([told(number, subject) for number in range(1, 9) for subject in ("acc-1", "acc-2")], at_ms=NOW)
    return stand


def statements(company: Company) -> list[Any]:
    return [sorted(map(canonical, entity.events)) for entity in company.all("account")]


def replaced(stand: Stand, shard: str) -> None:
    state, held = stand.states[shard], stand.snapshot.shards[shard]
    assert held is not None
    chunk = state.dump(state.subjects(), first=True).statements
    stand.snapshot.replace(shard, [chunk], held)


def shard_of(stand: Stand, subject: str) -> str:
    return next(shard for shard in stand.states if subject in stand.states[shard].subjects())


def test_a_shard_that_was_written_again_is_not_folded_again() -> None:
    stand = standing()
    company, version = stand.snapshot.company, stand.snapshot.company.version
    before = statements(company)

    replaced(stand, shard_of(stand, "acc-1"))

    assert stand.snapshot.company is company
    assert (company.version, statements(company)) == (version, before)


def test_of_a_shard_that_is_loaded_after_a_gap_the_news_are_folded() -> None:
    stand, whole = standing(), standing()
    topic, key, value = told(20, "acc-1")
    shard = shard_of(stand, "acc-1")
    stand.states[shard].fold([key], [value])
    company = stand.snapshot.company
    whole.take([(topic, key, value)], at_ms=NOW)

    replaced(stand, shard)

    assert stand.snapshot.company is company
    assert statements(company) == statements(whole.snapshot.company)


def test_what_a_rebuilt_shard_does_not_hold_any_more_is_gone() -> None:
    stand = standing()
    shard, held = shard_of(stand, "acc-1"), stand.snapshot.shards[shard_of(stand, "acc-1")]
    assert held is not None
    kept = [subject for subject in stand.states[shard].subjects() if subject != "acc-1"]

    stand.snapshot.replace(shard, [stand.states[shard].dump(kept, first=True).statements], held)

    assert [entity.id for entity in stand.snapshot.company.all("account")] == ["acc-2"]
    assert statements(stand.snapshot.company) == statements(standing().snapshot.company)[1:]


def test_a_shard_written_again_without_what_had_yielded_is_not_folded_again() -> None:
    """Of two statements of one source and id the lists hold both, a shard that is written anew the greater."""
    stand = standing()
    topic, key, value = told(9, "acc-1")
    later = value.replace(b'"time": "2026-11-09T09', b'"time": "2026-11-09T10').replace(b"name 9", b"name 10")
    stand.take([(topic, key, value)], at_ms=NOW)
    stand.take([(topic, key, later)], at_ms=NOW)
    company, before = stand.snapshot.company, statements(stand.snapshot.company)
    assert len(before[0]) == 9

    replaced(stand, shard_of(stand, "acc-1"))

    assert stand.snapshot.company is company
    assert statements(company) == before
