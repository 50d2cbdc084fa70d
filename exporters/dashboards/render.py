"""Turns boards into the JSON that Grafana reads: the same text for the same board, always."""

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from grafana_foundation_sdk.builders import (
    barchart,
    bargauge,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from exporters.dashboards import look
from exporters.dashboards.panel import Board, Panel, Query, Words
from exporters.labels import QUARTERS
from exporters.names import FAMILIES, KPI_FAMILIES

WIDTH: Final = 24
_DATASOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
_ROW_HEIGHT: Final = 1
_ROWS: Final = frozenset({"table", "barchart"})
"""Kinds whose queries are joined to one row per value of the category."""
_ORDER: Final = "Z"


@dataclass(frozen=True, slots=True)
class Setting:
    """What the boards take from the company: zone, reporting currency, and the exporter's address."""

    zone: str
    currency: str
    exporter: str


def uid_of(name: str, lang: str) -> str:
    """The board's uid: `dealpulse-executive`, with `-zh` for Chinese."""
    return f"dealpulse-{name}" + ("-zh" if lang == "zh-TW" else "")


def board_text(board: Board, lang: str, setting: Setting, others: Mapping[str, Words]) -> str:
    """The board as JSON, keys sorted. `others` are the titles of all boards by name, for the links."""
    made = _board(board, lang, setting, others)
    # The SDK's own encoder knows its types; a second pass sorts what it leaves in order of writing.
    plain = json.loads(JSONEncoder().encode(made.build()))
    for link in (*plain["links"], *(link for panel in plain["panels"] for link in panel.get("links", ()))):
        # Its default hides links in a menu, and there is no value for the place that they had before.
        link.pop("placement", None)
    return json.dumps(plain, sort_keys=True, ensure_ascii=False, indent=1) + "\n"


def _board(board: Board, lang: str, setting: Setting, others: Mapping[str, Words]) -> builders.Dashboard:
    made = (
        builders.Dashboard(board.title.say(lang))
        .uid(uid_of(board.name, lang))
        .description(board.about.say(lang))
        .tags(["dealpulse", lang])
        .timezone(setting.zone)
        .refresh(board.refresh)
        .time(board.span, "now")
        .timepicker(builders.TimePicker().refresh_intervals(["5s", "10s", "30s", "1m", "5m"]))
        .readonly()
    )
    if board.kiosk:
        made.tooltip(models.DashboardCursorSync.OFF)
    for name in ("datasource", *board.variables, "currency", "exporter"):
        made.with_variable(_variable(name, lang, setting))
    for name, title in others.items():
        if name != board.name:
            made.link(_link_to(name, title.say(lang), lang, board))
    for one in _placed(board, lang, setting):
        if isinstance(one, builders.Row):
            made.with_row(one)
        else:
            made.with_panel(one)
    return made


def _placed(board: Board, lang: str, setting: Setting) -> Iterator[Any]:
    y, number = 0, 0
    for heading, panels in board.rows:
        if heading is not None:
            number += 1
            yield (
                builders.Row(heading.say(lang))
                .id(number)
                .grid_pos(models.GridPos(h=_ROW_HEIGHT, w=WIDTH, x=0, y=y))
            )
            y += _ROW_HEIGHT
        x = 0
        for panel in panels:
            number += 1
            place = models.GridPos(h=panel.height, w=panel.width, x=x, y=y)
            yield _panel(panel, board, lang, setting).id(number).grid_pos(place)
            x += panel.width
        y += max(panel.height for panel in panels)


def _panel(panel: Panel, board: Board, lang: str, setting: Setting) -> Any:
    made = {
        "stat": _stat,
        "timeseries": _timeseries,
        "bargauge": _bargauge,
        "barchart": _barchart,
        "table": _table,
        "statetimeline": _statetimeline,
    }[panel.kind](panel, board, lang)
    made.title(panel.title.say(lang)).description(_description(panel, lang)).datasource(_DATASOURCE)
    made.unit(look.unit_of(panel.unit, lang=lang, currency=setting.currency))
    made.decimals(look.decimals_of(panel.unit)).no_value((panel.empty or look.NO_SAMPLE).say(lang))
    made.color_scheme(builders.FieldColor().mode(models.FieldColorModeId.FIXED).fixed_color(look.GOOD))
    made.thresholds(
        builders.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=None, color=look.GOOD)])
    )
    for number, query in enumerate(panel.queries):
        reference = chr(ord("A") + number)
        made.with_target(_target(query, panel, reference, lang))
        properties = _properties(query, panel, lang, setting)
        if properties and panel.kind in _ROWS:
            # Joined, the fields are known by name, no longer by query.
            made.override_by_name(_value_name(panel, reference), properties)
        elif properties:
            made.override_by_query(reference, properties)
        for name, colour in zip(query.names, itertools.cycle(look.SERIES.values())):
            made.override_by_name(name, [_fixed(colour)])
    if panel.order:
        made.with_target(_target(Query(panel.order, Words("order", "順序")), panel, _ORDER, lang))
    if panel.kpi:
        made.links([_explanation(panel, lang)])
    return made


