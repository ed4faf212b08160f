"""AdvanceRequest: settle a request's step, plan the next one, and say what to do next."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shiftwork_core import bootstrap
from shiftwork_core.domain.requests.stalls import last_round
from shiftwork_core.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer the state machine.

    With `token` the execution waits at the barrier: the token is registered, and nobody reads the
    answer. With `failure` the execution cannot continue, and its request ends as Failed. Else the
    event is the machine's whole state: the last decision, and what came of it.
    """
    request_id, execution = event["request_id"], event["execution"]
    logger.append_keys(request_id=request_id, execution=execution)
    if "token" in event:
        bootstrap.requests.barrier().wait(request_id, execution, event["token"])
        logger.info("awaits its step")
        return {}
    advancer = bootstrap.requests.advancer()
    if "failure" in event:
        failure = event["failure"]
        decision = advancer.record_failure(
            request_id, execution, failure["Error"], failure.get("Cause", "")
        )
    else:
        remaining = timedelta(milliseconds=context.get_remaining_time_in_millis())
        decision = advancer.advance(request_id, execution, last_round(event), remaining)
    logger.info("decided", extra={"action": decision.action, "batches": len(decision.batches)})
    return decision.to_json(bootstrap.world.settings().step_concurrency)
