"""The configuration: layers, origins, secrets, and what its errors say."""

import contextlib
import json
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealpulse.config import Configuration, all_keys, load
from dealpulse.keys import Key
from events.errors import ConfigurationError


def read(text: str = "", /, tmp_path: Path | None = None, **environ: str) -> Configuration:
    if tmp_path is None:
        return load(environ=environ, folder=Path("/nonexistent"))
    file = tmp_path / "dealpulse.toml"
    file.write_text(text, "utf-8")
    return load(file, environ=environ)


def complaint(text: str = "", /, tmp_path: Path | None = None, **environ: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(text, tmp_path, **environ)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_without_file_and_variables_the_defaults_hold() -> None:
    configuration = read()

    assert configuration.file is None
    assert configuration.settings.kafka.brokers == "localhost:9092"
    assert configuration.settings.exporter.listen == "127.0.0.1:8402"
    assert configuration.settings.worker.listen == "127.0.0.1:8403"
    assert configuration.settings.gateway.listen == "127.0.0.1:8401"
    assert {origin for _, _, origin in configuration.effective()} == {"default"}


def test_a_flag_goes_before_a_variable_and_a_variable_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "dealpulse.toml"
    file.write_text('[kafka]\nbrokers = "file:1"\npartitions = 2\n[redis]\nprefix = "of_the_file"\n')

    configuration = load(
        file,
        flags={"kafka.brokers": "flag:3", "redis.prefix": None},
        environ={"DEALPULSE_KAFKA__BROKERS": "variable:2", "DEALPULSE_KAFKA__PARTITIONS": "8"},
    )

    kafka = configuration.settings.kafka
    assert (kafka.brokers, kafka.partitions) == ("flag:3", 8)
    origins = {key: origin for key, _, origin in configuration.effective()}
    assert origins["kafka.brokers"] == "command line"
    assert origins["kafka.partitions"] == "DEALPULSE_KAFKA__PARTITIONS"
    assert origins["redis.prefix"] == str(file)
    assert origins["redis.url"] == "default"


def test_the_file_is_found_by_option_then_variable_then_working_folder(tmp_path: Path) -> None:
    for name in ("dealpulse", "variable", "option"):
        (tmp_path / f"{name}.toml").write_text(f'[company]\nname = "{name}"\n')
    environ = {"DEALPULSE_CONFIG": str(tmp_path / "variable.toml")}

    found = [
        load(folder=tmp_path, environ={}),
        load(folder=tmp_path, environ=environ),
        load(tmp_path / "option.toml", folder=tmp_path, environ=environ),
    ]

    assert [each.settings.company.name for each in found] == ["dealpulse", "variable", "option"]


def test_a_file_that_is_not_there_is_an_error_that_says_who_named_it(tmp_path: Path) -> None:
    assert "DEALPULSE_CONFIG names the file /nowhere.toml" in complaint(DEALPULSE_CONFIG="/nowhere.toml")
    with pytest.raises(ConfigurationError, match="--config names the file"):
        load(tmp_path / "nowhere.toml", environ={})


def test_the_events_page_example_is_understood(tmp_path: Path) -> None:
    configuration = read(
        """
        [company]
        name = "Saul's Dolls"
        timezone = "Asia/Taipei"
        currency = "TWD"
        holidays = [2026-01-01, "2026-02-17"]
        [[pipelines.default.stages]]
        name = "Prospecting"
        kind = "open"
        probability = 0.10
        forecast_category = "pipeline"
        stalled_after_days = 21
        [kafka]
        brokers = "kafka-1:9092,kafka-2:9092"
        partitioner = "crc32"
        [alerts]
        WinRateDrop = {ratio = 0.3}
        RampUpOverdue = {days = 45}
        [exporter]
        max_staleness = "10m"
        """,
        tmp_path,
    )

    settings = configuration.settings
    assert settings.meaning.company.holidays == (date(2026, 1, 1), date(2026, 2, 17))
    assert [stage.name for stage in settings.meaning.pipelines["default"].stages] == ["Prospecting"]
    assert settings.exporter.max_staleness == 600
    thresholds = settings.alerts.by_alert()
    assert (thresholds["WinRateDrop"].ratio, thresholds["WinRateDrop"].samples) == (0.3, 20)
    assert thresholds["RampUpOverdue"].days == 45


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[kafka]\nbroker = 'x:1'", "unknown key kafka.broker. Did you mean kafka.brokers?"),
        ("[kafak]\nbrokers = 'x:1'", "unknown key kafak. Did you mean kafka?"),
        ("brokers = 'x:1'", "unknown key brokers. Did you mean kafka.brokers?"),
        (
            "[kafka]\npartitions = 'four'",
            "kafka.partitions is 'four'. Allowed: a whole number greater than 0.",
        ),
        ("[company]\ncalendar = 'lunar'", "company.calendar is 'lunar'. Allowed: one of gregorian, 4-4-5."),
        ("[exporter]\nrefresh = 'often'", "exporter.refresh is 'often'"),
        ("[worker]\nlisten = 'everywhere'", "is no address to listen on: write host:port"),
        ("kafka = 'x:1'", "kafka is 'x:1'."),
        (
            "[[pipelines.default.stages]]\nname='A'\nknd='open'",
            "unknown key pipelines.default.stages[0].knd. Did you mean pipelines.default.stages[0].kind?",
        ),
        ("[alerts]\nWinRateDrops = {ratio = 1}", "Did you mean alerts.WinRateDrop?"),
        (
            "[kafka]\nsecurity_protocol = 'SASL_SSL'",
            "kafka: security_protocol SASL_SSL needs sasl_username and sasl_password",
        ),
        ("[adapters.acme]\nkind = 'hubspott'", "adapters.acme"),
    ],
)
def test_a_fault_names_file_key_found_and_allowed(text: str, said: str, tmp_path: Path) -> None:
    message = complaint(text, tmp_path)

    assert message.startswith(f"{tmp_path / 'dealpulse.toml'}: ")
    assert said in message
    assert "\n" not in message


