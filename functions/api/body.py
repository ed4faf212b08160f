"""Check a call's body before it is parsed: its size, media type and encoding.

API Gateway admits 10 MB and any text; a body that passes here is small and UTF-8.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from shiftwork_core.errors import Malformed, TooLarge, UnsupportedMediaType

MAX_BODY_BYTES = 1024 * 1024

_JSON = "application/json"
_WITH_BODY = ("POST", "PUT")


def checked_event(event: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    """Return the event as Powertools is to see it, with a body, if any, that is small and UTF-8.

    Raises
    ------
    TooLarge
        If the body has more than `MAX_BODY_BYTES`.
    UnsupportedMediaType
        If there is a body that is not declared as JSON.
    Malformed
        If it is not UTF-8.
    """
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    context = event["requestContext"]
    plain = {
        **event,
        "rawPath": path,
        "requestContext": {
            **context,
            "stage": "$default",
            "http": {**context["http"], "method": method, "path": path},
        },
        # Powertools reads forms too, and knows one spelling of JSON's media type.
        "headers": headers | {"content-type": _JSON},
        "isBase64Encoded": False,
    }
    raw = event.get("body")
    if not raw or method not in _WITH_BODY:
        return {**plain, "body": None}
    content = _decode(raw) if event.get("isBase64Encoded") else raw.encode(errors="surrogatepass")
    if len(content) > MAX_BODY_BYTES:
        raise TooLarge(f"the body has {len(content):,} bytes; {MAX_BODY_BYTES:,} are the most")
    media_type = headers.get("content-type", "").split(";")[0].strip().lower() or _JSON
    if media_type != _JSON:
        raise UnsupportedMediaType(
            f"the body is declared as {media_type[:100]!r}", f"send it as {_JSON}"
        )
    try:
        return {**plain, "body": content.decode()}
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error


def _decode(raw: str) -> bytes:
    try:
        return base64.b64decode(raw, validate=True)
    except binascii.Error as error:
        raise Malformed("the body is not Base64, as its event says") from error
