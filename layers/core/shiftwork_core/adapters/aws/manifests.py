"""Read manifests from S3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    ClientError,
    ConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
)

from shiftwork_core.adapters.aws.calls import translated_errors
from shiftwork_core.domain.requests.manifests.places import ManifestFault, Place
from shiftwork_core.errors import Unavailable
from shiftwork_core.ports.manifests import Found, ManifestSource

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

PIECE_BYTES = 1024 * 1024
#: Connections of one stream that may be lost before its caller must start over.
MAX_LOST = 10
_LOST = (ConnectionError, HTTPClientError, IncompleteReadError)

#: What is wrong, by S3's code. A HEAD has no body, and so its code is the status.
_NOT_THERE = "there is no such object: store it before the request, and check bucket and key"
_FORBIDDEN = (
    "Shiftwork may not read it, or it is not there: allow the stack's functions s3:GetObject on it,"
    " and its key of KMS if it has one"
)
CHANGED = "it was written again while a request used it: submit a new request"
_FAULTS = {
    "404": _NOT_THERE,
    "NoSuchKey": _NOT_THERE,
    "NoSuchBucket": _NOT_THERE,
    "403": _FORBIDDEN,
    "AccessDenied": _FORBIDDEN,
    "AllAccessDisabled": _FORBIDDEN,
    "KMS.DisabledException": _FORBIDDEN,
    "KMS.NotFoundException": _FORBIDDEN,
    "412": CHANGED,
    "PreconditionFailed": CHANGED,
    "InvalidObjectState": "it is archived: restore it first",
}
_PAST_THE_END = "InvalidRange"


class S3ManifestSource(ManifestSource):
    """Objects of any bucket that the process may read.

    `client` is called when it is needed, so that a process without manifests builds no client.
    """

    def __init__(self, client: Callable[[], S3Client]) -> None:
        self._client = client

    def look(self, place: Place) -> Found:
        with _told_faults(place):
            head = self._client().head_object(Bucket=place.bucket, Key=place.key)
        return Found(head["ContentLength"], head["ETag"])

    def stream(self, place: Place, etag: str, start: int) -> Iterator[bytes]:
        return self._pieces(place, etag, start, None)

    def read(self, place: Place, etag: str, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        data = b"".join(self._pieces(place, etag, start, end))
        if len(data) < end - start:
            raise ManifestFault(f"{place}: it ends before byte {end:,}")
        return data

    def _pieces(self, place: Place, etag: str, start: int, end: int | None) -> Iterator[bytes]:
        """Yield the bytes of a range, over as many connections as that takes."""
        lost = 0
        while end is None or start < end:
            body = self._open(place, etag, start, end)
            if body is None:
                return
            try:
                for piece in _read_out(body):
                    start += len(piece)
                    yield piece
                return
            except _LOST as error:
                lost += 1
                if lost > MAX_LOST:
                    raise Unavailable(f"{place} is broken off each time: {error}") from error
            except FlexibleChecksumError as error:
                raise Unavailable(f"{place} arrives damaged: {error}") from error

    def _open(self, place: Place, etag: str, start: int, end: int | None) -> StreamingBody | None:
        """Ask for a range; return its bytes to read, None if it begins at the object's end."""
        last = "" if end is None else end - 1
        # An empty object has no range at all.
        wanted: dict[str, Any] = (
            {} if (start, end) == (0, None) else {"Range": f"bytes={start}-{last}"}
        )
        try:
            with _told_faults(place):
                return self._client().get_object(
                    Bucket=place.bucket, Key=place.key, IfMatch=etag, **wanted
                )["Body"]
        except ClientError as error:
            if error.response["Error"]["Code"] != _PAST_THE_END:
                raise
        # Which of the two conditions is judged first, S3 does not say.
        if self.look(place).etag != etag:
            raise ManifestFault(f"{place}: {CHANGED}")
        return None


def _read_out(body: StreamingBody) -> Iterator[bytes]:
    """Yield what arrives; whoever stops early gives up the connection."""
    with closing(body):
        while piece := body.read(PIECE_BYTES):
            yield piece


@contextmanager
def _told_faults(place: Place) -> Iterator[None]:
    """Turn what S3 answers about the object into faults; see also `translated_errors`."""
    try:
        with translated_errors():
            yield
    except ClientError as error:
        fault = _FAULTS.get(error.response["Error"]["Code"])
        if fault is None:
            raise
        raise ManifestFault(f"{place}: {fault}") from error
