"""Say what an account's quota of concurrent Lambda executions means for a deployment.

It is shared by all functions of the account in the region: 1,000 in most accounts, and as few as 10
in new ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shiftwork.local.errors import LocalStackError
from shiftwork.local.reporting import Report
from shiftwork.local.target import aws_errors

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

#: How many executions Lambda wants to keep for functions that reserve none.
MIN_UNRESERVED = 100
#: Nothing is said of a larger quota: most accounts have 1,000.
_SMALL = 100
#: How many batches of a request the state machine runs side by side, until a step has more.
_BATCHES = 40
#: How long a poll of an idle worker waits in ServeTasks.
_POLL_S = 20
_ASK_FOR_MORE = (
    "aws service-quotas request-service-quota-increase --service-code lambda"
    " --quota-code L-B99A9384 --desired-value 1000"
)


def check_concurrency(client: LambdaClient, stack_name: str, wanted: int, report: Report) -> None:
    """Report what the quota means for the stack, if it is small.

    Parameters
    ----------
    wanted
        How many executions RunJobs is to reserve; 0 reserves none.

    Raises
    ------
    LocalStackError
        If Lambda would refuse to reserve so many.
    """
    try:
        with aws_errors():
            limits = client.get_account_settings()["AccountLimit"]
    except LocalStackError as error:
        if wanted:
            raise
        # The deployment needs no such permission.
        report(f"The quota of concurrent executions is not known. {error.message}")
        return
    quota = limits["ConcurrentExecutions"]
    if wanted:
        _require_unreserved(client, stack_name, wanted, limits["UnreservedConcurrentExecutions"])
    if quota <= _SMALL:
        for line in _meaning(quota, client.meta.region_name):
            report(line)


def _require_unreserved(
    client: LambdaClient, stack_name: str, wanted: int, unreserved: int
) -> None:
    """Check that enough is left for functions without a reservation."""
    left = unreserved + _reserved(client, f"{stack_name}-run-jobs") - wanted
    if left < MIN_UNRESERVED:
        most = max(0, wanted + left - MIN_UNRESERVED)
        raise LocalStackError(
            f"RunJobsConcurrency={wanted} would leave {left} concurrent executions of the account"
            f" unreserved, and Lambda keeps {MIN_UNRESERVED}.",
            f"set RunJobsConcurrency={most} in samconfig.toml, or raise the quota: {_ASK_FOR_MORE}",
        )


def _reserved(client: LambdaClient, function: str) -> int:
    """Return how many executions a function has reserved so far; it need not exist."""
    with aws_errors():
        try:
            found = client.get_function_concurrency(FunctionName=function)
        except client.exceptions.ResourceNotFoundException:
            return 0
    return found.get("ReservedConcurrentExecutions", 0)


def _meaning(quota: int, region: str) -> Iterator[str]:
    yield f"All functions of this account in {region} together run at most {quota} times at once:"
    yield (
        f"  RunJobs: a request runs up to {_BATCHES} batches of jobs side by side; here at most"
        f" {min(quota, _BATCHES)}, and Step Functions tries the others again, for some minutes."
    )
    yield (
        f"  Workers: each poll of an idle worker holds one for up to {_POLL_S} s. {quota} idle"
        " workers leave none for anything else: calls of the API get a 503, messages come later."
    )
    yield f"  To ask for more: {_ASK_FOR_MORE}"
