"""Mappings that come with dealpulse, for exports whose columns are known."""

from importlib.resources import files
from types import MappingProxyType

from .mapping import ImportMapping, parse_mapping

SHIPPED = MappingProxyType(
    {
        "salesforce": "a folder of a Salesforce data export: Opportunity.csv, OpportunityHistory.csv, Account.csv, …",
        "hubspot": "a deal export of HubSpot, one CSV file",
        "adventureworks": "Microsoft's AdventureWorks sample, the folder of its tab-separated files",
    }
)
"""Name -> what it reads."""


def shipped_mapping(name: str, *, source: str | None = None, zone: str | None = None) -> ImportMapping:
    """The mapping of a known export; `source` and `zone` replace what it names. Raises KeyError."""
    if name not in SHIPPED:
        raise KeyError(name)
    text = files(__package__).joinpath("mappings", f"{name}.toml").read_text(encoding="utf-8")
    return parse_mapping(text, f"{name} (shipped)", source=source, zone=zone)
