"""What a client of `/metrics` prefers, by its request's headers (ecosystem.md 1.4)."""

from typing import Final

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
VARY: Final = "Accept, Accept-Encoding"


def negotiate(accept: str) -> bool:
    """Whether an Accept header prefers OpenMetrics to the text format; q-values are honoured.

    >>> negotiate("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.9")
    False
    """
    asked = _qualities(accept)
    openmetrics = asked.get("application/openmetrics-text", 0.0)
    return openmetrics > 0 and openmetrics >= asked.get("text/plain", 0.0)


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip; `q=0` forbids it."""
    asked = _qualities(accept_encoding)
    return asked.get("gzip", asked.get("*", 0.0)) > 0


def _qualities(header: str) -> dict[str, float]:
    """What a header accepts, in lower case, and the highest quality of each."""
    found: dict[str, float] = {}
    for part in header.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        found[kind] = max(quality, found.get(kind, 0.0))
    return found
