"""The condition of every write to DynamoDB, by name.

In an expression `#status` names the attribute `status`; `:status_new` is the status itself;
`:to_...` is what the same write sets; any other `:value` is given by the writer.
"""

from __future__ import annotations

from collections.abc import Sequence

from shiftwork_core.domain.requests.records import StepStatus
from shiftwork_core.domain.requests.states import (
    AttemptEvent,
    AttemptStatus,
    RequestEvent,
    RequestStatus,
    attempt_sources,
    request_sources,
)

#: The values of `:status_...`.
STATUS_VALUES = {
    f"status_{status.value}": status.value
    for statuses in (RequestStatus, StepStatus, AttemptStatus)
    for status in statuses
}


def _status_in(statuses: Sequence[RequestStatus | StepStatus | AttemptStatus]) -> str:
    return f"#status IN ({', '.join(f':status_{status.value}' for status in statuses)})"


def both(first: str, second: str) -> str:
    """Return the condition that holds when both do."""
    return f"({first}) AND ({second})"


#: No row has this key.
IS_ABSENT = "attribute_not_exists(#request_id)"

#: A row has this key. Without this condition an update would make one.
EXISTS = "attribute_exists(#request_id)"

#: No definition has this name and version.
IS_NEW_VERSION = "attribute_not_exists(#version)"

#: Nobody uses the idempotency key, or its time is over and the row awaits its deletion.
KEY_IS_FREE = "attribute_not_exists(#request_id) OR #expires_at <= :now"

#: The row is there, and its time to live ends soon.
EXPIRES_SOON = "#expires_at < :soon"

# -- requests ------------------------------------------------------------------------------------

#: The request's status admits the event.
REQUEST_ADMITS = {event: _status_in(request_sources(event)) for event in RequestEvent}

#: The request is in progress: it has started and not ended.
IS_INPROGRESS = "#status = :status_Inprogress"

#: The request has not been retried by a user since it was seen.
IS_GENERATION_SEEN = "#generation = :seen_generation"

#: The request is in progress at the step seen, and no user has retried it since.
IS_AT_STEP_SEEN = both(IS_INPROGRESS, "#current_step = :seen_step AND " + IS_GENERATION_SEEN)

#: The request's due time is as it was seen.
IS_DUE_THEN = "#due_at = :seen_due_at"

#: The request had no due time when it was seen, and still has none.
IS_NEVER_DUE = "attribute_not_exists(#due_at)"

#: Nobody has taken the request over or moved its due time since the index listed it.
IS_DUE_AS_SEEN = both("#execution = :seen_execution", IS_DUE_THEN)

#: The request has failed, and its user has not retried it since it was seen.
IS_STILL_FAILED = both("#status = :status_Failed", IS_GENERATION_SEEN)

#: The request has been neither retried nor taken over since it was seen.
IS_DRIVER_SEEN = both(IS_GENERATION_SEEN, "#execution = :seen_execution")

#: The request has been neither moved, retried nor taken over since it was seen.
IS_DRIVEN_AS_SEEN = both("#status = :seen_status", IS_DRIVER_SEEN)

#: The request is in progress and due before its new due time.
IS_DUE_EARLIER = both(IS_INPROGRESS, "#due_at < :to_due_at")

#: The request is in progress and due after its new due time.
IS_DUE_LATER = both(IS_INPROGRESS, "#due_at > :to_due_at")

# -- steps ---------------------------------------------------------------------------------------

#: The step is not completed, and has ended neither before nor since it was seen.
IS_STEP_STILL_RUNNING = both(
    "#status <> :status_completed",
    "attribute_not_exists(#completed_at) AND #counts = :seen_counts",
)

#: The step is not completed, or is so as it was seen.
IS_STEP_OPEN_OR_AS_SEEN = both(
    EXISTS,
    "#status <> :status_completed"
    " OR (#completed_at = :seen_completed_at AND #counts = :seen_counts AND"
    " (#extras = :seen_extras OR #extras_ref = :seen_extras"
    # Of a step from before they were kept.
    " OR (attribute_not_exists(#extras) AND attribute_not_exists(#extras_ref))))",
)

#: The step has ended, not completed, and is as it was seen.
IS_STEP_END_AS_SEEN = both(
    "#status <> :status_completed", "#completed_at = :seen_completed_at AND #counts = :seen_counts"
)

#: The step has a row, and nobody waits for it.
IS_UNAWAITED = both(EXISTS, "attribute_not_exists(#token)")

#: The step's waiter is still the one that was seen.
IS_WAITER_AS_SEEN = "#token = :seen_token"

# -- attempts ------------------------------------------------------------------------------------

#: The attempt's status admits the event.
ATTEMPT_ADMITS = {event: _status_in(attempt_sources(event)) for event in AttemptEvent}

#: Nobody has claimed the attempt since it was claimed under this fence.
IS_FENCE_HELD = "#fence = :seen_fence"

#: Nobody had ever claimed the job when it was queued, and nobody has since.
IS_NEVER_HELD = "attribute_not_exists(#fence)"

#: The attempt's late updates are as they were read.
IS_LATE_UPDATES_AS_SEEN = "#late_updates = :seen_late_updates"

#: The attempt has a row, and no late update.
IS_NEVER_LATE = both("attribute_exists(#request_id)", "attribute_not_exists(#late_updates)")

#: The holder has not renewed the lease since it was seen.
IS_LEASE_AS_SEEN = "#lease_until = :seen_lease_until"

# -- workers and tokens --------------------------------------------------------------------------

#: No worker has this id.
IS_WORKER_ABSENT = "attribute_not_exists(#worker_id)"

#: Nobody has written the row since it was seen: a worker's record, a lifecycle job.
IS_REVISION_SEEN = "#revision = :seen_revision"

#: Nobody has written the workspace since it was seen, nor deleted and recreated it.
IS_WORKSPACE_SEEN = both(IS_REVISION_SEEN, "#created_at = :seen_created_at")

#: Nobody has used the token.
IS_TOKEN_UNUSED = "attribute_not_exists(#token_id)"

# -- workspaces ----------------------------------------------------------------------------------

#: No workspace has this id.
IS_WORKSPACE_ABSENT = "attribute_not_exists(#workspace_id)"

#: No lifecycle job has this id.
IS_LIFECYCLE_JOB_ABSENT = "attribute_not_exists(#id)"

#: The line of a lifecycle job's log is not kept yet.
IS_LINE_ABSENT = "attribute_not_exists(#job_id)"

# -- limits --------------------------------------------------------------------------------------

#: Nobody holds the slot.
IS_SLOT_FREE = "attribute_not_exists(#holder)"

#: The slot is held by the claim that was seen to hold it.
IS_SLOT_AS_SEEN = "#holder = :seen_holder AND #claim_id = :seen_claim_id"

#: The claims to reserve fit into the window.
IS_ROOM = "attribute_not_exists(#used) OR #used <= :room"

#: Nobody has reserved any of the window since.
IS_USED_AS_SEEN = "#used = :seen_used"

# -- counters ------------------------------------------------------------------------------------

#: Nobody has written the row yet.
IS_ROW_ABSENT = "attribute_not_exists(#part)"

#: The stream was not counted as far yet.
IS_COUNTED_LESS_FAR = "attribute_not_exists(#counted_to) OR #counted_to < :to_counted_to"

#: The row is there.
IS_ROW_PRESENT = "attribute_exists(#part)"
