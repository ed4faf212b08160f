"""What a worker reports and is given by a token of its own, and what a person may do."""

from __future__ import annotations

import pytest

from shiftwork_core.caller import Caller
from shiftwork_core.errors import NotFound
from shiftwork_core.routes import Scope
from shiftwork_core.services.polling.reports import BY_HAND, Report, Reported
from shiftwork_core.services.polling.tasks import Poller, Want
from tests.unit.services.polling.test_reports import (
    DONE,
    IN_PROGRESS,
    TWO,
    Watch,
    exchange,
    row,
    say,
    submit,
    taken,
)
from tests.world.world import World

W1 = Caller(Scope.WORKER, "w1")
OF_KEY = Caller(Scope.WORKER, "key", is_group=True)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def world(watch: Watch) -> World:
    return World(watch=watch)


# -- reports -------------------------------------------------------------------------------------


def test_a_worker_that_gives_no_name_does_not_claim_what_it_has_put_back(world: World) -> None:
    submit(world)
    attempt = taken(world)
    world.tasks.report(say(attempt, IN_PROGRESS))
    assert world.tasks.report(say(attempt, worker=None), W1) is Reported.LATE
    assert row(world, attempt).is_waiting


def test_a_person_claims_what_a_worker_has_put_back(world: World) -> None:
    submit(world)
    attempt = taken(world)
    world.tasks.report(say(attempt, IN_PROGRESS))
    assert world.tasks.report(say(attempt, worker=None)) is Reported.RECORDED
    assert row(world, attempt).worker_id == BY_HAND


def test_a_worker_of_a_key_reports_under_its_own_name_and_not_the_holders(world: World) -> None:
    submit(world)
    attempt = taken(world, Poller("key/a"))
    assert world.tasks.report(say(attempt, worker="key/b"), OF_KEY) is Reported.LATE
    assert world.tasks.report(say(attempt, worker="key/a"), OF_KEY) is Reported.RECORDED


def test_a_job_of_another_worker_is_refused_in_the_words_for_a_request_that_is_missing(
    world: World,
) -> None:
    request_id = submit(world)
    taken(world, TWO)
    said = []
    for wanted in (request_id, "missing"):
        with pytest.raises(NotFound) as refused:
            world.tasks.report_by_name(wanted, "poll[0]", Report("", DONE, {}), W1)
        texts = (refused.value.detail, refused.value.next_step)
        said.append([text.replace(wanted, "the request") for text in texts])
    assert said[0] == said[1]


# -- exchanges that are sent again ---------------------------------------------------------------


def test_what_a_worker_was_given_is_not_given_again_by_a_token_for_other_types(
    world: World, watch: Watch
) -> None:
    submit(world)
    [task] = exchange(world, count=1).tasks
    watch.held = [task.attempt.attempt_id]
    of_others = Caller(Scope.WORKER, "w1", job_types=("other",))
    wants = [Want("other", 1)]
    again = world.tasks.exchange("w1", [], wants, None, exchange_id="e", caller=of_others)
    assert again.tasks == []


def test_what_another_worker_claimed_under_the_same_exchange_id_is_not_given(
    world: World, watch: Watch
) -> None:
    """The record still names what the worker has lost."""
    submit(world)
    wants = [Want("poll", 1)]
    [task] = world.tasks.exchange("w2", [], wants, None, exchange_id="e").tasks
    watch.held = [task.attempt.attempt_id]
    assert exchange(world, "e", count=1).tasks == []
