"""botocore retries failed calls as the handler of every client of bootstrap says.

The answers are given to botocore itself where it would send, so all of its own code runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from shiftwork_core import bootstrap
from shiftwork_core.adapters.aws import calls

Answer = Exception | tuple[int, bytes]

THROTTLED = (400, b'{"__type": "x#ThrottlingException"}')
EXCEEDED = (400, b'{"__type": "x#ProvisionedThroughputExceededException"}')
BROKEN = (500, b'{"__type": "x#InternalServerError"}')
REFUSED = (400, b'{"__type": "x#ConditionalCheckFailedException"}')
NEVER_SENT = EndpointConnectionError(endpoint_url="https://dynamodb")
REPLY_LOST = ConnectionClosedError(endpoint_url="https://dynamodb")
ROW = (200, b'{"Item": {"id": {"S": "1"}}}')


class _Raw(BytesIO):
    def stream(self) -> Iterator[bytes]:
        yield self.read()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that botocore would wait between attempts; no test waits."""
    waited: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time.sleep", waited.append)
    monkeypatch.setattr("random.random", lambda: 0.5)
    return waited


@pytest.fixture
def get(monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> Callable[..., Any]:
    """Return a function that reads a row through the process's client, which gets these answers."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(bootstrap.world, "_clients", {})
    client = bootstrap.world.client("dynamodb")

    def call(*answers: Answer) -> Any:
        rest = list(answers)

        def send(request: Any, **_: Any) -> AWSResponse:
            answer = rest.pop(0)
            if isinstance(answer, Exception):
                raise answer
            headers: Any = {}
            return AWSResponse(request.url, answer[0], headers, _Raw(answer[1]))

        client.meta.events.register("before-send", send)
        found = client.get_item(TableName="t", Key={"id": {"S": "1"}})
        assert not rest, "it was called too seldom"
        return found["Item"]

    return call


@pytest.mark.parametrize(
    "error", [THROTTLED, EXCEEDED, BROKEN, NEVER_SENT, REPLY_LOST], ids=lambda e: str(e)[:60]
)
def test_a_call_with_a_transient_failure_is_repeated_within_moments(
    get: Callable[..., Any], waits: list[float], error: Answer
) -> None:
    assert get(error, error, error, ROW) == {"id": {"S": "1"}}
    assert waits == [0.0125, 0.025, 0.05]


def test_a_refusal_is_an_answer_and_the_call_is_not_repeated(
    get: Callable[..., Any], waits: list[float]
) -> None:
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        get(REFUSED)
    assert waits == []


def test_a_call_is_given_up_after_twelve_attempts_and_a_few_seconds(
    get: Callable[..., Any], waits: list[float]
) -> None:
    with pytest.raises(ClientError, match="ThrottlingException"):
        get(*[THROTTLED] * calls.MAX_TRIES)
    assert len(waits) == 11
    assert sum(waits) == pytest.approx(2.7875)


def test_no_wait_is_so_long_that_a_quota_lies_idle_meanwhile(
    get: Callable[..., Any], waits: list[float]
) -> None:
    with pytest.raises(ClientError, match="ThrottlingException"):
        get(*[THROTTLED] * calls.MAX_TRIES)
    assert max(waits) == pytest.approx(0.8 / 2)


def test_an_error_of_our_own_code_is_not_retried() -> None:
    assert calls.retries(lambda: 1.0)(None, 1, ValueError("a bug")) is None
