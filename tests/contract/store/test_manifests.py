"""Manifests are read alike from S3 and from memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shiftwork_core.adapters.aws.manifests import S3ManifestSource
from shiftwork_core.adapters.memory import MemoryManifestSource
from shiftwork_core.domain.requests.manifests.places import ManifestFault, Place
from shiftwork_core.ports.manifests import ManifestSource
from tests.contract.store.conftest import Aws

MB = 1024 * 1024
CONTENT = bytes(range(256)) * 10_000

#: Stores an object.
Put = Callable[[Place, bytes], None]


@pytest.fixture(params=["memory", "s3"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opened(kind: str, request: pytest.FixtureRequest) -> tuple[ManifestSource, Put, str]:
    """Return a source, how to store an object in it, and a bucket that is there."""
    if kind == "memory":
        memory = MemoryManifestSource()
        return memory, memory.put, "memory"
    aws: Aws = request.getfixturevalue("aws")

    def put(place: Place, content: bytes) -> None:
        aws.s3.put_object(Bucket=place.bucket, Key=place.key, Body=content)

    return S3ManifestSource(lambda: aws.s3), put, aws.bucket


@pytest.fixture
def source(opened: tuple[ManifestSource, Put, str]) -> ManifestSource:
    return opened[0]


@pytest.fixture
def put(opened: tuple[ManifestSource, Put, str]) -> Put:
    return opened[1]


@pytest.fixture
def place(opened: tuple[ManifestSource, Put, str]) -> Place:
    return Place(opened[2], "lists/rows ä+%2F.csv")


@pytest.fixture
def etag(source: ManifestSource, put: Put, place: Place) -> str:
    """Return the etag of the object that has `CONTENT`."""
    put(place, CONTENT)
    return source.look(place).etag


def test_a_look_tells_the_size_and_another_etag_for_another_content(
    source: ManifestSource, put: Put, place: Place
) -> None:
    put(place, b"a")
    first = source.look(place)
    put(place, b"bc")
    second = source.look(place)
    assert (first.size_bytes, second.size_bytes) == (1, 2)
    assert first.etag != second.etag
    put(place, b"a")
    assert source.look(place) == first


@pytest.mark.parametrize("start", [0, 1, MB, len(CONTENT) - 1])
def test_a_stream_has_all_bytes_from_its_start_in_pieces_of_at_most_1_mb(
    source: ManifestSource, place: Place, etag: str, start: int
) -> None:
    pieces = list(source.stream(place, etag, start))
    assert b"".join(pieces) == CONTENT[start:]
    assert all(0 < len(piece) <= MB for piece in pieces)


@pytest.mark.parametrize("start", [len(CONTENT), len(CONTENT) + 1])
def test_a_stream_from_the_end_on_has_no_pieces(
    source: ManifestSource, place: Place, etag: str, start: int
) -> None:
    assert list(source.stream(place, etag, start)) == []


def test_an_empty_object_has_no_pieces(source: ManifestSource, put: Put, place: Place) -> None:
    put(place, b"")
    found = source.look(place)
    assert found.size_bytes == 0
    assert list(source.stream(place, found.etag, 0)) == []
    assert source.read(place, found.etag, 0, 0) == b""


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (5, 5), (7, 300), (0, len(CONTENT)), (3, len(CONTENT))]
)
def test_a_range_is_read(
    source: ManifestSource, place: Place, etag: str, start: int, end: int
) -> None:
    assert source.read(place, etag, start, end) == CONTENT[start:end]


@pytest.mark.parametrize("start", [5, 6])
def test_an_empty_range_is_read_without_looking(
    source: ManifestSource, place: Place, start: int
) -> None:
    assert source.read(place, "of no object", start, 5) == b""


@pytest.mark.parametrize("start", [0, 1, len(CONTENT), len(CONTENT) + 1])
def test_a_range_beyond_the_end_is_a_fault(
    source: ManifestSource, place: Place, etag: str, start: int
) -> None:
    with pytest.raises(ManifestFault, match="ends before byte"):
        source.read(place, etag, start, len(CONTENT) + 2)


@pytest.mark.parametrize("content", [b"other", b"", CONTENT + b"more"])
@pytest.mark.parametrize("start", [0, 1, 10, len(CONTENT)])
def test_an_object_that_was_written_again_is_a_fault(
    source: ManifestSource, put: Put, place: Place, etag: str, content: bytes, start: int
) -> None:
    put(place, content)
    for read in (
        lambda: list(source.stream(place, etag, start)),
        lambda: source.read(place, etag, start, start + 1),
    ):
        with pytest.raises(ManifestFault, match="written again"):
            read()


def test_what_is_not_there_is_a_fault_that_names_it(source: ManifestSource, place: Place) -> None:
    for missing in (place, Place("no-such-bucket-anywhere", "rows.csv")):
        for read in (
            lambda gone: source.look(gone),
            lambda gone: list(source.stream(gone, '"e"', 0)),
            lambda gone: source.read(gone, '"e"', 0, 1),
        ):
            with pytest.raises(ManifestFault, match="no such object") as raised:
                read(missing)
            assert str(missing) in str(raised.value)


def test_nothing_is_raised_before_the_first_piece_is_asked_for(
    source: ManifestSource, place: Place
) -> None:
    pieces = source.stream(place, '"e"', 0)
    with pytest.raises(ManifestFault):
        next(pieces)


def test_a_stream_may_be_left_and_another_begun_where_it_was(
    source: ManifestSource, place: Place, etag: str
) -> None:
    first = next(source.stream(place, etag, 0))
    assert first + b"".join(source.stream(place, etag, len(first))) == CONTENT
