"""The `window` labels of metrics as windows of a question: boards link to explanations with them."""

from datetime import date

from aggregators.calendar import Calendar
from exporters.labels import ASKED_AS


def asked_window(window: str, calendar: Calendar, as_of: date) -> str:
    """The command line's window for a `window` label; any other name as it is.

    A complete period before the running one is told by its days:
    `previous_quarter` in May 2026 is `2026-01-01..2026-03-31`.
    """
    name, back = ASKED_AS.get(window, (window, 0))
    if back <= 0:
        return name
    _, span = calendar.windows(name, as_of, back + 1)[0]
    return f"{span.start}..{span.end}"
