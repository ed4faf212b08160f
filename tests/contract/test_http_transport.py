"""The client's calls over real connections: kept, stale, refused, slow, through TLS and proxies."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any

import pytest

from shiftwork.api import http_transport
from shiftwork.api.call import Call
from shiftwork.api.client import ShiftworkClient
from shiftwork.api.errors import Invalid, ShiftworkError, TooLarge
from shiftwork.api.http_transport import HttpTransport
from shiftwork.api.messages import NoAnswer, Outgoing
from tests.contract.http_service import Service
from tests.contract.raw_server import OK, RawServer
from tests.contract.tls_server import tls_of

JSON = OK + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class KeepingServer:
    """Keeps its connections open, and echoes what it is asked.

    Attributes
    ----------
    connections
        How many it has accepted.
    closed
        Set when it has closed one, as it does after each answer if `is_leaving`.
    meeting
        Where its calls wait for one another, if they do.
    """

    def __init__(self) -> None:
        self.connections = 0
        self.is_leaving = False
        self.closed = Event()
        self.meeting: Barrier | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                outer.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if outer.meeting:
                    outer.meeting.wait(30)
                content = body or b"{}"
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                # Closed without a word, as a server does that has had enough of waiting.
                self.close_connection = outer.is_leaving

            do_GET = do_POST

            def finish(self) -> None:
                super().finish()
                self.connection.shutdown(socket.SHUT_RDWR)
                outer.closed.set()

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            # All threads connect at once; one that finds no room tries again after seconds.
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def keeping() -> Iterator[KeepingServer]:
    keeping = KeepingServer()
    yield keeping
    keeping.server.shutdown()
    keeping.server.server_close()


@pytest.fixture
def transport() -> Iterator[HttpTransport]:
    transport = HttpTransport()
    yield transport
    transport.close()


def outgoing(url: str, body: bytes | None = None, timeout_s: float = 30.0) -> Outgoing:
    method = "GET" if body is None else "POST"
    return Outgoing(method, url, {"Authorization": "Bearer t"}, body, timeout_s)


def refusing_port() -> int:
    """Return a port at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


# -- connections ---------------------------------------------------------------------------------


def test_calls_share_a_connection(keeping: KeepingServer, transport: HttpTransport) -> None:
    for number in range(5):
        body = str(number).encode()
        assert transport.send(outgoing(keeping.url, body)).json() == number
    assert keeping.connections == 1


def test_a_connection_that_the_server_has_closed_is_not_used_for_a_call(
    keeping: KeepingServer, transport: HttpTransport
) -> None:
    keeping.is_leaving = True
    transport.send(outgoing(keeping.url, b"1"))
    assert keeping.closed.wait(30)
    assert transport.send(outgoing(keeping.url, b"2")).json() == 2
    assert keeping.connections == 2


