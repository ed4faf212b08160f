"""A botocore hook that drops and throttles calls, loses replies, and kills its own process.

It is no part of the product: `tests.faults.stack` puts this file beside the code of deployed
functions, and makes `client_faults.handler` their handler. The hook takes each AWS request right
before it is sent, after botocore has signed it, so that every retry passes here too.

SHIFTWORK_FAULTS names a folder that the function shares with the tests, as it does on an emulator
of this machine. There `plan.json` says what goes wrong from the next invocation on, and
`calls.jsonl` tells what was done with each call, across all processes and also those killed.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from io import BytesIO
from pathlib import Path
from threading import Timer
from typing import Any, Protocol

FOLDER = "SHIFTWORK_FAULTS"
#: A process that must die at a random time does so within this long of its invocation's start.
KILL_WITHIN_S = 0.5


class Fate(StrEnum):
    """What happens to a call."""

    SENT = "sent"
    #: Never sent; the client sees no connection.
    DROPPED = "dropped"
    #: Never sent; the client sees the service's own answer.
    THROTTLED = "throttled"
    #: Carried out; the client sees a broken connection.
    LOST = "lost"
    #: The process dies before it is sent, or after it was carried out.
    KILLED_BEFORE = "killed-before"
    KILLED_AFTER = "killed-after"


@dataclass(frozen=True, slots=True)
class Kill:
    """Die once, at the n-th call (from 1) that a function makes.

    `request_id` counts only the calls made for that request, by whatever processes, `operation`
    only those of that one, e.g. `ec2.StartInstances`; empty counts all since the plan was written.
    """

    function: str
    call: int
    is_after: bool = False
    request_id: str = ""
    operation: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes wrong: shares of all calls, the share of invocations killed, and single kills."""

    name: str = "none"
    dropped: float = 0.0
    throttled: float = 0.0
    lost: float = 0.0
    killed: float = 0.0
    kills: list[Kill] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read the plan that `tests.faults.stack` wrote."""
        plan = json.loads(path.read_text())
        return cls(**plan | {"kills": [Kill(**kill) for kill in plan["kills"]]})


class Prepared(Protocol):
    """What the hook needs of botocore's AWSPreparedRequest."""

    url: str
    body: Any


