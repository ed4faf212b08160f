"""API Gateway in memory: it asks Authorize about each call, and calls the function of its route."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]
#: Bodies of other types reach a function in Base64.
_TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml")


@dataclass(frozen=True)
class GatewayAnswer:
    """What a client gets."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        """Return the text as JSON."""
        return json.loads(self.text)


@dataclass(frozen=True)
class GatewayRoute:
    """A route of the HTTP API: the folder of the function behind it, and whether it is open."""

    method: str
    path: str
    function: str
    is_open: bool

    def fits(self, method: str, path: str) -> bool:
        """Whether a call is one of this route's."""
        prefix, has_rest, _ = self.path.partition("{proxy+}")
        is_there = path.startswith(prefix) if has_rest else path == prefix
        return self.method in ("ANY", method) and is_there

    @property
    def rank(self) -> tuple[bool, int]:
        """Order the routes as the gateway does: the most specific one first."""
        return "{proxy+}" in self.path, -len(self.path)


#: The routes that template.yaml has.
ROUTES = (
    GatewayRoute("ANY", "/{proxy+}", "api", is_open=False),
    GatewayRoute("ANY", "/api/{proxy+}", "serve_tasks", is_open=False),
    GatewayRoute("POST", "/v1/tasks/exchange", "serve_tasks", is_open=False),
    GatewayRoute("POST", "/api/token", "serve_tasks", is_open=True),
    GatewayRoute("GET", "/heartbeat", "api", is_open=True),
)


class Gateway:
    """The HTTP API of the template, over handlers by the folder of their function."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._routes = sorted(ROUTES, key=lambda route: route.rank)
        #: Called before each call.
        self.before: Callable[[], None] = lambda: None
        self.count = 0

    def __call__(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> GatewayAnswer:
        """Answer a call; the path and query are as they are sent."""
        self.before()
        self.count += 1
        route = next((r for r in self._routes if r.fits(method, path)), None)
        if route is None:
            return _refusal(HTTPStatus.NOT_FOUND)
        event = _event(method, path, query, headers or {}, body)
        if not route.is_open:
            judged = self._handlers["authorize"](event, _context("authorize"))
            if not judged["isAuthorized"]:
                return _refusal(HTTPStatus.FORBIDDEN)
            event["requestContext"]["authorizer"] = {"lambda": judged["context"]}
        result = self._handlers[route.function](event, _context(route.function))
        return GatewayAnswer(result["statusCode"], result.get("headers") or {}, result["body"])

    def wsgi(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer as a WSGI application."""
        path, query = environ["REQUEST_URI"].partition("?")[0], environ["QUERY_STRING"]
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_") or name == "CONTENT_TYPE"
        }
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size)
        answer = self(environ["REQUEST_METHOD"], path, query, headers, body)
        reason = HTTPStatus(answer.status).phrase
        start_response(f"{answer.status} {reason}", list(answer.headers.items()))
        return [answer.text.encode()]


def _event(
    method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
) -> dict[str, Any]:
    """Return the event of an HTTP API, payload 2.0."""
    by_name = {name.lower(): value for name, value in headers.items()}
    media_type = by_name.get("content-type", "application/json")
    text = _as_text(body) if media_type.startswith(_TEXT_TYPES) else None
    coded = base64.b64encode(body).decode() if text is None else text
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):  # One that comes twice is joined.
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        **({"queryStringParameters": parameters} if parameters else {}),
        "headers": by_name,
        "requestContext": {
            "http": {"method": method, "path": path, "sourceIp": "203.0.113.1"},
            "requestId": "call-1",
            "stage": "$default",
        },
        "body": coded or None,
        "isBase64Encoded": text is None and bool(coded),
    }


def _as_text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _refusal(status: HTTPStatus) -> GatewayAnswer:
    headers = {"Content-Type": "application/json"}
    return GatewayAnswer(status.value, headers, f'{{"message":"{status.phrase}"}}')


def _context(function: str) -> SimpleNamespace:
    return SimpleNamespace(
        function_name=function,
        memory_limit_in_mb=256,
        invoked_function_arn=f"arn:aws:lambda:us-east-1:123456789012:function:{function}",
        aws_request_id="call-1",
    )
