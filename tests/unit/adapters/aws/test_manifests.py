"""What S3 answers about manifests: faults of the object, what may pass, and what is a bug."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, FlexibleChecksumError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from shiftwork_core.adapters.aws.manifests import S3ManifestSource
from shiftwork_core.domain.requests.manifests.places import ManifestFault, Place
from shiftwork_core.errors import Throttled, Unavailable

PLACE = Place("lists", "rows.csv")
WANTED = {"Bucket": "lists", "Key": "rows.csv"}


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
def source(s3: Any) -> S3ManifestSource:
    return S3ManifestSource(lambda: s3)


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        ("NoSuchKey", 404, "store it before the request"),
        ("NoSuchBucket", 404, "store it before the request"),
        ("AccessDenied", 403, "s3:GetObject"),
        ("KMS.DisabledException", 400, "KMS"),
        ("PreconditionFailed", 412, "submit a new request"),
        ("InvalidObjectState", 403, "restore it"),
    ],
)
def test_a_refusal_that_asking_again_does_not_change_is_a_fault_with_the_next_step(
    source: S3ManifestSource, stub: Stubber, code: str, status: int, told: str
) -> None:
    wanted = {**WANTED, "IfMatch": '"e"', "Range": "bytes=5-9"}
    stub.add_client_error("get_object", code, http_status_code=status, expected_params=wanted)
    with pytest.raises(ManifestFault, match=f"^s3://lists/rows.csv: .*{told}"):
        source.read(PLACE, '"e"', 5, 10)


@pytest.mark.parametrize(("code", "told"), [("404", "no such object"), ("403", "s3:GetObject")])
def test_a_look_has_only_the_status_to_tell_what_is_wrong(
    source: S3ManifestSource, stub: Stubber, code: str, told: str
) -> None:
    stub.add_client_error("head_object", code, http_status_code=int(code), expected_params=WANTED)
    with pytest.raises(ManifestFault, match=told):
        source.look(PLACE)


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("SlowDown", 503, Throttled),
        ("InternalError", 500, Unavailable),
        ("RequestTimeout", 400, Unavailable),
        ("ExpiredToken", 400, ClientError),
        ("InvalidAccessKeyId", 403, ClientError),
    ],
)
def test_what_is_not_the_objects_fault_is_not_told_as_one(
    source: S3ManifestSource, stub: Stubber, code: str, status: int, error: type[Exception]
) -> None:
    stub.add_client_error("get_object", code, http_status_code=status)
    with pytest.raises(error):
        next(source.stream(PLACE, '"e"', 0))


@pytest.mark.parametrize("is_changed", [False, True])
def test_past_the_end_of_an_object_its_etag_tells_whether_it_is_the_same(
    source: S3ManifestSource, stub: Stubber, is_changed: bool
) -> None:
    stub.add_client_error("get_object", "InvalidRange", http_status_code=416)
    etag = '"other"' if is_changed else '"e"'
    stub.add_response("head_object", {"ContentLength": 5, "ETag": etag}, WANTED)
    pieces = source.stream(PLACE, '"e"', 5)
    if is_changed:
        with pytest.raises(ManifestFault, match="written again"):
            next(pieces)
    else:
        assert list(pieces) == []


def test_no_client_is_built_before_an_object_is_asked_for() -> None:
    def build() -> Any:
        raise AssertionError("built")

    source = S3ManifestSource(build)
    assert source.read(PLACE, '"e"', 5, 5) == b""
    pieces = source.stream(PLACE, '"e"', 0)
    with pytest.raises(AssertionError, match="built"):
        next(pieces)


class _Body(BytesIO):
    """Bytes whose checksum is wrong at the end."""

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        if not piece:
            raise FlexibleChecksumError(error_msg="expected 1, calculated 2")
        return piece


def test_bytes_that_arrive_damaged_are_asked_for_again_by_who_has_taken_them(
    source: S3ManifestSource, stub: Stubber
) -> None:
    stub.add_response("get_object", {"Body": StreamingBody(_Body(b"abc"), 3)})
    pieces = source.stream(PLACE, '"e"', 0)
    assert next(pieces) == b"abc"
    with pytest.raises(Unavailable, match="damaged"):
        next(pieces)


def test_who_stops_early_gives_up_the_connection(source: S3ManifestSource, stub: Stubber) -> None:
    raw = BytesIO(b"abc")
    stub.add_response("get_object", {"Body": StreamingBody(raw, 3)})
    pieces: Any = source.stream(PLACE, '"e"', 0)
    next(pieces)
    pieces.close()
    assert raw.closed
