"""What a call to a named service may have as its path and as its headers.

Definitions are checked by it when they are put, and every call when its templates are filled in:
params must lead no call elsewhere, and add nothing to it.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: RFC 9110, 5.5: printable ASCII, spaces and tabs, and bytes beyond ASCII, which go out as Latin-1.
_HEADER_VALUE = re.compile(r"[\t -~\x80-\xff]*")
#: The platform sets the first, the connection the others: they say where a request ends.
_RESERVED_HEADERS = {
    "idempotency-key",
    "host",
    "content-length",
    "connection",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
}
#: Printable ASCII. A backslash is a slash to some readers, and a # ends a path to all.
PATH_CHARACTERS = re.compile(r"[!-~]*")
_FORBIDDEN_IN_PATH = re.compile(r"[\\#]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SLASHES = re.compile(r"[/\\]")


def header_name_fault(name: str) -> str | None:
    """Return what is wrong with the name of a header of a definition's, None if nothing is."""
    if not _HEADER_NAME.fullmatch(name):
        return "is not a header's name"
    return "is set by Shiftwork" if name.lower() in _RESERVED_HEADERS else None


def header_value_fault(value: str) -> str | None:
    """Return why a text cannot be sent as a header's value, None if it can."""
    if _HEADER_VALUE.fullmatch(value):
        return None
    return "must be one line of printable characters of Latin-1"


def characters_fault(path: str) -> str | None:
    """Return which characters of a path, or of a part of one, have no place in it."""
    if PATH_CHARACTERS.fullmatch(path) and not _FORBIDDEN_IN_PATH.search(path):
        return None
    return "must be printable ASCII without spaces, \\ and #; escape others as %XX"


def path_fault(path: str) -> str | None:
    """Return why not every reader takes a path to be below the service's base URL, or None."""
    if not path.startswith("/"):
        return "must start with /"  # It would continue the host's name.
    if path.startswith("//"):
        return "must not start with //, which names a host"
    if fault := characters_fault(path):
        return fault
    text = unquote(path.partition("?")[0])
    if _CONTROL.search(text):
        return "must have no control characters"
    # Some servers read an escaped slash as one, and leave out what follows a semicolon.
    segments = (segment.partition(";")[0] for segment in _SLASHES.split(text))
    if any(segment in (".", "..") for segment in segments):
        return "must not lead elsewhere by . or .."
    return None
