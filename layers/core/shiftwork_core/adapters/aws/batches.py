"""Hand batches of jobs to RunJobs: without waiting for it, or until it has answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError, ConnectionClosedError

from shiftwork_core.adapters.aws.calls import translated_errors
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.stalls import error_of
from shiftwork_core.ports.world import BatchCaller, BatchInvoker

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.type_defs import InvocationResponseTypeDef


class LambdaBatchInvoker(BatchInvoker):
    """Hands batches to the function RunJobs."""

    def __init__(self, client: LambdaClient, function: str) -> None:
        self._client = client
        self._function = function

    def invoke(self, request_id: str, jobs: list[str]) -> None:
        """Invoke it asynchronously: Lambda keeps the event, and repeats a call that fails."""
        event = {"request_id": request_id, "execution": 0, "jobs": jobs}
        with translated_errors():
            self._client.invoke(
                FunctionName=self._function,
                InvocationType="Event",
                Payload=json.dumps(event).encode(),
            )


class LambdaBatchCaller(BatchCaller):
    """Calls the function RunJobs. Its client waits for `CALL_WAIT`, and tries once."""

    def __init__(self, client: Callable[[], LambdaClient], function: str) -> None:
        self._client = client
        self._function = function

    def call(self, request_id: str, execution: int, jobs: list[str]) -> JobError | None:
        """Invoke it, and wait. A refusal that will not pass counts as a batch that died."""
        event = {"request_id": request_id, "execution": execution, "jobs": jobs, "is_called": True}
        try:
            with translated_errors():
                answer = self._invoke(json.dumps(event).encode())
                content = answer["Payload"].read().decode()
        except ClientError as error:
            told = error.response["Error"]
            return JobError(f"Lambda.{told['Code']}", told.get("Message") or told["Code"])
        if "FunctionError" not in answer:
            return None
        return error_of(_type_of(content), content)

    def _invoke(self, payload: bytes) -> InvocationResponseTypeDef:
        """Invoke it; once more if the connection, kept from an earlier call, had ended meanwhile.

        If the first call has reached RunJobs all the same, the batch runs twice, and its claims see
        to that: each job is done once.
        """
        client = self._client()
        try:
            return client.invoke(FunctionName=self._function, Payload=payload)
        except ConnectionClosedError:
            return client.invoke(FunctionName=self._function, Payload=payload)


def _type_of(content: str) -> str:
    """Return the type of error that a function answered."""
    try:
        told = json.loads(content)
    except ValueError:
        told = None
    name = told.get("errorType") if isinstance(told, dict) else None
    return str(name or "FunctionError")
