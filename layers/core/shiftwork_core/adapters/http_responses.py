"""Read services' answers where http.client takes a broken or preliminary one for something else.

What it misreads would come up as the answer to the next call over the same connection, or be read
without a bound.
"""

from __future__ import annotations

from http import HTTPStatus
from http.client import BadStatusLine, HTTPResponse


class FinalResponse(HTTPResponse):
    """An answer to a call: never a preliminary one, and in chunks of known sizes.

    Both methods are http.client's own and not public: the tests notice if it renames them.
    """

    def _read_status(self) -> tuple[str, int, str]:
        """Return the status line; a preliminary one as the kind that http.client skips.

        It knows 100 and takes any other for the whole answer, so the final one would follow unread.
        """
        # typeshed has only the public methods.
        version, status, reason = super()._read_status()  # type: ignore[misc]
        if status == HTTPStatus.SWITCHING_PROTOCOLS:
            raise BadStatusLine(f"{version} {status}: nobody asked to switch protocols")
        if status < HTTPStatus.OK:
            status = int(HTTPStatus.CONTINUE)
        return version, status, reason

    def _read_next_chunk_size(self) -> int:
        """Return the size of the next chunk; of -1 bytes http.client would read all there is."""
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:
            raise ValueError("the size of a chunk is negative")
        return size
