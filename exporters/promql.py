"""Pieces of PromQL, with every name and label value looked up in the registry as they are written."""

from events.errors import DealpulseError
from exporters.names import family


class WrongSelectorError(DealpulseError):
    """A selector with a label that the family lacks, or a value that it never has."""


def select(name: str, *more: str, **labels: str) -> str:
    """A selector of a family: `select("dealpulse_win_ratio", reading="cohort", window="trailing_12m")`.

    `more` are further matchers as PromQL writes them; a value may be a variable of a board (`$window`). Raises UnknownFamilyError and WrongSelectorError.

    >>> select("dealpulse_pace_ratio", window="quarter_to_date")
    'dealpulse_pace_ratio{window="quarter_to_date"}'
    """
    found = family(name)
    for label, value in labels.items():
        allowed = found.values(label)
        variable = value.startswith("$")
        if label not in found.labels or (allowed and value not in allowed and not variable):
            raise WrongSelectorError(f'{name} has no {label}="{value}": see exporters/names.py')
    matchers = [*(f'{label}="{value}"' for label, value in labels.items()), *more]
    return f"{name}{{{','.join(matchers)}}}" if matchers else name


def over_instances(selector: str) -> str:
    """The figure, whichever exporter tells it: two exporters give one alert and one line."""
    return f"max without (instance) ({selector})"


def over_windows(selector: str) -> str:
    """The same without its `window`, so that two windows can be compared; the selector pins it."""
    return f"max without (instance, window) ({selector})"


def company(selector: str) -> str:
    """The company's figure: the teams' added up."""
    return f"sum without (team) ({over_instances(selector)})"
