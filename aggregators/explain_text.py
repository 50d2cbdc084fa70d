"""An explanation for people: its JSON as text."""

from collections.abc import Sequence
from typing import Any

from aggregators.render import NO_SAMPLE, columns, value_text, window_text


def explanation_text(found: dict[str, Any]) -> str:
    """The JSON of an explanation for people."""
    if "history" in found:
        return _story_text(found)
    by = "".join(f", {name} {label}" for name, label in found["by"].items())
    window = found["window"]
    days = (
        f", {window['start']}..{window['end']}"
        if window["start"]
        else f", {window['name']}"
        if window["name"]
        else ""
    )
    records = found["records"]
    lines = [
        (
            f"{found['title']['en']} {found['title']['zh-TW']} ({found['kpi']} / {found['reading']}, "
            f"version {found['definition_version']}){by}{days}"
        ),
        f"as of {found['as_of']}",
        "",
        found["definition"]["en"],
        found["reading_definition"],
        "",
        f"{value_text(found['value'], found['unit'])}   {found['arithmetic']}",
        "",
    ]
    if "against" in found:  # what was asked comes before the records that have not moved
        lines.append(_moves_text(found["against"]))
    if records["total"]:
        first = (records["page"] - 1) * records["per_page"] + 1
        last = first + len(records["list"]) - 1
        lines.append(f"records {first} to {last} of {records['total']}, by {records['sort']}")
        lines.append(_records_text(records["list"]))
    return "\n".join(lines).rstrip() + "\n"


def _records_text(records: Sequence[dict[str, Any]]) -> str:
    heads = ["record", "name", "on", "numerator", "denominator", "note"]
    if any("part" in each for each in records):
        heads.append("part")
    lines = [[str("" if each.get(head) is None else each[head]) for head in heads] for each in records]
    return columns(heads, lines, {"numerator", "denominator"})


def _moves_text(against: dict[str, Any]) -> str:
    before, after = against["before"], against["after"]
    title = (
        f"moved from {value_text(before['value'], before['unit'])} as of {before['as_of']} "
        f"to {value_text(after['value'], after['unit'])}"
    )
    text = f"{title} by\n" + _moved_text(against["moved"]) if against["moved"] else f"{title}: by no record\n"
    if "reported" not in against:
        return text
    reported = against["reported"]
    for note in reported["notes"]:
        text += f"note: {note}\n"
    if reported["late"]:
        text += "known before the freeze, appended after it\n" + _moved_text(
            reported["late"], "known_at", "appended_at"
        )
    return text


def _moved_text(moved: Sequence[dict[str, Any]], *more: str) -> str:
    lines = [
        [
            move["record"],
            move["name"] or "",
            move["before"]["numerator"] if move["before"] else NO_SAMPLE,
            move["after"]["numerator"] if move["after"] else NO_SAMPLE,
            move["difference"],
            *(move[name] or "" for name in more),
        ]
        for move in moved
    ]
    heads = ["record", "name", "before", "after", "difference", *(name.replace("_", " ") for name in more)]
    return columns(heads, lines, {"before", "after", "difference"})


def _story_text(found: dict[str, Any]) -> str:
    life = (
        "alive"
        if found["alive"]
        else f"merged into {found['merged_into']}"
        if found["merged_into"]
        else "deleted"
    )
    history = [
        [
            event["time"],
            event["verb"] + (" (complete)" if event["complete"] else ""),
            ", ".join(f"{field} = {value}" for field, value in event["states"].items()),
            f"{event['source']} {event['id']}",
        ]
        for event in found["history"]
    ]
    counts = [
        [
            each["kpi"],
            ", ".join((each["reading"], *each["by"].values())),
            window_text({**each, "name": each["window"]}),
            each["on"] or "",
            each["numerator"],
            each["note"],
        ]
        for each in found["counts"]
    ]
    heads = ["kpi", "reading", "window", "on", "adds", "note"]
    return (
        f"{found['record']} {found['name'] or ''}: {life}\n\n"
        + columns(["time", "event", "states", "source and id"], history, set())
        + f"\ncounts as of {found['as_of']}\n"
        + (columns(heads, counts, {"adds"}) if counts else "in no figure\n")
    )
