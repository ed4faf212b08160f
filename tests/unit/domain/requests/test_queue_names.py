"""The names of queues and their shards, and the shard in which a job waits."""

from __future__ import annotations

from collections import Counter

import pytest

from shiftwork_core.domain.requests.queue_names import (
    MAX_SHARDS,
    queue_name,
    shard_name,
    shard_names,
    shard_of,
    type_and_domain,
)


def test_the_workers_of_a_domain_have_a_queue_of_their_own() -> None:
    assert queue_name("render", None) == "render"
    assert queue_name("render", "gpu") == "render#gpu"


@pytest.mark.parametrize(("name", "domain"), [("render", None), ("render", "gpu")])
def test_a_queue_says_whose_it_is(name: str, domain: str | None) -> None:
    assert type_and_domain(queue_name(name, domain)) == (name, domain)


def test_the_first_shard_is_named_as_a_queue_that_has_no_other() -> None:
    assert shard_name("render#gpu", 0) == "render#gpu"
    assert shard_names("render", 1) == ["render"]
    assert shard_names("render", 3) == ["render", "render##1", "render##2"]


@pytest.mark.parametrize("shards", range(1, MAX_SHARDS + 1))
def test_the_jobs_of_a_step_spread_evenly_over_the_shards(shards: int) -> None:
    found = Counter(shard_of(f"r01J9Z6Q8W1.1.{job}.1", shards) for job in range(10_000))
    assert set(found) == set(range(shards))
    assert max(found.values()) <= 1.2 * 10_000 / shards