def test_each_of_several_faults_has_its_line(tmp_path: Path) -> None:
    message = complaint("[kafka]\npartitions = 0\n[worker]\ngruop = 'x'", tmp_path)

    assert sorted(line.partition(": ")[2].split(" ")[0] for line in message.splitlines()) == [
        "kafka.partitions",
        "unknown",
    ]


def test_a_file_that_is_no_toml_says_where(tmp_path: Path) -> None:
    assert "line 2" in complaint("[kafka]\nbrokers = = 1", tmp_path)


def test_an_unknown_variable_names_the_nearest() -> None:
    assert complaint(DEALPULSE_KAFKA__BROKER="x:1") == (
        "DEALPULSE_KAFKA__BROKER is an unknown variable. Did you mean DEALPULSE_KAFKA__BROKERS?"
    )
    assert "Did you mean DEALPULSE_CONFIG?" in complaint(DEALPULSE_CONFIGG="x")
    assert "names a section" in complaint(DEALPULSE_KAFKA="x")


def test_a_wrong_value_in_a_variable_names_the_variable() -> None:
    message = complaint(DEALPULSE_COMPANY__TIMEZONE="Asia/Taipe")

    assert message.startswith("DEALPULSE_COMPANY__TIMEZONE: company.timezone is 'Asia/Taipe' (")
    assert "IANA" in message


def test_lists_and_tables_can_be_given_in_variables() -> None:
    settings = read(
        DEALPULSE_COMPANY__HOLIDAYS="2026-01-01, 2026-02-03",
        DEALPULSE_COMPANY__SALES_ROLES='["sales", "hunter, large accounts"]',
        DEALPULSE_ALERTS__WINRATEDROP__SAMPLES="5",
        DEALPULSE_EXPORTER__REP_SERIES="false",
        DEALPULSE_ADAPTERS__ACME__KIND="pipedrive",
        DEALPULSE_ADAPTERS__ACME__STAGES='{"4": "Proposal"}',
    ).settings

    assert settings.company.holidays == (date(2026, 1, 1), date(2026, 2, 3))
    assert settings.company.sales_roles == ("sales", "hunter, large accounts")
    assert settings.alerts.by_alert()["WinRateDrop"].samples == 5
    assert settings.exporter.rep_series is False
    assert settings.adapters["acme"].kind == "pipedrive"


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")

    settings = read(DEALPULSE_REDIS__PASSWORD_FILE=str(secret)).settings

    assert settings.redis.password.get_secret_value() == "hunter2"


