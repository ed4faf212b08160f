"""Switch several members as one workspace: find their joint state, call those that need it.

Nothing here knows AWS: drivers say what their members are and how to switch one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from shiftwork_core.domain.workspaces.records import Operation, Sighting, WorkspaceState
from shiftwork_core.ports.workspaces import DriverError

#: The most members that a text names; it counts the others.
_MAX_NAMED = 5

#: The states of a member that has reached an operation's goal, or gets there by itself.
SETTLED = {
    Operation.START: frozenset({WorkspaceState.RUNNING, WorkspaceState.STARTING}),
    Operation.STOP: frozenset({WorkspaceState.STOPPED, WorkspaceState.STOPPING}),
}


class Unanswered(DriverError):
    """The service did not answer, or asked for fewer calls: do not call it for the others now."""


@dataclass(frozen=True, slots=True)
class Member:
    """One thing that is switched; `status` is its service's own word for its state.

    `fault` says why it stopped, if nobody has stopped it; else it is empty.
    """

    id: str
    state: WorkspaceState
    status: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that switches something, and what it does in words."""

    words: str
    make: Callable[[], None]


@dataclass(frozen=True, slots=True)
class CallPlan:
    """The calls to make now, and why other members cannot be switched."""

    calls: Sequence[Call]
    refusals: Sequence[DriverError] = ()


def state_of_group(states: Iterable[WorkspaceState]) -> WorkspaceState:
    """Return the joint state of members.

    `starting` and `stopping` only if waiting is enough. If a member stays behind the state is
    `mixed`: somebody has to act.
    """
    found = set(states)
    if not found or WorkspaceState.UNKNOWN in found:
        return WorkspaceState.UNKNOWN
    if len(found) == 1:
        return found.pop()
    if found <= SETTLED[Operation.START]:
        return WorkspaceState.STARTING
    if found <= SETTLED[Operation.STOP]:
        return WorkspaceState.STOPPING
    return WorkspaceState.MIXED


def sighting_of(members: Sequence[Member]) -> Sighting:
    """Return the joint state; its detail counts the statuses, and names the rarer members.

    It also says of the members that stopped by themselves why they did.
    """
    counts = Counter(member.status for member in members).most_common()
    parts = [f"{number} {status}" for status, number in counts]
    for index, (status, _) in enumerate(counts):
        if len(counts) > 1:
            parts[index] += f" ({named([m.id for m in members if m.status == status])})"
    fault = faults_of(members)
    return Sighting(
        state_of_group(member.state for member in members),
        "; ".join(filter(None, (", ".join(parts), fault))),
        {member.id: member.state for member in members},
        fault,
    )


def faults_of(members: Iterable[Member]) -> str:
    """Return why members stopped by themselves, cut off after a few; empty if none did."""
    faults = [f"{member.id} stopped: {member.fault}" for member in members if member.fault]
    more = len(faults) - _MAX_NAMED
    return "; ".join(faults[:_MAX_NAMED] + ([f"{more} more"] if more > 0 else []))


def named(ids: Sequence[str]) -> str:
    """Return a list in words, cut off after a few."""
    more = len(ids) - _MAX_NAMED
    return ", ".join(ids[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def batches(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Cut a list into pieces of at most `size`."""
    return (ids[start : start + size] for start in range(0, len(ids), size))


def cannot_now(member: Member, operation: Operation) -> DriverError:
    """Return the error that a member cannot be switched until its state passes."""
    done = "started" if operation is Operation.START else "stopped"
    return DriverError(
        f"{member.id} cannot be {done} while it is {member.status}; tried again later"
    )


def sort_out(
    members: Iterable[Member],
    operation: Operation,
    refusal: Callable[[Member], DriverError | None],
) -> tuple[list[Member], list[DriverError]]:
    """Return the members to switch, and why others that need it cannot be.

    Members that have reached the goal, or are on their way, are in neither list.
    """
    asked: list[Member] = []
    refusals: list[DriverError] = []
    for member in members:
        if member.state in SETTLED[operation]:
            continue
        refused = refusal(member)
        if refused is None:
            asked.append(member)
        else:
            refusals.append(refused)
    return asked, refusals


def plan_lines(plan: CallPlan) -> list[str]:
    """Describe the calls of `make_calls`, one line each; raise its error if it would make none."""
    refused = _together(plan.refusals)
    if not plan.calls:
        if refused is not None:
            raise refused
        return []
    words = [call.words for call in plan.calls]
    if refused is not None:
        words[-1] += f"; but {refused}"
    return words


def make_calls(plan: CallPlan) -> None:
    """Make all calls, even if some are refused.

    Raises
    ------
    DriverError
        Names every refusal; final only if all of them are.
    """
    refusals = list(plan.refusals)
    for call in plan.calls:
        try:
            call.make()
        except Unanswered:
            raise
        except DriverError as error:
            refusals.append(error)
    refused = _together(refusals)
    if refused is not None:
        raise refused


def _together(errors: Sequence[DriverError]) -> DriverError | None:
    if len(errors) <= 1:
        return errors[0] if errors else None
    # The final ones first: somebody has to act on them.
    ordered = sorted(errors, key=lambda error: not error.is_final)
    more = len(ordered) - _MAX_NAMED
    texts = [str(error) for error in ordered[:_MAX_NAMED]] + ([f"{more} more"] if more > 0 else [])
    return DriverError("; ".join(texts), is_final=all(error.is_final for error in errors))
