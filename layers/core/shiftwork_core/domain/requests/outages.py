"""Decide how long a request is tried again while no execution can advance it at all.

Each sweep that finds such a request starts another execution: Lambda refuses the calls of
AdvanceRequest, or its key is disabled, which waiting or a person mends. The request remembers since
when, and after a day it fails with what is known.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

from shiftwork_core.domain.payloads import to_json
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Outage, RequestError
from shiftwork_core.domain.times import from_iso, to_iso

#: A request fails after so long without progress, and after so many executions. The second is there
#: because time also passes while sweeps are switched off and nothing is tried.
MAX_TIME = timedelta(days=1)
MIN_EXECUTIONS = 100


def after_restart(known: Outage | None, now: datetime) -> Outage:
    """Return the outage once another execution is to be started in place of the last."""
    return Outage(1, now) if known is None else replace(known, executions=known.executions + 1)


def after_failure(known: Outage | None, error: JobError, now: datetime) -> Outage:
    """Return the outage once an execution has ended by an error of AWS."""
    return replace(known or Outage(0, now), error=error)


def failure_of(outage: Outage | None, now: datetime) -> RequestError | None:
    """Return the error that the request fails with; None while another execution is to be tried."""
    if outage is None or outage.executions < MIN_EXECUTIONS or now < outage.since + MAX_TIME:
        return None
    return RequestError(outage.error.type if outage.error else "NotAdvanced", told(outage))


def told(outage: Outage) -> str:
    """Return what is known of the outage, in a clause."""
    error, count = outage.error, outage.executions
    executions = "1 execution" if count == 1 else f"{count:,} executions"
    why = f"{error.type}: {error.message}" if error else "see the log of AdvanceRequest"
    return f"since {to_iso(outage.since)} {executions} could not advance it: {why}"


def outage_to_text(outage: Outage | None) -> str | None:
    """Return an outage as its row keeps it."""
    if outage is None:
        return None
    error = [outage.error.type, outage.error.message] if outage.error else []
    return to_json([outage.executions, to_iso(outage.since), *error])


def outage_from_text(text: str | None) -> Outage | None:
    """Return the outage that a row keeps."""
    if text is None:
        return None
    executions, since, *error = json.loads(text)
    return Outage(executions, from_iso(since), JobError(*error) if error else None)
