"""Call named services over HTTP; their base URLs are set at deployment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

import urllib3

#: A pause after which no connection is used again. Lambda may have frozen this process meanwhile:
#: the service, or Lambda, may have closed a connection, and the process has not heard of it.
#: Some servers close an idle connection after 5 s.
_MAX_IDLE_S = 3.0
#: How much of a refusal is quoted.
_EXCERPT_CHARACTERS = 500


class Unsendable(Exception):
    """The call was not made, and cannot be made as it is."""


class UnknownService(Unsendable):
    """No service of this name is set."""


class NoAnswer(Exception):
    """The service gave no whole answer: it may have done what it was asked.

    `reason` names the failure in one word.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered; `content` may be cut off, one byte beyond `max_bytes`."""

    service: str
    status: int
    headers: Mapping[str, str]
    content: bytes

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

    `seconds` is a clock that never goes back.
    """

    def __init__(
        self, services: Mapping[str, str], seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._services = services
        self._pool = urllib3.PoolManager(maxsize=100, retries=False)
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

        The connection and each read wait at most `timeout_s`. Of the answer `max_bytes` are read,
        and one more, which shows that it is longer.

        Raises
        ------
        Unsendable
            If the service is unknown, or the path or a header is not allowed.
        NoAnswer
            If nobody answered in time.
        """
        url = self._base(service) + _checked_path(path)
        for name, value in headers.items():
            if "\r" in value or "\n" in value:
                raise Unsendable(f"header {name!r} would contain a line break")
        self._drop_old_connections()
        try:
            response = self._pool.request(
                method,
                url,
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(total=timeout_s),
                redirect=False,
                preload_content=False,
            )
            content = response.read(max_bytes + 1, decode_content=True)
            response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            message = f"{service} did not answer: {error}"
            raise NoAnswer(message, type(error).__name__) from error
        finally:
            self._used_at = self._seconds()
        return Answer(service, response.status, response.headers, content)

    def _drop_old_connections(self) -> None:
        """Close idle connections after a pause; those in use end with their calls."""
        now = self._seconds()
        if now - self._used_at > _MAX_IDLE_S:
            self._pool.clear()
        self._used_at = now

    def _base(self, service: str) -> str:
        base = self._services.get(service)
        if base is None:
            known = ", ".join(sorted(self._services)) or "none"
            raise UnknownService(f"no service is named {service!r} (there are: {known})")
        return base.rstrip("/")


def _checked_path(path: str) -> str:
    """Return the path if every reader takes it to be below the service's base URL."""
    segments = map(unquote, path.split("?")[0].split("/"))
    # Without its first slash it would continue the host's name.
    if not path.startswith("/") or not {".", ".."}.isdisjoint(segments):
        raise Unsendable(f"path {path!r} would lead elsewhere")
    return path
