import ast
import re
from pathlib import Path

import pytest

from events import topics
from events.currencies import EXPONENTS


def test_every_topic_carries_its_entity_and_resyncs() -> None:
    assert topics.types_of("sales.target") == (
        "dealpulse.target.changed",
        "dealpulse.target.deleted",
        "dealpulse.resync.required",
        "dealpulse.resync.completed",
    )
    for topic in topics.TOPICS:
        assert topics.topic_of(topics.entity_of(topic)) == topic
        assert topics.entity_of(topics.dlq_of(topic)) == topics.entity_of(topic)
        assert topics.origin_of(topics.dlq_of(topic)) == topic
        assert topics.is_dlq(topics.dlq_of(topic))
        assert not topics.is_dlq(topic)


def test_what_carries_no_entity_is_told() -> None:
    with pytest.raises(KeyError):
        topics.entity_of(topics.REPORTED)
    with pytest.raises(KeyError):
        topics.topic_of(topics.RESYNC)


def test_the_log_is_kept_for_good_and_a_dead_letter_always_fits() -> None:
    config = topics.config_of("crm.opportunity")
    assert (config["cleanup.policy"], config["retention.ms"]) == ("delete", "-1")
    assert int(topics.config_of("crm.opportunity.dlq")["max.message.bytes"]) == 2 * 2**20
    assert int(config["max.message.bytes"]) >= 2**20


def test_minor_units_are_those_of_iso_4217() -> None:
    assert [EXPONENTS[code] for code in ("TWD", "JPY", "KWD", "CLF", "USD", "EUR")] == [2, 0, 3, 4, 2, 2]
    assert all(re.fullmatch("[A-Z]{3}", code) for code in EXPONENTS)


def test_imports_within_events_are_relative() -> None:
    """The publisher distribution re-packages the folder under another name."""
    for path in Path(topics.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level or (node.module or "").split(".")[0] != "events", path
            if isinstance(node, ast.Import):
                assert all(name.name.split(".")[0] != "events" for name in node.names), path
