"""Manifests of items in S3: each call takes time, and to cut records takes a processor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmarks.quotas.functions import LAMBDA_TIME, Environment
from benchmarks.quotas.limits import quotas
from shiftwork_core.adapters.memory import MemoryManifestSource
from shiftwork_core.domain.requests.manifests.places import Place
from shiftwork_core.ports.manifests import Found, ManifestSource

if TYPE_CHECKING:
    from benchmarks.quotas.model import Model

_PLACE = Place("manifests", "items.jsonl")


class Manifests:
    """The objects that clients have stored."""

    def __init__(self) -> None:
        self.objects = MemoryManifestSource()

    def store(self, count: int) -> str:
        """Store a manifest of so many items; return what names it."""
        lines = b"".join(b'{"row": %d}\n' % number for number in range(count))
        self.objects.put(_PLACE, lines)
        return str(_PLACE)


class ManifestClient(ManifestSource):
    """S3's client of one process."""

    def __init__(self, model: Model, process: Environment) -> None:
        self._model = model
        self._manifests = model.manifests
        self._process = process

    def look(self, place: Place) -> Found:
        """Answer a HEAD."""
        self._call()
        return self._manifests.objects.look(place)

    def stream(self, place: Place, etag: str, start: int) -> Iterator[bytes]:
        """Answer a GET piece by piece."""
        self._call()
        for piece in self._manifests.objects.stream(place, etag, start):
            self._receive(piece)
            yield piece

    def read(self, place: Place, etag: str, start: int, end: int) -> bytes:
        """Answer a GET of a range."""
        self._call()
        data = self._manifests.objects.read(place, etag, start, end)
        self._receive(data)
        return data

    def _call(self) -> None:
        self._model.s3_gets += 1
        self._process.compute(
            LAMBDA_TIME["cpu_ms_per_call"], quotas()["assumptions"]["other_call_ms"]
        )

    def _receive(self, data: bytes) -> None:
        """Take the time of the network, and the processor's: records are told apart by it."""
        assumed = quotas()["assumptions"]
        records, megabytes = data.count(b"\n"), len(data) / 1e6
        self._process.compute(
            records * assumed["cpu_ms_per_record"], megabytes * assumed["s3_ms_per_mb"]
        )
