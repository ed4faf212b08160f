"""Parse clients' JSON, of bounded depth and size, into values that can be written as UTF-8 again.

It imports only the standard library, so that functions without models can use it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn

from shiftwork_core.domain.payloads import Json, JsonObject, to_json
from shiftwork_core.errors import FaultAt, Invalid, Malformed, TooLarge

MAX_PAYLOAD_BYTES = 256 * 1024
MAX_DEPTH = 32
#: JSON has no bound on integers; every store and client we know agrees on 64 bits.
_INT_DIGITS = 19
_INT_BOUND = 2**63
_MAX_FAULTS = 50

_Place = tuple[Any, ...]


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
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_int=_bounded_int,
        )
    except json.JSONDecodeError as error:
        raise Malformed(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise _too_deep(()) from error
    faults = _faults_in(value)
    if faults:
        raise Invalid(summarise(faults), faults)
    return value


def _unique_keys(pairs: list[tuple[str, Json]]) -> JsonObject:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Malformed(f"an object of the body has the key {twice[:100]!r} twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise Malformed(f"the body is not JSON: it has no {name}")


def _bounded_int(digits: str) -> int | float:
    """Return the integer, or infinity for one out of bounds, which `_faults_in` refuses."""
    if len(digits.lstrip("-")) > _INT_DIGITS:
        return math.inf
    value = int(digits)
    return value if -_INT_BOUND <= value < _INT_BOUND else math.inf


def _faults_in(root: Json) -> list[FaultAt]:
    """Walk without recursion; name what is infinite, or text that has no UTF-8 form.

    Raises
    ------
    Invalid
        If it is nested too deep.
    """
    faults: list[FaultAt] = []
    open_: list[tuple[Json, _Place]] = [([root], ())]
    while open_ and len(faults) < _MAX_FAULTS:
        container, place = open_.pop()
        if isinstance(container, dict):
            entries: Any = container.items()
            faults += [_bad_text(place) for key in container if _is_broken(key)]
        else:
            entries = enumerate(container)
        for key, value in entries:
            if not isinstance(value, (dict, list)):
                faults += _faults_of(value, (*place, key))
            elif len(place) < MAX_DEPTH:
                open_.append((value, (*place, key)))
            else:
                raise _too_deep(place)
    return faults


def _faults_of(value: Json, place: _Place) -> list[FaultAt]:
    if isinstance(value, float) and math.isinf(value):
        return [FaultAt(path_to(place[1:]), "the number is out of range")]
    return [_bad_text(place)] if isinstance(value, str) and _is_broken(value) else []


def _is_broken(text: str) -> bool:
    """Whether the text has half a surrogate pair, which JSON can escape and UTF-8 cannot write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _bad_text(place: _Place) -> FaultAt:
    return FaultAt(path_to(place[1:]), "the text is not Unicode: half a surrogate pair")


def _too_deep(place: _Place) -> Invalid:
    fault = FaultAt(path_to(place[1:4]), f"nested more than {MAX_DEPTH} levels deep")
    return Invalid(f"the body is nested more than {MAX_DEPTH} levels deep", [fault])


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


def path_to(loc: Iterable[Any]) -> str:
    """Return a place in the input as `steps[0].jobs[1].type`."""
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part[:100]}"
    return path.removeprefix(".")
