"""Read the settings that the template passes to the functions, from the environment."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from shiftwork_core.domain.payloads import JsonObject

if TYPE_CHECKING:
    from shiftwork_core.domain.requests.manifests.places import Place

#: In this deployment's own bucket manifests lie under this prefix.
OWN_MANIFESTS = "manifests/"


def stage() -> str:
    """Return the name of this deployment; its default is that of template.yaml."""
    return os.environ.get("STAGE", "dev")


@dataclass(frozen=True, slots=True)
class Settings:
    """The platform's settings; template.yaml is the source of every default."""

    stage: str
    requests_table: str
    payloads_table: str
    batches_table: str
    jobs_table: str
    limits_table: str
    definitions_table: str
    workers_table: str
    tokens_table: str
    workspaces_table: str
    lifecycle_jobs_table: str
    lifecycle_logs_table: str
    counters_table: str
    token_secret: str
    blobs_bucket: str
    wake_queue_url: str
    switch_queue_url: str
    wake_dlq_url: str
    switch_dlq_url: str
    state_machine_arn: str
    run_jobs_function: str
    lease: timedelta
    worker_offline: timedelta
    worker_retention: timedelta
    api_token_lifetime: timedelta
    retention: timedelta
    rebuild_margin: timedelta
    is_enabled: bool
    #: A base URL each, or an object that has one: see `adapters/http_guard.py`.
    services: JsonObject
    run_jobs_log_group: str
    step_concurrency: int
    #: ARNs of the objects that manifests may be, besides those in this deployment's own bucket.
    manifest_arns: tuple[str, ...] = ()

    def may_read_manifest(self, place: Place) -> bool:
        """Whether a request may name this object as its manifest."""
        named = f"{place.bucket}/{place.key}"
        own = f"{self.blobs_bucket}/{OWN_MANIFESTS}*"
        patterns = [own, *(arn.rpartition(":::")[2] for arn in self.manifest_arns)]
        return any(_as_in_policies(pattern).fullmatch(named) for pattern in patterns)

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read `env` (the process's by default); what a function does not use may be missing."""
        get = (os.environ if env is None else env).get
        return cls(
            stage=get("STAGE", ""),
            requests_table=get("REQUESTS_TABLE", ""),
            payloads_table=get("PAYLOADS_TABLE", ""),
            batches_table=get("BATCHES_TABLE", ""),
            jobs_table=get("JOBS_TABLE", ""),
            limits_table=get("LIMITS_TABLE", ""),
            definitions_table=get("DEFINITIONS_TABLE", ""),
            workers_table=get("WORKERS_TABLE", ""),
            tokens_table=get("TOKENS_TABLE", ""),
            workspaces_table=get("WORKSPACES_TABLE", ""),
            lifecycle_jobs_table=get("LIFECYCLE_JOBS_TABLE", ""),
            lifecycle_logs_table=get("LIFECYCLE_LOGS_TABLE", ""),
            counters_table=get("COUNTERS_TABLE", ""),
            token_secret=get("TOKEN_SECRET", ""),
            blobs_bucket=get("BLOBS_BUCKET", ""),
            wake_queue_url=get("WAKE_QUEUE_URL", ""),
            switch_queue_url=get("SWITCH_QUEUE_URL", ""),
            wake_dlq_url=get("WAKE_DLQ_URL", ""),
            switch_dlq_url=get("SWITCH_DLQ_URL", ""),
            state_machine_arn=get("STATE_MACHINE_ARN", ""),
            run_jobs_function=get("RUN_JOBS_FUNCTION", ""),
            lease=timedelta(seconds=float(get("LEASE_S", "60"))),
            worker_offline=timedelta(seconds=float(get("WORKER_OFFLINE_S", "90"))),
            worker_retention=timedelta(days=float(get("WORKER_RETENTION_DAYS", "7"))),
            api_token_lifetime=timedelta(seconds=float(get("API_TOKEN_S", "3600"))),
            retention=timedelta(days=float(get("RETENTION_DAYS", "90"))),
            rebuild_margin=timedelta(seconds=float(get("REBUILD_MARGIN_S", "75"))),
            is_enabled=get("WORKERS_ENABLED", "true").lower() == "true",
            services=json.loads(get("SERVICES", "{}")),
            run_jobs_log_group=get("RUN_JOBS_LOG_GROUP", ""),
            step_concurrency=int(get("STEP_CONCURRENCY", "1000")),
            manifest_arns=tuple(filter(None, get("MANIFEST_ARNS", "").split(","))),
        )


def _as_in_policies(pattern: str) -> re.Pattern[str]:
    """Return the expression of a pattern as IAM's policies have it: `*` and `?`, nothing else."""
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, re.DOTALL)
