"""The readers against whatever comes: tens of thousands of mangled records, fast, without hypothesis.

A tenth of the cases runs always; all of them with `-m e2e`. DEALPULSE_REQUIRE_FUZZ_SEED replays a seed.
"""

import json
import os
import random
from collections.abc import Iterator

import pytest

from events.canonical import canonical, encode
from events.errors import BadEventError
from events.examples import EXAMPLES
from events.reader import inspect, read
from events.schema import FOLDER
from events.topics import TOPICS, TYPES, types_of
from tests.events.test_fast import agree

REASONS = {"malformed", "invalid_envelope", "unknown_type", "invalid_data"}
TOKENS = [
    *(
        json.dumps(name).encode()
        for name in ("data", "type", "time", "id", "amount", "complete", "ramp", "into")
    ),
    *b'{ } [ ] : , " \\ 0 - . e null true false NaN'.split(b" "),
    b'"\\ud800"',
    b"\\u0000",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x82\xa1",
    b"1e400",
    b"-0.0",
    b"123456789012345678901234567890",
    b'"2026-11-23T09:30:60Z"',
    b'"9999-12-31"',
    b"[" * 70,
]


def mangled(seed: int, cases: int) -> Iterator[bytes]:
    """Examples with bytes cut, doubled, swapped, and tokens thrown in; some are tokens alone."""
    chance = random.Random(seed)
    examples = [json.dumps(example, ensure_ascii=False).encode() for example in EXAMPLES.values()]
    for _ in range(cases):
        value = bytearray(chance.choice(examples) if chance.random() < 0.9 else b"")
        for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
            at, length = chance.randrange(len(value) + 1), chance.choice((0, 0, 1, 1, 4, 20))
            value[at : at + length] = chance.choice(
                (chance.choice(TOKENS), chance.choice(TOKENS), value[at : at + 9], chance.randbytes(2), b"")
            )
        yield bytes(value)


def is_good(value: bytes) -> bool:
    """Whether it was read; fails if it was read wrongly, or refused without words."""
    try:
        event = inspect(value).event
    except BadEventError as error:
        refusal = error
    else:
        assert canonical(read(encode(event))) == canonical(event)
        if event.entity == "opportunity":
            agree(value)
        return True
    assert refusal.reason in REASONS
    assert str(refusal).encode()
    assert not agree(value)
    return False


def run(seed: int, cases: int) -> None:
    good = 0
    for number, value in enumerate(mangled(seed, cases)):
        try:
            good += is_good(value)
        except Exception as error:
            error.add_note(f"seed {seed}, case {number}: {value!r}")
            raise
    assert good > cases / 100, "hardly anything was read: the fuzz has lost its way"


SEED = int(os.environ.get("DEALPULSE_REQUIRE_FUZZ_SEED", "20261124"))


def test_ten_thousand_mangled_records_are_read_or_refused_with_a_reason() -> None:
    run(SEED, 10_000)


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_a_hundred_thousand_mangled_records_are_read_or_refused_with_a_reason() -> None:
    run(SEED + 1, 100_000)


def test_every_type_is_good_on_its_topics_and_on_no_other() -> None:
    for type_, example in EXAMPLES.items():
        value = json.dumps(example).encode()
        for topic in TOPICS:
            if type_ in types_of(topic):
                assert inspect(value, topic).event.verb == TYPES[type_][1]
            else:
                with pytest.raises(BadEventError, match="has no place on"):
                    read(value, topic)


def test_there_is_a_schema_for_every_type() -> None:
    names = {path.name.removesuffix(".json") for path in FOLDER.glob("*.json")}

    assert names == {type_.removeprefix("dealpulse.") for type_ in TYPES} | {"asyncapi"}
