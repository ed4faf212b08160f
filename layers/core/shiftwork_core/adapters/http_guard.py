"""Keep calls to named services where they belong: which addresses, and for how long.

A service's name is resolved once for a connection, every address is checked, and the connection
goes to one of those. So no later answer of the resolver can lead it elsewhere. TLS still verifies
the name. The environment's proxies are not asked, and nobody here follows a redirect.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from threading import Lock, Thread, Timer
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from shiftwork_core.adapters.http_responses import FinalResponse
from shiftwork_core.domain.http_calls import path_fault
from shiftwork_core.domain.payloads import Json

#: Answers with the addresses of a host: `socket.getaddrinfo`, or what stands in for it.
Resolve = Callable[..., Sequence[tuple[Any, ...]]]

_FORM = (
    """{"crm": "https://crm.example.com"} or {"crm": {"url": "http://10.0.0.7", "private": true}}"""
)
#: Nothing but what it names: no user, no query, no escape, and no character that readers disagree
#: about.
_URL = re.compile(
    r"(?i:(?P<scheme>https?)://)(?P<host>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[^?]*)?"
)
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
#: A name that ends so is an address to some resolvers: 2130706433, 0x7f.1, 127.1.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")

#: Where services are that only this network reaches.
_PRIVATE = [
    ip_network(text)
    for text in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "::1/128",
        "fc00::/7",
    )
]
#: AWS keeps instances' credentials and other local services there.
_AWS_LOCAL = ip_network("fd00:ec2::/32")
#: IPv6 that is routed, without 6to4, which has an IPv4 address within, and examples in texts.
_ROUTED = ip_network("2000::/3")
_NOT_ROUTED = [ip_network("2002::/16"), ip_network("3fff::/20")]
#: The last four bytes are an IPv4 address.
_NAT64 = ip_network("64:ff9b::/96")


class Unsendable(Exception):
    """The call was not made, and cannot be made as it is."""


class ForbiddenAddress(Unsendable):
    """The service's name leads to an address where this service must not be."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service as its deployment declares it."""

    name: str
    is_tls: bool
    host: str
    port: int | None
    path: str
    is_private: bool

    @classmethod
    def of(cls, name: str, declared: Json) -> Service:
        """Read a base URL, or `{url, private?}`.

        Raises
        ------
        Unsendable
            If it is neither.
        """
        given = {"url": declared} if isinstance(declared, str) else declared
        if not isinstance(given, dict) or not {"url"} <= given.keys() <= {"url", "private"}:
            raise _misdeclared(name, f"it is neither of {_FORM}")
        is_private = given.get("private", False)
        if not isinstance(is_private, bool):
            raise _misdeclared(name, "private must be true or false")
        found = _URL.fullmatch(str(given["url"]))
        if found is None:
            raise _misdeclared(name, "its URL is not http(s)://host[:port][/path] in ASCII")
        host, port = found["host"], int(found["port"]) if found["port"] else None
        path = (found["path"] or "").rstrip("/")
        if not _is_host(host) or not (port is None or 1 <= port <= 65535):
            raise _misdeclared(name, f"{host[:100]!r} is no host, or has no such port")
        if path and (fault := path_fault(path)):
            raise _misdeclared(name, f"its path {fault}")
        return cls(name, found["scheme"].lower() == "https", host, port, path, is_private)


def _misdeclared(name: str, reason: str) -> Unsendable:
    return Unsendable(f"the deployment declares service {name!r} wrongly: {reason}")


def _is_host(host: str) -> bool:
    if host.startswith("["):
        return _is_address(host.strip("[]"))
    labels = host.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _is_address(host)
    return all(map(_LABEL.fullmatch, labels))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_allowed(address: str, *, is_private: bool) -> bool:
    """Whether a service may be at an address.

    Any service may be at a public one, a private service also at a private one: of a private
    network, a carrier's, or this machine. None may be elsewhere: at a link-local address, where
    clouds keep credentials, at a group's, or at one that is reserved or nobody's.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        ip = _within(ip)
    if ip.is_multicast or ip.is_link_local or ip in _AWS_LOCAL:
        return False
    if any(ip in network for network in _PRIVATE):
        return is_private
    is_routed = ip.version == 4 or ip in _ROUTED
    return is_routed and ip.is_global and not any(ip in network for network in _NOT_ROUTED)


def _within(ip: IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address to which traffic for this one goes, or the address itself."""
    if ip.scope_id is not None:
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip


class Deadline:
    """The end of one call: what its connections wait for then breaks off.

    A socket's own timeout starts over with every byte, so a peer that drips could hold a call for
    ever. Used as a context, by one thread.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._ends_at = time.monotonic() + timeout_s
        self._watched: list[socket.socket] = []
        self._lock = Lock()
        self._timer = Timer(timeout_s, self._end)
        self._timer.daemon = True
        self.is_over = False

    def __enter__(self) -> Deadline:
        """Start to count, for every connection that this thread uses from here on."""
        self._token = _deadline.set(self)
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the connections alone from here on."""
        _deadline.reset(self._token)
        self._timer.cancel()
        with self._lock:
            for sock in self._watched:
                sock.close()
            self._watched.clear()

    @property
    def left_s(self) -> float:
        """How much time is left; always more than none, since a socket takes none for no bound."""
        return max(self._ends_at - time.monotonic(), 0.001)

    def watch(self, sock: socket.socket) -> None:
        """Break off what this socket waits for once the time is over."""
        # A descriptor of its own: TLS takes the socket over, and others close it.
        own = socket.socket(fileno=os.dup(sock.fileno()))
        with self._lock:
            self._watched.append(own)
            if self.is_over:
                _break_off(own)

    def _end(self) -> None:
        with self._lock:
            self.is_over = True
            for sock in self._watched:
                _break_off(sock)


def _break_off(sock: socket.socket) -> None:
    with suppress(OSError):  # It is broken off already.
        sock.shutdown(socket.SHUT_RDWR)


_deadline: ContextVar[Deadline] = ContextVar("deadline")


class _GuardedConnection(HTTPConnection):
    """Connects to addresses that were checked, and only as long as the thread's deadline allows.

    urllib3's own proxies replace `_new_conn` in the same way.
    """

    response_class = FinalResponse

    def __init__(self, *args: Any, service: Service, resolve: Resolve, **options: Any) -> None:
        super().__init__(*args, **options)
        self._service = service
        self._resolve = resolve

    def _new_conn(self) -> socket.socket:
        deadline = _deadline.get()
        error: OSError | None = None
        for address in self._addresses(deadline):
            try:
                sock = create_connection(
                    (address, self.port), deadline.left_s, socket_options=self.socket_options
                )
            except OSError as failed:
                error = failed
            else:
                deadline.watch(sock)
                return sock
        if isinstance(error, TimeoutError):
            raise ConnectTimeoutError(self, f"{self.host} took no connection") from error
        raise NewConnectionError(self, f"{self.host} took no connection: {error}") from error

    def _addresses(self, deadline: Deadline) -> list[str]:
        """Return the addresses of the host; if one of them is not allowed, none is called."""
        host = self._service.host.strip("[]")
        try:
            found = _within_time(
                lambda: self._resolve(host, self.port, type=socket.SOCK_STREAM), deadline.left_s
            )
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"{self.host} was not resolved in time") from error
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            if not is_allowed(address, is_private=self._service.is_private):
                raise ForbiddenAddress(_told(self._service, address))
        return addresses

    def request(self, *args: Any, **options: Any) -> None:
        """Send a request; a connection of an earlier call is watched for this one as well."""
        if self.sock is not None:
            _deadline.get().watch(self.sock)
        super().request(*args, **options)


def _told(service: Service, address: str) -> str:
    if is_allowed(address, is_private=True):
        return (
            f"service {service.name!r} is at the private address {address}, and is not declared "
            f'private: {{"{service.name}": {{"url": "...", "private": true}}}} in Services'
        )
    return f"service {service.name!r} is at {address}, where no service may be"


def _within_time(
    lookup: Callable[[], Sequence[tuple[Any, ...]]], limit_s: float
) -> Sequence[tuple[Any, ...]]:
    """Return what a look-up finds; none has a bound of its own, nor can it be broken off."""
    future: Future[Sequence[tuple[Any, ...]]] = Future()

    def look() -> None:
        try:
            future.set_result(lookup())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=look, daemon=True).start()
    return future.result(limit_s)


class _GuardedTlsConnection(_GuardedConnection, HTTPSConnection):
    """The same with TLS: the certificate must be the name's, whatever the address."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _GuardedConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTlsConnection


def pool_of(service: Service, resolve: Resolve) -> HTTPConnectionPool:
    """Return connections to a service; each call needs a `Deadline` around it."""
    kind = _TlsPool if service.is_tls else _Pool
    # Of more connections at once, those beyond are closed after their call.
    return kind(
        service.host, service.port, maxsize=100, retries=False, service=service, resolve=resolve
    )
