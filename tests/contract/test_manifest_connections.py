"""Connections to S3 that are lost in the middle of a manifest, at a server that loses them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import boto3
import pytest
from botocore.config import Config

from shiftwork_core.adapters.aws import manifests as module
from shiftwork_core.adapters.aws.manifests import MAX_LOST, S3ManifestSource
from shiftwork_core.domain.requests.manifests.places import ManifestFault, Place
from shiftwork_core.errors import Throttled, Unavailable

CONTENT = bytes(range(251)) * 40
PLACE = Place("lists", "rows.csv")
ETAG = '"first"'

#: The status of an answer, and how many of the bytes that it announces are sent.
Answer = tuple[int, int]


class Store(ThreadingHTTPServer):
    """One object, which it gives as a test says: each answer in its turn, then whole ones."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[Answer] = []
        self.etag = ETAG
        #: The ranges that were asked for.
        self.ranges: list[str | None] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Store
    codes: ClassVar = {403: "AccessDenied", 412: "PreconditionFailed", 503: "SlowDown"}

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.server.ranges.append(wanted)
        status, sent = self.server.answers.pop(0) if self.server.answers else (200, len(CONTENT))
        if self.headers["If-Match"] != self.server.etag:
            status = 412
        body = CONTENT
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", wanted or ""):
            body = CONTENT[int(found[1]) : int(found[2]) + 1 if found[2] else None]
        if status != 200:
            code = self.codes[status]
            body = f"<Error><Code>{code}</Code><Message>as told</Message></Error>".encode()
            sent = len(body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", self.server.etag)
        self.end_headers()
        self.wfile.write(body[:sent])
        if sent < len(body):
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    Thread(target=store.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield store
    store.shutdown()
    store.server_close()


@pytest.fixture
def source(store: Store, monkeypatch: pytest.MonkeyPatch) -> S3ManifestSource:
    monkeypatch.setattr(module, "PIECE_BYTES", 1000)
    client = boto3.client(
        "s3",
        "us-east-1",
        endpoint_url=f"http://127.0.0.1:{store.server_address[1]}",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    return S3ManifestSource(lambda: client)


def read(source: S3ManifestSource) -> bytes:
    return source.read(PLACE, ETAG, 100, 9000)


def stream(source: S3ManifestSource) -> bytes:
    return b"".join(source.stream(PLACE, ETAG, 100))


@pytest.mark.parametrize("ask", [read, stream])
@pytest.mark.parametrize("sent", [0, 1, 999, 1000, 1001, 3500])
def test_a_lost_connection_is_replaced_and_each_byte_comes_once(
    store: Store, source: S3ManifestSource, ask: Callable[[S3ManifestSource], bytes], sent: int
) -> None:
    store.answers = [(200, sent)] * 2
    assert ask(source) == (CONTENT[100:9000] if ask is read else CONTENT[100:])
    starts = [
        int((wanted or "").removeprefix("bytes=").partition("-")[0]) for wanted in store.ranges
    ]
    assert len(starts) == 3
    assert starts == sorted(starts)
    # What has arrived of a piece that is not complete is asked for again.
    assert all(start <= 100 + sent * number for number, start in enumerate(starts))


def test_a_whole_object_needs_no_range(store: Store, source: S3ManifestSource) -> None:
    assert b"".join(source.stream(PLACE, ETAG, 0)) == CONTENT
    assert store.ranges == [None]


def test_connections_are_lost_so_often_and_no_more(store: Store, source: S3ManifestSource) -> None:
    store.answers = [(200, 1000)] * MAX_LOST
    assert stream(source) == CONTENT[100:]
    store.answers = [(200, 0)] * (MAX_LOST + 1)
    with pytest.raises(Unavailable, match="broken off each time"):
        stream(source)
    assert store.answers == []


@pytest.mark.parametrize(
    ("status", "error"), [(403, ManifestFault), (412, ManifestFault), (503, Throttled)]
)
def test_what_is_answered_to_the_next_connection_counts(
    store: Store, source: S3ManifestSource, status: int, error: type[Exception]
) -> None:
    store.answers = [(200, 2500), (status, 0)]
    pieces = source.stream(PLACE, ETAG, 0)
    assert next(pieces) == CONTENT[:1000]
    with pytest.raises(error):
        list(pieces)


def test_an_object_that_is_written_again_between_two_connections_is_a_fault(
    store: Store, source: S3ManifestSource
) -> None:
    store.answers = [(200, 2500)]
    pieces = source.stream(PLACE, ETAG, 0)
    assert next(pieces) == CONTENT[:1000]
    store.etag = '"second"'
    with pytest.raises(ManifestFault, match="written again"):
        list(pieces)


def test_a_server_that_is_gone_may_come_back(store: Store, source: S3ManifestSource) -> None:
    store.shutdown()
    store.server_close()
    for ask in (read, stream, lambda source: source.look(PLACE)):
        with pytest.raises(Unavailable):
            ask(source)
