"""What a chaos run sends is the mess that it promises, and the same for the same seed."""

from collections import Counter
from itertools import islice

import pytest

from events.errors import BadEventError
from events.reader import read
from events.topics import MAX_VALUE_BYTES
from tests.chaos.faults import schedule, total
from tests.chaos.mess import HOT, HOT_STATEMENTS, UNICODE_IDS, Mess, Sent
from tests.chaos.poison import POISONS, Poison

END_MS = 848_808_000_000
GOOD = {
    "specversion": "1.0",
    "id": "1",
    "source": "/x",
    "type": "dealpulse.opportunity.changed",
    "subject": "opp-1",
    "time": "2026-01-01T00:00:00Z",
    "data": {"stage": "Proposal"},
}


def told(count: int, *, seed: int = 1) -> tuple[list[Sent], Counter[str]]:
    mess = Mess(seed=seed, end_ms=END_MS)
    return list(islice(mess, count)), mess.counts


@pytest.mark.parametrize("poison", POISONS, ids=[poison.name for poison in POISONS])
def test_every_poison_is_refused_for_its_reason(poison: Poison) -> None:
    with pytest.raises(BadEventError) as refused:
        read(poison.spoil(GOOD), poison.topic or "crm.opportunity")

    assert refused.value.reason == poison.reason


def test_gaps_come_from_sources_that_hold_what_looks_like_the_end_of_a_line() -> None:
    sent, counts = told(20_000)
    gaps = [
        read(each.value, each.topic) for each in sent if each.value and b"dealpulse.resync." in each.value
    ]

    assert len(gaps) >= 0.5 * counts["gaps"] > 10  # those that are late or misplaced are elsewhere
    assert any("\u2028" in gap.source for gap in gaps)
    assert {gap.verb for gap in gaps} == {"required", "completed"}


def test_the_shares_are_those_that_are_promised() -> None:
    sent, counts = told(60_000)

    share = {
        name: counts[name] / counts["told"] for name in ("poison", "twice", "late", "misplaced", "skewed")
    }
    assert share == {
        "poison": pytest.approx(0.01, rel=0.2),
        "twice": pytest.approx(0.05, rel=0.2),
        "late": pytest.approx(0.10, rel=0.2),
        "misplaced": pytest.approx(0.01, rel=0.2),
        "skewed": pytest.approx(0.01, rel=0.2),
    }
    assert counts["hot"] == HOT_STATEMENTS
    assert {name.removeprefix("poison: ") for name in counts if name.startswith("poison: ")} >= {
        poison.name for poison in POISONS if not poison.is_large
    }
    assert max(len(each.value or b"") for each in sent) >= MAX_VALUE_BYTES
    assert {each.key for each in sent} >= {subject.encode() for subject in UNICODE_IDS}
    reasons = Counter(_reason(each) for each in sent)
    assert reasons["good"] > 0.97 * len(sent)
    assert set(reasons) == {"good", "malformed", "invalid_envelope", "unknown_type", "invalid_data"}


def test_what_is_left_about_one_deal_comes_in_the_end_however_early_that_is() -> None:
    mess = Mess(seed=1, end_ms=END_MS)
    sent = [*islice(mess, 5_000), *mess.rest()]

    about_one = [each for each in sent if each.key == HOT.encode()]
    assert mess.counts["hot"] == HOT_STATEMENTS
    assert len({each.value for each in about_one}) == len(about_one) == HOT_STATEMENTS
    assert list(mess.rest()) == []


def _reason(sent: Sent) -> str:
    try:
        read(sent.value, sent.topic)
    except BadEventError as error:
        return error.reason
    return "good"


def test_the_same_seed_sends_the_same_and_another_does_not() -> None:
    assert told(5_000)[0] == told(5_000)[0]
    assert told(5_000)[0] != told(5_000, seed=2)[0]


def test_the_schedule_repeats_and_is_long_enough() -> None:
    kinds = [fault.kind for fault in schedule(1, short=False)]

    assert kinds == [fault.kind for fault in schedule(1, short=False)]
    assert kinds != [fault.kind for fault in schedule(2, short=False)]
    assert len(kinds) == total(short=False) >= 100
    assert len(schedule(1, short=True)) == total(short=True)
