"""The importer: history from files becomes events, by a declarative mapping.

`load_mapping` and `shipped_mapping` give a mapping, `Import(path, mapping).steps()` the events row by row.
"""

from .mapping import ImportMapping, load_mapping, parse_mapping
from .run import START, FileSummary, Import, LinesImport, Position, Step
from .shipped import SHIPPED, shipped_mapping
from .tables import Refusal
from .translate import Prepared

__all__ = [
    "FileSummary",
    "Import",
    "ImportMapping",
    "LinesImport",
    "Position",
    "Prepared",
    "Refusal",
    "SHIPPED",
    "START",
    "Step",
    "load_mapping",
    "parse_mapping",
    "shipped_mapping",
]
