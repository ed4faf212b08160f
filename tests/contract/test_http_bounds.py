"""What a real server may do to a call of a named service: it stays within its bounds."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import tracemalloc
import zlib
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from shiftwork_core.adapters.http_guard import ForbiddenAddress
from shiftwork_core.adapters.named_services import Answer, NamedServices, NoAnswer, TooMuch
from tests.contract.http_service import Service
from tests.contract.raw_server import OK, RawServer
from tests.contract.tls_server import tls_of

MAX_BYTES = 1000


def call(
    port: int, *, scheme: str = "http", timeout_s: float = 5, max_bytes: int = MAX_BYTES
) -> Answer:
    url = f"{scheme}://127.0.0.1:{port}"
    services = NamedServices({"crm": {"url": url, "private": True}})
    return ask(services, timeout_s, max_bytes)


def ask(services: NamedServices, timeout_s: float = 5, max_bytes: int = MAX_BYTES) -> Answer:
    return services.call(
        "crm", "GET", "/", headers={}, body=None, timeout_s=timeout_s, max_bytes=max_bytes
    )


# -- time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"", b"H"),
        (OK, b"X"),
        (OK, b"X-A: b\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (OK + b"Content-Length: 900\r\n\r\n", b"x"),
        (OK + b"\r\n", b"x"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: y\r\n"),
        (OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"")),
    ],
    ids=["a status", "a header", "headers", "interim answers", "a body", "a body without a length",
         "chunks", "trailers", "packed nothing"],
)  # fmt: skip
def test_a_server_that_drips_ends_the_call_at_its_time(
    server: RawServer, start: bytes, drop: bytes
) -> None:
    server.drips(start, drop)
    began = time.monotonic()
    with pytest.raises(NoAnswer, match=r"crm did not answer in full within 0\.3 s") as raised:
        call(server.port, timeout_s=0.3)
    assert raised.value.reason == "Timeout"
    assert 0.25 <= time.monotonic() - began < 3
    assert server.closed.wait(5), "the connection is closed"


def test_a_tls_handshake_that_drips_ends_the_call_at_its_time(server: RawServer) -> None:
    server.drips(b"\x16\x03\x03\x40\x00", b"\x02")
    began = time.monotonic()
    with pytest.raises(NoAnswer, match=r"within 0\.3 s"):
        call(server.port, scheme="https", timeout_s=0.3)
    assert time.monotonic() - began < 3


def test_a_name_that_nobody_resolves_ends_the_call_at_its_time() -> None:
    release = Event()

    def resolve(*_: Any, **__: Any) -> Any:
        release.wait(30)
        return []

    services = NamedServices({"crm": "http://slow.test"}, resolve=resolve)
    began = time.monotonic()
    with pytest.raises(NoAnswer, match=r"slow\.test was not resolved in time|within 0\.3 s"):
        ask(services, timeout_s=0.3)
    release.set()
    assert time.monotonic() - began < 3


def test_a_second_call_over_the_same_connection_ends_at_its_time_too(server: RawServer) -> None:
    answer = OK + b"Content-Length: 2\r\n\r\n{}"

    def act(connection: socket.socket) -> None:
        connection.sendall(answer)
        connection.recv(65536)
        for _ in range(500):
            connection.sendall(b"H")
            time.sleep(0.02)

    server.act = act
    url = f"http://127.0.0.1:{server.port}"
    services = NamedServices({"crm": {"url": url, "private": True}}, lambda: 0.0)
    assert ask(services).content == b"{}"
    with pytest.raises(NoAnswer, match=r"within 0\.3 s"):
        ask(services, timeout_s=0.3)
    assert server.connections == 1


# -- size ------------------------------------------------------------------------------------------


def _gzip_bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(100)) + packer.flush()


BOMB = _gzip_bomb()


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("gzip", BOMB),
        ("gzip, gzip", gzip.compress(BOMB)),
        ("gzip, gzip, gzip", gzip.compress(gzip.compress(BOMB))),
        ("deflate", zlib.compress(bytes(2**26), 9)),
        ("identity", bytes(2**20)),
    ],
    ids=["gzip", "gzip twice", "gzip three times", "deflate", "as it is"],
)
def test_an_answer_that_unpacks_to_more_than_it_may_is_cut_off_and_held_in_no_memory(
    server: RawServer, encoding: str, content: bytes
) -> None:
    head = f"Content-Encoding: {encoding}\r\nContent-Length: {len(content)}\r\n\r\n"
    server.sends(OK + head.encode() + content)
    tracemalloc.start()
    try:
        answer = call(server.port)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (answer.is_whole, len(answer.content)) == (False, MAX_BYTES)
    assert peak_bytes < 4 * 2**20


def test_to_unpack_many_empty_parts_takes_no_longer_than_to_receive_them(
    server: RawServer,
) -> None:
    content = gzip.compress(b"") * 100_000
    head = f"Content-Encoding: gzip\r\nContent-Length: {len(content)}\r\n\r\n"
    server.sends(OK + head.encode() + content)
    began = time.process_time()
    assert call(server.port, max_bytes=len(content)).content == b""
    # All at once, they took 5 s.
    assert time.process_time() - began < 1.5


def test_too_many_packings_are_not_unpacked(server: RawServer) -> None:
    server.sends(OK + b"Content-Encoding: " + b", ".join([b"gzip"] * 50) + b"\r\n\r\n" + BOMB)
    with pytest.raises(NoAnswer, match="Too many content encodings"):
        call(server.port)


def test_an_answer_of_just_the_bound_is_whole(server: RawServer) -> None:
    server.sends(OK + b"Content-Length: 1000\r\n\r\n" + b"x" * MAX_BYTES)
    answer = call(server.port)
    assert (answer.is_whole, answer.content) == (True, b"x" * MAX_BYTES)


def test_what_is_left_of_an_answer_never_comes_up_in_the_next(server: RawServer) -> None:
    is_over = Event()

    def act(connection: socket.socket) -> None:
        connection.sendall(OK + b"Content-Length: 2000\r\n\r\n" + b"x" * 1200)
        is_over.wait(10)  # The rest is under way for longer than the call looks for it.

    server.act = act
    url = f"http://127.0.0.1:{server.port}"
    services = NamedServices({"crm": {"url": url, "private": True}}, lambda: 0.0)
    for connections in (1, 2):
        assert ask(services).content == b"x" * MAX_BYTES
        assert server.connections == connections
    is_over.set()


@pytest.mark.parametrize(
    "headers",
    [b"X: y\r\n" * 101, b"X: " + b"y" * 70_000 + b"\r\n", b"X: y\r\n" * 100_000],
    ids=["101 headers", "a long header", "headers without end"],
)
def test_an_answer_with_too_many_or_too_long_headers_is_refused_by_name(
    server: RawServer, headers: bytes
) -> None:
    server.sends(OK + headers + b"\r\n{}")
    with pytest.raises(TooMuch, match="crm answered with too many headers, or too long ones"):
        call(server.port)


# -- place -----------------------------------------------------------------------------------------


def test_nothing_connects_to_this_machine_when_a_name_moves_there(server: RawServer) -> None:
    answers = iter(["192.88.99.77", "127.0.0.1", "127.0.0.1"])

    def resolve(host: str, port: int, *_: Any, **__: Any) -> Any:
        address = (next(answers), port)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)]

    url = f"http://rebinding.test:{server.port}"
    services = NamedServices({"crm": url}, resolve=resolve)
    with pytest.raises(NoAnswer):
        ask(services, timeout_s=0.2)
    with pytest.raises(ForbiddenAddress, match=r"at the private address 127\.0\.0\.1"):
        ask(services)
    assert server.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
def test_a_service_that_is_not_declared_private_is_never_on_this_machine(
    server: RawServer, host: str
) -> None:
    with pytest.raises(ForbiddenAddress, match="is not declared private"):
        ask(NamedServices({"crm": f"http://{host}:{server.port}"}))
    assert server.connections == 0


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_the_environments_proxy_is_not_asked(
    server: RawServer, service: Service, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"http://127.0.0.1:{server.port}")
    assert ask(NamedServices({"crm": {"url": service.url, "private": True}})).is_success
    assert (server.connections, len(service.asked)) == (0, 1)


@pytest.mark.parametrize("name", ["crm.test", "other.test"])
def test_tls_verifies_the_name_and_not_the_address_that_is_called(
    server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    context = tls_of(tmp_path, "crm.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    indicated: list[str | None] = []
    context.sni_callback = lambda _, host, __: indicated.append(host)

    def serve() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        ports.append(listener.getsockname()[1])
        is_listening.set()
        connection, _ = listener.accept()
        with listener, connection:
            try:
                with context.wrap_socket(connection, server_side=True) as tls:
                    tls.recv(65536)
                    tls.sendall(OK + b"Content-Length: 2\r\n\r\n{}")
            except OSError:
                pass

    ports: list[int] = []
    is_listening = Event()
    Thread(target=serve, daemon=True).start()
    assert is_listening.wait(5)

    def resolve(host: str, port: int, *_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    url = f"https://{name}:{ports[0]}"
    services = NamedServices({"crm": {"url": url, "private": True}}, resolve=resolve)
    if name == "crm.test":
        assert ask(services).content == b"{}"
    else:
        with pytest.raises(NoAnswer, match="CERTIFICATE_VERIFY_FAILED"):
            ask(services)
    assert indicated == [name]


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_call_leaves_descriptors_or_threads_behind(service: Service) -> None:
    services = NamedServices({"crm": {"url": service.url, "private": True}})
    ask(services)
    descriptors, threads = _descriptors(), threading.active_count()
    for _ in range(50):
        ask(services)
    # The server's own come and go meanwhile.
    assert _descriptors() < descriptors + 10
    assert threading.active_count() < threads + 10
