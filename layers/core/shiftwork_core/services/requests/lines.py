"""Collect the results of an entry's jobs as lines of a manifest, which its request keeps."""

from __future__ import annotations

from shiftwork_core.domain.payloads import JsonObject, to_json
from shiftwork_core.domain.requests.manifests.parts import (
    MAX_PARTS,
    PART_BYTES,
    Part,
    parts_to_json,
)
from shiftwork_core.services.requests.payloads import Payloads, ResultsTooLarge


class Lines:
    """JSON lines that are written part by part, of which one is held at a time."""

    def __init__(self, payloads: Payloads, request_id: str, entry: str) -> None:
        self._payloads = payloads
        self._request_id = request_id
        self._entry = entry
        self._held = bytearray()
        self._parts: list[Part] = []
        self._count = 0

    def add(self, result: JsonObject) -> None:
        """Add a line.

        Raises
        ------
        ResultsTooLarge
            If there are too many parts.
        """
        self._held += to_json(result).encode() + b"\n"
        self._count += 1
        if len(self._held) >= PART_BYTES:
            self._keep()

    def finish(self) -> JsonObject:
        """Store what is left; return where all of it lies, as extras hold it."""
        if self._held:
            self._keep()
        return parts_to_json(self._parts, self._count)

    def _keep(self) -> None:
        if len(self._parts) == MAX_PARTS:
            raise ResultsTooLarge(
                f"the results of {self._entry!r} have more than {MAX_PARTS * PART_BYTES:,} bytes; "
                "let its jobs store them and return where they lie, or give it collect: none"
            )
        data = bytes(self._held)
        ref = self._payloads.keep_part(self._request_id, data)
        self._parts.append(Part(ref, len(data)))
        self._held.clear()
