"""Batches of jobs, handed to RunJobs in Lambda."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
from shiftwork_core.adapters.aws.calls import translated_errors


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
