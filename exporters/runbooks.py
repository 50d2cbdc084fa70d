"""The pages that alerts link to, served by the exporter at `/runbooks/<AlertName>`."""

from pathlib import Path
from typing import Final

from exporters.alerts import ALERTS

_PACKAGED: Final = Path(__file__).parent / "runbooks"
_IN_THE_REPOSITORY: Final = Path(__file__).parent.parent / "monitoring" / "runbooks"
_NAMES: Final = frozenset(alert.name for alert in ALERTS)


def runbook(alert: str) -> str | None:
    """The page of an alert as Markdown; None where there is no such alert or its page is not installed."""
    if alert not in _NAMES:
        return None
    for folder in (_PACKAGED, _IN_THE_REPOSITORY):
        page = folder / f"{alert}.md"
        if page.is_file():
            return page.read_text(encoding="utf-8")
    return None
