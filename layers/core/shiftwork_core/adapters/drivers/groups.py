"""Things that are switched together: what they amount to, and which of them need a call.

Everything here is pure; the drivers say what their members are and how one is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from shiftwork_core.domain.workspaces.records import Operation, Sighting, WorkspaceState
from shiftwork_core.ports.workspaces import DriverError

#: So many members are named in a text; of the others only the number is told.
_MAX_NAMED = 5

#: What a member is that has reached the goal of an operation, or gets there by itself.
SETTLED = {
    Operation.START: frozenset({WorkspaceState.RUNNING, WorkspaceState.STARTING}),
    Operation.STOP: frozenset({WorkspaceState.STOPPED, WorkspaceState.STOPPING}),
}


class Unanswered(DriverError):
    """Nobody answered, or asked to be called less often: others need not be asked now either."""


@dataclass(frozen=True, slots=True)
class Member:
    """One thing that is switched; `status` is its state in its service's own word."""

    id: str
    state: WorkspaceState
    status: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call that switches something, and what it does in words."""

    words: str
    make: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Moves:
    """What is to be done now, and why the rest cannot be."""

    calls: Sequence[Call]
    refusals: Sequence[DriverError] = ()


def state_of_group(states: Iterable[WorkspaceState]) -> WorkspaceState:
    """Return what members amount to together.

    `starting` and `stopping` only if the whole gets there by waiting. With a member that stays
    behind it is `mixed`, so that whoever waits for it knows that there is something to do.
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
    """Return what was seen of a group: the statuses by number, the rarer ones with their names."""
    counts = Counter(member.status for member in members).most_common()
    parts = [f"{number} {status}" for status, number in counts]
    for index, (status, _) in enumerate(counts):
        if len(counts) > 1:
            parts[index] += f" ({named([m.id for m in members if m.status == status])})"
    return Sighting(
        state_of_group(member.state for member in members),
        ", ".join(parts),
        {member.id: member.state for member in members},
    )


def named(ids: Sequence[str]) -> str:
    """Return a list in words, cut off after a few."""
    more = len(ids) - _MAX_NAMED
    return ", ".join(ids[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def batches(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Cut a list into pieces of at most `size`."""
    return (ids[start : start + size] for start in range(0, len(ids), size))


def cannot_now(member: Member, operation: Operation) -> DriverError:
    """Return that a member is in a state that will pass."""
    done = "started" if operation is Operation.START else "stopped"
    return DriverError(
        f"{member.id} cannot be {done} while it is {member.status}; tried again later"
    )


def sort_out(
    members: Iterable[Member],
    operation: Operation,
    refusal: Callable[[Member], DriverError | None],
) -> tuple[list[Member], list[DriverError]]:
    """Return the members that are to be asked, and why others that should be cannot.

    Those that have reached the goal, or are on their way, are neither.
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


def words_of(moves: Moves) -> list[str]:
    """Return what `make` would do, a line a call; raise what it would if it would do nothing."""
    refused = _together(moves.refusals)
    if not moves.calls:
        if refused is not None:
            raise refused
        return []
    words = [call.words for call in moves.calls]
    if refused is not None:
        words[-1] += f"; but {refused}"
    return words


def make(moves: Moves) -> None:
    """Make the calls. One that is refused does not keep the others from being made.

    Raises
    ------
    DriverError
        Of everything that was refused; final only if no part of it passes.
    """
    refusals = list(moves.refusals)
    for call in moves.calls:
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
    # The final ones first: they are what somebody has to mend.
    ordered = sorted(errors, key=lambda error: not error.is_final)
    more = len(ordered) - _MAX_NAMED
    texts = [str(error) for error in ordered[:_MAX_NAMED]] + ([f"{more} more"] if more > 0 else [])
    return DriverError("; ".join(texts), is_final=all(error.is_final for error in errors))
