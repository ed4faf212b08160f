"""Say what an account's quota of concurrent Lambda executions means for a deployment.

It is shared by all functions of the account in the region: 1,000 in most accounts, and as few as 10
in new ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
#: The parameters that reserve executions, each with the end of its function's name.
RESERVATIONS = {
    "RunJobsConcurrency": "run-jobs",
    "ApiConcurrency": "api",
    "AuthorizeConcurrency": "authorize",
    "ServeTasksConcurrency": "serve-tasks",
    "AdvanceRequestConcurrency": "advance-request",
}
#: How long a poll of an idle worker waits in ServeTasks, if it waits.
_POLL_S = 20
_ASK_FOR_MORE = (
    "aws service-quotas request-service-quota-increase --service-code lambda"
    " --quota-code L-B99A9384 --desired-value 1000"
)


def check_concurrency(
    client: LambdaClient, stack_name: str, wanted: Mapping[str, int], report: Report
) -> None:
    """Report what the quota means for the stack, if it is small.

    Parameters
    ----------
    wanted
        How many executions each of `RESERVATIONS` is to reserve; 0 reserves none.

    Raises
    ------
    LocalStackError
        If Lambda would refuse to reserve so many.
    """
    try:
        with aws_errors():
            limits = client.get_account_settings()["AccountLimit"]
    except LocalStackError as error:
        if any(wanted.values()):
            raise
        # The deployment needs no such permission.
        report(f"The quota of concurrent executions is not known. {error.message}")
        return
    quota = limits["ConcurrentExecutions"]
    if any(wanted.values()):
        _require_unreserved(client, stack_name, wanted, limits["UnreservedConcurrentExecutions"])
    if quota <= _SMALL:
        for line in _meaning(quota, client.meta.region_name):
            report(line)


def _require_unreserved(
    client: LambdaClient, stack_name: str, wanted: Mapping[str, int], unreserved: int
) -> None:
    """Check that enough is left for functions without a reservation."""
    reserved = sum(_reserved(client, f"{stack_name}-{name}") for name in RESERVATIONS.values())
    in_all = sum(wanted.values())
    left = unreserved + reserved - in_all
    if left < MIN_UNRESERVED:
        most = max(0, in_all + left - MIN_UNRESERVED)
        named = [f"{name}={count}" for name, count in wanted.items() if count]
        first, *others = named
        advice = f"set {first.partition('=')[0]}={most}" if not others else f"reserve {most} in all"
        raise LocalStackError(
            f"{' '.join(named)} would leave {left} concurrent executions of the account"
            f" unreserved, and Lambda keeps {MIN_UNRESERVED}.",
            f"{advice}, or raise the quota: {_ASK_FOR_MORE}",
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
        f"  Workers with --long-poll: an idle one holds one all the time, {_POLL_S} s a poll."
        f" {quota} of"
        " them leave none for anything else: calls of the API get a 503, messages come later."
    )
    yield f"  To ask for more: {_ASK_FOR_MORE}"
