"""What goes wrong beside the figures and is tried again: told once, until it is another or has gone."""

import traceback

from events.errors import DealpulseError
from events.log import get_logger

log = get_logger("exporter")


class Faults:
    """What goes wrong now, by what was being done: a line each second would help nobody."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def tell(self, doing: str, error: Exception) -> None:
        """Write a line, unless this was the last thing told of it; of a fault of ours where it arose, too."""
        said = f"{type(error).__name__}: {error}"
        if self._told.get(doing) == said:
            return
        self._told[doing] = said
        if isinstance(error, DealpulseError):
            log.warning("exporter.late", doing=doing, error=said)
        else:
            log.error("exporter.fault", doing=doing, error=said, traceback=traceback.format_exception(error))

    def gone(self, doing: str) -> None:
        """It went well again."""
        self._told.pop(doing, None)
