"""Run a job by invoking a Lambda function of the account: target `lambda`."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from shiftwork_core.domain.requests.definitions import JobType
from shiftwork_core.domain.requests.outcomes import Failed, JobError, Outcome, Retryable, completed
from shiftwork_core.ports.world import JobInput, JobTarget

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

logger = logging.getLogger("shiftwork.functions")

#: Refusals by Lambda itself that no later attempt can change: of the function that the job type
#: names, of the job's input, or of a chain of invocations that Lambda has stopped.
_FINAL = {
    "ResourceNotFoundException",
    "NoPublishedVersionException",
    "AccessDeniedException",
    "InvalidParameterValueException",
    "ModeNotSupportedException",
    "ValidationException",
    "InvalidRequestContentException",
    "RequestTooLargeException",
    "SerializedRequestEntityTooLargeException",
    "UnsupportedMediaTypeException",
    "RecursiveInvocationException",
}
#: The same of whatever answers in Lambda's place, such as a proxy: the input is too large, or of a
#: wrong type.
_FINAL_STATUSES = {413, 415}


class LambdaTarget(JobTarget):
    """Invokes the job type's function with the job's input and waits for its answer."""

    def __init__(self, client: LambdaClient) -> None:
        self._client = client

    def run(self, job_type: JobType, job: JobInput) -> Outcome:
        """Invoke it. An error of class `Failure` is final; of others the job type's policy says."""
        attempt = job.attempt
        event = {
            "params": job.params,
            "extras": job.extras,
            "item": job.item,
            "request_id": attempt.request_id,
            "attempt_id": attempt.attempt_id,
            "job": attempt.name,
            "attempt": attempt.key.attempt,
            "fence": attempt.fence,
        }
        name = job_type.function or ""
        try:
            answer = self._client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
            content = answer["Payload"].read()
        except ClientError as error:
            return _refused(name, error)
        except BotoCoreError as error:
            told = JobError(type(error).__name__, f"function {name}: {error}")
            return Failed(told) if isinstance(error, ParamValidationError) else Retryable(told)
        try:
            result = json.loads(content) if content else None
        except (ValueError, RecursionError) as error:
            return Failed(JobError("InvalidResult", f"function {name} answered no JSON: {error}"))
        if "FunctionError" not in answer:
            return completed(result)
        details = result if isinstance(result, dict) else {}
        failure = JobError(
            str(details.get("errorType") or "FunctionError"),
            str(details.get("errorMessage") or f"function {name} failed"),
        )
        # The row has as much of the message as people read.
        logger.info("function %s failed: %s", name, details.get("errorMessage"))
        is_final = failure.type == "Failure" or not job_type.retry.retries([failure.type])
        return Failed(failure) if is_final else Retryable(failure)


def _refused(name: str, error: ClientError) -> Outcome:
    """Return the outcome of a call that Lambda itself has refused."""
    code = error.response["Error"]["Code"]
    status = error.response["ResponseMetadata"].get("HTTPStatusCode")
    refusal = JobError(code, f"function {name}: {error.response['Error']['Message']}")
    is_final = code in _FINAL or status in _FINAL_STATUSES
    return Failed(refusal) if is_final else Retryable(refusal)
