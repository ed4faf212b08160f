"""Call named services over HTTP, within bounds; their base URLs are set at deployment."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException, LineTooLong

import urllib3
from urllib3.connectionpool import HTTPConnectionPool

from shiftwork_core.adapters.http_guard import Deadline, Resolve, Service, Unsendable, pool_of
from shiftwork_core.domain.http_calls import header_name_fault, header_value_fault, path_fault
from shiftwork_core.domain.payloads import Json

#: A pause after which no connection is used again. Lambda may have frozen this process meanwhile:
#: the service, or Lambda, may have closed a connection, and the process has not heard of it.
#: Some servers close an idle connection after 5 s.
_MAX_IDLE_S = 3.0
#: How much of an answer is unpacked at once.
_PIECE_BYTES = 16 * 1024
#: How much of a refusal is quoted.
_EXCERPT_CHARACTERS = 500
#: The one reserved header that callers of this module set.
IDEMPOTENCY_KEY = "Idempotency-Key"


class UnknownService(Unsendable):
    """No service of this name is set."""


class NoAnswer(Exception):
    """The service gave no whole answer: it may have done what it was asked.

    `reason` names the failure in one word.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class TooMuch(Exception):
    """The service answered with more than the call had room for; it did what it was asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered; `content` is its start only if it is not `is_whole`."""

    service: str
    status: int
    headers: Mapping[str, str]
    content: bytes
    is_whole: bool = True

    @property
    def is_success(self) -> bool:
        """Whether it did what it was asked."""
        return 200 <= self.status < 300

    @property
    def is_passing(self) -> bool:
        """Whether it refuses for now only: it is overloaded or broken."""
        return self.status == 429 or self.status >= 500

    def __str__(self) -> str:
        """Return who answered what, in short."""
        start = self.content[: 4 * _EXCERPT_CHARACTERS].decode(errors="replace")
        excerpt = start[:_EXCERPT_CHARACTERS]
        return f"{self.service} answered {self.status}: {excerpt}".rstrip(": ")


class NamedServices:
    """Calls services, never another host; follows no redirect.

    Parameters
    ----------
    declared:
        The services by name, as `Service.of` reads them.
    seconds:
        A clock that never goes back.
    resolve:
        Answers as `socket.getaddrinfo` does.
    """

    def __init__(
        self,
        declared: Mapping[str, Json],
        seconds: Callable[[], float] = time.monotonic,
        resolve: Resolve = socket.getaddrinfo,
    ) -> None:
        self._declared = declared
        self._resolve = resolve
        self._pools: dict[str, tuple[Service, HTTPConnectionPool]] = {}
        self._seconds = seconds
        self._used_at = seconds()

    def call(
        self,
        service: str,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
        max_bytes: int,
    ) -> Answer:
        """Send a request once and return the answer, whatever its status.

        All of it, from the look-up of the name to the last byte, takes at most `timeout_s`, and
        at most `max_bytes` of the answer are kept, also of one that is sent compressed.

        Raises
        ------
        Unsendable
            If the service is unknown or where it must not be, or the call is not allowed.
        NoAnswer
            If nobody answered in time.
        TooMuch
            If its headers have more than 100 lines, or one of more than 64 KiB.
        """
        self._drop_old_connections()
        known, pool = self._known(service)
        _check(path, headers)
        deadline = Deadline(timeout_s)
        try:
            with deadline:
                response = pool.urlopen(
                    method,
                    known.path + path,
                    body=body,
                    headers=headers,
                    timeout=urllib3.Timeout(total=timeout_s),
                    redirect=False,
                    preload_content=False,
                )
                content = _read(response, max_bytes, deadline)
        except urllib3.exceptions.HTTPError as error:
            raise _fault_of(service, error, deadline) from error
        finally:
            self._used_at = self._seconds()
        # What was broken off may look whole: without a length an answer ends with its connection.
        if deadline.is_over:
            raise _late(service, deadline)
        kept, is_whole = content[:max_bytes], len(content) <= max_bytes
        return Answer(service, response.status, response.headers, kept, is_whole)

    def _drop_old_connections(self) -> None:
        """Close idle connections after a pause; those in use end with their calls."""
        now = self._seconds()
        if now - self._used_at > _MAX_IDLE_S:
            self._pools = {}
        self._used_at = now

    def _known(self, name: str) -> tuple[Service, HTTPConnectionPool]:
        if name not in self._declared:
            known = ", ".join(sorted(self._declared)) or "none"
            raise UnknownService(f"no service is named {name!r} (there are: {known})")
        pools = self._pools  # Another thread may drop them meanwhile.
        if name not in pools:
            service = Service.of(name, self._declared[name])
            pools[name] = service, pool_of(service, self._resolve)
        return pools[name]


def _check(path: str, headers: Mapping[str, str]) -> None:
    if fault := path_fault(path):
        raise Unsendable(f"path {path[:_EXCERPT_CHARACTERS]!r} {fault}")
    for name, value in headers.items():
        if name != IDEMPOTENCY_KEY and (fault := header_name_fault(name)):
            raise Unsendable(f"header {name[:100]!r} {fault}")
        if fault := header_value_fault(value):
            raise Unsendable(f"header {name!r} {fault}")


def _read(response: urllib3.BaseHTTPResponse, max_bytes: int, deadline: Deadline) -> bytes:
    """Return the content, unpacked: of a longer one the start, and one byte beyond the bound.

    urllib3 unpacks no more than it is asked for, however much a few bytes stand for. It is asked
    for a little at once, because the time that it needs for many empty parts grows with the square
    of what it is given.
    """
    content = bytearray()
    while (room := max_bytes + 1 - len(content)) > 0 and not deadline.is_over:
        piece = response.read(min(room, _PIECE_BYTES), decode_content=True)
        if not piece:
            response.release_conn()
            return bytes(content)
        content += piece
    response.close()  # The rest would come up in the answer to the next call.
    return bytes(content)


def _fault_of(service: str, error: urllib3.exceptions.HTTPError, deadline: Deadline) -> Exception:
    if deadline.is_over:
        return _late(service, deadline)
    cause = error.__cause__ or (error.args[1:] or [None])[-1]
    # `http.client` has no type of its own for too many headers.
    if isinstance(cause, LineTooLong) or type(cause) is HTTPException:
        return TooMuch(f"{service} answered with too many headers, or too long ones: {cause}")
    return NoAnswer(f"{service} did not answer: {error}", type(error).__name__)


def _late(service: str, deadline: Deadline) -> NoAnswer:
    message = f"{service} did not answer in full within {deadline.timeout_s:g} s"
    return NoAnswer(message, "Timeout")
