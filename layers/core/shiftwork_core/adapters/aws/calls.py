"""Step Functions, SQS and Lambda behind their ports.

Clients come as functions, so that a process builds only those it uses.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.errors import Throttled, Transient, Unavailable
from shiftwork_core.ports.stores import MAX_DELAY

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

_THROTTLED = {
    "ThrottlingException",
    "ThrottledException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "ProvisionedThroughputExceededException",
    "SlowDown",
}
#: Refusals that say no more than that the call did not arrive whole.
_BROKEN_OFF = {"RequestTimeout", "RequestTimeoutException"}
_NO_ANSWER = (ConnectionError, HTTPClientError)

#: Tries of one call, and the most it waits before the second; before each other twice as long.
#: A call that fails every time waits for three seconds in all, on average.
MAX_TRIES = 9
FIRST_WAIT_S = 0.025


def retries(draw: Callable[[], float]) -> Callable[..., float | None]:
    """Return a handler of botocore's event `needs-retry`: the seconds to wait, None to give up.

    It takes the place of botocore's own, whose waits after throttling are up to 1 s, 2 s, 4 s...:
    when many calls are throttled a request spends most of its time in them, and the Lambda that
    waits is paid for (docs/decisions/0008). Here they are what botocore's are after other errors,
    and a call has more tries before its caller has to begin anew.

    Parameters
    ----------
    draw:
        Return a random number of [0, 1), so that those throttled together do not return together.
    """

    def wait_s(
        response: Any, attempts: int, caught_exception: Exception | None, **_: Any
    ) -> float | None:
        if attempts >= MAX_TRIES or _passing_error(response, caught_exception) is None:
            return None
        longest_s: float = FIRST_WAIT_S * 2 ** (attempts - 1)
        return draw() * longest_s

    return wait_s


def _passing_error(response: Any, caught: Exception | None) -> type[Transient] | None:
    """Return what an answer is that a later one may mend: botocore's pair of answer and JSON."""
    if response is None:
        return Unavailable if isinstance(caught, _NO_ANSWER) else None
    http, parsed = response
    return _transient(parsed.get("Error", {}).get("Code", ""), http.status_code)


def _transient(code: str, status: int) -> type[Transient] | None:
    if code in _THROTTLED:
        return Throttled
    return Unavailable if status >= 500 or code in _BROKEN_OFF else None


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what a later call may mend into `Transient`; everything else is a bug and escapes."""
    try:
        yield
    except ClientError as error:
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
        transient = _transient(error.response["Error"]["Code"], status)
        if transient is None:
            raise
        raise transient(str(error)) from error
    except _NO_ANSWER as error:
        raise Unavailable(str(error)) from error


class StepFunctionsMachine:
    """Starts executions and ends their waits."""

    def __init__(self, client: Callable[[], SFNClient], state_machine_arn: str) -> None:
        self._client = client
        self._arn = state_machine_arn

    def start(self, request_id: str, execution: int) -> None:
        """Start the execution; its name makes a second start of it a success that does nothing."""
        name = request_id if execution == 1 else f"{request_id}-{execution}"
        state = {"request_id": request_id, "execution": execution, "events": 0}
        client = self._client()
        try:
            with translated_errors():
                client.start_execution(
                    stateMachineArn=self._arn, name=name, input=json.dumps(state)
                )
        except client.exceptions.ExecutionAlreadyExists:
            return

    def wake(self, token: str) -> bool:
        """Complete the waiting task; a token that was spent or has timed out is ignored."""
        client = self._client()
        errors = client.exceptions
        try:
            with translated_errors():
                client.send_task_success(taskToken=token, output="{}")
        except (errors.TaskTimedOut, errors.TaskDoesNotExist, errors.InvalidToken):
            return False
        return True


class SqsQueue:
    """Sends to the wake queue."""

    def __init__(self, client: Callable[[], SQSClient], url: str) -> None:
        self._client = client
        self._url = url

    def send(self, message: JsonObject, delay_s: float) -> None:
        """Send, delayed by whole seconds, rounded up so that it never comes early."""
        delay = min(math.ceil(delay_s), int(MAX_DELAY.total_seconds()))
        with translated_errors():
            self._client().send_message(
                QueueUrl=self._url, MessageBody=json.dumps(message), DelaySeconds=delay
            )


class LambdaBatchInvoker:
    """Hands batches to RunJobs."""

    def __init__(self, client: LambdaClient, function: str) -> None:
        self._client = client
        self._function = function

    def invoke(self, request_id: str, jobs: list[str]) -> None:
        """Invoke it asynchronously; Lambda keeps the event and tries again if it fails."""
        event = {"request_id": request_id, "execution": 0, "jobs": jobs}
        with translated_errors():
            self._client.invoke(
                FunctionName=self._function,
                InvocationType="Event",
                Payload=json.dumps(event).encode(),
            )