def _target(query: Query, panel: Panel, reference: str, lang: str) -> Any:
    made = (
        prometheus.Dataquery().expr(query.expression).legend_format(query.legend.say(lang)).ref_id(reference)
    )
    made.datasource(_DATASOURCE)
    if panel.kind in {"timeseries", "statetimeline"}:
        return made.range()
    if panel.kind in _ROWS:
        made.format(PromQueryFormat.TABLE)
    return made.instant()


def _value_name(panel: Panel, reference: str) -> str:
    """What Grafana calls the value of a query among the columns of a table."""
    return f"Value #{reference}" if len(panel.queries) > 1 or panel.order else "Value"


def _fixed(colour: str) -> models.DynamicConfigValue:
    return models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})


def _properties(query: Query, panel: Panel, lang: str, setting: Setting) -> list[models.DynamicConfigValue]:
    found = []
    if query.unit is not None and query.unit != panel.unit:
        unit = look.unit_of(query.unit, lang=lang, currency=setting.currency)
        found.append(models.DynamicConfigValue(id_val="unit", value=unit))
        found.append(models.DynamicConfigValue(id_val="decimals", value=look.decimals_of(query.unit)))
    if panel.kind in _ROWS:
        found.append(models.DynamicConfigValue(id_val="displayName", value=query.legend.say(lang)))
    if query.colour:
        found.append(_fixed(look.SERIES[query.colour]))
    if query.limits is not None:
        warning, bad = query.limits
        steps = [
            {"value": None, "color": look.GOOD},
            {"value": warning, "color": look.WARNING},
            {"value": bad, "color": look.BAD},
        ]
        found.append(
            models.DynamicConfigValue(id_val="thresholds", value={"mode": "absolute", "steps": steps})
        )
        found.append(models.DynamicConfigValue(id_val="color", value={"mode": "thresholds"}))
    if query.state is not None:
        words = (query.state.good, query.state.warning, query.state.bad)
        colours = (look.GOOD, look.WARNING, look.BAD)
        options = {
            str(level): {"text": word.say(lang), "color": colour, "index": level}
            for level, (word, colour) in enumerate(zip(words, colours, strict=True))
        }
        found.append(
            models.DynamicConfigValue(id_val="mappings", value=[{"type": "value", "options": options}])
        )
    return found


def _stat(panel: Panel, board: Board, lang: str) -> Any:  # noqa: ARG001
    return (
        stat.Panel()
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .text_mode(
            common.BigValueTextMode.VALUE_AND_NAME
            if len(panel.queries) > 1
            else common.BigValueTextMode.VALUE
        )
        .justify_mode(common.BigValueJustifyMode.CENTER)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )


def _legend(board: Board, *, several: bool) -> Any:
    shown = several and not board.kiosk
    return (
        common_builders.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(shown)
        .calcs([])
    )


def _tooltip(board: Board) -> Any:
    mode = common.TooltipDisplayMode.NONE if board.kiosk else common.TooltipDisplayMode.MULTI
    return common_builders.VizTooltipOptions().mode(mode).sort(common.SortOrder.DESCENDING)


def _timeseries(panel: Panel, board: Board, lang: str) -> Any:  # noqa: ARG001
    made = (
        timeseries.Panel()
        .line_width(2)
        .fill_opacity(0)
        .show_points(common.VisibilityMode.NEVER)
        .span_nulls(False)
        .legend(_legend(board, several=True))
        .tooltip(_tooltip(board))
    )
    if panel.lowest is not None:
        made.min(panel.lowest)
    if panel.stacked:
        made.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL)).fill_opacity(30)
    return made


def _bargauge(panel: Panel, board: Board, lang: str) -> Any:  # noqa: ARG001
    return (
        bargauge.Panel()
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .orientation(common.VizOrientation.HORIZONTAL)
        .show_unfilled(False)
        .min(0)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )


def _barchart(panel: Panel, board: Board, lang: str) -> Any:
    made = (
        barchart.Panel()
        .orientation(common.VizOrientation.VERTICAL)
        .show_value(common.VisibilityMode.ALWAYS)
        .group_width(0.7)
        .bar_width(0.9)
        .stacking(common.StackingMode.NORMAL if panel.stacked else common.StackingMode.NONE)
        .legend(_legend(board, several=len(panel.queries) > 1))
        .tooltip(_tooltip(board))
        .x_field(panel.category)
    )
    return _joined(made, panel, lang)


def _table(panel: Panel, board: Board, lang: str) -> Any:  # noqa: ARG001
    return _joined(table.Panel().show_header(True), panel, lang)


