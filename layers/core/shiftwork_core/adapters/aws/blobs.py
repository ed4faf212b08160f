"""Store JSON that is too large for a row in S3."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from shiftwork_core.adapters.aws.calls import translated_errors
from shiftwork_core.errors import NotFound
from shiftwork_core.ports.world import BlobStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3BlobStore(BlobStore):
    """Objects under their request and the hash of their content; the bucket lets them expire.

    `client` is called when it is needed, so that a process without large JSON builds no client.
    """

    def __init__(self, client: Callable[[], S3Client], bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, request_id: str, text: str) -> str:
        body = text.encode()
        ref = f"requests/{request_id}/{hashlib.sha256(body).hexdigest()}.json"
        with translated_errors():
            self._client().put_object(
                Bucket=self._bucket, Key=ref, Body=body, ContentType="application/json"
            )
        return ref

    def get(self, ref: str) -> str:
        """Read it back.

        Raises
        ------
        NotFound
            If the object has expired.
        """
        client = self._client()
        try:
            with translated_errors():
                return client.get_object(Bucket=self._bucket, Key=ref)["Body"].read().decode()
        except client.exceptions.NoSuchKey as error:
            raise NotFound(f"{ref} is not stored any more") from error

    def locate(self, ref: str) -> dict[str, str]:
        return {"bucket": self._bucket, "key": ref}
