"""Drain workers and resume them: who is drained, by whom, and who may lift it."""

from __future__ import annotations

from dataclasses import replace

from shiftwork_core.domain.workers.workers import Worker


def drained(row: Worker) -> Worker:
    """Return the record of a worker that gets no more jobs; its builds may finish."""
    return replace(row, is_drained=True)


def resumed(row: Worker) -> Worker:
    """Return the record of a worker that gets jobs again, no matter who has drained it.

    A stop that still waits for its workers drains it again with its next check.
    """
    return replace(row, active=True, is_drained=False, drained_for=())


def drained_for_stop(row: Worker, job_id: str) -> Worker:
    """Return the record of a worker that gets no more jobs while a stop is in progress."""
    return replace(row, drained_for=tuple(sorted({*row.drained_for, job_id})))


def resumed_after_stop(row: Worker, job_id: str) -> Worker:
    """Return the record of a worker that a stop no longer drains; other drains stay."""
    return replace(row, drained_for=tuple(kept for kept in row.drained_for if kept != job_id))
