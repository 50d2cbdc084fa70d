"""Whatever lies in the log: a record is a good event or a dead letter with a reason, and nothing else, ever."""

import json
from random import Random
from typing import Any

import pytest

from aggregators.meaning import Meaning
from aggregators.state import partition_state
from events.errors import BadEventError
from events.reader import read
from events.simulator import COMPANIES, Simulation
from events.topics import TOPICS
from tests.events.adapters.test_any_input import any_json, damaged

REASONS = {"malformed", "invalid_envelope", "unknown_type", "invalid_data"}
_AT_ONCE = 500


def good() -> dict[str, list[Any]]:
    """Good events of every topic that the simulator fills."""
    simulation = Simulation(
        COMPANIES["sauls-dolls"], seed=5, reps=3, quarters=2, end_ms=840_000_000_000, poison=False
    )
    found: dict[str, list[Any]] = {topic: [] for topic in TOPICS}
    for record in simulation.history():
        if len(found[record.topic]) < 200:
            found[record.topic].append(json.loads(record.value))
    return found


def record(documents: list[Any], random: Random) -> bytes | None:
    """A value: mostly a good event damaged; else any JSON, any bytes, or none."""
    match random.randrange(8):
        case 0:
            return json.dumps(any_json(random)).encode()
        case 1:
            return random.choice([None, b"", random.randbytes(random.randrange(200))])
        case 2 if documents:
            return json.dumps(random.choice(documents) | {"data": any_json(random)}).encode()
    return damaged(random.choice(documents) if documents else {}, random)


def fuzz(cases: int, seed: int) -> tuple[int, int]:
    """How many of `cases` records were good, and how many refused; each by both decoders and a fold."""
    random, documents = Random(seed), good()
    accepted = refused = 0
    reasons: set[str] = set()
    for start in range(0, cases, _AT_ONCE):
        topic = TOPICS[start // _AT_ONCE % len(TOPICS)]
        values = [record(documents[topic], random) for _ in range(min(_AT_ONCE, cases - start))]
        keys: list[bytes | None] = []
        for value in values:
            try:
                keys.append(read(value, topic).subject.encode())
            except BadEventError as error:
                reasons.add(error.reason if str(error) else "")
                keys.append(b"any")
                refused += 1
            else:
                accepted += 1
        state = partition_state(topic, 0, 1, "murmur2", Meaning())
        folded = state.fold(keys, values)
        bad = {position for position, _ in folded.refused}
        assert folded.applied + folded.unchanged + len(folded.misplaced) + len(bad) == len(values)
        assert not folded.misplaced
        state.take_change()
    assert reasons <= REASONS
    return accepted, refused


def test_any_record_is_an_event_or_a_dead_letter() -> None:
    accepted, refused = fuzz(10_000, seed=11)

    assert accepted > 500
    assert refused > 2_000


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_any_of_a_hundred_thousand_records_is_an_event_or_a_dead_letter() -> None:
    accepted, refused = fuzz(100_000, seed=12)

    assert accepted + refused == 100_000
