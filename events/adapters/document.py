"""JSON as vendors send it: decimals kept exact, every defect a typed refusal."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from ..errors import BadEventError

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
# One escape of JSON text at a time: a good pair of surrogates, or (group 1) half a pair, or any other.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def read_document(body: bytes) -> Any:
    """The JSON value in `body`; fractions are `Decimal`, exactly as written.

    Raises `BadEventError` (`malformed`) for what is not UTF-8, not JSON, or nested without end.
    """
    try:
        return _DECODER.decode(body)
    except msgspec.DecodeError as error:
        # A name cut in the middle of an emoji leaves half a surrogate pair, which no UTF-8 can hold.
        # Only that letter is lost, not the delivery.
        whole = _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], body)
        if whole == body:
            raise BadEventError("malformed", f"not a JSON document in UTF-8 ({error})") from error
        return read_document(whole)
    except (msgspec.MsgspecError, ValueError, ArithmeticError) as error:
        raise BadEventError("malformed", f"not a JSON document in UTF-8 ({error})") from error
    except RecursionError as error:
        raise BadEventError("malformed", "nested too deeply to be read") from error


def mapping_at(holder: Any, path: str) -> Mapping[str, Any]:
    """The JSON object named `path` in `holder`; refused if it is anything else."""
    found = holder.get(path) if isinstance(holder, dict) else None
    if not isinstance(found, dict):
        raise BadEventError("malformed", f"expected a JSON object, found {kind_of(found)}", path=path)
    return found


def identifier(value: Any, path: str) -> str:
    """A vendor's id as text; whole numbers and text are ids, nothing else is."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise BadEventError(
        "malformed", f"expected an id (text or a whole number), found {kind_of(value)}", path=path
    )


def kind_of(value: Any) -> str:
    """What `value` is, in JSON's words, for the text of an error."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value[:40]!r}" if value else "empty text"
    if isinstance(value, (int, Decimal)):
        return f"the number {str(value)[:40]}"
    return "a list" if isinstance(value, list) else "an object"
