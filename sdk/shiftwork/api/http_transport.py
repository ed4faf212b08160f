"""Send calls with the standard library's HTTP client, over connections that are kept for later."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from shiftwork.api.messages import LOCAL_HOSTS, Answer, NoAnswer, Outgoing

if TYPE_CHECKING:
    import ssl

#: How many connections are kept while they are idle; each thread uses one at a time.
_MAX_IDLE = 10
#: How long one is kept. Proxies and NAT gateways forget idle connections after a minute or more.
_MAX_IDLE_S = 20.0
#: How long connecting may take: a server that is there accepts much sooner.
_CONNECT_S = 10.0


class _Origin(NamedTuple):
    """The server that a URL names."""

    scheme: str
    host: str
    port: int


class HttpTransport:
    """Sends calls, from any number of threads. It follows no redirects.

    Proxies are those of the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY), but never
    for this machine's own addresses.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[tuple[float, _Origin, HTTPConnection]] = []
        self._tls: ssl.SSLContext | None = None

    def send(self, outgoing: Outgoing) -> Answer:
        """Return the answer.

        Raises
        ------
        NoAnswer
            If none comes.
        """
        ends_at = time.monotonic() + outgoing.timeout_s
        url = urlsplit(outgoing.url)
        origin = _origin_of(url)
        proxy = _proxy_for(origin)
        connection = self._kept(origin) or self._opened(origin, proxy, outgoing.timeout_s)
        try:
            connection.sock.settimeout(max(ends_at - time.monotonic(), 0.001))
            response = _exchange(connection, outgoing, url, proxy)
            body = response.read()
        except BaseException as error:
            connection.close()
            if isinstance(error, (OSError, HTTPException)):
                raise NoAnswer(_reason(error), is_sent=True) from error
            raise
        if response.will_close:
            connection.close()
        else:
            self._keep(origin, connection)
        return Answer.of(response.status, response.getheaders(), body, response.reason)

    def close(self) -> None:
        """Close the connections that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, _, connection in idle:
            connection.close()

    def _kept(self, origin: _Origin) -> HTTPConnection | None:
        """Take the newest idle connection to the server that is still open; None if none is."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                since, to, connection = self._idle.pop()
            is_old = time.monotonic() - since > _MAX_IDLE_S
            if to == origin and not is_old and not _is_readable(connection.sock):
                return connection
            connection.close()

    def _keep(self, origin: _Origin, connection: HTTPConnection) -> None:
        with self._lock:
            self._idle.append((time.monotonic(), origin, connection))
            oldest = self._idle.pop(0) if len(self._idle) > _MAX_IDLE else None
        if oldest is not None:
            oldest[2].close()

    def _opened(
        self, origin: _Origin, proxy: SplitResult | None, timeout_s: float
    ) -> HTTPConnection:
        """Return a new connection to the server, or to the proxy that leads there.

        Raises
        ------
        NoAnswer
            If there is none: no such name, nothing listens, TLS fails, the proxy refuses.
        """
        timeout_s = min(timeout_s, _CONNECT_S)
        try:
            host, port = (proxy.hostname, proxy.port or 80) if proxy else (origin.host, origin.port)
            connection = (
                HTTPSConnection(str(host), port, timeout=timeout_s, context=self._context())
                if origin.scheme == "https"
                else HTTPConnection(str(host), port, timeout=timeout_s)
            )
            if proxy and origin.scheme == "https":
                connection.set_tunnel(origin.host, origin.port, _credentials(proxy))
            try:
                connection.connect()
            except BaseException:
                connection.close()
                raise
        except (OSError, HTTPException, ValueError) as error:
            raise NoAnswer(_reason(error), is_sent=False) from error
        return connection

    def _context(self) -> ssl.SSLContext:
        """Return the settings of TLS, which take long to make: once for all connections."""
        if self._tls is None:
            from ssl import create_default_context

            self._tls = create_default_context()
        return self._tls


def _exchange(
    connection: HTTPConnection, outgoing: Outgoing, url: SplitResult, proxy: SplitResult | None
) -> HTTPResponse:
    """Send the call; return the beginning of its answer."""
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    headers = dict(outgoing.headers)
    if proxy and url.scheme == "http":
        target = f"http://{url.netloc}{target}"
        headers |= _credentials(proxy)
    try:
        # A server may refuse a body before it has read all of it: its answer tells why.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request(outgoing.method, target, outgoing.body, headers)
    except ValueError:
        # The message of the original names the header's value, which may be a token.
        reason = "a header has a character that HTTP does not allow"
        raise NoAnswer(reason, is_sent=False) from None
    return connection.getresponse()


def _origin_of(url: SplitResult) -> _Origin:
    """Return the server that the URL names.

    Raises
    ------
    NoAnswer
        If it names none.
    """
    if url.scheme not in ("http", "https") or not url.hostname:
        raise NoAnswer("it is no http:// or https:// address", is_sent=False)
    try:
        return _Origin(url.scheme, url.hostname, url.port or (80 if url.scheme == "http" else 443))
    except ValueError as error:
        raise NoAnswer(_reason(error), is_sent=False) from error


def _proxy_for(origin: _Origin) -> SplitResult | None:
    """Return the proxy that the environment names for the server.

    Raises
    ------
    NoAnswer
        If the proxy speaks something other than HTTP.
    """
    names = {name.lower() for name in os.environ}
    if origin.host in LOCAL_HOSTS or not names & {"http_proxy", "https_proxy", "all_proxy"}:
        return None
    # Imported here: it takes as long as all the rest.
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    address = proxies.get(origin.scheme) or proxies.get("all")
    if not address or proxy_bypass(f"{origin.host}:{origin.port}"):
        return None
    proxy = urlsplit(address if "://" in address else f"http://{address}")
    if proxy.scheme != "http":
        raise NoAnswer(f"its proxy must be an http:// address, not {proxy.scheme}", is_sent=False)
    return proxy


def _credentials(proxy: SplitResult) -> dict[str, str]:
    """Return the header that names the user to the proxy; none if the proxy's URL has no user."""
    if proxy.username is None:
        return {}
    from base64 import b64encode

    user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(user.encode()).decode()}"}


def _is_readable(connected: socket.socket) -> bool:
    """Whether something arrived while nothing was asked: the server has closed the connection."""
    poll = select.poll()
    poll.register(connected, select.POLLIN)
    return bool(poll.poll(0))


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
