"""Is it a good event? The quick answer for the commonest kind, the contract's reader for all others."""

from msgspec import UNSET

from ..fast import REFUSED, amount_e5, decode, share_e6
from ..lookups import day, time_ns
from ..reader import read
from ..topics import topic_of

QUICK_TOPIC = topic_of("opportunity")


def subject_if_quick(value: bytes) -> str | None:
    """The subject of a good `opportunity.changed`; None if the contract's reader has to judge."""
    try:
        event = decode(value)
        time_ns(event.time)
        data = event.data
        if data.amount is not UNSET and data.amount is not None:
            amount_e5(data.amount, None if data.currency is UNSET else data.currency)
        if data.close_date is not UNSET and data.close_date is not None:
            day(data.close_date)
        if data.created_at is not UNSET and data.created_at is not None:
            time_ns(data.created_at)
        if data.probability is not UNSET and data.probability is not None:
            share_e6(data.probability)
    except REFUSED:
        return None
    return event.subject


def good_subject(value: bytes, topic: str) -> str:
    """The subject of a good event of a topic. Raises `BadEventError` for any other, as the reader words it."""
    quick = subject_if_quick(value) if topic == QUICK_TOPIC else None
    return read(value, topic).subject if quick is None else quick
