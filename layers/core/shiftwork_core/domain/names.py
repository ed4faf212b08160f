"""What may be a name or an id wherever one comes in: in a path, a query or a body.

Names become keys of rows, and parts of them. DynamoDB takes partition keys of 1 to 2,048 bytes and
refuses a call with any other. The longest key of ours that holds names from outside is that of a
queue: two names and a few bytes more (`tests/unit/adapters/dynamodb/test_keys.py`).
"""

from __future__ import annotations

#: UTF-8 writes a character in at most four bytes.
MAX_NAME_LENGTH = 200
#: Stands between the parts of keys: `<type>#<domain>`.
KEY_SEPARATOR = "#"
#: What a gateway that unescapes paths makes of bytes that are no UTF-8.
_BROKEN = "\ufffd"
#: They mean a place to those who read paths.
_PLACES = (".", "..")


def line_fault(text: str) -> str | None:
    """Return why a text is not one short line of printable text, None if it is one."""
    # Neither line breaks nor NUL nor halves of surrogate pairs are printable.
    if not text or len(text) > MAX_NAME_LENGTH or not text.isprintable():
        return f"must be printable text of at most {MAX_NAME_LENGTH} characters"
    return None


def name_fault(text: str) -> str | None:
    """Return why a text can be no name of ours and no part of a key, None if it can be one."""
    if fault := line_fault(text):
        return fault
    if KEY_SEPARATOR in text:
        return f"must not have a {KEY_SEPARATOR!r}"
    if _BROKEN in text:
        return "must be UTF-8"
    return "must be a name, and not a place" if text in _PLACES else None
