"""Events from files: each line is one, as large as a record on Kafka may be."""

from pathlib import Path

import pytest

from dealpulse.event_files import EventFiles
from events.topics import MAX_VALUE_BYTES
from tests.chaos.poison import padded

EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "/x",
    "type": "dealpulse.opportunity.changed",
    "subject": "opp-1",
    "time": "2026-01-01T00:00:00Z",
    "data": {"stage": "Proposal"},
}


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_an_event_of_exactly_1_mib_is_read_whatever_ends_its_line(tmp_path: Path, end: bytes) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(padded(EVENT, MAX_VALUE_BYTES) + end)
    events = EventFiles([file])

    assert [event.subject for event in events] == ["opp-1"]
    assert events.refused == 0


def test_one_byte_more_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(padded(EVENT, MAX_VALUE_BYTES + 1) + b"\n")
    events = EventFiles([file])

    assert list(events) == []
    assert "malformed" in events.first_refusal
