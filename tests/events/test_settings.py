import ssl

import pytest
from pydantic import ValidationError

from events.settings import KafkaSettings


def test_by_default_it_is_a_local_broker_without_login() -> None:
    assert KafkaSettings().kafka_python() == {
        "bootstrap_servers": ["localhost:9092"],
        "security_protocol": "PLAINTEXT",
    }


def test_a_login_goes_to_both_clients_and_is_shown_nowhere() -> None:
    settings = KafkaSettings(
        brokers="a:1, b:2",
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="crm",
        sasl_password="hush",
    )

    arguments = settings.aiokafka()

    assert arguments["bootstrap_servers"] == ["a:1", "b:2"]
    assert arguments["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (arguments["sasl_plain_username"], arguments["sasl_plain_password"]) == ("crm", "hush")
    assert isinstance(arguments["ssl_context"], ssl.SSLContext)
    assert settings.kafka_python().keys() == arguments.keys()
    assert "hush" not in repr(settings)
    assert "hush" not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"brokers": "localhost"}, "write host:port"),
        ({"brokers": "localhost:99999"}, "write host:port"),
        ({"brokers": ""}, "write host:port"),
        ({"partitions": 0}, "greater than 0"),
        ({"partitioner": "md5"}, "'murmur2' or 'crc32'"),
        ({"security_protocol": "SASL_SSL"}, "needs sasl_username"),
        ({"ssl_certfile": "a.pem"}, "belong together"),
        ({"broker": "localhost:9092"}, "Extra inputs"),
    ],
)
def test_a_wrong_setting_says_what_is_allowed(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        KafkaSettings.model_validate(wrong)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in KafkaSettings.model_fields.values())
