"""Packs the modules of ../events that publishers need as `dealpulse_events`."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULES = (
    "aio",
    "canonical",
    "currencies",
    "decimals",
    "delivery",
    "errors",
    "event",
    "fields",
    "headers",
    "instants",
    "keys",
    "log",
    "lookups",
    "models",
    "producer",
    "publisher",
    "reader",
    "settings",
    "statements",
    "subjects",
    "topics",
)


class EventsHook(BuildHookInterface):  # type: ignore[type-arg]
    """In the repository: take the modules from beside. In a source distribution they are in their place."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling names it
        """Add the files to what is packed."""
        packed = Path(self.root, "dealpulse_events")
        if (packed / "reader.py").exists():
            return
        events = Path(self.root).parent / "events"
        names = [*(f"{module}.py" for module in MODULES), "py.typed"]
        names += [f"schema/{path.name}" for path in sorted((events / "schema").glob("*.json"))]
        for name in names:
            build_data["force_include"][str(events / name)] = f"dealpulse_events/{name}"
        if self.target_name == "sdist":
            build_data["force_include"][str(events.parent / "LICENSE")] = "LICENSE"