def test_an_old_connection_is_not_used(
    keeping: KeepingServer, transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport.send(outgoing(keeping.url))
    monkeypatch.setattr(http_transport, "_MAX_IDLE_S", -1.0)
    transport.send(outgoing(keeping.url))
    assert keeping.connections == 2


def test_a_connection_to_another_server_is_not_used(
    keeping: KeepingServer, service: Service, transport: HttpTransport
) -> None:
    transport.send(outgoing(keeping.url))
    transport.send(outgoing(service.url))
    assert len(service.asked) == 1


def test_threads_have_a_connection_each_and_few_are_kept(
    keeping: KeepingServer, transport: HttpTransport
) -> None:
    threads = http_transport._MAX_IDLE + 6
    keeping.meeting = Barrier(threads)
    with ThreadPoolExecutor(threads) as pool:
        bodies = [str(number).encode() for number in range(threads * 3)]
        answers = pool.map(lambda body: transport.send(outgoing(keeping.url, body)).body, bodies)
        assert list(answers) == bodies
    assert len(transport._idle) == http_transport._MAX_IDLE
    transport.close()
    assert not transport._idle


def test_an_answer_of_which_nobody_knows_the_end_ends_with_its_connection(
    server: RawServer, transport: HttpTransport
) -> None:
    server.sends(OK + b"\r\n", b"[1, ", b"2]")
    for _ in range(2):
        assert transport.send(outgoing(f"http://127.0.0.1:{server.port}")).json() == [1, 2]
    assert server.connections == 2


# -- what is sent and answered -------------------------------------------------------------------


def test_the_path_of_the_url_and_the_query_are_kept(service: Service) -> None:
    with ShiftworkClient(service.url, "t") as client:
        query = {"a": [1, "ä b"], "yes": True, "none": None, "some": [None, False]}
        client.send(Call("GET", "/v1/x%2Fy", query))
    method, path, headers, _ = service.asked[0]
    assert (method, path) == ("GET", "/base/v1/x%2Fy?a=1&a=%C3%A4+b&yes=true&some=false")
    assert headers["Authorization"] == "Bearer t"
    assert headers["Accept"] == "application/json"


def test_big_bodies_arrive_whole(keeping: KeepingServer) -> None:
    sent = {"text": "größer" * 1_000_000}
    with ShiftworkClient(keeping.url, "t") as client:
        assert client.send(Call("POST", "/", json=sent)) == sent


def test_an_answer_is_read_as_utf_8_whatever_its_header_says(service: Service) -> None:
    type_ = {"Content-Type": "application/json; charset=latin-1"}
    service.answer = (200, type_, '{"a": "größer"}'.encode())
    with ShiftworkClient(service.url, "t") as client:
        assert client.send(Call("GET", "/")) == {"a": "größer"}


def test_a_server_that_refuses_before_it_has_read_a_big_body_is_heard(server: RawServer) -> None:
    answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    def refuse(connection: socket.socket) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    server.act = refuse
    client = ShiftworkClient(f"http://127.0.0.1:{server.port}", "t")
    with client, pytest.raises(TooLarge, match="Too Large"):
        client.send(Call("POST", "/", json="x" * 3_000_000))


def test_a_redirect_is_not_followed(service: Service) -> None:
    service.answer = (302, {"Location": service.url}, b"")
    with ShiftworkClient(service.url, "t") as client, pytest.raises(ShiftworkError, match="Found"):
        client.get("r-1")
    assert len(service.asked) == 1


def test_the_headers_of_an_answer_are_found_in_any_case(service: Service) -> None:
    service.answer = (422, {"reTRY-after": "7"}, b"{}")
    with ShiftworkClient(service.url, "t") as client, pytest.raises(Invalid) as caught:
        client.get("r-1")
    assert caught.value.retry_after_s == 7


# -- no answer -----------------------------------------------------------------------------------


def not_sent(transport: HttpTransport, url: str) -> str:
    """Return why a call was not sent."""
    with pytest.raises(NoAnswer) as caught:
        transport.send(outgoing(url, b"{}"))
    assert not caught.value.is_sent
    return str(caught.value)


def test_a_refused_connection_sends_nothing(transport: HttpTransport) -> None:
    assert "refused" in not_sent(transport, f"http://127.0.0.1:{refusing_port()}")


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:80", "ftp://127.0.0.1", "http://", "http://127.0.0.1:99999/", "http://ä..b/"],
)
def test_an_address_that_is_none_sends_nothing(url: str, transport: HttpTransport) -> None:
    assert not_sent(transport, url)


