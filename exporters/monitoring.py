"""Writes everything below `monitoring/` that Prometheus, Alertmanager and Grafana read, and docs/metrics.md.

    python -m exporters.monitoring [--check] [--zone Asia/Taipei] [--currency TWD] …

A development command: it needs pyyaml and grafana-foundation-sdk. `--check` writes nothing and
exits with 1 if a committed file is not what would be written.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from exporters import alertmanager, grafana, metrics_page, prometheus, rules
from exporters.alert_cases import case_files
from exporters.dashboards.boards import board_files
from exporters.dashboards.render import Setting
from exporters.rules import Links

ROOT: Final = Path(__file__).resolve().parent.parent
ZONE: Final = "Asia/Taipei"
"""Zone and currency are those of examples/dealpulse.toml, which docker-compose.yml runs with."""
CURRENCY: Final = "TWD"
EXPORTER: Final = "http://localhost:8402"

_HEADER: Final = "# Written by python -m exporters.monitoring: change the Python, not this file.\n"


class _Dumper(yaml.SafeDumper):
    """Writes expressions of several lines as they stand."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


_Dumper.add_representer(str, _Dumper.represent_text)


def yaml_text(document: Mapping[str, Any]) -> str:
    """The document as YAML, keys in their given order, with a line that says where it comes from."""
    return _HEADER + yaml.dump(dict(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def files(
    *,
    zone: str = ZONE,
    currency: str = CURRENCY,
    links: Links = Links(),  # noqa: B008 - a frozen value
    exporter: str = EXPORTER,
) -> dict[str, str]:
    """Path below the repository's root -> text of every generated file."""
    setting = Setting(zone=zone, currency=currency, exporter=exporter)

    written = {
        "monitoring/prometheus/prometheus.yml": yaml_text(prometheus.configuration()),
        "monitoring/prometheus/rules/recording.yml": yaml_text(rules.recording_rules()),
        "monitoring/prometheus/rules/alerts.yml": yaml_text(rules.alerting_rules(links)),
        "monitoring/alertmanager/alertmanager.yml": yaml_text(alertmanager.configuration(zone=zone)),
        "monitoring/alertmanager/templates/dealpulse.tmpl": alertmanager.TEMPLATES,
        "docs/metrics.md": metrics_page.page(),
    }
    for name, document in grafana.provisioning().items():
        written[f"monitoring/grafana/provisioning/{name}"] = yaml_text(document)
    for name, text in board_files(setting):
        written[f"monitoring/grafana/dashboards/{name}"] = text
    for name, document in case_files(links).items():
        written[f"monitoring/prometheus/tests/{name}.yml"] = yaml_text(document)
    return written


def outdated(written: Mapping[str, str], root: Path) -> list[str]:
    """The paths whose file is missing or differs, and generated files that nothing generates any more."""
    found = [
        path
        for path, text in written.items()
        if not (root / path).is_file() or (root / path).read_text(encoding="utf-8") != text
    ]
    for folder, pattern in (
        ("monitoring/prometheus", "**/*.yml"),
        ("monitoring/grafana", "**/*.json"),
        ("monitoring/grafana", "**/*.yml"),
    ):
        present = {str(path.relative_to(root)) for path in (root / folder).glob(pattern)}
        found += sorted(present - set(written))
    return found


def main(arguments: list[str] | None = None) -> int:
    """Write or check the files. Exit code 1: a file was not current."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is not current")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder that holds monitoring/")
    parser.add_argument("--zone", default=ZONE, help="time zone of office hours (default: %(default)s)")
    parser.add_argument("--currency", default=CURRENCY, help="reporting currency (default: %(default)s)")
    parser.add_argument("--exporter", default=EXPORTER, help="address of the exporter in links of boards")
    parser.add_argument("--grafana", default=Links().grafana, help="address of Grafana in alerts")
    parser.add_argument("--runbooks", default=Links().runbooks, help="address of the runbooks in alerts")
    chosen = parser.parse_args(arguments)
    links = Links(grafana=chosen.grafana.rstrip("/"), runbooks=chosen.runbooks.rstrip("/"))
    written = files(
        zone=chosen.zone,
        currency=chosen.currency,
        links=links,
        exporter=chosen.exporter.rstrip("/"),
    )
    stale = outdated(written, chosen.root)
    if chosen.check:
        for path in stale:
            sys.stderr.write(f"{path} is not current: run python -m exporters.monitoring\n")
        return 1 if stale else 0
    for path in stale:
        target = chosen.root / path
        if path not in written:
            target.unlink()
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(written[path], encoding="utf-8")
    sys.stdout.write(f"{len(written)} files, {len(stale)} written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
