import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.adapters.signatures import (
    Request,
    SignatureError,
    check_bamboohr,
    check_basic,
    check_bearer,
    check_hubspot,
    check_merge,
)

NOW = 1_772_676_669_120
URI = "https://hooks.example.com/hooks/hubspot/acme?x=%2Fa&y=%40b%20c"
SECRETS = (b"new", b"old")


def mac(secret: bytes, signed: bytes) -> bytes:
    return hmac.new(secret, signed, hashlib.sha256).digest()


def hubspot(body: bytes = b"[]", *, secret: bytes = b"new", at: str = str(NOW), **headers: str) -> Request:
    # as HubSpot signs: %2F and %40 written out, %20 is none of its escapes
    signed = b"POSThttps://hooks.example.com/hooks/hubspot/acme?x=/a&y=@b%20c" + body + at.encode()
    signature = base64.b64encode(mac(secret, signed)).decode()
    all_headers = {
        "x-hubspot-signature-v3": signature,
        "x-hubspot-request-timestamp": at,
        "x-hubspot-signature-version": "v1",
        "x-hubspot-signature": "232db2615f3d666fe21a8ec971ac7b5402d33b9a",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", URI, all_headers, body)


def refusal(check: object, *args: object, **kwargs: object) -> SignatureError:
    with pytest.raises(SignatureError) as refused:
        check(*args, **kwargs)  # type: ignore[operator]
    return refused.value


def test_hubspot_signs_method_address_body_and_timestamp() -> None:
    check_hubspot(hubspot(), SECRETS, now_unix_ms=NOW, max_age_seconds=300)
    check_hubspot(hubspot(secret=b"old"), SECRETS, now_unix_ms=NOW, max_age_seconds=300)


def test_hubspot_forged_and_expired_are_told_apart() -> None:
    forged = hubspot(secret=b"guess")
    assert refusal(check_hubspot, forged, SECRETS, now_unix_ms=NOW, max_age_seconds=300).reason == "signature"
    late = refusal(check_hubspot, hubspot(), SECRETS, now_unix_ms=NOW + 300_001, max_age_seconds=300)
    assert (late.reason, "300 s" in str(late)) == ("expired", True)
    check_hubspot(hubspot(), SECRETS, now_unix_ms=NOW + 300_000, max_age_seconds=300)
    early = refusal(check_hubspot, hubspot(), SECRETS, now_unix_ms=NOW - 300_001, max_age_seconds=300)
    assert early.reason == "expired"


def test_an_expired_forgery_is_a_forgery() -> None:
    late = refusal(check_hubspot, hubspot(secret=b"x"), SECRETS, now_unix_ms=NOW * 2, max_age_seconds=300)

    assert late.reason == "signature"


@pytest.mark.parametrize("timestamp", ["", "now", "12e3", "-5", "٣", "9" * 40])
def test_a_timestamp_of_hubspot_that_is_no_number_is_refused(timestamp: str) -> None:
    request = hubspot(at=timestamp)

    refusal(check_hubspot, request, SECRETS, now_unix_ms=NOW, max_age_seconds=300)


def test_bamboohr_signs_body_then_timestamp_in_lowercase_hex() -> None:
    stamp = "2026-03-05T02:11:09+0000"
    signature = mac(b"old", b"{}" + stamp.encode()).hex()
    good = Request("POST", "", {"x-bamboohr-signature": signature, "x-bamboohr-timestamp": stamp}, b"{}")

    check_bamboohr(good, SECRETS, now_unix_ms=NOW, max_age_seconds=0)
    check_bamboohr(good, SECRETS, now_unix_ms=NOW, max_age_seconds=60)
    assert (
        refusal(check_bamboohr, good, SECRETS, now_unix_ms=NOW + 99_000, max_age_seconds=60).reason
        == "expired"
    )
    swapped = mac(b"old", stamp.encode() + b"{}").hex()
    for wrong in (swapped, signature.upper(), signature[:-1], "é"):
        headers = {"x-bamboohr-signature": wrong, "x-bamboohr-timestamp": stamp}
        refusal(
            check_bamboohr, Request("POST", "", headers, b"{}"), SECRETS, now_unix_ms=NOW, max_age_seconds=0
        )


def test_merge_signs_the_body_in_base64url_with_or_without_padding() -> None:
    body = b"".join(bytes([n]) for n in range(256))
    padded = base64.urlsafe_b64encode(mac(b"new", body)).decode()

    for signature in (padded, padded.rstrip("=")):
        check_merge(Request("POST", "", {"x-merge-webhook-signature": signature}, body), SECRETS)
    refusal(check_merge, Request("POST", "", {"x-merge-webhook-signature": padded}, body + b"!"), SECRETS)


def test_pipedrive_has_http_basic_authentication() -> None:
    def request(text: str) -> Request:
        return Request("POST", "", {"authorization": text}, b"")

    right = base64.b64encode(b"dealpulse:old").decode()
    check_basic(request(f"Basic {right}"), "dealpulse", SECRETS)
    check_basic(request(f"basic  {right}"), "dealpulse", SECRETS)
    for wrong in (
        f"Bearer {right}",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"dealpulse:x").decode(),
    ):
        assert refusal(check_basic, request(wrong), "dealpulse", SECRETS).reason == "signature"


def test_a_bearer_token_is_compared_whole() -> None:
    check_bearer(Request("POST", "", {"authorization": "Bearer new"}, b""), SECRETS)
    for wrong in ("Bearer ne", "Bearer", "new", ""):
        refusal(check_bearer, Request("POST", "", {"authorization": wrong}, b""), SECRETS)


def test_a_missing_header_is_named() -> None:
    missing = refusal(check_merge, Request("POST", "", {}, b""), SECRETS)

    assert "x-merge-webhook-signature" in str(missing)


def test_no_secret_accepts_nothing() -> None:
    refusal(check_hubspot, hubspot(secret=b""), (), now_unix_ms=NOW, max_age_seconds=300)


@given(st.text(max_size=60), st.text(max_size=60), st.binary(max_size=40))
def test_any_headers_are_refused_and_nothing_else(first: str, second: str, body: bytes) -> None:
    names = (
        "x-hubspot-signature-v3", "x-bamboohr-signature", "x-merge-webhook-signature", "authorization",
        "x-hubspot-request-timestamp", "x-bamboohr-timestamp",
    )  # fmt: skip
    headers = {name: first if "time" not in name else second for name in names}
    request = Request("POST", first, headers, body)

    refusal(check_hubspot, request, SECRETS, now_unix_ms=NOW, max_age_seconds=300)
    refusal(check_bamboohr, request, SECRETS, now_unix_ms=NOW, max_age_seconds=300)
    refusal(check_merge, request, SECRETS)
    refusal(check_basic, request, "u", SECRETS)
    refusal(check_bearer, request, SECRETS)


def test_a_request_shows_no_body_in_its_text() -> None:
    assert "secret-body" not in repr(Request("POST", "", {}, b"secret-body"))