def test_a_name_that_does_not_exist_sends_nothing(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert not_sent(transport, "http://api.test") == "no such name"


def test_tls_to_a_server_without_it_sends_nothing(
    server: RawServer, transport: HttpTransport
) -> None:
    server.sends(JSON)
    assert "SSL" in not_sent(transport, f"https://127.0.0.1:{server.port}")


def test_a_token_that_is_no_header_sends_nothing_and_is_not_told(
    keeping: KeepingServer, transport: HttpTransport
) -> None:
    for token in ("secret\nX: y", "secret€"):
        bad = Outgoing("GET", keeping.url, {"Authorization": f"Bearer {token}"}, None, 30.0)
        with pytest.raises(NoAnswer) as caught:
            transport.send(bad)
        assert not caught.value.is_sent
        assert "secret" not in str(caught.value)


def test_a_call_whose_answer_takes_too_long_may_have_arrived(
    service: Service, transport: HttpTransport
) -> None:
    service.release.clear()
    with pytest.raises(NoAnswer, match="timed out") as caught:
        transport.send(outgoing(service.url, b"{}", timeout_s=0.2))
    assert caught.value.is_sent
    assert not transport._idle


@pytest.mark.parametrize("sent", [b"", OK + b"Content-Length: 9\r\n\r\n{}", b"what?\r\n\r\n"])
def test_a_call_whose_answer_is_cut_off_may_have_arrived(
    sent: bytes, server: RawServer, transport: HttpTransport
) -> None:
    server.sends(sent)
    with pytest.raises(NoAnswer) as caught:
        transport.send(outgoing(f"http://127.0.0.1:{server.port}", b"{}"))
    assert caught.value.is_sent


# -- TLS and proxies -----------------------------------------------------------------------------


def speaking_tls(context: ssl.SSLContext, *answers: bytes) -> Any:
    """Return what a server does that speaks TLS on a connection: read and answer, in turn."""

    def act(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            for answer in answers:
                secure.recv(65536)
                secure.sendall(answer)

    return act


@pytest.fixture
def through(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> RawServer:
    """Return a server that is the environment's proxy."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://me:p%40ss@127.0.0.1:{server.port}")
    monkeypatch.setenv("no_proxy", "direct.test")
    return server


def remembering(server: RawServer, then: Any) -> list[bytes]:
    """Have the server answer as a proxy whose first request is remembered."""
    asked: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        try:
            data = connection.recv(65536)
            asked.append(data)
            then(connection)
        finally:
            connection.close()

    server._answer = answer  # type: ignore[method-assign]
    return asked


def test_a_server_with_a_certificate_that_is_trusted_is_called_over_one_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: HttpTransport
) -> None:
    context = tls_of(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    server = RawServer()
    server._answer = speaking_tls(context, JSON, JSON)  # type: ignore[method-assign]
    for _ in range(2):
        assert transport.send(outgoing(f"https://localhost:{server.port}")).json() == {}
    assert server.connections == 1
    server.stop()


def test_a_certificate_that_nobody_trusts_sends_nothing(
    tmp_path: Path, transport: HttpTransport
) -> None:
    server = RawServer()
    context = tls_of(tmp_path, "localhost")

    def act(connection: socket.socket) -> None:
        with connection, pytest.raises(OSError):
            context.wrap_socket(connection, server_side=True)

    server._answer = act  # type: ignore[method-assign]
    assert "certificate" in not_sent(transport, f"https://localhost:{server.port}")
    server.stop()


def test_a_call_goes_through_the_proxy_with_its_credentials(
    through: RawServer, transport: HttpTransport
) -> None:
    asked = remembering(through, lambda connection: connection.sendall(JSON))
    assert transport.send(outgoing("http://api.test/stage/v1?a=1")).json() == {}
    assert asked[0].startswith(b"GET http://api.test/stage/v1?a=1 HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n" in asked[0]
    assert b"\r\nHost: api.test\r\n" in asked[0]


def test_a_call_over_tls_goes_through_a_tunnel_of_the_proxy(
    through: RawServer,
    transport: HttpTransport,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = tls_of(tmp_path, "api.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))

    def tunnel(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        speaking_tls(context, JSON)(connection)

    asked = remembering(through, tunnel)
    assert transport.send(outgoing("https://api.test/v1")).json() == {}
    assert asked[0].startswith(b"CONNECT api.test:443 HTTP/1.")
    assert b"\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n" in asked[0]
    assert b"Bearer" not in asked[0]


def test_a_proxy_that_refuses_the_tunnel_sends_nothing(
    through: RawServer, transport: HttpTransport
) -> None:
    through.sends(b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n")
    assert "407" in not_sent(transport, "https://api.test/v1")


def test_this_machine_and_what_no_proxy_names_are_called_directly(
    through: RawServer,
    keeping: KeepingServer,
    transport: HttpTransport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transport.send(outgoing(keeping.url))
    transport.send(outgoing(keeping.url.replace("127.0.0.1", "localhost")))
    find = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **named: find(
            "127.0.0.1" if host == "direct.test" else host, *rest, **named
        ),
    )
    transport.send(outgoing(keeping.url.replace("127.0.0.1", "direct.test")))
    assert (through.connections, keeping.connections) == (0, 3)


def test_a_proxy_of_another_kind_is_named(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1")
    assert "socks5" in not_sent(transport, "http://api.test")
