"""A linter for boards: what ecosystem.md 3 asks of every panel, looked up in the committed JSON."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.monitoring.query_check import findings

CORE = {
    "stat",
    "timeseries",
    "bargauge",
    "barchart",
    "table",
    "text",
    "statetimeline",
    "state-timeline",
    "row",
}
UNITS = re.compile(
    r"percentunit|currency[A-Z]{3}|currency:.+|suffix:(days|天|x|倍)|dateTimeFromNow|short|s|bytes"
)
# Okabe-Ito, in which nothing rests on telling red from green.
COLOURS = {
    "#56B4E9", "#0072B2", "#E69F00", "#D55E00", "#999999", "#009E73", "#F0E442", "#CC79A7",
}  # fmt: skip
WINDOWS = ("quarter_to_date", "previous_quarter", "trailing_12m")
SIGNS = ("●", "▲", "▼")


def spelt_out(query: str) -> Iterator[str]:
    """The query with the values of its variables put in; once per window where it has that variable."""
    query = query.replace("$__rate_interval", "1m")
    query = re.sub(r"\$(team|rep)\b|\$\{team:raw\}", ".*", query)
    for window in WINDOWS if "$window" in query else ("",):
        yield query.replace("$window", window)


def panels(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All panels but the headings of rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def complaints(board: Mapping[str, Any]) -> list[str]:
    """What is wrong with a board, one sentence each; empty when nothing is."""
    return [*_of_board(board), *(found for panel in panels(board) for found in _of_panel(panel))]


def _of_board(board: Mapping[str, Any]) -> Iterator[str]:
    numbers = [panel["id"] for panel in board["panels"]]
    if len(set(numbers)) != len(numbers):
        yield "two panels have one id"
    yield from _overlaps(board["panels"])
    if board.get("editable", True):
        yield "the board can be edited"
    variables = board["templating"]["list"]
    if not variables or (variables[0]["name"], variables[0]["type"]) != ("datasource", "datasource"):
        yield "the first variable is not the data source"
    shown = str(board["panels"]) + str([one.get("query") for one in variables])
    for name in {one["name"] for one in variables} - {"datasource", "currency", "exporter"}:
        if f"${name}" not in shown and f"${{{name}}}" not in shown:
            yield f"nothing uses the variable {name}"
    first_row = min(panel["gridPos"]["y"] for panel in board["panels"])
    first = [panel for panel in panels(board) if panel["gridPos"]["y"] == first_row]
    asked = " ".join(target["expr"] for panel in first for target in panel["targets"])
    for name in ("dealpulse_freshness_timestamp_seconds", "dealpulse_partitions_missing"):
        if name not in asked:
            yield f"the first row does not show {name}"


def _overlaps(placed: list[dict[str, Any]]) -> Iterator[str]:
    taken: dict[tuple[int, int], str] = {}
    for panel in placed:
        spot = panel["gridPos"]
        if spot["x"] + spot["w"] > 24:
            yield f"{panel['title']}: wider than the board"
        for x in range(spot["x"], spot["x"] + spot["w"]):
            for y in range(spot["y"], spot["y"] + spot["h"]):
                other = taken.setdefault((x, y), panel["title"])
                if other != panel["title"]:
                    yield f"{panel['title']}: overlaps {other}"
                    return


def _of_panel(panel: Mapping[str, Any]) -> Iterator[str]:
    title = panel.get("title") or f"panel {panel.get('id')}"
    if panel["type"] not in CORE:
        yield f"{title}: {panel['type']} is no core panel"
    if not panel.get("title"):
        yield f"{title}: no title"
    if not panel.get("description"):
        yield f"{title}: no description"
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    if not UNITS.fullmatch(defaults.get("unit", "")):
        yield f"{title}: unit {defaults.get('unit', '')!r}"
    if not defaults.get("noValue"):
        yield f"{title}: no words for no value"
    if panel["type"] == "timeseries" and defaults.get("custom", {}).get("spanNulls") is not False:
        yield f"{title}: gaps are joined"
    if panel["datasource"].get("uid") != "${datasource}":
        yield f"{title}: a data source of its own"
    for colour in re.findall(r"#[0-9A-Fa-f]{6}", str(panel)):
        if colour not in COLOURS:
            yield f"{title}: colour {colour}"
    named = [one.get("matcher", {}).get("id") for one in panel.get("fieldConfig", {}).get("overrides", [])]
    by_label = any("{{" in target.get("legendFormat", "") for target in panel.get("targets", []))
    if panel["type"] == "timeseries" and by_label and "byName" not in named:
        yield f"{title}: series without colours of their own"
    if panel["type"] in {"table", "barchart"} and "byFrameRefID" in named:
        yield f"{title}: joined columns are matched by query"
    yield from _unsigned_states(panel, title)
    targets = panel.get("targets", [])
    if not targets:
        yield f"{title}: no query"
    for target in targets:
        yield from _of_target(panel, target, title)
    asked = " ".join(target["expr"] for target in targets)
    if defaults.get("unit") == "percentunit" and panel["type"] == "stat":
        counted = "_samples" in asked or "opportunities_lost" in asked
        if not counted or len(targets) < 2:
            yield f"{title}: a ratio without its number of records"


def _unsigned_states(panel: Mapping[str, Any], title: str) -> Iterator[str]:
    for override in panel.get("fieldConfig", {}).get("overrides", []):
        for one in override["properties"]:
            if one["id"] == "mappings":
                for mapping in one["value"]:
                    for state in mapping["options"].values():
                        if not state["text"].startswith(SIGNS):
                            yield f"{title}: the state {state['text']!r} is told by colour alone"


def _of_target(panel: Mapping[str, Any], target: Mapping[str, Any], title: str) -> Iterator[str]:
    query = target["expr"]
    if target.get("datasource", {}).get("uid") != "${datasource}":
        yield f"{title}: a query with a data source of its own"
    single = panel["type"] not in {"timeseries", "state-timeline"}
    if single and not target.get("instant"):
        yield f"{title}: one value, and a query over a range"
    for wrong in re.findall(r"(?:rate|increase)\([^\[]*\[(?!\$__rate_interval|1h\])[^\]]*\]", query):
        yield f"{title}: {wrong} is not over $__rate_interval"
    for spelt in spelt_out(query):
        if "$" in spelt.replace("$1", ""):
            yield f"{title}: an unknown variable in {spelt}"
        for finding in findings(spelt):
            yield f"{title}: {finding}"
