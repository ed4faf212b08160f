"""Compute a polled job's deadlines: a worker's lease, the poll timeout, the end of an attempt."""

from __future__ import annotations

from datetime import datetime, timedelta

from shiftwork_core.domain.requests.definitions import JobType, TimeoutPolicy
from shiftwork_core.domain.requests.outcomes import Failed, JobError, Outcome, Retryable
from shiftwork_core.domain.requests.records import Attempt


def ends_at(job_type: JobType, started_at: datetime | None) -> datetime | None:
    """Return when an attempt that began then is over, whatever its worker says; None for never."""
    if started_at is None or not job_type.timeout_s:
        return None
    if job_type.worker.timeout_policy is TimeoutPolicy.ALERT_ONLY:
        return None
    return started_at + timedelta(seconds=job_type.timeout_s)


def lease_until(job_type: JobType, now: datetime, started_at: datetime | None) -> datetime:
    """Return until when a worker that reports now keeps its job."""
    lease = now + timedelta(seconds=job_type.worker.response_timeout_s)
    end = ends_at(job_type, started_at)
    return lease if end is None else min(lease, end)


def is_renewal_due(job_type: JobType, now: datetime, lease: datetime) -> bool:
    """Whether a third of the lease is over, so that renewing it is worth a write."""
    return lease - now < timedelta(seconds=job_type.worker.response_timeout_s) * 2 / 3


def poll_until(
    job_type: JobType, from_then: datetime, started_at: datetime | None = None
) -> datetime | None:
    """Return when a job that may be claimed from then on times out, if no worker claims it."""
    policy = job_type.worker
    ends = [ends_at(job_type, started_at)]
    if policy.poll_timeout_s and policy.timeout_policy is not TimeoutPolicy.ALERT_ONLY:
        ends.append(from_then + timedelta(seconds=policy.poll_timeout_s))
    return min((end for end in ends if end is not None), default=None)


def is_alert_due(job_type: JobType, attempt: Attempt, now: datetime) -> bool:
    """Whether the attempt's time ran out since its worker's last report, and it goes on.

    So only the first report after that time logs the warning.
    """
    if job_type.worker.timeout_policy is not TimeoutPolicy.ALERT_ONLY or not job_type.timeout_s:
        return False
    if attempt.started_at is None or attempt.lease_until is None:
        return False
    end = attempt.started_at + timedelta(seconds=job_type.timeout_s)
    reported_at = attempt.lease_until - timedelta(seconds=job_type.worker.response_timeout_s)
    return reported_at <= end < now


def has_timed_out(job_type: JobType, attempt: Attempt) -> bool:
    """Whether what has run out is the attempt's whole time, however its worker kept its lease."""
    end = ends_at(job_type, attempt.started_at) if attempt.is_polled else None
    ran_out = attempt.poll_until if attempt.is_waiting else attempt.lease_until
    return end is not None and ran_out is not None and ran_out >= end


def expired(job_type: JobType, attempt: Attempt) -> Outcome:
    """Return the outcome of an attempt whose lease, or whose poll timeout, has run out."""
    if has_timed_out(job_type, attempt):
        message = f"it did not end within its {job_type.timeout_s:g} s"
        return _timed_out(job_type, JobError("Timeout", message))
    if attempt.is_waiting:
        message = f"no worker took it within {job_type.worker.poll_timeout_s:g} s"
        return _timed_out(job_type, JobError("PollTimeout", message))
    message = "its lease ran out: the process that held it died, or lost touch for too long"
    return Retryable(JobError("LeaseExpired", message))


def _timed_out(job_type: JobType, error: JobError) -> Outcome:
    is_final = job_type.worker.timeout_policy is TimeoutPolicy.TIME_OUT_WF
    return Failed(error) if is_final else Retryable(error)
