"""Publish what happens in a CRM or HR system to dealpulse: checked, keyed, acknowledged.

    from dealpulse_events import Publisher

The modules beside this file are those of the folder `events` of the dealpulse repository, as they are
there; the JSON Schemas of all events are in `schema/`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .aio import AsyncPublisher as AsyncPublisher
    from .delivery import BufferFullError as BufferFullError
    from .delivery import DeliveryError as DeliveryError
    from .delivery import Receipt as Receipt
    from .errors import BadEventError as BadEventError
    from .errors import DealpulseError as DealpulseError
    from .errors import UnreachableError as UnreachableError
    from .event import Event as Event
    from .publisher import Delivery as Delivery
    from .publisher import Publisher as Publisher
    from .reader import read as read
    from .settings import KafkaSettings as KafkaSettings

__version__ = "0.1.0"

_HOME = {
    "Publisher": "publisher",
    "AsyncPublisher": "aio",
    "KafkaSettings": "settings",
    "Delivery": "publisher",
    "Receipt": "delivery",
    "Event": "event",
    "read": "reader",
    "DealpulseError": "errors",
    "BadEventError": "errors",
    "UnreachableError": "errors",
    "DeliveryError": "delivery",
    "BufferFullError": "delivery",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    """Load a name when it is asked for: who publishes with asyncio needs no kafka-python, and the reverse."""
    from importlib import import_module

    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
