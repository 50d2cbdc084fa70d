"""The boards are current, hold the rules of ecosystem.md 3, and a wrong one is found out."""

import copy
import json
from typing import Any

import pytest
import yaml

from exporters import monitoring
from exporters.dashboards.boards import BOARDS, LANGUAGES
from exporters.dashboards.render import uid_of
from tests.monitoring.board_lint import complaints, panels

GRAFANA = monitoring.ROOT / "monitoring/grafana"
FILES = [(lang, board.name) for lang in LANGUAGES for board in BOARDS]


def load(lang: str, name: str) -> dict[str, Any]:
    board: dict[str, Any] = json.loads(
        (GRAFANA / f"dashboards/{lang}/{name}.json").read_text(encoding="utf-8")
    )
    return board


@pytest.mark.parametrize(("lang", "name"), FILES)
def test_a_board_holds_the_rules(lang: str, name: str) -> None:
    assert complaints(load(lang, name)) == []


@pytest.mark.parametrize(("lang", "name"), FILES)
def test_a_board_has_its_uid_zone_refresh_and_links(lang: str, name: str) -> None:
    board = load(lang, name)
    assert board["uid"] == uid_of(name, lang)
    assert (board["timezone"], board["refresh"]) == ("Asia/Taipei", "5s" if name == "floor" else "10s")
    others = {uid_of(other.name, lang) for other in BOARDS} - {board["uid"]}
    assert {link["url"].removeprefix("/d/") for link in board["links"]} == others


def test_variables_are_those_of_the_contract() -> None:
    named = {name: [one["name"] for one in load("en", name)["templating"]["list"]] for _, name in FILES}
    assert named["executive"] == ["datasource", "team", "window", "currency", "exporter"]
    assert named["rep"] == ["datasource", "team", "rep", "currency", "exporter"]
    team = next(one for one in load("en", "executive")["templating"]["list"] if one["name"] == "team")
    assert team["multi"] is True
    assert team["includeAll"] is True
    assert team["query"]["query"] == "label_values(dealpulse_open_opportunities, team)"


def test_every_kpi_panel_links_to_its_explanation_and_names_version_and_reading() -> None:
    for lang, name in FILES:
        for panel in panels(load(lang, name)):
            links = [link["url"] for link in panel.get("links", [])]
            is_engine = name == "engine" or "dealpulse_freshness" in panel["targets"][0]["expr"]
            if is_engine or "dealpulse_partitions_missing" in panel["targets"][0]["expr"]:
                continue
            assert len(links) == 1, panel["title"]
            assert links[0].startswith("${exporter}/explain?kpi="), panel["title"]
            assert ("定義版本" if lang == "zh-TW" else "definition version") in panel["description"]


def test_both_languages_ask_the_same_and_share_no_title() -> None:
    for board in BOARDS:
        english, chinese = panels(load("en", board.name)), panels(load("zh-TW", board.name))
        assert len(english) == len(chinese)
        for one, other in zip(english, chinese, strict=True):
            assert [target["expr"] for target in one["targets"]] == [
                target["expr"] for target in other["targets"]
            ]
            assert one["title"] != other["title"]
            assert one["gridPos"] == other["gridPos"]


def test_the_floor_is_for_a_tv() -> None:
    board = load("en", "floor")
    assert len(panels(board)) == 6
    assert 'showLegend": true' not in json.dumps(board)


def test_provisioning_leads_to_the_boards() -> None:
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/dealpulse.yml").read_text(encoding="utf-8"))
    assert source["datasources"][0]["uid"] == "prometheus"
    assert source["datasources"][0]["jsonData"]["timeInterval"] == "15s"
    folders = yaml.safe_load((GRAFANA / "provisioning/dashboards/dealpulse.yml").read_text(encoding="utf-8"))
    assert [(one["folder"], one["allowUiUpdates"]) for one in folders["providers"]] == [
        ("dealpulse", False),
        ("dealpulse 繁中", False),
    ]


