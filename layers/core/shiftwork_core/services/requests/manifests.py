"""Plan blocks of items from a manifest, and read the items of one block."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass

from shiftwork_core.domain.payloads import Json, JsonObject, to_json
from shiftwork_core.domain.requests.manifests.cutting import chunks, cuts, opened
from shiftwork_core.domain.requests.manifests.gzips import gunzipped
from shiftwork_core.domain.requests.manifests.items import Item, ItemFault, items_of
from shiftwork_core.domain.requests.manifests.parts import (
    PART_BYTES,
    Part,
    Piece,
    parts_of,
    pieces_between,
)
from shiftwork_core.domain.requests.manifests.places import (
    ManifestFault,
    Place,
    Syntax,
    format_of,
    place_of,
)
from shiftwork_core.errors import NotFound
from shiftwork_core.ports.manifests import ManifestSource
from shiftwork_core.services.requests.payloads import Payloads

#: What the blocks of a manifest have in common is kept in each row up to so many bytes, larger once
#: for all. A CSV may have a thousand columns.
_MAX_HEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Slice:
    """The items of one block, as its row keeps them, and how many they are."""

    item: Json
    count: int


class Manifests:
    """The manifests that requests may use.

    A manifest in S3 is not copied: a block's row says which bytes of which version of the object
    its items are. Only those of a gzip, in which nobody can begin in the middle, are kept with the
    request, in parts; so are the results that a step before has collected.
    """

    def __init__(
        self, source: ManifestSource, payloads: Payloads, may_read: Callable[[Place], bool]
    ) -> None:
        self._source = source
        self._payloads = payloads
        self._may_read = may_read

    def slices(self, request_id: str, value: Json, block: int) -> Iterator[Slice]:
        """Cut a manifest into blocks of so many items as it streams by, the last one shorter.

        Raises
        ------
        ManifestFault
            If `value` names none that this request may read, or it cannot be used.
        Transient
            If it cannot be read now.
        """
        parts = parts_of(value)
        if parts is not None:
            yield from self._of_parts(request_id, parts, block)
            return
        place = place_of(value)
        if not self._may_read(place):
            raise ManifestFault(
                f"{place} is in no place that this deployment reads manifests from: store it "
                "there, or name its bucket in the parameter ManifestArns"
            )
        kind, found = format_of(place), self._source.look(place)
        pieces = self._source.stream(place, found.etag, 0)
        if kind.is_gzipped:
            pieces = gunzipped(pieces)
        manifest = opened(pieces, kind.syntax)
        head = self._keep_head(
            request_id,
            {
                "manifest": str(place),
                "etag": found.etag,
                "syntax": kind.syntax.name,
                "columns": list(manifest.columns),
            },
        )
        if kind.is_gzipped:
            yield from self._of_gzip(request_id, head, manifest.records, kind.syntax, block)
            return
        for cut in cuts(manifest.records, kind.syntax, block, start=manifest.start):
            yield Slice({"head": head, "bytes": [cut.start, cut.end]}, cut.count)

    def items(self, request_id: str, kept: Json, count: int) -> list[Item | ItemFault]:
        """Return the items of a block: what its row keeps, or what that says where they are.

        Raises
        ------
        ManifestFault
            If the manifest is not there any more, or has changed.
        Transient
            If it cannot be read now.
        """
        if isinstance(kept, list):
            return [Item(value) for value in kept]
        head = self._read_head(request_id, kept["head"])
        if "pieces" in kept:
            pieces = (Piece(*piece) for piece in kept["pieces"])
            data = b"".join(self._read(request_id, piece) for piece in pieces)
        else:
            start, end = kept["bytes"]
            data = self._source.read(place_of(head["manifest"]), head["etag"], start, end)
        return items_of(data, Syntax[head["syntax"]], head["columns"], count)

    # -- what is kept with the request -----------------------------------------------------------

    def _of_gzip(
        self, request_id: str, head: Json, records: Iterator[bytes], syntax: Syntax, block: int
    ) -> Iterator[Slice]:
        for chunk in chunks(records, PART_BYTES, syntax, block):
            ref = self._payloads.keep_part(request_id, chunk.data)
            for cut in chunk.cuts:
                yield _slice_of(head, [Piece(ref, cut.start, cut.end)], cut.count)

    def _of_parts(self, request_id: str, parts: Sequence[Part], block: int) -> Iterator[Slice]:
        head = {"syntax": Syntax.JSON_LINES.name, "columns": []}
        whole = (self._read(request_id, Piece(part.ref, 0, part.size_bytes)) for part in parts)
        for cut in cuts(whole, Syntax.JSON_LINES, block):
            yield _slice_of(head, pieces_between(parts, cut.start, cut.end), cut.count)

    def _read(self, request_id: str, piece: Piece) -> bytes:
        try:
            data = self._payloads.read_part(request_id, piece.ref, piece.start, piece.end)
        except NotFound as error:
            raise ManifestFault(
                f"{error}: a request may name only what its own steps have collected"
            ) from error
        if len(data) < piece.end - piece.start:
            raise ManifestFault(f"{piece.ref} ends before byte {piece.end:,}")
        return data

    def _keep_head(self, request_id: str, head: JsonObject) -> Json:
        text = to_json(head).encode()
        if len(text) <= _MAX_HEAD_BYTES:
            return head
        return [self._payloads.keep_part(request_id, text), len(text)]

    def _read_head(self, request_id: str, kept: Json) -> JsonObject:
        head: JsonObject = kept
        if isinstance(kept, list):
            ref, size = kept
            head = json.loads(self._read(request_id, Piece(ref, 0, size)))
        return head


def _slice_of(head: Json, pieces: Iterable[Piece], count: int) -> Slice:
    return Slice({"head": head, "pieces": [list(astuple(piece)) for piece in pieces]}, count)