def _joined(made: Any, panel: Panel, lang: str) -> Any:  # noqa: ARG001
    """One row per value of the category: the queries, joined by it, without times and other labels."""
    values = [_value_name(panel, chr(ord("A") + number)) for number in range(len(panel.queries))]
    pattern = "^(" + "|".join([panel.category, *values]) + ")$"
    sorted_by = f"Value #{_ORDER}" if panel.order else panel.category
    for name, options in (
        ("joinByField", {"byField": panel.category, "mode": "outer"}),
        ("sortBy", {"fields": {}, "sort": [{"field": sorted_by}]}),
        ("filterFieldsByName", {"include": {"pattern": pattern}}),
    ):
        made.with_transformation(models.DataTransformerConfig(id_val=name, options=options))
    return made


def _statetimeline(panel: Panel, board: Board, lang: str) -> Any:  # noqa: ARG001
    return (
        statetimeline.Panel()
        .show_value(common.VisibilityMode.AUTO)
        .merge_values(True)
        .row_height(0.8)
        .legend(_legend(board, several=False))
        .tooltip(_tooltip(board))
    )


def _description(panel: Panel, lang: str) -> str:
    about = panel.about.say(lang)
    if not panel.kpi:
        return about
    number, version = _definition(panel.kpi)
    which = f"KPI {number}" if number.isdigit() else {"zh-TW": "角色指標"}.get(lang, "Role figure")
    if lang == "zh-TW":
        return f"{about}\n\n{which}({panel.kpi}),定義版本 {version},計算方式 {panel.reading}。"
    return f"{about}\n\n{which} ({panel.kpi}), definition version {version}, reading {panel.reading}."


def _definition(kpi: str) -> tuple[str, int]:
    one = next(family for family in KPI_FAMILIES.values() if family.kpi == kpi)
    return one.number, one.version


def _explanation(panel: Panel, lang: str) -> builders.DashboardLink:
    parts = [("kpi", panel.kpi), ("reading", panel.reading), ("window", panel.period)]
    asked = "&".join(f"{name}={quote(value, safe='${}')}" for name, value in parts if value)
    where = "".join(f"&where={quote(f'{name}={value}', safe='${}:')}" for name, value in panel.where.items())
    title = Words("Where does this number come from?", "這個數字怎麼來的?").say(lang)
    return (
        builders.DashboardLink(title)
        .type(models.DashboardLinkType.LINK)
        .url(f"${{exporter}}/explain?{asked}{where}")
        .target_blank(True)
    )


def _link_to(name: str, title: str, lang: str, board: Board) -> builders.DashboardLink:
    return (
        builders.DashboardLink(title)
        .type(models.DashboardLinkType.LINK)
        .url(f"/d/{uid_of(name, lang)}")
        .keep_time(not board.kiosk)
        .include_vars(True)
        .icon("dashboard")
    )


_WINDOW_WORDS: Final = {
    "quarter_to_date": Words("This quarter", "本季"),
    "previous_quarter": Words("Last quarter", "上季"),
    "trailing_12m": Words("Last 12 months", "近 12 個月"),
}


def _variable(name: str, lang: str, setting: Setting) -> Any:
    chosen = models.VariableOption
    match name:
        case "datasource":
            return (
                builders.DatasourceVariable("datasource")
                .label(Words("Data source", "資料來源").say(lang))
                .type("prometheus")
                .current(chosen(selected=True, text="Prometheus", value="prometheus"))
            )
        case "team":
            return (
                _labels("team", "dealpulse_open_opportunities", Words("Team", "團隊").say(lang))
                .multi(True)
                .include_all(True)
                .all_value(".*")
                .current(chosen(selected=True, text="All", value="$__all"))
            )
        case "rep":
            return _labels(
                "rep", 'dealpulse_rep_open_opportunities{team=~"$team"}', Words("Rep", "業務人員").say(lang)
            )
        case "window":
            options = ",".join(f"{_WINDOW_WORDS[one].say(lang)} : {one}" for one in QUARTERS)
            first = QUARTERS[0]
            return (
                builders.CustomVariable("window")
                .label(Words("Window", "期間").say(lang))
                .values(options)
                .current(chosen(selected=True, text=_WINDOW_WORDS[first].say(lang), value=first))
            )
        case "currency":
            return _labels("currency", "dealpulse_config_info", Words("Currency", "幣別").say(lang)).hide(
                models.VariableHide.HIDE_VARIABLE
            )
        case "exporter":
            return builders.ConstantVariable("exporter").value(setting.exporter)
    raise ValueError(f"no variable is called {name!r}")


def _labels(name: str, selector: str, label: str) -> builders.QueryVariable:
    query = f"label_values({selector}, {name})"
    assert selector.partition("{")[0] in FAMILIES
    return (
        builders.QueryVariable(name)
        .label(label)
        .datasource(_DATASOURCE)
        .query({"query": query, "refId": f"variable-{name}"})
        .definition(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
