"""How many companies and answers the tests of the two roads have compared, for the summary of a run."""

from collections import Counter
from typing import Final

COMPARED: Final[Counter[str]] = Counter()
"""What was compared -> how many."""


def compared(what: str, figures: int) -> None:
    """Count one invented company, and the figures that two roads gave alike for it."""
    COMPARED[what] += 1
    COMPARED[f"figures of {what}"] += figures
