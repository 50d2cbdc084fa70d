import pytest

from events.negotiation import negotiate, takes_gzip


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", True),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.9", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=nonsense", False),
        ("APPLICATION/OpenMetrics-Text; version=0.0.1", True),
    ],
)
def test_the_format_is_the_one_that_the_client_prefers(accept: str, openmetrics: bool) -> None:
    assert negotiate(accept) is openmetrics


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("", False),
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("*", True),
        ("identity", False),
    ],
)
def test_gzip_is_used_where_it_is_allowed(header: str, allowed: bool) -> None:
    assert takes_gzip(header) is allowed
