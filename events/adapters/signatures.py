"""Whether a webhook comes from its vendor: checked on the raw bytes, in constant time."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..errors import BadEventError, DealpulseError
from .instants import instant_of

Reason = Literal["signature", "expired"]

# The escapes that HubSpot writes out before signing; `?` at the start of the query is none of them.
_HUBSPOT_ESCAPES: Mapping[str, str] = {
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$",
    "%27": "'", "%28": "(", "%29": ")", "%2A": "*", "%2C": ",", "%3B": ";",
}  # fmt: skip
_HUBSPOT_ESCAPE = re.compile("|".join(_HUBSPOT_ESCAPES), re.IGNORECASE)


class SignatureError(DealpulseError):
    """A webhook that is not shown to come from its vendor: `signature`, or `expired` if it is too old."""

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason: Reason = reason
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Request:
    """What a check looks at. `uri` is the public one, as the vendor called it.

    Headers are asked for by names in lower case: a mapping that minds the case has to hold those.
    """

    method: str
    uri: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def check_hubspot(
    request: Request, secrets: Sequence[bytes], *, now_unix_ms: int, max_age_seconds: int
) -> None:
    """HubSpot's v3 signature, and an age of at most `max_age_seconds`. Raises `SignatureError`.

    The headers of versions 1 and 2, which HubSpot sends beside it, are ignored.
    """
    timestamp = _header(request, "x-hubspot-request-timestamp")
    signature = _header(request, "x-hubspot-signature-v3")
    uri = _HUBSPOT_ESCAPE.sub(lambda found: _HUBSPOT_ESCAPES[found[0].upper()], request.uri)
    signed = request.method.encode() + uri.encode(errors="surrogateescape") + request.body + _bytes(timestamp)
    _compare(
        _base64(signature),
        [hmac.new(one, signed, hashlib.sha256).digest() for one in secrets],
        "HubSpot app's client secret, and gateway.public_url with the address that HubSpot calls",
    )
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 16):
        raise SignatureError("signature", "x-hubspot-request-timestamp is no number of milliseconds")
    _check_age(now_unix_ms - int(timestamp), max_age_seconds)


def check_bamboohr(
    request: Request, secrets: Sequence[bytes], *, now_unix_ms: int, max_age_seconds: int
) -> None:
    """BambooHR's: lowercase hex over the body and then the timestamp. Raises `SignatureError`.

    `max_age_seconds` 0 checks no age: BambooHR names no limit, and its event ids make a repeat harmless.
    """
    timestamp = _header(request, "x-bamboohr-timestamp")
    signature = _header(request, "x-bamboohr-signature")
    signed = request.body + _bytes(timestamp)
    given = _bytes(signature)
    _compare(
        given,
        [hmac.new(one, signed, hashlib.sha256).hexdigest().encode() for one in secrets],
        "BambooHR webhook's private key",
    )
    if max_age_seconds:
        try:
            at = instant_of(timestamp, "x-bamboohr-timestamp")
        except BadEventError as error:
            raise SignatureError("signature", str(error)) from error
        _check_age(now_unix_ms - int(at.timestamp() * 1000), max_age_seconds)


def check_merge(request: Request, secrets: Sequence[bytes]) -> None:
    """Merge's: base64url over the body, padding optional. Raises `SignatureError`."""
    signature = _header(request, "x-merge-webhook-signature")
    expected = [hmac.new(one, request.body, hashlib.sha256).digest() for one in secrets]
    _compare(_base64(signature.replace("-", "+").replace("_", "/")), expected, "Merge signature key")


def check_basic(request: Request, username: str, secrets: Sequence[bytes]) -> None:
    """HTTP basic authentication, all that Pipedrive offers. Raises `SignatureError`."""
    scheme, _, encoded = _header(request, "authorization").partition(" ")
    if scheme.lower() != "basic":
        raise SignatureError(
            "signature", "authorization is not basic: give the webhook an HTTP user and password"
        )
    expected = [username.encode() + b":" + one for one in secrets]
    _compare(_base64(encoded.strip()), expected, "webhook's HTTP user and password")


def check_bearer(request: Request, secrets: Sequence[bytes]) -> None:
    """A bearer token. Raises `SignatureError`."""
    scheme, _, token = _header(request, "authorization").partition(" ")
    if scheme.lower() != "bearer":
        raise SignatureError("signature", "authorization is not bearer: send the gateway's token")
    _compare(_bytes(token.strip()), secrets, "gateway's token")


def _header(request: Request, name: str) -> str:
    value = request.headers.get(name)
    if not value:
        raise SignatureError("signature", f"the header {name} is missing")
    return value


def _compare(given: bytes, expected: Sequence[bytes], what: str) -> None:
    # All are compared, also after a match: the time taken says nothing about which secret it was.
    matches = [hmac.compare_digest(given, one) for one in expected]
    if not any(matches):
        raise SignatureError("signature", f"the signature does not match. Compare the secret with the {what}")


def _check_age(age_ms: int, max_age_seconds: int) -> None:
    # Ahead of us by more is no clock that is a little wrong either.
    if abs(age_ms) > max_age_seconds * 1000:
        side = "ago" if age_ms > 0 else "ahead of this machine's clock"
        raise SignatureError(
            "expired",
            f"signed {abs(age_ms) // 1000} s {side}; the limit is {max_age_seconds} s. Compare the clocks",
        )


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
