"""docker-compose.yml and Dockerfile, which nothing here can run, against what the code and the tests use."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import jsonschema
import pytest
import yaml

from dealpulse.cli import COMMANDS
from dealpulse.config import load
from events.duration import seconds_of
from events.listen import host_and_port
from tests.integration.servers import ApacheKafka

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("dealpulse:")}
PROMETHEUS: dict[str, Any] = yaml.safe_load(
    (ROOT / "monitoring/prometheus/prometheus.yml").read_text("utf-8")
)

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT, "minItems": 1}
_MAP = {"type": "object", "additionalProperties": {"type": ["string", "integer"]}}
_SPAN = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"}
_SERVICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "restart"],
    "properties": {
        "image": _TEXT,
        "build": _TEXT,
        "platform": {"const": "linux/amd64"},
        "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
        "init": {"type": "boolean"},
        "read_only": {"type": "boolean"},
        "tmpfs": _TEXTS,
        "cap_drop": _TEXTS,
        "security_opt": _TEXTS,
        "stop_grace_period": _SPAN,
        "volumes": _TEXTS,
        "profiles": _TEXTS,
        "user": _TEXT,
        "command": _TEXTS,
        "environment": _MAP,
        "ports": {"type": "array", "items": {"type": "string", "pattern": r"^127\.0\.0\.1:\d+:\d+$"}},
        "deploy": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"replicas": {"type": "integer", "minimum": 1}},
        },
        "depends_on": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"condition": {"enum": ["service_started", "service_healthy"]}},
            },
        },
        "healthcheck": {
            "type": "object",
            "additionalProperties": False,
            "required": ["test", "interval", "timeout", "retries"],
            "properties": {
                "test": {"type": "array", "prefixItems": [{"enum": ["CMD", "CMD-SHELL"]}], "items": _TEXT},
                "interval": _SPAN,
                "timeout": _SPAN,
                "start_period": _SPAN,
                "retries": {"type": "integer"},
            },
        },
    },
}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "services"],
    "patternProperties": {"^x-": {}},
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {"type": "object", "additionalProperties": _SERVICE},
        "volumes": {"type": "object", "additionalProperties": {"type": "null"}},
    },
}
"""The part of the Compose file format that we use, and no more: a misspelt key is an error."""


def listens(service: str) -> int:
    """The port that one of our services listens on, by its own settings."""
    environ = {key: str(value) for key, value in SERVICES[service]["environment"].items()}
    settings = load(ROOT / "examples" / "dealpulse.toml", environ=environ).settings
    section = getattr(settings, service)
    return host_and_port(section.listen)[1]


def test_the_file_has_the_form_of_compose() -> None:
    jsonschema.validate(COMPOSE, SCHEMA)


def test_the_file_has_the_form_that_the_compose_specification_gives() -> None:
    carrier = find_spec("check_jsonschema")
    assert carrier is not None, (
        "check-jsonschema, which carries the schema, is not installed: make test does it"
    )
    assert carrier.origin is not None
    schema = Path(carrier.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    specification = json.loads(schema.read_text("utf-8"))

    jsonschema.validate(COMPOSE, specification)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**COMPOSE, "services": {"kafka": {"imagee": "apache/kafka"}}}, specification)


def test_everything_that_was_promised_is_there() -> None:
    assert set(SERVICES) == {
        "kafka", "redis", "worker", "exporter", "gateway", "simulator", "prometheus", "alertmanager", "grafana",
    }  # fmt: skip
    assert SERVICES["worker"]["deploy"]["replicas"] == 2
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["simulator"]


def test_every_image_is_pinned() -> None:
    for service in SERVICES.values():
        assert re.search(r":v?\d+\.\d+\.\d+", service["image"]), service["image"]


def test_our_commands_exist_and_their_settings_are_understood() -> None:
    for name, service in OURS.items():
        assert service["command"][0] in COMMANDS
        environ = {key: str(value) for key, value in service["environment"].items()}
        settings = load(ROOT / "examples" / "dealpulse.toml", environ=environ).settings
        assert settings.kafka.brokers == "kafka:19092", name
        assert settings.redis.url == "redis://redis:6379/0", name


@pytest.mark.parametrize("name", ["worker", "exporter", "gateway"])
def test_ports_and_health_checks_are_those_of_the_settings(name: str) -> None:
    port = listens(name)
    service = SERVICES[name]

    assert port == host_and_port(getattr(load(environ={}).settings, name).listen)[1]
    assert f"http://127.0.0.1:{port}/healthz" in service["healthcheck"]["test"][-1]
    if name != "worker":
        assert service["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_a_worker_has_the_time_that_a_graceful_stop_takes() -> None:
    assert seconds_of(SERVICES["worker"]["stop_grace_period"]) > load(environ={}).settings.worker.stop_within


def test_what_is_waited_for_has_a_health_check() -> None:
    for name, service in SERVICES.items():
        for other, condition in service.get("depends_on", {}).items():
            assert other in SERVICES
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} waits for {other}"


def test_every_volume_is_declared_or_a_file_of_the_repository() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), volume
            elif not source.startswith((".", "$")):
                assert source in COMPOSE["volumes"], volume


def test_prometheus_scrapes_and_alerts_services_that_exist_on_their_ports() -> None:
    targets = [
        target
        for job in PROMETHEUS["scrape_configs"]
        for group in job.get("static_configs", [])
        for target in group["targets"]
    ]
    targets += [
        f"{name}:{group['port']}"
        for job in PROMETHEUS["scrape_configs"]
        for group in job.get("dns_sd_configs", [])
        for name in group["names"]
    ]
    assert {name: int(port) for name, port in (target.split(":") for target in targets)} == {
        name: listens(name) for name in ("worker", "exporter", "gateway")
    }
    (alertmanager,) = PROMETHEUS["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert alertmanager == "alertmanager:9093"
    assert SERVICES["alertmanager"]["ports"] == ["127.0.0.1:9093:9093"]
    assert "./monitoring/prometheus:/etc/prometheus:ro" in SERVICES["prometheus"]["volumes"]
    for rules in PROMETHEUS["rule_files"]:
        assert (ROOT / "monitoring" / "prometheus" / rules).is_file()


def on_host(service: str, inside: str) -> Path:
    """The file of the repository that a container sees at a path, by the mount that lies nearest."""
    mounts: list[list[str]] = [
        volume.split(":")[:2] for volume in SERVICES[service]["volumes"] if volume.startswith("./")
    ]
    covering = [
        (target, source) for source, target in mounts if inside == target or inside.startswith(f"{target}/")
    ]
    target, source = max(covering, key=lambda pair: len(pair[0]))
    return ROOT / source / inside.removeprefix(target).lstrip("/")


def test_every_path_that_a_container_is_told_is_mounted_into_it() -> None:
    provisioning = on_host("grafana", "/etc/grafana/provisioning")
    boards = yaml.safe_load((provisioning / "dashboards/dealpulse.yml").read_text("utf-8"))["providers"]
    (source,) = yaml.safe_load((provisioning / "datasources/dealpulse.yml").read_text("utf-8"))["datasources"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    prometheus = dict(option.removeprefix("--").split("=", 1) for option in SERVICES["prometheus"]["command"])
    routes = on_host("alertmanager", "/etc/alertmanager/alertmanager.yml")
    alertmanager = yaml.safe_load(routes.read_text("utf-8"))

    assert on_host("grafana", home).name == "executive.json"
    assert on_host("grafana", home).is_file()
    for folder in boards:
        assert len(list(on_host("grafana", folder["options"]["path"]).glob("*.json"))) == 5, folder["name"]
    assert source["url"] == "http://prometheus:9090"
    assert SERVICES["prometheus"]["ports"] == ["127.0.0.1:9090:9090"]
    assert on_host("prometheus", prometheus["config.file"]) == ROOT / "monitoring/prometheus/prometheus.yml"
    assert f"prometheus:{prometheus['storage.tsdb.path']}" in SERVICES["prometheus"]["volumes"]
    for pattern in alertmanager["templates"]:
        assert list(on_host("alertmanager", "/etc/alertmanager/templates").glob(Path(pattern).name))
    secrets = {
        slack["api_url_file"] for one in alertmanager["receivers"] for slack in one.get("slack_configs", [])
    }
    targets = {
        volume.removesuffix(":ro").rpartition(":")[2] for volume in SERVICES["alertmanager"]["volumes"]
    }
    assert secrets <= targets


def test_kafka_is_set_up_as_in_the_tests() -> None:
    kafka = ApacheKafka()
    tested = kafka._properties(ROOT)
    given = {
        key.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
        for key, value in SERVICES["kafka"]["environment"].items()
        if key.startswith("KAFKA_")
    }
    of_the_place = {"controller.quorum.voters", "listeners", "advertised.listeners", "log.dirs"} | {
        "listener.security.protocol.map", "inter.broker.listener.name", "offsets.topic.num.partitions",
    }  # fmt: skip

    assert {key: value for key, value in given.items() if key not in of_the_place} == {
        key: value for key, value in tested.items() if key not in of_the_place
    }
    names = {entry.split("://")[0] for entry in given["listeners"].split(",")}
    mapped = {entry.split(":")[0] for entry in given["listener.security.protocol.map"].split(",")}
    assert names == mapped


def test_redis_keeps_what_it_was_given() -> None:
    command = SERVICES["redis"]["command"]

    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert command[command.index("--appendonly") + 1] == "yes"


def test_nothing_runs_as_root_or_with_a_default_password() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    assert re.search(r"^USER 10001:10001$", dockerfile, re.MULTILINE)
    for name, service in SERVICES.items():
        if name not in OURS and name != "kafka":  # the image of Kafka sets its own user
            assert not service["user"].startswith(("0", "root")), name
        assert not [key for key in service.get("environment", {}) if "PASSWORD" in key], name
    assert SERVICES["grafana"]["environment"]["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert SERVICES["grafana"]["environment"]["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"


def test_the_image_holds_every_package_and_the_locked_versions() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    packages = [*wheel["packages"], *wheel["force-include"]]
    admitted = (ROOT / ".dockerignore").read_text("utf-8").splitlines()

    for name in [*packages, "pyproject.toml", "README.md", "LICENSE"]:
        assert re.search(rf"^COPY .*\b{re.escape(name)}\b", dockerfile, re.MULTILINE), name
        assert f"!{name}" in admitted, name
    assert "--require-hashes -r requirements/runtime.lock" in dockerfile
    assert (ROOT / "requirements" / "runtime.lock").is_file()
    version = re.search(r"^FROM python:(\d+\.\d+)\.\d+", dockerfile, re.MULTILINE)
    assert version is not None
    assert f"Programming Language :: Python :: {version[1]}" in project["project"]["classifiers"]
    exposed = re.search(r"^EXPOSE (.*)$", dockerfile, re.MULTILINE)
    assert exposed is not None
    assert {int(port) for port in exposed[1].split()} == {
        listens(name) for name in ("worker", "exporter", "gateway")
    }


def test_what_the_image_copies_is_enough_to_build_the_wheel(tmp_path: Path) -> None:
    source, wheels = tmp_path / "src", tmp_path / "wheels"
    build_stage = (ROOT / "Dockerfile").read_text("utf-8").split("\nFROM ")[1]
    for copied in re.findall(r"^COPY (.*)$", build_stage, re.MULTILINE):
        *names, target = copied.split()
        for name in names:
            place = source / target / Path(name).name if target.endswith("/") else source / target
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, place)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels)]

    built = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False, timeout=120)

    assert built.returncode == 0, built.stderr[-2_000:]
    with ZipFile(next(wheels.glob("*.whl"))) as wheel:
        assert {"exporters/runbooks/SalesPipelineStalled.md", "dealpulse/__main__.py"} <= set(
            wheel.namelist()
        )


def test_one_service_builds_the_image_that_all_of_ours_use() -> None:
    assert [name for name, service in SERVICES.items() if "build" in service] == ["worker"]


def test_the_image_is_of_this_version() -> None:
    from dealpulse import __version__

    assert {service["image"] for service in OURS.values()} == {f"dealpulse:{__version__}"}
