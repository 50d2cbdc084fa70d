"""Holds a PromQL query against the registry: names, labels, values, and the rules of ecosystem.md 1.1.

`findings(query)` lists in words what is wrong with it: a name or label that does not exist, a
selector label (`window`, `reading`, ...) neither pinned nor grouped by, a KPI read without
`max without (instance)`, a rate of a gauge, currencies added up.
"""

from collections.abc import Callable, Iterator
from typing import Any

import promql_parser as promql

from exporters.family import SELECTORS
from exporters.names import FAMILIES, UnknownFamilyError, family
from exporters.rules import RECORDINGS

TARGET_LABELS = frozenset({"job", "instance"})
COUNTER_FUNCTIONS = frozenset({"rate", "increase", "irate", "resets"})
FOREIGN = {
    "up": TARGET_LABELS,
    "ALERTS": frozenset({"alertname", "alertstate", "severity", "audience", "team"}),
}
_TEAM_RECORD = {"job", "team", "currency"}
_COMPANY_RECORD = {"job", "window", "currency"}
SET_OPERATORS = {"and", "or", "unless"}

Kept = Callable[[str], bool]


def findings(query: str, *, longest_range_seconds: float = 86_400) -> list[str]:
    """What is wrong with the query, one sentence each; empty when nothing is."""
    try:
        tree = promql.parse(query)
    except ValueError as error:
        return [f"does not parse: {error}"]
    return list(_visit(tree, lambda _: True, parent=None, function="", longest=longest_range_seconds))


def _visit(node: Any, kept: Kept, *, parent: Any, function: str, longest: float) -> Iterator[str]:
    match type(node).__name__:
        case "VectorSelector":
            yield from _selector(node, kept, parent, function)
        case "MatrixSelector":
            if node.range.total_seconds() > longest:
                yield f"reads {node.range} of raw samples"
            yield from _selector(node.vector_selector, kept, parent, function)
        case "SubqueryExpr":
            yield "uses a subquery"
            yield from _visit(node.expr, kept, parent=node, function=function, longest=longest)
        case "ParenExpr":
            yield from _visit(node.expr, kept, parent=parent, function=function, longest=longest)
        case "UnaryExpr":
            yield from _visit(node.expr, kept, parent=node, function=function, longest=longest)
        case "Call":
            for argument in node.args:
                yield from _visit(argument, kept, parent=node, function=node.func.name, longest=longest)
        case "AggregateExpr":
            yield from _aggregate(node, kept, longest)
        case "BinaryExpr":
            yield from _binary(node, kept, longest)


def _aggregate(node: Any, kept: Kept, longest: float) -> Iterator[str]:
    modifier = node.modifier
    named = set(modifier.labels) if modifier else set()
    by = modifier is None or modifier.type == promql.AggModifierType.By
    keeps_all = str(node.op) in {"topk", "bottomk"}
    there = _labels_below(node.expr)
    for label in sorted(named - there - TARGET_LABELS - {"le"}):
        yield f"groups by {label}, which no series below has"

    def now_kept(label: str) -> bool:
        return (keeps_all or (label in named if by else label not in named)) and kept(label)

    if keeps_all and by:
        # Ranks are compared within each group: an unpinned window would rank quarters against years.
        def now_kept(label: str) -> bool:
            return label in named and kept(label)

    yield from _visit(node.expr, now_kept, parent=node, function="", longest=longest)


def _binary(node: Any, kept: Kept, longest: float) -> Iterator[str]:
    modifier, sides = node.modifier, [node.lhs, node.rhs]
    narrowed: list[Any] = []
    if modifier is not None and modifier.matching is not None and str(node.op) not in SET_OPERATORS:
        card = str(modifier.card)
        narrowed = {
            "VectorMatchCardinality.OneToOne": sides,
            "VectorMatchCardinality.ManyToOne": [node.rhs],
            "VectorMatchCardinality.OneToMany": [node.lhs],
        }.get(card, [])
        labels = set(modifier.matching.labels)
        on = modifier.matching.type == promql.LabelModifierType.Include
        for label in sorted(labels - _labels_below(node) - TARGET_LABELS):
            yield f"matches on {label}, which no series has"
    for side in sides:
        keeping = kept
        if any(side is one for one in narrowed):

            def keeping(label: str, labels: set[str] = labels, on: bool = on) -> bool:
                return (label in labels) == on and kept(label)

        yield from _visit(side, keeping, parent=node, function="", longest=longest)


