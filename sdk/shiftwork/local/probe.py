"""Whether something answers over HTTP."""

from __future__ import annotations

import httpx


def status_of(url: str, token: str = "") -> int | None:
    """Return the status that a GET, with the token if any, is answered with; None if it is not."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        # Proxies are for the world outside.
        return httpx.get(url, headers=headers, timeout=30, trust_env=False).status_code
    except httpx.HTTPError:
        return None
