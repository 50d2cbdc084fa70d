"""Every adapter there is, by kind: its settings, its translator, and how its requests are checked."""

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Protocol

from .bamboohr import Bamboohr
from .debezium import Debezium
from .hubspot import Hubspot
from .merge_hris import Merge
from .outgoing import Outgoing
from .pipedrive import Pipedrive
from .salesforce_cdc import Salesforce
from .settings import (
    Adapter,
    BamboohrSettings,
    DebeziumSettings,
    HookSettings,
    HubspotSettings,
    MergeSettings,
    PipedriveSettings,
    SalesforceSettings,
    TopicSettings,
)
from .signatures import Request, check_bamboohr, check_basic, check_hubspot, check_merge


class Translator(Protocol):
    """Turns one delivery (a request's body, or a record's value and key) into canonical events."""

    def translate(self, body: bytes, key: bytes = b"") -> list[Outgoing]:
        """The events; none if the delivery says nothing that dealpulse keeps. Raises `BadEventError`."""


Check = Callable[[Request, Sequence[bytes], int], None]
"""Request, secrets and now (Unix ms); raises `SignatureError`."""


def translator(settings: Adapter, *, zone: tzinfo) -> Translator:
    """The translator that `[adapters.<name>]` describes. `zone` is the company's."""
    match settings:
        case SalesforceSettings():
            return Salesforce(settings, zone)
        case DebeziumSettings():
            return Debezium(settings, zone)
        case HubspotSettings():
            return Hubspot(settings, zone)
        case PipedriveSettings():
            return Pipedrive(settings, zone)
        case BamboohrSettings():
            return Bamboohr(settings, zone)
        case MergeSettings():
            return Merge(settings, zone)


def check(settings: HookSettings) -> Check:
    """How a request to the webhook that `settings` describes is shown to be the vendor's."""
    match settings:
        case HubspotSettings():
            age = settings.max_age_seconds
            return lambda request, secrets, now: check_hubspot(
                request, secrets, now_unix_ms=now, max_age_seconds=age
            )
        case BamboohrSettings():
            limit = settings.max_age_seconds
            return lambda request, secrets, now: check_bamboohr(
                request, secrets, now_unix_ms=now, max_age_seconds=limit
            )
        case PipedriveSettings():
            username = settings.username
            return lambda request, secrets, _: check_basic(request, username, secrets)
        case MergeSettings():
            return lambda request, secrets, _: check_merge(request, secrets)
    raise TypeError(f"no check of requests for {type(settings).__name__}")


__all__ = ["Check", "HookSettings", "TopicSettings", "Translator", "check", "translator"]
