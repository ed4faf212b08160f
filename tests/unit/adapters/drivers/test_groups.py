"""The joint state of members, and errors of those that cannot be switched."""

from __future__ import annotations

from functools import partial

import pytest

from shiftwork_core.adapters.drivers.groups import (
    Call,
    CallPlan,
    Member,
    Unanswered,
    batches,
    make_calls,
    plan_lines,
    sighting_of,
    sort_out,
    state_of_group,
)
from shiftwork_core.domain.workspaces.records import Operation, WorkspaceState
from shiftwork_core.ports.workspaces import DriverError

R, S = WorkspaceState.RUNNING, WorkspaceState.STOPPED
UP, DOWN = WorkspaceState.STARTING, WorkspaceState.STOPPING
M, U = WorkspaceState.MIXED, WorkspaceState.UNKNOWN


@pytest.mark.parametrize(
    ("members", "state"),
    [
        ([], U),
        ([R], R),
        ([S], S),
        ([UP], UP),
        ([DOWN], DOWN),
        ([M], M),
        ([R, R], R),
        ([S, S], S),
        ([R, UP], UP),
        ([S, DOWN], DOWN),
        ([R, S], M),
        ([R, DOWN], M),
        # Waiting does not bring the stopped one up, nor the running one down.
        ([UP, S], M),
        ([UP, DOWN], M),
        ([R, UP, S], M),
        ([R, S, DOWN], M),
        ([R, R, M], M),
        ([R, U], U),
        ([S, UP, U], U),
    ],
)
def test_the_state_of_a_group(members: list[WorkspaceState], state: WorkspaceState) -> None:
    assert state_of_group(members) is state
    assert state_of_group(reversed(members)) is state


def test_a_sighting_names_the_members_that_differ() -> None:
    members = [Member(f"i-{n}", R, "running") for n in range(7)]
    members += [Member("i-8", UP, "pending")]
    seen = sighting_of(members)
    assert seen.state is UP
    assert seen.detail == "7 running (i-0, i-1, i-2, i-3, i-4 and 2 more), 1 pending (i-8)"
    assert seen.members["i-8"] is UP and len(seen.members) == 8
    assert sighting_of(members[:7]).detail == "7 running"


@pytest.mark.parametrize(
    ("operation", "asked", "refused"),
    [(Operation.START, ["s", "down"], ["?"]), (Operation.STOP, ["r", "up"], ["?"])],
)
def test_only_members_that_are_not_on_their_way_are_switched(
    operation: Operation, asked: list[str], refused: list[str]
) -> None:
    states = {"r": R, "s": S, "up": UP, "down": DOWN, "?": U}
    members = [Member(id, state, state.value) for id, state in states.items()]

    def refusal(member: Member) -> DriverError | None:
        return DriverError(member.id) if member.state is U else None

    chosen, refusals = sort_out(members, operation, refusal)
    assert [member.id for member in chosen] == asked
    assert [str(error) for error in refusals] == refused


def test_a_list_is_cut_into_batches() -> None:
    assert list(batches("abcdefg", 3)) == ["abc", "def", "g"]
    assert list(batches("", 3)) == []


def call(done: list[str], name: str, error: DriverError | None = None) -> Call:
    def do() -> None:
        done.append(name)
        if error is not None:
            raise error

    return Call(name, partial(do))


def test_a_refused_call_does_not_keep_the_others_from_being_made() -> None:
    done: list[str] = []
    gone = DriverError("a is gone", is_final=True)
    with pytest.raises(DriverError, match=r"^a is gone$") as raised:
        make_calls(CallPlan([call(done, "a", gone), call(done, "b")]))
    assert done == ["a", "b"]
    assert raised.value.is_final


def test_after_one_call_without_an_answer_no_other_is_made() -> None:
    done: list[str] = []
    with pytest.raises(Unanswered) as raised:
        make_calls(CallPlan([call(done, "a", Unanswered("throttled")), call(done, "b")]))
    assert done == ["a"]
    assert not raised.value.is_final


def test_refusals_are_final_only_if_all_of_them_are() -> None:
    """Given up at once, the part that passes would never be switched."""
    final, passing = DriverError("final", is_final=True), DriverError("passing")
    with pytest.raises(DriverError, match=r"^final; passing$") as raised:
        make_calls(CallPlan([], [passing, final]))
    assert not raised.value.is_final
    with pytest.raises(DriverError, match=r"^final; final$") as raised:
        make_calls(CallPlan([], [final, final]))
    assert raised.value.is_final


def test_a_long_list_of_refusals_is_cut_short() -> None:
    with pytest.raises(DriverError, match=r"^e0; e1; e2; e3; e4; 3 more$"):
        make_calls(CallPlan([], [DriverError(f"e{n}") for n in range(8)]))


def test_a_plan_also_says_what_cannot_be_done() -> None:
    done: list[str] = []
    plan = CallPlan([call(done, "stop a"), call(done, "stop b")], [DriverError("c is busy")])
    assert plan_lines(plan) == ["stop a", "stop b; but c is busy"]
    assert done == []
    with pytest.raises(DriverError, match=r"^c is busy$"):
        plan_lines(CallPlan([], [DriverError("c is busy")]))
    assert plan_lines(CallPlan([])) == []
