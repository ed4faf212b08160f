"""Start executions of the state machine, and wake those that wait."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from shiftwork_core.adapters.aws.calls import translated_errors
from shiftwork_core.ports.world import Machine

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


class StepFunctionsMachine(Machine):
    """The state machine in Step Functions."""

    def __init__(self, client: Callable[[], SFNClient], state_machine_arn: str) -> None:
        self._client = client
        self._arn = state_machine_arn

    def start(self, request_id: str, execution: int) -> None:
        """Start the execution under a name of its own, so that a second start does nothing."""
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
        """Complete the waiting task. Ignore a token that is spent, unknown or timed out."""
        client = self._client()
        errors = client.exceptions
        try:
            with translated_errors():
                client.send_task_success(taskToken=token, output="{}")
        except (errors.TaskTimedOut, errors.TaskDoesNotExist, errors.InvalidToken):
            return False
        return True
