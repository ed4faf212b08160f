"""What S3 answers about blobs, and which of them are written again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from shiftwork_core.adapters.aws import blobs as module
from shiftwork_core.adapters.aws.blobs import S3BlobStore
from shiftwork_core.domain.requests.blob_lifetimes import LIFETIMES_DAYS
from shiftwork_core.errors import NotFound, Throttled

BUCKET = "blobs"
NOW = datetime(2026, 1, 31, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    return boto3.client("s3", "us-east-1")


@pytest.fixture
def stub(s3: Any) -> Iterator[Stubber]:
    with Stubber(s3) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def store(s3: Any, monkeypatch: pytest.MonkeyPatch) -> S3BlobStore:
    # A stub expects its calls in order.
    monkeypatch.setattr(module, "_MOST_AT_ONCE", 1)
    return S3BlobStore(lambda: s3, BUCKET)


Found = dict[int, dict[str, datetime]]


def lists(stub: Stubber, found: Found) -> None:
    """Expect a LIST for each lifetime, which finds these names with the times they expire."""
    for days in LIFETIMES_DAYS:
        prefix = f"requests/{days}/r1/"
        objects = [
            {"Key": prefix + name, "LastModified": expires_at - timedelta(days=days)}
            for name, expires_at in found.get(days, {}).items()
        ]
        answer = {"Contents": objects} if objects else {}
        stub.add_response(
            "list_objects_v2",
            {**answer, "IsTruncated": False},
            {"Bucket": BUCKET, "Prefix": prefix},
        )


def copies(stub: Stubber, source: str, target: str, error: str = "") -> None:
    """Expect a COPY, which succeeds unless there is an error."""
    wanted = {
        "Bucket": BUCKET,
        "Key": target,
        "CopySource": {"Bucket": BUCKET, "Key": source},
        "MetadataDirective": "REPLACE",
        "ContentType": "application/json",
    }
    if error:
        stub.add_client_error("copy_object", error, http_status_code=404, expected_params=wanted)
    else:
        stub.add_response("copy_object", {}, wanted)


def test_a_missing_key_is_not_found(store: S3BlobStore, stub: Stubber) -> None:
    for _ in LIFETIMES_DAYS:
        stub.add_client_error("get_object", "NoSuchKey", http_status_code=404)
    with pytest.raises(NotFound):
        store.get("requests/32/r1/gone.json")


def test_a_permission_that_is_missing_is_not_taken_for_a_missing_key(
    store: S3BlobStore, stub: Stubber
) -> None:
    stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
    with pytest.raises(ClientError, match="AccessDenied"):
        store.get("requests/32/r1/there.json")


def test_a_text_is_found_under_the_lifetime_for_which_it_was_renewed(
    store: S3BlobStore, stub: Stubber
) -> None:
    keys = ["requests/64/r1/a.json", "requests/32/r1/a.json", "requests/128/r1/a.json"]
    for key in keys[:-1]:
        wanted = {"Bucket": BUCKET, "Key": key}
        stub.add_client_error(
            "get_object", "NoSuchKey", http_status_code=404, expected_params=wanted
        )
    body = StreamingBody(BytesIO(b"[1]"), 3)
    stub.add_response("get_object", {"Body": body}, {"Bucket": BUCKET, "Key": keys[-1]})
    assert store.get(keys[0]) == "[1]"


def test_what_would_expire_is_copied_to_the_lifetime_that_is_asked_for(
    store: S3BlobStore, stub: Stubber
) -> None:
    lists(
        stub,
        {
            32: {"moved": NOW - DAY, "gone": NOW - DAY},
            256: {"old": NOW - DAY, "young": NOW, "moved": NOW + DAY},
            1024: {"long": NOW - DAY, "moved": NOW - DAY},
        },
    )
    copies(stub, "requests/32/r1/gone", "requests/256/r1/gone", "NoSuchKey")
    copies(stub, "requests/256/r1/old", "requests/256/r1/old")
    copies(stub, "requests/1024/r1/long", "requests/256/r1/long")
    assert store.renew("r1", NOW, 256)


def test_a_call_renews_a_bounded_number_and_says_that_there_is_more(
    store: S3BlobStore, stub: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_RENEWED", 2)
    left = ["o0", "o1", "o2"]
    for is_all in (False, True):
        lists(stub, {32: dict.fromkeys(left, NOW - DAY)})
        for name in left[:2]:
            copies(stub, f"requests/32/r1/{name}", f"requests/32/r1/{name}")
        assert store.renew("r1", NOW, 32) is is_all
        left = left[2:]


def test_throttling_of_a_renewal_may_pass(store: S3BlobStore, stub: Stubber) -> None:
    stub.add_client_error("list_objects_v2", "SlowDown", http_status_code=503)
    with pytest.raises(Throttled):
        store.renew("r1", NOW, 32)


class AtOnce:
    """A pool whose calls have been made when they are submitted."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def __enter__(self) -> AtOnce:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, call: Callable[[str], bytes], ref: str) -> Future[bytes]:
        made: Future[bytes] = Future()
        made.set_result(call(ref))
        return made


@pytest.mark.parametrize(
    ("sizes", "read_by_then"),
    [
        ([1] * 14, [2, 11, 12, 13, *[14] * 10]),
        ([50] * 5, [2, 3, 4, 5, 5]),
        ([200] * 4, [2, 2, 3, 4]),
        ([1, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20], [2, 11, *[11] * 5, 12, *[13] * 5]),
        ([], []),
    ],
)
def test_as_many_texts_are_read_ahead_as_have_room_if_they_are_as_large_as_those_before(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], read_by_then: list[int]
) -> None:
    monkeypatch.setattr(module, "_AHEAD_BYTES", 100)
    monkeypatch.setattr(module, "ThreadPoolExecutor", AtOnce)
    asked: list[str] = []

    def read(self: S3BlobStore, ref: str) -> bytes:
        asked.append(ref)
        return b"." * sizes[int(ref)]

    monkeypatch.setattr(S3BlobStore, "_read", read)
    texts = S3BlobStore(Mock(), BUCKET).get_many(map(str, range(len(sizes))))
    assert [(len(text), len(asked)) for text in texts] == list(
        zip(sizes, read_by_then, strict=True)
    )
