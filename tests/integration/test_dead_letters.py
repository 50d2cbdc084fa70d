"""`dealpulse dlq` and `dealpulse topics` on real servers, as an operator uses them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from aggregators.meaning import Meaning
from events.topics import REPORTED, TOPICS, dlq_of
from tests.integration.servers import Broker
from tests.integration.traffic import (
    PARTITIONS,
    Message,
    Stored,
    deal,
    envelope,
    make_topics,
    publish,
    require_equal_to_batch,
    wait_for_all,
    wait_until,
)
from tests.integration.worker import Worker


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command; its output is text."""
    return subprocess.run(
        [sys.executable, "-m", "dealpulse", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "DEALPULSE_LOG__LEVEL": "warning"},
        check=False,
    )


def dead_lettered(url: str) -> int:
    """What the shards of opportunities count."""
    return sum(
        Stored(url, "crm.opportunity", p, Meaning()).counts["dead_lettered"] for p in range(PARTITIONS)
    )


def test_dead_letters_are_listed_shown_replayed_and_dropped(
    empty_broker: Broker, redis_url: str, unique: str
) -> None:
    brokers = empty_broker.brokers
    servers = ("--brokers", brokers, "--redis", redis_url)
    make_topics(brokers)
    bad = envelope("opportunity", "changed", "opp-1", 1, {"amount": "much", "currency": "USD"})
    publish(
        brokers,
        [deal(1), Message("crm.opportunity", b"opp-1", bad), Message("crm.opportunity", b"k", b"\xff")],
    )

    with Worker(brokers, redis_url, group=unique):
        wait_for_all(brokers, redis_url)

        answer = run("dlq", "list", "--json", *servers)
        assert answer.returncode == 0, answer.stderr
        listed = [json.loads(line) for line in answer.stdout.splitlines()]
        assert {each["reason"] for each in listed} == {"invalid_data", "malformed"}
        names = {each["reason"]: each["name"] for each in listed}

        def chosen(*options: str) -> set[str]:
            found = run("dlq", "list", "--json", *servers, *options)
            assert found.returncode == 0, found.stderr
            return {json.loads(line)["name"] for line in found.stdout.splitlines()}

        earliest = min(each["appended_at"] for each in listed)
        assert chosen("--reason", "malformed") == {names["malformed"]}
        assert chosen("--topic", "crm.opportunity") == set(names.values())
        assert chosen("--topic", "crm.contract") == set()
        assert chosen("--since", earliest) == set(names.values())
        assert chosen("--until", earliest) == set()

        (whole,) = json.loads(run("dlq", "show", names["invalid_data"], "--json", *servers).stdout)
        assert whole["value"] == bad.decode()
        assert whole["key"] == "opp-1"
        assert "amount" in whole["message"]
        (binary,) = json.loads(run("dlq", "show", names["malformed"], "--json", *servers).stdout)
        assert binary["value_base64"] == "/w=="

        # Nothing was fixed, so each replay comes back as a new dead letter; the old one waits no more.
        for times in (1, 2):
            done = run("dlq", "replay", names["invalid_data"], "--json", *servers)
            assert json.loads(done.stdout)["replayed"] == [names["invalid_data"]], done.stderr
            wait_until(lambda times=times: dead_lettered(redis_url) == 2 + times, "it came back")  # type: ignore[misc]
        wait_for_all(brokers, redis_url)
        waiting = [json.loads(line) for line in run("dlq", "list", "--json", *servers).stdout.splitlines()]
        assert names["invalid_data"] not in {each["name"] for each in waiting}
        assert [each["reason"] for each in waiting].count("invalid_data") == 2

        assert run("dlq", "drop", *servers, "--yes").returncode == 2
        assert run("dlq", "drop", "--all", *servers, "--yes").returncode == 0
        assert run("dlq", "list", "--json", *servers).stdout == ""
        assert len(run("dlq", "list", "--all", "--json", *servers).stdout.splitlines()) == 4

    require_equal_to_batch(brokers, redis_url)
    shards = [Stored(redis_url, "crm.opportunity", p, Meaning()) for p in range(PARTITIONS)]
    assert sum(len(shard.state.subjects()) for shard in shards) == 1


def test_where_the_dead_letters_of_connect_topics_go_is_made_and_listed_too(
    empty_broker: Broker, tmp_path: Path
) -> None:
    (tmp_path / "dealpulse.toml").write_text(
        '[adapters.org]\nkind = "salesforce"\ntopics = ["sf.cdc.Opportunity"]\n'
    )
    options = ("--json", "--brokers", empty_broker.brokers, "--config", str(tmp_path / "dealpulse.toml"))

    made = run("topics", "ensure", *options)
    listed = run("topics", "list", *options)

    assert "sf.cdc.Opportunity.dlq" in json.loads(made.stdout)["created"], made.stderr
    assert "sf.cdc.Opportunity.dlq" in {each["topic"] for each in json.loads(listed.stdout)}
    assert listed.returncode == 0


def test_topics_are_made_once_and_listed(empty_broker: Broker) -> None:
    brokers = ("--brokers", empty_broker.brokers)

    assert run("topics", "list", *brokers).returncode == 1
    first = run("topics", "ensure", "--json", *brokers)
    second = run("topics", "ensure", "--json", *brokers)

    needed = {*TOPICS, *map(dlq_of, TOPICS), REPORTED}
    assert set(json.loads(first.stdout)["created"]) == needed
    assert json.loads(second.stdout) == {"created": [], "changed": {}}
    listed = run("topics", "list", "--json", *brokers)
    assert {each["topic"]: (each["partitions"], each["faults"]) for each in json.loads(listed.stdout)} == {
        topic: (PARTITIONS, []) for topic in needed
    }


def test_topics_of_a_broker_that_is_away_are_one_line_and_exit_code_3() -> None:
    answer = run("topics", "list", "--brokers", "127.0.0.1:1")

    assert answer.returncode == 3
    assert "Traceback" not in answer.stderr
    assert "127.0.0.1:1" in answer.stderr.splitlines()[-1]
