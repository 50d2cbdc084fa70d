"""The webhooks of a configuration: for each its check, its translator and its secrets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from ..adapters.catalogue import Check, Translator, check, translator
from ..adapters.settings import Adapter, HookSettings
from ..errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook, `/hooks/<kind>/<name>`."""

    name: str
    kind: str
    check: Check
    translator: Translator
    secrets: Sequence[bytes] = field(repr=False)


def hooks(adapters: Mapping[str, Adapter], *, zone: tzinfo) -> dict[tuple[str, str], Hook]:
    """The webhooks among the adapters, by kind and name. `zone` is the company's.

    Raises `ConfigurationError` for one without a secret: whoever knows its address could write history.
    """
    found: dict[tuple[str, str], Hook] = {}
    for name, settings in adapters.items():
        if not isinstance(settings, HookSettings):
            continue
        secrets = secrets_of(settings.secret.get_secret_value())
        if not secrets:
            raise ConfigurationError(
                f"[adapters.{name}] has no secret, so anybody could post to /hooks/{settings.kind}/{name}. Set "
                f"DEALPULSE_ADAPTERS__{name.upper()}__SECRET, or …__SECRET_FILE to a file that holds it"
            )
        found[settings.kind, name] = Hook(
            name=name,
            kind=settings.kind,
            check=check(settings),
            translator=translator(settings, zone=zone),
            secrets=secrets,
        )
    return found


def secrets_of(text: str) -> tuple[bytes, ...]:
    """One secret per line, so that an old and a new one may hold for a while; blanks around them go."""
    return tuple(line.strip().encode() for line in text.splitlines() if line.strip())
