import json
from copy import deepcopy
from random import Random
from typing import Any

import pytest

from events.adapters.cloudevents import structured
from events.adapters.judge import QUICK_TOPIC, good_subject, subject_if_quick
from events.errors import BadEventError
from events.reader import read
from tests.events.adapters.test_any_input import JUNK, places
from tests.events.adapters.test_cloudevents import EVENT

FULL = EVENT | {
    "sequence": "00001",
    "recordedtime": "2026-11-23T09:30:01.5Z",
    "datacontenttype": "application/json",
    "data": {
        "stage": "Proposal", "amount": "12500.00", "currency": "TWD", "owner_id": "ann", "close_date": "2026-12-01",
        "created_at": "2026-11-01T00:00:00Z", "probability": "0.5", "type": "new", "name": "n", "account_id": None,
    },
}  # fmt: skip


def judged(value: bytes) -> str | None:
    """The subject, or None for what the contract's reader refuses."""
    try:
        return read(value, QUICK_TOPIC).subject
    except BadEventError:
        return None


def test_the_quick_answer_is_given_for_the_commonest_kind() -> None:
    assert subject_if_quick(json.dumps(FULL).encode()) == "opp-4711"
    assert structured(json.dumps(FULL).encode())[0].topic == "crm.opportunity"


def test_what_is_quickly_good_is_good_for_the_reader() -> None:
    random, quick = Random(3), 0
    for _ in range(6_000):
        document: Any = json.loads(json.dumps(random.choice([FULL, EVENT])))
        for _ in range(random.randrange(3)):
            holder, key = random.choice(list(places(document)))
            holder[key] = deepcopy(random.choice(JUNK))
        value = json.dumps(document).encode()
        subject = subject_if_quick(value)
        quick += subject is not None
        if subject is not None:
            assert judged(value) == subject, value
    assert quick > 1_500


@pytest.mark.parametrize(
    "data",
    [
        {"amount": "much"},
        {"amount": 10**14},
        {"close_date": "2026-02-30"},
        {"created_at": "now"},
        {"probability": 2},
    ],
)
def test_what_is_not_good_is_worded_by_the_reader(data: dict[str, Any]) -> None:
    value = json.dumps(EVENT | {"data": data}).encode()

    assert subject_if_quick(value) is None
    with pytest.raises(BadEventError) as ours:
        good_subject(value, QUICK_TOPIC)
    with pytest.raises(BadEventError) as readers:
        read(value, QUICK_TOPIC)
    assert str(ours.value) == str(readers.value)


def test_a_good_event_on_another_topic_is_refused() -> None:
    with pytest.raises(BadEventError, match=r"crm\.account"):
        good_subject(json.dumps(EVENT).encode(), "crm.account")
