"""How the last `dealpulse verify` ended, as it stands in Redis."""

from collections.abc import Callable, Mapping

from events.event import EPOCH_UNIX_S
from exporters.figures import Series


def verdict(fields: Mapping[bytes, bytes], real_ms: Callable[[int], int]) -> dict[str, Series]:
    """Families by their stem; empty before the first run that proved or found anything.

    `real_ms` turns an instant of the company's clock into the real one (ms since 2000). A run that
    found differences leaves the instant of the last success as it was.

    >>> verdict({b"mismatches": b"0", b"last_success_ms": b"5000"}, lambda ms: ms)
    {'verify_mismatches': {(): 0.0}, 'verify_last_success_timestamp_seconds': {(): 946684805.0}}
    >>> verdict({}, lambda ms: ms)
    {}
    """
    found: dict[str, Series] = {}
    if b"mismatches" in fields:
        found["verify_mismatches"] = {(): float(fields[b"mismatches"])}
    if b"last_success_ms" in fields:
        instant = real_ms(int(fields[b"last_success_ms"])) / 1000 + EPOCH_UNIX_S
        found["verify_last_success_timestamp_seconds"] = {(): instant}
    return found
