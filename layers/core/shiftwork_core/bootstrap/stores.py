"""Build the stores, over the tables that the settings name."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from shiftwork_core.bootstrap import world

if TYPE_CHECKING:
    from shiftwork_core.adapters.dynamodb.counted_tables import DynamoCountedTables
    from shiftwork_core.adapters.dynamodb.counters import DynamoCounterStore
    from shiftwork_core.adapters.dynamodb.definitions import DynamoDefinitionStore
    from shiftwork_core.adapters.dynamodb.jobs import DynamoJobStore
    from shiftwork_core.adapters.dynamodb.lifecycle_jobs import DynamoLifecycleJobStore
    from shiftwork_core.adapters.dynamodb.limits import DynamoLimitStore
    from shiftwork_core.adapters.dynamodb.requests import DynamoRequestStore
    from shiftwork_core.adapters.dynamodb.workers import DynamoTokenStore, DynamoWorkerStore
    from shiftwork_core.adapters.dynamodb.workspaces import DynamoWorkspaceStore


@cache
def requests() -> DynamoRequestStore:
    """Return the store of requests and steps."""
    from shiftwork_core.adapters.dynamodb.requests import DynamoRequestStore
    from shiftwork_core.adapters.dynamodb.steps import RequestTables

    settings = world.settings()
    return DynamoRequestStore(
        world.client("dynamodb"),
        RequestTables(settings.requests_table, settings.batches_table),
        retention=settings.retention,
    )


@cache
def jobs() -> DynamoJobStore:
    """Return the store of attempts."""
    from shiftwork_core.adapters.dynamodb.attempt_rows import JobTables
    from shiftwork_core.adapters.dynamodb.jobs import DynamoJobStore

    settings = world.settings()
    return DynamoJobStore(
        world.client("dynamodb"),
        JobTables(settings.jobs_table, settings.requests_table, settings.limits_table),
        retention=settings.retention,
    )


@cache
def limits() -> DynamoLimitStore:
    """Return the store of limited job types' slots and rates."""
    from shiftwork_core.adapters.dynamodb.limits import DynamoLimitStore

    return DynamoLimitStore(world.client("dynamodb"), world.settings().limits_table)


@cache
def definitions() -> DynamoDefinitionStore:
    """Return the store of definitions."""
    from shiftwork_core.adapters.dynamodb.definitions import DynamoDefinitionStore

    return DynamoDefinitionStore(world.client("dynamodb"), world.settings().definitions_table)


@cache
def workers() -> DynamoWorkerStore:
    """Return the store of worker records."""
    from shiftwork_core.adapters.dynamodb.workers import DynamoWorkerStore

    return DynamoWorkerStore(
        world.client("dynamodb"),
        world.settings().workers_table,
        kept=world.settings().worker_retention,
    )


@cache
def tokens() -> DynamoTokenStore:
    """Return the store of tokens that are used up."""
    from shiftwork_core.adapters.dynamodb.workers import DynamoTokenStore

    return DynamoTokenStore(world.client("dynamodb"), world.settings().tokens_table)


@cache
def workspaces() -> DynamoWorkspaceStore:
    """Return the store of workspaces."""
    from shiftwork_core.adapters.dynamodb.workspaces import DynamoWorkspaceStore

    return DynamoWorkspaceStore(world.client("dynamodb"), world.settings().workspaces_table)


@cache
def lifecycle_jobs() -> DynamoLifecycleJobStore:
    """Return the store of workspaces' lifecycle jobs and their logs."""
    from shiftwork_core.adapters.dynamodb.lifecycle_jobs import (
        DynamoLifecycleJobStore,
        LifecycleTables,
    )

    settings = world.settings()
    return DynamoLifecycleJobStore(
        world.client("dynamodb"),
        LifecycleTables(
            jobs=settings.lifecycle_jobs_table,
            logs=settings.lifecycle_logs_table,
            workspaces=settings.workspaces_table,
        ),
        retention=settings.retention,
    )


@cache
def counters() -> DynamoCounterStore:
    """Return the store of counters."""
    from shiftwork_core.adapters.dynamodb.counters import DynamoCounterStore

    return DynamoCounterStore(world.client("dynamodb"), world.settings().counters_table)


@cache
def counted_tables() -> DynamoCountedTables:
    """Return the tables whose changes are counted."""
    from shiftwork_core.adapters.dynamodb.counted_tables import (
        CountedTableNames,
        DynamoCountedTables,
    )

    settings = world.settings()
    names = CountedTableNames(
        settings.requests_table, settings.jobs_table, settings.lifecycle_jobs_table
    )
    return DynamoCountedTables(world.client("dynamodb"), names)