def test_only_secrets_come_from_files_and_only_once(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")

    assert "unknown variable" in complaint(DEALPULSE_KAFKA__BROKERS_FILE=str(secret))
    assert "cannot be read" in complaint(DEALPULSE_REDIS__PASSWORD_FILE=str(tmp_path / "none"))
    assert "both give redis.password" in complaint(
        DEALPULSE_REDIS__PASSWORD_FILE=str(secret), DEALPULSE_REDIS__PASSWORD="x"
    )


def test_secrets_are_masked_wherever_settings_are_shown(tmp_path: Path) -> None:
    configuration = read(
        '[redis]\nurl = "redis://user:hunter2@host:6379/0"\n'
        '[adapters.acme]\nkind = "hubspot"\nsecret = "hunter2"\n[wallboard]\ntoken_secret = "hunter2"',
        tmp_path,
    )

    shown = list(configuration.effective())

    assert "hunter2" not in repr(shown)
    assert "hunter2" not in repr(configuration.settings)
    assert ("redis.url", "redis://user:****@host:6379/0", str(configuration.file)) in shown
    assert "****" in [value for key, value, _ in shown if key == "adapters.acme.secret"]


def test_a_wrong_secret_is_not_repeated_in_the_error(tmp_path: Path) -> None:
    assert "hunter2" not in complaint('[redis]\npassword = ["hunter2"]', tmp_path)


def test_kafkas_own_spelling_with_dots_is_understood(tmp_path: Path) -> None:
    settings = read('[kafka]\nsecurity.protocol = "SSL"\nssl.cafile = "ca.pem"', tmp_path).settings

    assert (settings.kafka.security_protocol, settings.kafka.ssl_cafile) == ("SSL", "ca.pem")


def as_text(value: object) -> str:
    if isinstance(value, list | dict):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


DEFAULTS = {key: value for key, value, _ in read().effective()}
VARIABLES = [key for key in all_keys() if key.variable and DEFAULTS.get(key.dotted) is not None]


@pytest.mark.parametrize("key", VARIABLES, ids=lambda key: key.variable)
def test_every_key_can_be_given_as_its_variable(key: Key) -> None:
    assert key.variable is not None
    secret = "a-secret" if key.secret and key.dotted != "redis.url" else None

    configuration = load(
        environ={key.variable: secret or as_text(DEFAULTS[key.dotted])}, folder=Path("/nonexistent")
    )

    value, origin = next(
        (value, origin) for name, value, origin in configuration.effective() if name == key.dotted
    )
    assert origin == key.variable
    assert value == ("****" if secret else DEFAULTS[key.dotted])


@given(st.dictionaries(st.sampled_from(["kafka", "redis", "company", "x"]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8,
)))  # fmt: skip
def test_no_file_escapes_with_another_error(document: dict[str, object]) -> None:
    def toml(value: object) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(toml, value)) + "]"
        return json.dumps("none" if value is None else value)

    with TemporaryDirectory() as folder:
        file = Path(folder) / "dealpulse.toml"
        file.write_bytes(
            "\n".join(f"{key} = {toml(value)}" for key, value in document.items()).encode(errors="replace")
        )
        with contextlib.suppress(ConfigurationError):
            load(file, environ={})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('currency = "XYZ"', "company.currency is 'XYZ' ('XYZ' is no currency of ISO 4217 such as 'TWD')."),
        ('timezone = "Asia/Taipai"', "company.timezone is 'Asia/Taipai' ('Asia/Taipai' is no IANA time zone"),
    ],
)
def test_a_reason_stands_for_what_is_allowed_where_that_is_any_text(
    line: str, said: str, tmp_path: Path
) -> None:
    found = complaint(f"[company]\n{line}\n", tmp_path)

    assert said in found
    assert "Allowed: text" not in found
