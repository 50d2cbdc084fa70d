"""`make bench`: run the benchmarks, print a table, write JSON to `bench-results/`."""

import json
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from tests.bench import core, end_to_end, gateway, latency, outage, recovery, refresh, scrape

RESULTS = Path(__file__).resolve().parents[2] / "bench-results"
PARTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "core": core.run,
    "end_to_end": end_to_end.run,
    "all_kinds": end_to_end.run_all_kinds,
    "latency": latency.run,
    "gateway": gateway.run,
    "refresh": refresh.run,
    "scrape": scrape.run,
    "recovery": recovery.run,
    "outage": outage.run,
    "verify": latency.beside_verify,
}


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(sorted(PARTS)))
def bench(parts: tuple[str, ...]) -> None:
    """Run the named parts, or all; `--help` names them."""
    found: dict[str, Any] = {"machine": _machine()}
    for name in parts or PARTS:
        click.echo(f"{name} ...", err=True)
        found[name] = PARTS[name]()
        _print(name, found[name])
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "bench.json"
    path.write_text(json.dumps(found, indent=2) + "\n")
    click.echo(f"written to {path.relative_to(RESULTS.parent)}", err=True)


def _machine() -> dict[str, Any]:
    return {"python": platform.python_version(), "system": platform.platform()}


def _print(name: str, figures: Mapping[str, Any], indent: str = "") -> None:
    click.echo(f"{indent}{name}")
    for key, value in figures.items():
        if isinstance(value, Mapping):
            _print(key, value, indent + "  ")
        else:
            click.echo(f"{indent}  {key:<28}{value:>14}")


if __name__ == "__main__":
    bench()
