"""Records of runs: JSON files in bench-results/."""

import json
import os
import platform
from pathlib import Path
from typing import Any

from events.clock import Clock
from events.instants import instant_text
from tests.integration.servers import PROJECT

RESULTS = PROJECT / "bench-results"


def write(found: dict[str, Any], name: str) -> Path:
    """Keep a record in bench-results/."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / name
    path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    return path


def machine() -> dict[str, Any]:
    """Where something was measured."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "cores": os.cpu_count(),
    }


def now_text() -> str:
    """This instant, for a record."""
    return instant_text(Clock().now_ms() * 1_000_000)
