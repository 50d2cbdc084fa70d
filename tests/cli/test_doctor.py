"""The doctor: what it makes of an exporter's figures, of a configuration, and of silence."""

import json

import pytest
from click.testing import CliRunner

from aggregators.meaning import Meaning, Pipeline, Stage
from dealpulse.child import free_port
from dealpulse.cli import main
from dealpulse.config import Settings
from dealpulse.doctor import Check, exit_code, figures
from dealpulse.doctor import _adapters as adapter_checks
from dealpulse.doctor import _meaning as meaning_checks
from exporters.names import FAMILIES

GOOD = """
# TYPE dealpulse_partitions_missing gauge
dealpulse_partitions_missing 0
# TYPE dealpulse_stage_order gauge
dealpulse_stage_order{stage_name="Proposal"} 3
# TYPE dealpulse_open_opportunities gauge
dealpulse_open_opportunities{team="North",stage_name="Proposal"} 7
dealpulse_open_opportunities{team="North",stage_name="Propsal"} 0
"""
BAD = """
# TYPE dealpulse_partitions_missing gauge
dealpulse_partitions_missing 2
# TYPE dealpulse_stage_order gauge
dealpulse_stage_order{stage_name="Proposal"} 3
# TYPE dealpulse_open_opportunities gauge
dealpulse_open_opportunities{team="North",stage_name="Propsal"} 1
# TYPE dealpulse_dead_letters_pending gauge
dealpulse_dead_letters_pending{topic="crm.opportunity"} 3
# TYPE dealpulse_resync_pending gauge
dealpulse_resync_pending{source="/salesforce/acme",topic="crm.opportunity"} 1
"""


def states(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.state for check in checks}


def test_good_figures_pass() -> None:
    assert set(states(list(figures(GOOD))).values()) == {"ok"}


def test_bad_figures_are_named_with_their_fix() -> None:
    found = {check.name: check for check in figures(BAD)}

    assert states(list(found.values())) == {
        "exporter": "ok",
        "stages": "warning",
        "shards": "failed",
        "resync": "warning",
        "dead letters": "warning",
    }
    assert "Propsal" in found["stages"].found
    assert "/salesforce/acme crm.opportunity" in found["resync"].found
    assert "dealpulse dlq list" in found["dead letters"].fix
    assert all(check.fix for check in found.values() if check.state != "ok")


def test_unpriced_deals_are_the_open_ones_each_counted_once() -> None:
    text = "# TYPE dealpulse_unpriced_opportunities gauge\n" + "".join(
        f'dealpulse_unpriced_opportunities{{team="{team}",state="{state}",window="{window}"}} {count}\n'
        for team, state, window, count in (
            ("North", "open", "now", 2),
            ("South", "open", "now", 1),
            ("North", "won", "quarter_to_date", 2),
            ("North", "won", "year_to_date", 2),
        )
    )

    found = {check.name: check for check in figures(text)}["exchange rates"]

    assert (found.state, found.found) == (
        "warning",
        "3 open opportunities have no rate into the reporting currency",
    )


def test_every_family_that_the_doctor_reads_exists() -> None:
    from dealpulse.doctor import _COUNTS

    known = set(FAMILIES)
    read = {count.family for count in _COUNTS} | {
        "dealpulse_stage_order",
        "dealpulse_open_opportunities",
    }

    assert read - known == set()


def test_a_pipeline_without_a_lost_stage_fails() -> None:
    pipeline = Pipeline(stages=(Stage(name="A", stalled_after_days=9), Stage(name="B", kind="won")))

    (check,) = meaning_checks(Meaning(pipelines={"default": pipeline}))

    assert (check.state, check.found) == ("failed", "no stage of kind lost: its deals can never get there")


def test_the_default_pipelines_pass() -> None:
    assert [check.state for check in meaning_checks(Settings().meaning)] == ["ok"]


def test_an_adapter_that_can_take_nothing_in_fails() -> None:
    adapters = Settings.model_validate(
        {
            "adapters": {
                "hooks": {"kind": "hubspot"},
                "signed": {"kind": "hubspot", "secret": "s3cret"},
                "crm": {"kind": "salesforce"},
                "connect": {"kind": "salesforce", "topics": ["sf.opportunity"]},
            }
        }
    ).adapters

    found = {check.name: check for check in adapter_checks(adapters)}

    assert states(list(found.values())) == {
        "adapter hooks": "failed",
        "adapter signed": "ok",
        "adapter crm": "failed",
        "adapter connect": "ok",
    }
    assert "DEALPULSE_ADAPTERS__HOOKS__SECRET_FILE" in found["adapter hooks"].fix


@pytest.mark.parametrize(
    ("found", "code"),
    [(("ok", "warning", "skipped"), 0), (("ok", "failed"), 1), (("failed", "unreachable"), 3)],
)
def test_the_exit_code_is_of_the_worst_check(found: tuple[str, ...], code: int) -> None:
    assert exit_code([Check("x", state, "") for state in found]) == code  # type: ignore[arg-type]


def test_servers_that_do_not_answer_are_one_line_each_and_exit_code_3() -> None:
    nobody = f"127.0.0.1:{free_port()}"
    environ = {"DEALPULSE_EXPORTER__LISTEN": nobody}

    result = CliRunner().invoke(
        main, ["doctor", "--json", "--brokers", nobody, "--redis", f"redis://{nobody}/0"], env=environ
    )

    assert result.exit_code == 3, result.output
    found = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert (found["kafka"]["state"], found["redis"]["state"]) == ("unreachable", "unreachable")
    assert found["exporter"]["state"] == "skipped"
    assert found["codecs"]["found"] == "gzip, lz4, snappy, zstd"
    assert "DEALPULSE_KAFKA__BROKERS" in found["kafka"]["fix"]


def test_a_wrong_configuration_is_exit_code_2() -> None:
    result = CliRunner().invoke(main, ["doctor"], env={"DEALPULSE_KAFKA__PARTITIONS": "none"})

    assert result.exit_code == 2
    assert "DEALPULSE_KAFKA__PARTITIONS" in result.stderr