def _spoilt(change: str) -> list[str]:
    board = copy.deepcopy(load("en", "manager"))
    shown = panels(board)
    panel = next(one for one in shown if one["type"] == "stat" and one["title"].startswith("Conversion"))
    target = panel["targets"][0]
    match change:
        case "no title":
            panel["title"] = ""
        case "no description":
            panel["description"] = ""
        case "days as d":
            panel["fieldConfig"]["defaults"]["unit"] = "d"
        case "an id twice":
            panel["id"] = shown[0]["id"]
        case "overlap":
            panel["gridPos"] = {**shown[0]["gridPos"]}
        case "bound to a data source":
            panel["datasource"]["uid"] = "abc"
        case "unknown metric":
            target["expr"] = "max without (instance) (dealpulse_winrate)"
        case "windows added up":
            target["expr"] = "sum(max without (instance) (dealpulse_opportunities_won))"
        case "red and green":
            panel["fieldConfig"]["defaults"]["color"]["fixedColor"] = "#00FF00"
        case "fixed rate":
            target["expr"] = "sum(rate(dealpulse_worker_events_total[5m]))"
        case "colour alone":
            mapping = {"type": "value", "options": {"0": {"text": "good", "color": "#56B4E9"}}}
            panel["fieldConfig"]["overrides"] = [{"properties": [{"id": "mappings", "value": [mapping]}]}]
        case "no samples":
            panel["targets"] = panel["targets"][:1]
            target["expr"] = 'max without (instance) (dealpulse_pace_ratio{window="quarter_to_date"})'
        case "a range for one value":
            target["instant"] = False
        case "no words for no value":
            panel["fieldConfig"]["defaults"]["noValue"] = ""
        case "seven days of raw samples":
            target["expr"] = "max_over_time(dealpulse_freshness_timestamp_seconds[7d])"
        case "no age of the numbers":
            board["panels"] = [one for one in board["panels"] if one["title"] != "True as of"]
        case "a useless variable":
            board["templating"]["list"].append({"name": "region", "type": "custom", "query": "a,b"})
        case "editable":
            board["editable"] = True
        case "plug-in":
            panel["type"] = "gauge-of-somebody"
    return complaints(board)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("no title", "no title"),
        ("no description", "no description"),
        ("days as d", "unit 'd'"),
        ("an id twice", "two panels have one id"),
        ("overlap", "overlaps"),
        ("bound to a data source", "a data source of its own"),
        ("unknown metric", "dealpulse_winrate is no metric of the registry"),
        ("windows added up", "added up over window"),
        ("red and green", "colour #00FF00"),
        ("fixed rate", "not over $__rate_interval"),
        ("colour alone", "told by colour alone"),
        ("no samples", "a ratio without its number of records"),
        ("a range for one value", "a query over a range"),
        ("no words for no value", "no words for no value"),
        ("seven days of raw samples", "of raw samples"),
        ("no age of the numbers", "the first row does not show dealpulse_freshness"),
        ("a useless variable", "nothing uses the variable region"),
        ("editable", "can be edited"),
        ("plug-in", "is no core panel"),
    ],
)
def test_a_wrong_board_is_found_out(change: str, complaint: str) -> None:
    found = _spoilt(change)
    assert any(complaint in one for one in found), found


def test_series_of_one_label_differ_in_colour() -> None:
    board = load("en", "engine")
    for panel in panels(board):
        colours = [
            one["value"]["fixedColor"]
            for override in panel["fieldConfig"]["overrides"]
            if override["matcher"]["id"] == "byName" and panel["type"] == "timeseries"
            for one in override["properties"]
            if one["id"] == "color"
        ]
        assert len(set(colours)) == len(colours), panel["title"]


def test_stages_stand_in_the_order_of_the_pipeline() -> None:
    for name in ("executive", "manager", "rep"):
        for panel in panels(load("en", name)):
            steps = {one["id"]: one["options"] for one in panel.get("transformations", [])}
            if steps.get("joinByField", {}).get("byField") == "stage_name":
                assert steps["sortBy"]["sort"] == [{"field": "Value #Z"}], panel["title"]
                assert "stage_order" in panel["targets"][-1]["expr"]
                assert "#Z" not in steps["filterFieldsByName"]["include"]["pattern"]
