"""Gzip is unpacked as a stream, whatever it holds."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from itertools import chain, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork_core.domain.requests.manifests.cutting import cuts
from shiftwork_core.domain.requests.manifests.gzips import gunzipped
from shiftwork_core.domain.requests.manifests.places import ManifestFault, Syntax
from shiftwork_core.errors import Unavailable
from tests.unit.domain.requests.manifests.tables import torn
from tests.unit.domain.requests.manifests.test_cutting import MB, held_at_most

PACKED = gzip.compress(bytes(range(256)) * 10, mtime=0)


def unpacked(*pieces: bytes, most_bytes: int = MB) -> bytes:
    return b"".join(gunzipped(pieces, most_bytes))


@given(st.lists(st.binary(max_size=300), max_size=4), st.booleans(), st.data())
def test_members_are_unpacked_one_after_the_other(
    parts: list[bytes], is_padded: bool, data: st.DataObject
) -> None:
    packed = b"".join(map(gzip.compress, parts)) + bytes(512 * is_padded)
    if parts or not is_padded:
        assert unpacked(*data.draw(torn(packed))) == b"".join(parts)


@given(st.integers(1, len(PACKED) - 1))
def test_what_is_broken_off_is_a_fault(size: int) -> None:
    with pytest.raises(ManifestFault, match="not gzip, or is damaged"):
        unpacked(PACKED[:size])


@given(st.integers(len(PACKED) - 8, len(PACKED) - 1))
def test_a_wrong_checksum_or_length_is_a_fault(place: int) -> None:
    damaged = bytearray(PACKED)
    damaged[place] ^= 1
    with pytest.raises(ManifestFault, match="not gzip, or is damaged"):
        unpacked(bytes(damaged))


@given(st.binary(min_size=1, max_size=100))
def test_any_bytes_are_unpacked_or_a_fault(content: bytes) -> None:
    for packed in (content, PACKED + content, PACKED[:10] + content):
        try:
            unpacked(packed)
        except ManifestFault:
            continue
        assert not packed.strip(b"\0") or packed.startswith(PACKED[:3])


@pytest.mark.parametrize("content", [b"a,b\n", zlib.compress(b"a"), b"PK\x03\x04", b"\x1f\x8b"])
def test_what_is_not_gzip_is_a_fault(content: bytes) -> None:
    with pytest.raises(ManifestFault, match="not gzip"):
        unpacked(content)


def bomb(megabytes: int) -> Iterator[bytes]:
    """Yield gzip that is a thousandth of what it holds."""
    packer = zlib.compressobj(wbits=31)
    for _ in range(megabytes):
        yield packer.compress(bytes(MB))
    yield packer.flush()


def test_a_bomb_is_never_held() -> None:
    packed = b"".join(bomb(40))
    assert len(packed) < MB
    with held_at_most(6):
        sizes = [len(piece) for piece in gunzipped([packed])]
    assert sum(sizes) == 40 * MB
    assert max(sizes) <= MB


def test_a_bomb_ends_at_a_bound() -> None:
    drawn = 0
    with pytest.raises(ManifestFault, match=r"more than 3,145,728 bytes: split it"):
        for piece in gunzipped(bomb(40), 3 * MB):
            drawn += len(piece)
    assert drawn <= 3 * MB


def test_as_much_as_is_allowed_is_unpacked() -> None:
    assert len(unpacked(PACKED, most_bytes=2560)) == 2560
    with pytest.raises(ManifestFault, match="2,559 bytes"):
        unpacked(PACKED, most_bytes=2559)


def test_a_bomb_of_one_line_is_a_fault_at_its_first_megabytes() -> None:
    packed = b"".join(bomb(40))
    with held_at_most(10), pytest.raises(ManifestFault, match="record 1 "):
        list(cuts(gunzipped([packed]), Syntax.JSON_LINES, 10))


def test_thousands_of_empty_members_are_passed_over() -> None:
    member = gzip.compress(b"")
    assert unpacked(member * 5_000, PACKED) == unpacked(PACKED)


def test_what_breaks_the_stream_is_no_fault_of_the_manifest() -> None:
    def broken() -> Iterator[bytes]:
        yield PACKED[:20]
        raise Unavailable("S3 does not answer")

    with pytest.raises(Unavailable):
        list(gunzipped(broken()))


def test_no_more_is_asked_for_than_is_unpacked() -> None:
    asked = 0

    def stream() -> Iterator[bytes]:
        nonlocal asked
        for piece in chain([PACKED], repeat(gzip.compress(bytes(MB)))):
            asked += 1
            yield piece

    pieces = gunzipped(stream())
    assert len(next(pieces)) == MB
    assert asked < 20
