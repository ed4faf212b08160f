"""Time the test runner of Lambda's durable functions: no-op jobs, steps after each other.

It runs in an environment of its own: see `benchmarks.authors`.
"""

import sys
import time

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.execution import InvocationStatus
from aws_durable_execution_sdk_python_testing.runner import DurableFunctionTestRunner

STEPS, JOBS = int(sys.argv[1]), int(sys.argv[2])


def job(context: DurableContext, item: int, index: int, items: list[int]) -> None:
    """Do nothing."""


@durable_execution
def handler(event: dict, context: DurableContext) -> None:
    """Run the steps."""
    for _ in range(STEPS):
        context.map(list(range(JOBS)), job)


def run() -> float:
    """Return how many seconds a run takes."""
    began = time.perf_counter()
    with DurableFunctionTestRunner(handler=handler) as runner:
        result = runner.run(input="{}", execution_timeout=60)
    assert result.status is InvocationStatus.SUCCEEDED
    return time.perf_counter() - began


run()
print(min(run() for _ in range(3)))
