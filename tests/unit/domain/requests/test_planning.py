"""Planning a step, and the templates in definitions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork_core.domain.requests.definitions import JobSpec, JobType, StepSpec, Target
from shiftwork_core.domain.requests.planning import (
    MAX_JOBS_PER_STEP,
    PlanFault,
    cut_batches,
    plan_jobs,
)
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.templates import TemplateFault, expressions, render, render_text

DATA = {"params": {"user": "ä/b", "n": 3, "list": [1, 2]}, "extras": {}, "item": None}


def plan(*jobs: JobSpec, extras: dict[str, Any] | None = None) -> list[Any]:
    return plan_jobs(StepSpec("s", jobs), DATA["params"], extras or {}, jmespath.search)  # type: ignore[arg-type]


def test_jobs_keep_the_order_of_the_definition_and_of_the_items() -> None:
    planned = plan(JobSpec("a", "t"), JobSpec("b", "t", "params.list"), JobSpec("c", "t"))
    assert [(job.name, job.item) for job in planned] == [
        ("a", None),
        ("b[0]", 1),
        ("b[1]", 2),
        ("c", None),
    ]


@pytest.mark.parametrize("expression", ["params.nothing", "params.n", "params.user", "to_number("])
def test_a_for_each_that_yields_no_list_is_a_fault_that_names_it(expression: str) -> None:
    with pytest.raises(PlanFault, match="for_each"):
        plan(JobSpec("a", "t", expression))


def test_a_step_wider_than_the_limit_is_a_fault() -> None:
    with pytest.raises(PlanFault, match="10,000"):
        plan(JobSpec("a", "t", "extras.all"), extras={"all": [0] * (MAX_JOBS_PER_STEP + 1)})


def attempt(job: int, type: str) -> Attempt:
    return Attempt("r", AttemptKey(1, job, 1), f"j{job}", type, 1, datetime(2026, 1, 1, tzinfo=UTC))


@given(st.lists(st.sampled_from("ab"), max_size=60), st.integers(1, 9), st.integers(1, 9))
def test_batches_hold_every_job_once_by_type_and_within_the_size(
    types: list[str], size_a: int, size_b: int
) -> None:
    attempts = [attempt(n, type) for n, type in enumerate(types)]
    job_types = {
        name: JobType(name, 1, Target.PYTHON, batch_size=size)
        for name, size in (("a", size_a), ("b", size_b))
    }
    batches = cut_batches(attempts, job_types)
    by_key = {str(a.key): a.type for a in attempts}
    assert sorted(key for batch in batches for key in batch) == sorted(by_key)
    for batch in batches:
        [type] = {by_key[key] for key in batch}
        assert 1 <= len(batch) <= job_types[type].batch_size


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("{params.n}", 3),
        ("n={params.n}", "n=3"),
        ("{params.list}", [1, 2]),
        ("{params.missing}", None),
        ("{{params.n}}", "{params.n}"),
        ({"a": ["{params.user}", 7, None]}, {"a": ["ä/b", 7, None]}),
    ],
)
def test_a_whole_expression_keeps_its_type_and_others_become_text(
    template: Any, rendered: Any
) -> None:
    assert render(template, DATA, jmespath.search) == rendered


def test_a_path_is_escaped_and_never_has_a_hole() -> None:
    def escape(text: str) -> str:
        return quote(text, safe="")

    path = render_text("/users/{params.user}/removal", DATA, jmespath.search, escape)
    assert path == "/users/%C3%A4%2Fb/removal"
    with pytest.raises(TemplateFault, match=r"params\.missing"):
        render_text("/users/{params.missing}/removal", DATA, jmespath.search, escape)


def test_the_expressions_of_a_template_are_found_wherever_they_stand() -> None:
    assert expressions({"a": "{x}-{y}", "b": ["{{no}}", {"c": "{z}"}]}) == ["x", "y", "z"]


def test_a_step_may_be_as_wide_as_the_bound() -> None:
    many = {"many": list(range(MAX_JOBS_PER_STEP))}
    assert len(plan(JobSpec("a", "t", "extras.many"), extras=many)) == MAX_JOBS_PER_STEP


@pytest.mark.parametrize(("path", "kind"), [("extras.none", "nothing"), ("params.user", "str")])
def test_a_for_each_that_yields_no_list_says_what_it_yields(path: str, kind: str) -> None:
    with pytest.raises(PlanFault, match=f"yields {kind}$"):
        plan(JobSpec("a", "t", path))
