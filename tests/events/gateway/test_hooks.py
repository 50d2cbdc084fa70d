from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from events.adapters.settings import Adapters
from events.errors import ConfigurationError
from events.gateway.hooks import hooks, secrets_of
from events.gateway.settings import GatewaySettings


def test_a_webhook_without_a_secret_is_refused_at_the_start() -> None:
    adapters = Adapters.model_validate({"adapters": {"acme": {"kind": "merge"}}}).adapters

    with pytest.raises(ConfigurationError, match="DEALPULSE_ADAPTERS__ACME__SECRET"):
        hooks(adapters, zone=ZoneInfo("UTC"))


def test_adapters_of_topics_are_no_webhooks() -> None:
    adapters = Adapters.model_validate({"adapters": {"sf": {"kind": "salesforce"}}}).adapters

    assert hooks(adapters, zone=ZoneInfo("UTC")) == {}


def test_an_old_and_a_new_secret_may_hold_for_a_while() -> None:
    assert secrets_of(" old \n\nnew\n") == (b"old", b"new")
    assert secrets_of(" \n") == ()


@pytest.mark.parametrize("name", ["events", "unknown"])
def test_the_gateways_own_sources_are_no_names(name: str) -> None:
    with pytest.raises(ValidationError, match="another name"):
        Adapters.model_validate({"adapters": {name: {"kind": "merge"}}})


def test_the_public_address_ends_before_the_path() -> None:
    assert GatewaySettings(public_url="https://x.example/in/").public_url == "https://x.example/in"
    with pytest.raises(ValidationError, match="https://host"):
        GatewaySettings(public_url="x.example")
