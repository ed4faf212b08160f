"""Parse clients' JSON, of bounded depth and size, into values that can be written as UTF-8 again.

It imports only the standard library, so that functions without models can use it.
"""

from __future__ import annotations

from itertools import islice

from shiftwork_core.domain.json_bounds import NOT_A_NUMBER, TOO_DEEP, faults_in
from shiftwork_core.domain.json_texts import NotJson, decoded
from shiftwork_core.domain.payloads import Json, JsonObject, to_json
from shiftwork_core.errors import FaultAt, Invalid, Malformed, TooLarge

MAX_PAYLOAD_BYTES = 256 * 1024
_MAX_FAULTS = 50


def parse_object(text: str) -> JsonObject:
    """Return the JSON object in the text.

    Raises
    ------
    Malformed
        If it is not JSON, or an object has a key twice.
    Invalid
        If it is not an object, is nested too deep, or holds a number or text out of bounds.
    """
    value = parse_json(text)
    if not isinstance(value, dict):
        raise Invalid("the body must be a JSON object", [FaultAt("", "must be a JSON object")])
    return value


def parse_json(text: str) -> Json:
    """Return the JSON value in the text; raises as `parse_object` does."""
    value, faults = read_json(text)
    require_none(faults)
    return value


def read_json(text: str) -> tuple[Json, list[FaultAt]]:
    """Return the value in the text, and where it is not JSON as we take it: at most some places.

    What is NaN or infinite in the text is NaN in the value.

    Raises
    ------
    Malformed
        If it cannot be read at all, or an object has a key twice.
    Invalid
        If it is nested too deep to be read.
    """
    try:
        value = decoded(text, "the body")
    except NotJson as error:
        raise Malformed(str(error)) from error
    except RecursionError as error:
        raise _too_deep("") from error
    found = islice(faults_in(value), _MAX_FAULTS)
    return value, [FaultAt(fault.path, fault.message) for fault in found]


def require_none(faults: list[FaultAt]) -> None:
    """Refuse what has such faults.

    Raises
    ------
    Malformed, Invalid
        If there are any; see `parse_object`.
    """
    if deep := next((fault for fault in faults if fault.message == TOO_DEEP), None):
        raise _too_deep(deep.path)
    if no_json := [fault for fault in faults if fault.message == NOT_A_NUMBER]:
        raise Malformed(f"the body is not JSON: {summarise(no_json)}")
    if faults:
        raise Invalid(summarise(faults), faults)


def _too_deep(path: str) -> Invalid:
    return Invalid(f"{path or 'the body'} is {TOO_DEEP}", [FaultAt(path, TOO_DEEP)])


def check_payloads(**payloads: JsonObject) -> None:
    """Refuse payloads that are larger than a request may have, and name them all.

    Raises
    ------
    TooLarge
        If the compact JSON of one has more than `MAX_PAYLOAD_BYTES`.
    """
    sizes = {name: len(to_json(value).encode()) for name, value in payloads.items()}
    large = [f"{name} has {size:,}" for name, size in sizes.items() if size > MAX_PAYLOAD_BYTES]
    if large:
        raise TooLarge(
            f"{' and '.join(large)} bytes as compact JSON; {MAX_PAYLOAD_BYTES:,} are the most"
        )


def summarise(faults: list[FaultAt]) -> str:
    """Return the first fault and the number of the others, in one sentence."""
    first = f"{faults[0].path or 'the body'}: {faults[0].message}"
    more = len(faults) - 1
    return first if not more else f"{first} (and {more} more)"