class Hook:
    """Intercepts every AWS call of this process.

    Parameters
    ----------
    send
        Send a prepared request and return the answer.
    draw, die
        Return a random number of [0, 1); end this process at once.
    """

    def __init__(
        self,
        folder: Path,
        function: str,
        *,
        send: Callable[[Any], Any],
        draw: Callable[[], float],
        die: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._function = function
        self._send = send
        self._draw = draw
        self._die = die
        self._plan = Plan()
        self._request_id = ""

    @contextmanager
    def invocation(self, event: dict[str, Any]) -> Iterator[None]:
        """Follow the current plan for the event's request; a process has one at a time."""
        self._plan = Plan.read(self._folder / "plan.json")
        self._request_id = event.get("request_id", "")
        timer = None
        if self._draw() < self._plan.killed:
            timer = Timer(self._draw() * KILL_WITHIN_S, self._die_now)
            timer.daemon = True
            timer.start()
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()

    def __call__(self, request: Prepared, event_name: str, **_: Any) -> Any:
        """Handle botocore's event `before-send.<service>.<operation>`; return the answer."""
        from botocore.exceptions import ConnectionClosedError, EndpointConnectionError

        service, operation = event_name.split(".")[1:3]
        fate = self._fate(f"{service}.{operation}")
        if fate not in (Fate.DROPPED, Fate.THROTTLED, Fate.KILLED_BEFORE):
            answer = self._send(request)
        self._record(fate, f"{service}.{operation}", request)
        match fate:
            case Fate.DROPPED:
                raise EndpointConnectionError(endpoint_url=request.url)
            case Fate.THROTTLED:
                return throttled(service, operation, request, self._draw)
            case Fate.KILLED_BEFORE | Fate.KILLED_AFTER:
                self._die()
            case Fate.LOST:
                raise ConnectionClosedError(endpoint_url=request.url)
        return answer

    def _fate(self, operation: str) -> Fate:
        for number, kill in enumerate(self._plan.kills):
            is_counted = (
                kill.function == self._function
                and kill.request_id in ("", self._request_id)
                and kill.operation in ("", operation)
            )
            if is_counted and self._count(f"{self._plan.name}-{number}") == kill.call:
                return Fate.KILLED_AFTER if kill.is_after else Fate.KILLED_BEFORE
        drawn, plan = self._draw(), self._plan
        if drawn < plan.dropped:
            return Fate.DROPPED
        if drawn < plan.dropped + plan.throttled:
            return Fate.THROTTLED
        if drawn < plan.dropped + plan.throttled + plan.lost:
            return Fate.LOST
        return Fate.SENT

    def _count(self, name: str) -> int:
        """Count this call; return how often any process has counted the name."""
        with (self._folder / f"{name}.count").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(b".")
            file.flush()
            return file.tell()

    def _die_now(self) -> None:
        self._write({"fate": "killed-anywhere"})
        self._die()

    def _record(self, fate: Fate, operation: str, request: Prepared) -> None:
        self._write(
            {"fate": fate.value, "operation": operation, "rows": rows_written(operation, request)}
        )

    def _write(self, entry: dict[str, Any]) -> None:
        line = {"plan": self._plan.name, "function": self._function, **entry}
        line["request_id"] = self._request_id
        # One write appends each line, so those of several processes never mix.
        with (self._folder / "calls.jsonl").open("ab", buffering=0) as file:
            file.write(json.dumps(line).encode() + b"\n")


def rows_written(operation: str, request: Prepared) -> int:
    """Return how many rows of a table the call writes, or attempts to."""
    match operation:
        case "dynamodb.PutItem" | "dynamodb.UpdateItem" | "dynamodb.DeleteItem":
            return 1
        case "dynamodb.TransactWriteItems":
            return len(json.loads(request.body)["TransactItems"])
        case "dynamodb.BatchWriteItem":
            return sum(map(len, json.loads(request.body)["RequestItems"].values()))
    return 0


# -- answers -------------------------------------------------------------------------------------


class _Raw(BytesIO):
    """A body as urllib3 gives it to botocore."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


def throttled(service: str, operation: str, request: Prepared, draw: Callable[[], float]) -> Any:
    """Return the service's answer when it throttles a call."""
    status, code, more = 400, "ThrottlingException", {}
    match service, operation:
        case "dynamodb", "TransactWriteItems":
            # One of its rows is throttled; the others are not at fault.
            count = len(json.loads(request.body)["TransactItems"])
            reasons = [{"Code": "None"} for _ in range(count)]
            reasons[int(draw() * count)] = {"Code": "ThrottlingError", "Message": "Injected."}
            code, more = "TransactionCanceledException", {"CancellationReasons": reasons}
        case "dynamodb", _ if draw() < 0.5:
            code = "ProvisionedThroughputExceededException"
        case "s3", _:
            return _answer(
                503, b"<Error><Code>SlowDown</Code><Message>Injected.</Message></Error>", request
            )
        case "lambda", _:
            status, code = 429, "TooManyRequestsException"
        case "sqs", _:
            code = "RequestThrottled"
    body = {"__type": f"injected#{code}", "message": "Injected.", **more}
    return _answer(status, json.dumps(body).encode(), request, {"x-amzn-ErrorType": code})


def _answer(
    status: int, body: bytes, request: Prepared, headers: dict[str, str] | None = None
) -> Any:
    from botocore.awsrequest import AWSResponse

    fields: Any = headers or {}
    return AWSResponse(request.url, status, fields, _Raw(body))


# -- in the function -----------------------------------------------------------------------------


def _kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@cache
def _hook() -> Hook:
    """Return the process's hook, which every client built from now on calls."""
    import botocore.handlers
    from botocore.httpsession import URLLib3Session

    timeouts: Any = (5, 20)  # To connect and to read, as bootstrap's clients have them.
    hook = Hook(
        Path(os.environ[FOLDER]),
        os.environ["AWS_LAMBDA_FUNCTION_NAME"],
        send=URLLib3Session(timeout=timeouts, max_pool_connections=100).send,
        draw=random.random,
        die=_kill_this_process,
    )
    botocore.handlers.BUILTIN_HANDLERS.append(("before-send", hook))
    return hook


@cache
def _product() -> Callable[[Any, Any], Any]:
    handler: Callable[[Any, Any], Any] = importlib.import_module("app").handler
    return handler


def handler(event: dict[str, Any], context: Any) -> Any:
    """Call the product's handler while the plan's faults meet its AWS calls."""
    hook = _hook()
    with hook.invocation(event):
        return _product()(event, context)
