import pytest
from pydantic import ValidationError

from events import models, topics
from events.adapters.fields import CHOICES, FIELDS, TOPICS
from events.adapters.settings import Adapters, HubspotSettings


def test_the_kind_decides_which_keys_an_adapter_has() -> None:
    settings = Adapters.model_validate(
        {
            "adapters": {
                "acme": {"kind": "hubspot"},
                "org": {"kind": "salesforce", "topics": ["sf.Opportunity"]},
            }
        }
    )

    assert isinstance(settings.adapters["acme"], HubspotSettings)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"kind": "hubspot", "stages": {}}, "stages"),
        ({"kind": "zoho"}, "salesforce"),
        ({"kind": "hubspot", "opportunity": {"fields": {"x": "amout"}}}, "an opportunity has name"),
        ({"kind": "hubspot", "opportunity": {"values": {"type": {"a": "newish"}}}}, "is none of new"),
        ({"kind": "hubspot", "opportunity": {"values": {"typ": {}}}}, "an opportunity has name"),
        ({"kind": "debezium", "tables": {"t": {"entity": "opportunity", "columns": {"a": "b"}}}}, "has name"),
        (
            {
                "kind": "debezium",
                "tables": {"t": {"entity": "account", "columns": {"a": "name"}, "shown_column": "x"}},
            },
            "go together",
        ),
        (
            {
                "kind": "debezium",
                "tables": {"t": {"entity": "contract", "columns": {"a": "kind"}, "merged_into_column": "x"}},
            },
            "only opportunities and accounts",
        ),
        ({"kind": "hubspot", "id_prefix": "a\nb"}, "id_prefix"),
    ],
)
def test_a_wrong_key_or_value_is_named(section: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Adapters.model_validate({"adapters": {"acme": section}})


def test_one_topic_has_one_translator() -> None:
    two = {name: {"kind": "debezium", "topics": ["crm.public.deals"]} for name in ("a", "b")}

    with pytest.raises(ValidationError, match="translated by both 'a' and 'b'"):
        Adapters.model_validate({"adapters": two})


@pytest.mark.parametrize("name", ["Acme", "a-b", "", "7up", "x" * 33])
def test_names_fit_a_url_a_label_and_a_variable(name: str) -> None:
    with pytest.raises(ValidationError):
        Adapters.model_validate({"adapters": {name: {"kind": "hubspot"}}})


def test_the_fields_are_those_of_the_contract() -> None:
    for entity, fields in FIELDS.items():
        verb = "completed" if entity == "activity" else "changed"
        model = models.data_model(entity, verb)
        assert model is not None
        assert set(fields) == set(model.wire_names()) - {"complete", "aliases", "ramp"}
        assert TOPICS[entity] == topics.topic_of(entity)


def test_the_choices_are_those_of_the_contract() -> None:
    for entity, fields in FIELDS.items():
        assert {field for field, kind in fields.items() if kind == "choice"} == {
            f for e, f in CHOICES if e == entity
        }
