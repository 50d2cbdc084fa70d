"""The boards are current, hold the rules of ecosystem.md 3, and a wrong one is found out."""

import copy
import json
import re
import shutil
import subprocess
from pathlib import Path
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


# ecosystem.md 3, the table of boards: title in English and Chinese -> stems of what is asked below it.
# Chinese words of the seed article are its own (ecosystem.md 5).
PANELS: dict[str, dict[tuple[str, str], set[str]]] = {
    "executive": {
        ("Company-wide opportunity status", "全公司的商機狀況"): {"open_opportunities", "open_amount"},
        ("Attainment leaderboard", "業績達標排行榜"): {"won_amount", "target_amount", "rep_won_amount"},
        ("Actual against forecast and target", "整體業務績效和預測的比較"): {
            "won_amount", "target_pace_amount", "target_amount", "forecast_weighted_amount",
        },
        ("Pace", "達標進度"): {"won_amount", "target_pace_amount", "attainment_samples"},
        ("Pipeline coverage", "商機覆蓋率"): {"coverage_open_amount", "coverage_samples"},
        ("Pipeline waterfall", "商機變化瀑布圖"): {
            "waterfall_start_amount", "waterfall_change_amount", "waterfall_end_amount",
        },
        ("Annual contract value (ACV)", "年度合約價值"): {'{reading="booked"', '{reading="active"'},
        ("Customer lifetime value (CLV)", "客戶終身價值"): {"clv_accrued_amount"},
        ("Customer retention and churn", "客戶留存率與流失率"): {
            "customers_retained", "customers_churned", "customers_in_grace",
        },
        ("Revenue retention (GRR, NRR)", "收入留存率 (GRR、NRR)"): {"recurring_start_amount"},
        ("Rep retention", "業務人員留任率"): {"reps_retained"},
        ("Last quarter, restated against as reported", "上季:重述與當時報告"): {
            "won_amount", "reported_won_amount", "reported_opportunities_won", "reported_customers_churned",
        },
    },
    "manager": {
        ("Average sales cycle", "平均銷售週期"): {"sales_cycle_samples"},
        ("Average deal size", "平均成交金額"): {"deal_size_samples"},
        ("Conversion rate (win rate)", "轉換率(贏率)"): {"opportunities_won", "opportunities_lost"},
        ("Conversion rate by rep", "各業務人員轉換率"): {"rep_opportunities_won", "rep_opportunities_lost"},
        ("New opportunities against needed", "新商機與所需數"): {"opportunities_created", "opportunities_needed"},
        ("New opportunities: last 28 days against the 12 weeks before", "新商機:近 28 天與前 12 週"): {
            "opportunities_created_recent", "opportunities_created_baseline",
        },
        ("Average stagnation", "商機在銷售流程的平均停滯時間"): {"stagnation_opportunity_seconds"},
        ("Average stagnation by stage", "各階段平均停滯時間"): {"stagnation_opportunity_seconds"},
        ("Stalled by stage", "各階段停滯商機"): {"stalled_opportunities", "stalled_amount"},
        ("Stalest reps", "停滯最久的業務人員"): {"rep_stagnation_average_seconds"},
        ("Pipeline waterfall", "商機變化瀑布圖"): {"waterfall_change_amount"},
        ("Commit / best case / pipeline", "承諾/樂觀/商機"): {"forecast_amount"},
        ("Average ramp-up time", "業務人員的平均上手時間"): {"ramp_up_rep_seconds", "ramping_reps"},
        ("Referrals", "轉介數"): {"referrals"},
        ("Expiring contracts", "即將到期合約"): {"contracts_expiring"},
    },
    "rep": {
        ("Attainment", "業績達標"): {"rep_won_amount", "rep_target_amount"},
        ("Opportunities in the pipeline", "銷售流程裡的商機數"): {"rep_open_opportunities"},
        ("Pipeline progress", "銷售流程開發進度"): {"rep_open_opportunities", "stage_order"},
        ("Average sales cycle", "平均銷售週期"): {"rep_sales_cycle_samples"},
        ("Conversion rate (win rate)", "轉換率(贏率)"): {"rep_opportunities_won", "rep_opportunities_lost"},
        ("Stalled deals", "停滯商機"): {"rep_stalled_opportunities", "rep_stalled_amount"},
        ("New opportunities against needed", "新商機與所需數"): {
            "rep_opportunities_created", "rep_opportunities_needed",
        },
        ("Referrals", "轉介數"): {"rep_referrals"},
    },
    "floor": {
        ("True as of", "資料時間"): {"freshness_timestamp_seconds"},
        ("Won", "贏得"): {'window="day"', 'window="quarter_to_date"'},
        ("Attainment", "業績達標"): {"won_amount", "target_amount"},
        ("Attainment leaderboard", "業績達標排行榜"): {"rep_won_amount", "rep_target_amount"},
        ("Win rate this quarter", "本季贏率"): {"opportunities_won", "opportunities_lost"},
        ("New opportunities this week", "本週新商機"): {"opportunities_created"},
    },
    "engine": {
        ("Events per second", "每秒事件數"): {"worker_events_total"},
        ("Lag in events", "落後事件數"): {"worker_lag_events"},
        ("Lag in seconds", "落後秒數"): {"worker_lag_seconds"},
        ("Age of the numbers", "數字的年齡"): {"freshness_timestamp_seconds"},
        ("Checkpoint duration", "檢查點時間"): {"histogram_quantile(0.5", "histogram_quantile(0.99"},
        ("Shard size", "分片大小"): {"worker_shard_bytes"},
        ("Rebalances and dead letters", "重新分配與無法讀取的紀錄"): {"worker_rebalances_total"},
        ("Dead letters per second", "每秒無法讀取的紀錄"): {"dead_letters_total", "by (reason)"},
        ("Gateway answers per second", "閘道每秒回應"): {"gateway_requests_total", "by (code)"},
        ("Visibility delay", "可見延遲"): {"event_visibility_delay_seconds"},
        ("Series", "序列數"): {"exporter_series"},
        ("Build", "版本"): {"build_info"},
    },
}  # fmt: skip


