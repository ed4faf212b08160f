"""Planning a step, and the templates in definitions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork_core.adapters.expressions import search
from shiftwork_core.domain.payloads import Json
from shiftwork_core.domain.requests.budgets import (
    MAX_STEP_BYTES,
    MAX_STEP_NODES,
    MAX_VALUE_BYTES,
    Budget,
)
from shiftwork_core.domain.requests.definitions import JobSpec, JobType, StepSpec, Target
from shiftwork_core.domain.requests.planning import (
    MAX_ROWS_PER_STEP,
    PlanFault,
    PlannedJob,
    concurrency_of,
    cut_batches,
    job_count_of,
    plan_jobs,
    spans_of,
)
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Span
from shiftwork_core.domain.requests.templates import Renderer, TemplateFault, expressions
from tests.world.counted import no_hang

DATA = {"params": {"user": "ä/b", "n": 3, "list": [1, 2]}, "extras": {}, "item": None}


def plan(*jobs: JobSpec, extras: dict[str, Any] | None = None) -> list[Any]:
    return plan_jobs(StepSpec("s", jobs), DATA["params"], extras or {}, search)  # type: ignore[arg-type]


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
        plan(JobSpec("a", "t", "extras.all"), extras={"all": [0] * (MAX_ROWS_PER_STEP + 1)})


def plan_slices(*entries: JobSpec, slices: int, of: int = 10) -> list[PlannedJob]:
    """Plan a step with manifests that have so many slices of so many items."""

    def cut(place: Json, block: int) -> Iterator[tuple[Json, int]]:
        return (({"slice": number}, of) for number in range(slices))

    return plan_jobs(StepSpec("s", entries), DATA["params"], {}, search, cut)  # type: ignore[arg-type]


LISTED = JobSpec("load", "t", "extras.all", block=10)
STREAMED = JobSpec("load", "t", for_each_in="params.user", block=10)
HOW_BLOCKS = "make the blocks larger, or the items fewer"


def test_a_step_of_blocks_may_have_more_jobs_than_rows() -> None:
    planned = plan(LISTED, extras={"all": [0] * (MAX_ROWS_PER_STEP + 1)})
    assert len(planned) == 1_001
    assert job_count_of(planned) == MAX_ROWS_PER_STEP + 1
    [span] = spans_of(StepSpec("s", (LISTED,)), planned)
    assert span == Span(first_row=0, first_job=0, block=10, jobs=MAX_ROWS_PER_STEP + 1)
    planned = plan_slices(STREAMED, slices=MAX_ROWS_PER_STEP)
    assert job_count_of(planned) == 10 * MAX_ROWS_PER_STEP


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            JobSpec("load", "t", "extras.all"),
            "step 's' would have more than 10,000 jobs: 'extras.all' yields 100,001; "
            "let jobs share rows: give 'load' a block",
        ),
        (
            LISTED,
            "step 's' would have more than 10,000 blocks: 'extras.all' yields 100,001; "
            + HOW_BLOCKS,
        ),
        (
            STREAMED,
            "step 's' would have more than 10,000 blocks: 'params.user' yields 100,010 items or "
            "more; " + HOW_BLOCKS,
        ),
    ],
)
def test_a_step_with_too_many_rows_is_told_what_to_do(entry: JobSpec, message: str) -> None:
    with pytest.raises(PlanFault) as raised:
        if entry.for_each_in is not None:
            plan_slices(entry, slices=MAX_ROWS_PER_STEP + 1)
        else:
            plan(entry, extras={"all": [0] * (10 * MAX_ROWS_PER_STEP + 1)})
    assert str(raised.value) == message


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
    assert Renderer(search, Budget()).render(template, DATA) == rendered


def test_a_path_is_escaped_and_never_has_a_hole() -> None:
    def escape(text: str) -> str:
        return quote(text, safe="")

    path = Renderer(search, Budget()).render_text("/users/{params.user}/removal", DATA, escape)
    assert path == "/users/%C3%A4%2Fb/removal"
    with pytest.raises(TemplateFault, match=r"params\.missing"):
        Renderer(search, Budget()).render_text("/users/{params.missing}/removal", DATA, escape)


def test_the_expressions_of_a_template_are_found_wherever_they_stand() -> None:
    assert expressions({"a": "{x}-{y}", "b": ["{{no}}", {"c": "{z}"}]}) == ["x", "y", "z"]


def test_a_step_may_be_as_wide_as_the_bound() -> None:
    many = {"many": list(range(MAX_ROWS_PER_STEP))}
    assert len(plan(JobSpec("a", "t", "extras.many"), extras=many)) == MAX_ROWS_PER_STEP


@pytest.mark.parametrize(("path", "kind"), [("extras.none", "nothing"), ("params.user", "str")])
def test_a_for_each_that_yields_no_list_says_what_it_yields(path: str, kind: str) -> None:
    with pytest.raises(PlanFault, match=f"yields {kind}$"):
        plan(JobSpec("a", "t", path))


DOUBLING = "|".join(["[@,@]"] * 20)


def doubled(expression: str) -> str:
    """Return an expression that yields two to the twentieth times what the given one does."""
    return f"{expression}|{DOUBLING}"


@pytest.mark.parametrize(
    "entry",
    [
        JobSpec("a", "t", doubled("params")),
        JobSpec("a", "t", "params.list", {"all": "{" + doubled("params") + "}"}),
        JobSpec("a", "t", params={"all": "text {" + doubled("params") + "}"}),
        JobSpec("a", "t", params={"all": "{to_string(" + doubled("params") + ")}"}),
    ],
)
def test_a_bomb_in_a_definition_is_a_fault_that_names_its_expression(entry: JobSpec) -> None:
    with no_hang(), pytest.raises(PlanFault, match=r"\[@,@\].*more than 1,000,000 values"):
        plan(entry)


@pytest.mark.parametrize("whole", ["{extras.text}", "{extras.text}!", "{extras.list}"])
def test_the_params_of_one_job_may_be_as_large_as_a_value_and_no_larger(whole: str) -> None:
    half = "x" * (MAX_VALUE_BYTES // 2)
    extras = {"text": half, "list": [half]}
    [job] = plan(JobSpec("a", "t", params={"a": whole}), extras=extras)
    assert job.params is not None and half in str(job.params["a"])
    with pytest.raises(PlanFault, match="'a': they have more than 6,291,456 bytes"):
        plan(JobSpec("a", "t", params={"a": whole, "b": whole, "c": "x" * 10}), extras=extras)


def test_the_names_of_params_count_to_their_bound() -> None:
    text = "x" * (MAX_VALUE_BYTES // 2 - 1)
    both = {"a": "{extras.text}", "b": "{extras.text}"}
    assert plan(JobSpec("a", "t", params=both), extras={"text": text})
    with pytest.raises(PlanFault, match="'a': they have more than 6,291,456 bytes"):
        plan(JobSpec("a", "t", params=both), extras={"text": text + "x"})


def test_the_params_of_all_jobs_of_a_step_have_a_bound_together() -> None:
    extras = {"text": "x" * 1024 * 1024, "list": list(range(65))}
    entry = JobSpec("a", "t", "extras.list", {"a": "{extras.text}"})
    with pytest.raises(PlanFault, match="more than 67,108,864 bytes"):
        plan(entry, extras=extras)
    many = {"part": [0] * 500, "list": list(range(5000))}
    with pytest.raises(PlanFault, match="more than 2,000,000 values"):
        plan(JobSpec("a", "t", "extras.list", {"a": "{extras.part}"}), extras=many)


def test_the_items_of_a_step_count_as_its_params_do() -> None:
    extras = {"text": "x" * 1024 * 1024}
    entries = [JobSpec(f"j{n}", "t", "[extras.text]") for n in range(65)]
    assert len(plan(*entries[:64], extras=extras)) == 64
    with pytest.raises(PlanFault, match="more than 67,108,864 bytes"):
        plan(*entries, extras=extras)


def test_a_step_may_take_so_many_steps_to_plan_and_no_more() -> None:
    many = {"many": [{"n": n} for n in range(MAX_ROWS_PER_STEP)]}
    usual = {"id": "{item.n}", "title": "number {item.n}", "user": "{params.user}", "of": [1, 2]}
    assert len(plan(JobSpec("a", "t", "extras.many", usual), extras=many)) == MAX_ROWS_PER_STEP
    costly = {"all": "{length(extras.many[?n > `5`])}"}
    with pytest.raises(PlanFault, match="more than 2,000,000 steps"):
        plan(JobSpec("a", "t", "extras.many", costly), extras=many)


@pytest.mark.parametrize("expression", ["to_number('1e999')", "[&a]"])
def test_params_that_are_not_json_are_a_fault(expression: str) -> None:
    """Packed, they would be a failure of the planner, again and again."""
    with pytest.raises(PlanFault, match="params of job 'a'"):
        plan(JobSpec("a", "t", params={"a": "{" + expression + "}"}))
    with pytest.raises(PlanFault, match="for_each"):
        plan(JobSpec("a", "t", f"[{expression}]"))


TEMPLATES = st.recursive(
    st.sampled_from(
        ["{params}", "{@}", "{[@, @]}", "{params.list[*].[@, @]}", "x{@}", "{to_string(@)}", "x",
         "{" + doubled("params.list") + "}", "{map(&[@, @], params.list)}"]
    ),
    lambda inner: (
        st.builds(lambda t: {"a": t, "b": t}, inner) | st.builds(lambda t: [t] * 8, inner)
    ),
    max_leaves=8,
)  # fmt: skip


@given(
    template=TEMPLATES,
    for_each=st.sampled_from([None, "params.list", "[@, @]", doubled("params.list"), "[[@], [@]]"]),
    width=st.integers(0, 60),
    text=st.integers(0, 60_000),
)
@settings(deadline=None, max_examples=20)
def test_a_bomb_of_a_step_is_a_fault_or_planned_within_the_budget(
    template: Any, for_each: str | None, width: int, text: int
) -> None:
    params = {"list": list(range(width)), "text": "x" * text}
    spec = StepSpec("s", [JobSpec("a", "t", for_each, {"a": template})])  # type: ignore[arg-type]
    with no_hang():
        try:
            jobs = plan_jobs(spec, params, {}, search)
        except PlanFault as fault:
            assert "'a[" in str(fault) or "'a'" in str(fault) or "for_each" in str(fault)
            return
    weights = [Budget().weigh(part) for job in jobs for part in (job.params, job.item)]
    assert sum(nodes for nodes, _ in weights) <= MAX_STEP_NODES + 2 * len(jobs)
    assert sum(size for _, size in weights) <= MAX_STEP_BYTES


@pytest.mark.parametrize(
    ("bounds", "least"), [([], 0), ([0], 0), ([5], 5), ([0, 5, 3], 3), ([0, 0], 0)], ids=str
)
def test_the_least_bound_of_the_types_of_a_step_holds_for_all_its_batches(
    bounds: list[int], least: int
) -> None:
    types = [JobType(f"t{n}", 1, Target.PYTHON, max_concurrency=b) for n, b in enumerate(bounds)]
    assert concurrency_of(types) == least
