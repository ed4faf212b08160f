"""Hand batches of jobs to RunJobs without waiting for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from shiftwork_core.adapters.aws.calls import translated_errors
from shiftwork_core.ports.world import BatchInvoker

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


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