def _matchers(selector: Any) -> list[tuple[str, str, str]]:
    return [(one.name, str(one.op).rsplit(".", 1)[-1], one.value) for one in selector.matchers.matchers]


def _selector(selector: Any, kept: Kept, parent: Any, function: str) -> Iterator[str]:
    name = selector.name
    matchers = _matchers(selector)
    if name is None:
        yield "selects by __name__: write the metric's name"
        return
    if name in FOREIGN:
        yield from _foreign(name, matchers, FOREIGN[name])
        return
    if name in RECORDINGS:
        labels = _TEAM_RECORD if name.startswith("team:") else _COMPANY_RECORD
        pinned = {label for label, operator, _ in matchers if operator == "Equal"}
        if "window" in labels and "window" not in pinned and not kept("window"):
            yield f"{name} adds up overlapping windows"
        yield from _foreign(name, matchers, frozenset(labels | TARGET_LABELS))
        return
    try:
        one = family(name)
    except UnknownFamilyError:
        yield f"{name} is no metric of the registry"
        return
    yield from _foreign(name, matchers, frozenset({*one.labels, *TARGET_LABELS, "le"}))
    pinned_values: dict[str, str] = {}
    for label, operator, value in matchers:
        allowed = one.values(label)
        asked = [value] if operator in {"Equal", "NotEqual"} else value.split("|")
        for each in asked:
            if allowed and each not in allowed:
                yield f'{name} never has {label}="{each}"'
        if operator == "Equal":
            pinned_values[label] = value
    if not any(
        all(cell.get(label, value) == value for label, value in pinned_values.items()) for cell in one.cells
    ):
        yield f"{name} never has these values together: {pinned_values}"
    for label in one.selectors:
        values = one.values(label)
        if label not in pinned_values and len(values) != 1 and not kept(label):
            yield f"{name} is added up over {label}, whose values overlap"
    native = name.startswith(("dealpulse_native_", "dealpulse_rep_native_"))
    if native and "currency" not in pinned_values and not kept("currency"):
        yield f"{name} is added up over currency"
    if one.tier != "engine" and not _over_instances(parent):
        yield f"{name} is read without max without (instance)"
    if one.type == "counter" and function not in COUNTER_FUNCTIONS:
        yield f"{name} is a counter read without a rate"
    if one.type == "gauge" and function in COUNTER_FUNCTIONS:
        yield f"{name} is a gauge under {function}"


def _foreign(name: str, matchers: list[tuple[str, str, str]], labels: frozenset[str]) -> Iterator[str]:
    for label, _, _ in matchers:
        if label not in labels:
            yield f"{name} has no label {label}"


def _over_instances(parent: Any) -> bool:
    if type(parent).__name__ != "AggregateExpr" or str(parent.op) != "max" or parent.modifier is None:
        return False
    without = parent.modifier.type == promql.AggModifierType.Without
    return bool(without == ("instance" in parent.modifier.labels))


def selectors(query: str) -> list[Any]:
    """Every vector selector of a query."""
    return list(_selectors(promql.parse(query)))


def _selectors(node: Any) -> Iterator[Any]:
    match type(node).__name__:
        case "VectorSelector":
            yield node
        case "MatrixSelector":
            yield node.vector_selector
        case "Call":
            for argument in node.args:
                yield from _selectors(argument)
        case "BinaryExpr":
            yield from _selectors(node.lhs)
            yield from _selectors(node.rhs)
        case "ParenExpr" | "UnaryExpr" | "SubqueryExpr" | "AggregateExpr":
            yield from _selectors(node.expr)


def _labels_below(node: Any) -> set[str]:
    found: set[str] = set()
    for selector in _selectors(node):
        name = selector.name or ""
        if name in FAMILIES or any(name.endswith(end) for end in ("_bucket", "_sum", "_count")):
            found |= set(family(name).labels) if name.startswith("dealpulse_") else set()
        elif name in RECORDINGS:
            found |= _TEAM_RECORD if name.startswith("team:") else _COMPANY_RECORD
        elif name in FOREIGN:
            found |= FOREIGN[name]
    return found | (set() if found else SELECTORS)
