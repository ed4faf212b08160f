"""The state machine's executions, in Step Functions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
from shiftwork_core.adapters.aws.calls import translated_errors


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

    def wake_execution(self, token: str) -> bool:
        """Complete the waiting task; a token that was spent or has timed out is ignored."""
        client = self._client()
        errors = client.exceptions
        try:
            with translated_errors():
                client.send_task_success(taskToken=token, output="{}")
        except (errors.TaskTimedOut, errors.TaskDoesNotExist, errors.InvalidToken):
            return False
        return True
