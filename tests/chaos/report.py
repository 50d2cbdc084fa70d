"""The figures of docs/reliability.md, written from the records in bench-results/ between marks."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.chaos.record import RESULTS
from tests.integration.servers import PROJECT

PAGE: Final = PROJECT / "docs" / "reliability.md"


def rewrite(page: Path = PAGE, results: Path = RESULTS) -> list[str]:
    """Write the blocks anew whose record is there; the names of those."""
    text, done = page.read_text("utf-8"), []
    for name, block in BLOCKS.items():
        record = results / f"{name}.json"
        if record.exists():
            text = replaced(text, name, block(json.loads(record.read_text("utf-8"))))
            done.append(name)
    page.write_text(text, "utf-8")
    return done


def replaced(text: str, name: str, block: str) -> str:
    """The text with what is between the marks of a name replaced. Raises ValueError if there are none."""
    begin, end = f"<!-- {name}: generated -->\n", f"<!-- {name}: end -->\n"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"the page needs once: {begin.strip()} … {end.strip()}")
    return pattern.sub(lambda _: begin + block + end, text)


def chaos(found: Mapping[str, Any]) -> str:
    """The table of faults of a run, and its proof."""
    proof, sent = found["proof"], found["sent"]
    compared, differences = proof["verify"]["compared"], proof["verify"]["differences"]
    several = found.get("rounds", 1) > 1
    rounds = f", in {found['rounds']} rounds, each on fresh servers" if several else ""
    lines = [
        (
            f"Run of {found['started'][:10]} (seed {found['seed']}, {_machine(found)}): {found['faults']} faults in "
            f"{_minutes(found['seconds'])} at {found['rate']:,} records/s{rounds}; {sent['acknowledged']:,} records "
            f"({sent['acknowledged'] / found['seconds']:,.0f}/s, outages counted), of them "
            f"{sent['poison']:,} poison, {sent['twice']:,} doubled, {sent['late']:,} late, "
            f"{sent['misplaced']:,} misplaced, {sent['skewed']:,} with a skewed clock, {sent['large']} of 1 MiB."
        ),
        "",
        "| fault | count | current again after, p50 | max | differences |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {kind['kind']} | {kind['count']} | {kind['recovery_p50_s']:.1f} s "
            f"| {kind['recovery_max_s']:.1f} s | {differences} |"
            for kind in found["kinds"]
        ),
        "",
        f"After {'each round' if several else 'it'}: `dealpulse verify` compared {compared['records']:,} records, {compared['entities']:,} entities"
        f"{' in all' if several else ''}, "
        f"{compared['kpis']} KPIs in {compared['rows']:,} rows: {differences} differences. The shards' counts ("
        + ", ".join(f"{count:,} {name.replace('_', '-')}" for name, count in proof["counts"].items())
        + f") add up to the {proof['records']:,} records of the log. The exporter gave the same "
        f"{proof['answers']['rows']:,} rows of {proof['answers']['kpis']} KPIs as `dealpulse kpi --events` on a "
        "dump of the topics.",
    ]
    return "\n".join(lines) + "\n"


def outage(found: Mapping[str, Any]) -> str:
    """How long partitions stood still."""
    lines = [
        (
            f"At default settings (`worker.session_timeout` {found['session_timeout_s']:g} s), two workers, "
            f"{found['rate']:,} records/s ({_machine(found)}):"
        ),
        "",
        "| the killed worker is | kills | outage, p50 | max |",
        "|---|---:|---:|---:|",
        *(
            f"| {how} | {len(each['all'])} | {each['p50']:.1f} s | {each['max']:.1f} s |"
            for how, each in found["outage_s"].items()
        ),
    ]
    return "\n".join(lines) + "\n"


def soak(found: Mapping[str, Any]) -> str:
    """The resident sets over time."""
    new = found["bytes_per_new_statement"]
    lines = [
        (
            f"{found['minutes']:g} minutes, {found['records'] / found['minutes'] / 60:,.0f} records/s ({found['records']:,} records, "
            f"{found['statements']['end']:,} statements before and after; {_machine(found)}):"
        ),
        "",
        "| memory of | mean | lowest | highest | trend |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {name} | {each['mean_mb']} MB | {each['lowest_mb']} MB | {each['highest_mb']} MB "
            f"| {each['mb_per_hour']:+.1f} MB/h |"
            for name, each in found["judged"].items()
        ),
        "",
        (
            f"Flat: {'yes' if found['flat'] else 'no'}. Each new statement about a known deal costs "
            f"{new['worker']:,} bytes in the worker, {new['exporter']:,} in the exporter and {new['redis']:,} in Redis "
            f"(mean over {new['statements']:,})."
        ),
    ]
    return "\n".join(lines) + "\n"


BLOCKS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "chaos": chaos,
    "outage": outage,
    "soak": soak,
}
"""Name of the record, and of the marks -> what is written."""


def _machine(found: Mapping[str, Any]) -> str:
    return f"{found['machine']['cores']} cores, Python {found['machine']['python']}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes"
