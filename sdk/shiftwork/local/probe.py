"""Check whether an address answers over HTTP."""

from __future__ import annotations

import httpx


def status_of(url: str, token: str = "") -> int | None:
    """Return the status of the answer to a GET; None if no answer comes."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        # A proxy cannot reach this machine's own addresses.
        return httpx.get(url, headers=headers, timeout=30, trust_env=False).status_code
    except httpx.HTTPError:
        return None
