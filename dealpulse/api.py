"""Asking a running exporter over HTTP: what the command line does when it has no files."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from events.errors import UnreachableError, UsageError

TIMEOUT_S = 30.0
_ANY_HOST = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]", "::": "[::1]"}  # noqa: S104 - read only


def get_json(listen: str, path: str, parameters: Mapping[str, str | Sequence[str]]) -> Any:
    """What the exporter that listens on `host:port` answers to a GET; several values repeat their parameter.

    Raises UsageError where it calls the question wrong, UnreachableError where it does not answer.
    """
    host, _, port = listen.rpartition(":")
    url = f"http://{_ANY_HOST.get(host, host)}:{port}{path}"
    if parameters:
        url += f"?{urlencode(parameters, doseq=True)}"
    try:
        with urlopen(Request(url, headers={"Accept": "application/json"}), timeout=TIMEOUT_S) as reply:  # noqa: S310
            return json.load(reply)
    except HTTPError as error:
        said = _said(error)
        if error.code in (400, 404):
            raise UsageError(said) from None
        raise UnreachableError(f"the exporter at {listen} answered {error.code}: {said}") from None
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UnreachableError(
            f"no exporter answers at {listen} ({reason}). Start one with `dealpulse exporter` or "
            "`dealpulse demo`, set exporter.listen, or ask files with --events FILE."
        ) from None


def _said(error: HTTPError) -> str:
    """The sentence in the exporter's problem document (RFC 9457), else whatever stands there."""
    body = error.read().decode(errors="replace")
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body.strip() or str(error.reason)
