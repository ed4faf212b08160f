"""Plan blocks of items from a manifest in S3, and read the items of one block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.requests.manifests.cutting import Cut, chunks, cuts, opened
from shiftwork_core.domain.requests.manifests.gzips import gunzipped
from shiftwork_core.domain.requests.manifests.items import Item, ItemFault, items_of
from shiftwork_core.domain.requests.manifests.places import (
    ManifestFault,
    Place,
    Syntax,
    format_of,
    place_of,
)
from shiftwork_core.ports.manifests import ManifestSource

#: A gzip manifest is unpacked and cut again in pieces of so many bytes.
_CHUNK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Slice:
    """The items of one block, as its row keeps them, and how many they are."""

    item: Json
    count: int


class Manifests:
    """The manifests that requests may use.

    A manifest is not copied: a block's row says which bytes of which version of the object its
    items are. Only those of a gzip, in which nobody can begin in the middle, are kept with the
    request.
    """

    def __init__(self, source: ManifestSource, may_read: Callable[[Place], bool]) -> None:
        self._source = source
        self._may_read = may_read

    def slices(self, value: Json, block: int) -> Iterator[Slice]:
        """Cut a manifest into blocks of so many items as it streams by, the last one shorter.

        Raises
        ------
        ManifestFault
            If `value` names none that this deployment may read, or it cannot be used.
        Transient
            If it cannot be read now.
        """
        place = place_of(value)
        if not self._may_read(place):
            raise ManifestFault(
                f"{place} is in no place that this deployment reads manifests from: store it "
                "there, or name its bucket in the parameter ManifestArns"
            )
        kind, found = format_of(place), self._source.look(place)
        pieces = self._source.stream(place, found.etag, 0)
        if kind.is_gzipped:
            for unpacked in _unpacked(gunzipped(pieces), kind.syntax, block):
                yield replace(unpacked, item={"etag": found.etag, **unpacked.item})
            return
        manifest = opened(pieces, kind.syntax)
        head = {
            "manifest": str(place),
            "etag": found.etag,
            "syntax": kind.syntax.name,
            "columns": list(manifest.columns),
        }
        for cut in cuts(manifest.records, kind.syntax, block, start=manifest.start):
            yield Slice(head | {"bytes": [cut.start, cut.end]}, cut.count)

    def items(self, kept: Json, count: int) -> list[Item | ItemFault]:
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
        where: JsonObject = kept
        if "items" in where:
            faults = where["faults"]
            return [
                ItemFault(faults[str(place)]) if str(place) in faults else Item(value)
                for place, value in enumerate(where["items"])
            ]
        start, end = where["bytes"]
        data = self._source.read(place_of(where["manifest"]), where["etag"], start, end)
        return items_of(data, Syntax[where["syntax"]], where["columns"], count)


def _unpacked(pieces: Iterator[bytes], syntax: Syntax, block: int) -> Iterator[Slice]:
    """Yield the items themselves, block by block."""
    manifest = opened(pieces, syntax)
    for chunk in chunks(manifest.records, _CHUNK_BYTES, syntax, block):
        for cut in chunk.cuts:
            yield Slice(_items_in(chunk.data, cut, syntax, manifest.columns), cut.count)


def _items_in(data: bytes, cut: Cut, syntax: Syntax, columns: tuple[str, ...]) -> Json:
    """Return what a row keeps of items that are read: themselves, and why some cannot be."""
    found = items_of(data[cut.start : cut.end], syntax, columns, cut.count)
    items = [one.value if isinstance(one, Item) else None for one in found]
    faults = {str(n): one.message for n, one in enumerate(found) if isinstance(one, ItemFault)}
    return {"items": items, "faults": faults}
