"""What comes of a call of RunJobs, as Lambda answers it, or does not."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from shiftwork_core.adapters.aws.batches import LambdaBatchCaller
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.errors import Throttled, Transient, Unavailable


class Lambda:
    """Lambda's client: it answers what a test says."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer = answer
        self.invoked: list[Any] = []

    def invoke(self, **given: Any) -> Any:
        self.invoked.append(given)
        return self._answer()


def answering(content: str, **more: str) -> Lambda:
    return Lambda(lambda: {"Payload": io.BytesIO(content.encode()), **more})


def raising(error: Exception) -> Lambda:
    def refuse() -> Any:
        raise error

    return Lambda(refuse)


def refusal(code: str, status: int) -> ClientError:
    told: Any = {
        "Error": {"Code": code, "Message": f"{code}!"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(told, "Invoke")


def call(client: Lambda) -> JobError | None:
    caller = LambdaBatchCaller(lambda: client, "run-jobs")  # type: ignore[arg-type, return-value]
    return caller.call("r1", 2, ["0001#000000#0001"])


def test_the_function_is_told_that_it_is_called_and_waited_for() -> None:
    client = answering('{"is_waiting": false}')
    assert call(client) is None
    [invoked] = client.invoked
    assert invoked["FunctionName"] == "run-jobs"
    assert "InvocationType" not in invoked
    assert json.loads(invoked["Payload"]) == {
        "request_id": "r1",
        "execution": 2,
        "jobs": ["0001#000000#0001"],
        "is_called": True,
    }


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (
            '{"errorType": "Runtime.ImportModuleError", "errorMessage": "No module", "x": []}',
            JobError("Runtime.ImportModuleError", "No module"),
        ),
        ('{"errorMessage": "it timed out"}', JobError("FunctionError", "it timed out")),
        ("[]", JobError("FunctionError", "[]")),
        ("no JSON", JobError("FunctionError", "no JSON")),
        ("", JobError("FunctionError", "FunctionError")),
    ],
)
def test_what_the_function_died_of_is_told(content: str, error: JobError) -> None:
    assert call(answering(content, FunctionError="Unhandled")) == error


def test_a_refusal_that_will_not_pass_counts_as_a_death() -> None:
    """As while the right to invoke is not known everywhere yet: the machine has it already."""
    error = call(raising(refusal("AccessDeniedException", 403)))
    assert error == JobError("Lambda.AccessDeniedException", "AccessDeniedException!")


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (refusal("TooManyRequestsException", 429), Throttled),
        (refusal("ServiceException", 500), Unavailable),
        (ReadTimeoutError(endpoint_url="https://lambda"), Unavailable),
    ],
)
def test_what_may_pass_is_told_apart(error: Exception, transient: type[Transient]) -> None:
    with pytest.raises(transient):
        call(raising(error))


def test_a_connection_that_had_ended_is_replaced_once() -> None:
    """Lambda freezes a process between two calls for as long as it likes."""
    closed = ConnectionClosedError(endpoint_url="https://lambda")
    answers: list[Any] = [closed, {"Payload": io.BytesIO(b"{}")}]

    def next_answer() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = Lambda(next_answer)
    assert call(client) is None
    assert len(client.invoked) == 2
    refusing = raising(closed)
    with pytest.raises(Unavailable):
        call(refusing)
    assert len(refusing.invoked) == 2