def _asked_below(board: dict[str, Any], title: str) -> list[str]:
    """The queries of the panels with a title, and of those in a row with it."""
    found: list[str] = []
    row = ""
    for panel in board["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
        elif title in (panel["title"], row):
            found += [target["expr"] for target in panel["targets"]]
    return found


@pytest.mark.rule("Executive", "Manager", "Rep")
@pytest.mark.parametrize("name", PANELS)
def test_a_board_has_the_panels_of_the_contract_in_both_languages(name: str) -> None:
    english, chinese = load("en", name), load("zh-TW", name)
    for titles, stems in PANELS[name].items():
        for board, title in zip((english, chinese), titles, strict=True):
            asked = " ".join(_asked_below(board, title))
            assert asked, f"{board['title']} has no panel {title!r}"
            for stem in stems:
                word = (
                    rf"dealpulse_{stem}(_bucket)?\b" if stem.replace("_", "").isalnum() else re.escape(stem)
                )
                assert re.search(word, asked), (title, stem, asked)


# Every figure that a panel shows and that can have a goal of this quarter: board -> title -> KPI/reading.
# Not there: what the exporter has no figure of the quarter for (rep retention), lines over time, bars and
# leaderboards, and figures of other windows than the goal's (last quarter restated).
WITH_GOALS: dict[str, dict[str, set[str]]] = {
    "executive": {
        "Won against target": {"won/amount"},
        "Attainment": {"attainment/amount"},
        "Pace": {"pace/amount"},
        "Pipeline coverage": {"coverage/amount"},
        "Opportunities in the pipeline": {"open/count", "open/amount"},
        "Annual contract value (ACV)": {"acv/booked_per_contract", "acv/active_per_contract"},
        "Customer lifetime value (CLV)": {"clv/historic", "clv/signed"},
        "Customer retention and churn": {"customer_retention/logo", "churn/logo", "customers/in_grace"},
        "Revenue retention (GRR, NRR)": {"customer_retention/grr", "customer_retention/nrr"},
    },
    "manager": {
        "Average sales cycle": {"sales_cycle/mean"},
        "Average deal size": {"deal_size/mean"},
        "Conversion rate (win rate)": {"win_rate/closed_count"},
        "Conversion rate by rep": {"win_rate/closed_count"},
        "New opportunities in the pipeline": {"new_opportunities/count", "new_opportunities/amount"},
        "Average stagnation": {"stagnation/stagnation"},
        "Commit / best case / pipeline": {
            "forecast/commit", "forecast/best_case", "forecast/pipeline", "weighted_forecast/amount",
        },
        "Average ramp-up time": {"ramp_up/first_contact", "ramping_reps/count", "ramping_reps/age"},
        "Referrals": {"referrals/from_customers", "referrals/won", "referrals/from_others"},
        "Expiring contracts": {"contracts_expiring/count", "contracts_expiring/amount"},
    },
    "rep": {
        "Attainment": {"attainment/amount", "pace/amount"},
        "Won this quarter": {"won/amount", "won/count"},
        "Opportunities in the pipeline": {"open/count", "open/amount"},
        "Conversion rate (win rate)": {"win_rate/closed_count"},
        "Average sales cycle": {"sales_cycle/mean"},
        "Stalled deals": {"stalled/count", "stalled/amount", "stagnation/stagnation"},
        "New opportunities against needed": {"new_opportunities/count"},
        "Referrals": {"referrals/from_customers", "referrals/won"},
    },
    "floor": {
        "Won": {"won/amount"},
        "Attainment": {"attainment/amount"},
        "Win rate this quarter": {"win_rate/closed_count"},
        "New opportunities this week": {"new_opportunities/count"},
    },
}  # fmt: skip


@pytest.mark.rule("Targets")
@pytest.mark.parametrize("name", WITH_GOALS)
def test_a_board_shows_goals_beside_their_figures_with_the_difference(name: str) -> None:
    """On its own board a rep's goals, on the others those of the company or of the team chosen."""
    family = "dealpulse_rep_kpi_goal" if name == "rep" else "dealpulse_kpi_goal"
    found: dict[str, set[str]] = {}
    for panel in panels(load("en", name)):
        queries = {target["legendFormat"]: target["expr"] for target in panel["targets"]}
        for legend, aim in queries.items():
            if legend.partition(":")[0] != "goal":
                continue
            goal = re.search(r'kpi="(\w+)",reading="(\w+)",window="quarter_to_date"', aim)
            assert goal, aim
            found.setdefault(panel["title"], set()).add(f"{goal[1]}/{goal[2]}")
            asked_of = "dealpulse_rep_kpi_goal" if panel["type"] == "table" else family
            assert f"{asked_of}{{" in aim, legend
            matched = "rep" if panel["type"] == "table" else "job"
            assert queries["difference to " + legend].endswith(f" - on ({matched}) {aim}"), legend
    assert found == WITH_GOALS[name]


SEVERAL_TEAMS = {"North": 6, "South": 30, "R&D (EU)": 12}
"""Deals won; each team has lost four."""


def as_grafana_asks(query: str, *teams: str) -> str:
    """A query as Grafana sends it with these teams chosen, none: all of them (its page on variable syntax)."""
    escaped = [re.sub(r"[$^*{}\[\]+?.()|\\]", lambda found: "\\\\" + found[0], team) for team in teams]
    pattern = ".*" if not teams else escaped[0] if len(teams) == 1 else f"({'|'.join(escaped)})"
    query = query.replace("${team:raw}", ",".join(teams) or ".*")
    return query.replace("$team", pattern)


@pytest.mark.rule("Targets")
@pytest.mark.prometheus
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_a_team_stands_beside_its_own_goal_and_the_company_beside_the_companys(tmp_path: Path) -> None:
    """Judged by Prometheus' own engine: the figure is of the teams chosen, and so is the goal, or there is none."""
    panel = next(
        one for one in panels(load("en", "manager")) if one["title"].startswith("Conversion rate (win")
    )
    queries = {target["legendFormat"]: target["expr"] for target in panel["targets"]}
    goal = 'dealpulse_kpi_goal{job="e",instance="i",kpi="win_rate",reading="closed_count",window="quarter_to_date"'
    window = 'job="e",instance="i",window="quarter_to_date"'
    series = {f"{goal}}}": 0.5, f'{goal},team="North"}}': 0.7, f'{goal},team="R&D (EU)"}}': 0.9}
    for team, won in SEVERAL_TEAMS.items():
        series[f'dealpulse_opportunities_won{{team="{team}",{window}}}'] = won
        series[f'dealpulse_opportunities_lost{{team="{team}",{window}}}'] = 4
    # The teams chosen -> the goal and the difference; 48 of 60 deals were won in all.
    expected: dict[tuple[str, ...], tuple[float, float] | None] = {
        (): (0.5, 0.3),
        ("North",): (0.7, -0.1),
        ("South",): None,
        ("R&D (EU)",): (0.9, -0.15),
        ("North", "South"): None,
    }
    tests = []
    for teams, values in expected.items():
        for number, legend in enumerate(("goal", "difference to goal")):
            # Rounded: promtool compares to the last bit.
            asked = f"round({as_grafana_asks(queries[legend], *teams)}, 0.001)"
            samples = [] if values is None else [{"labels": '{job="e"}', "value": values[number]}]
            tests.append({"expr": asked, "eval_time": "0m", "exp_samples": samples})
    told = [{"series": name, "values": str(value)} for name, value in series.items()]
    cases = {"tests": [{"interval": "1m", "input_series": told, "promql_expr_test": tests}]}
    (tmp_path / "goals.yml").write_text(yaml.safe_dump(cases), encoding="utf-8")
    seen = subprocess.run(
        ["promtool", "test", "rules", "goals.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert seen.returncode == 0, seen.stdout + seen.stderr


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
