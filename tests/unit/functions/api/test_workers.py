"""Routes of workers: registering, reporting, reading, and whose record a token may change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shiftwork_core.caller import context_of
from shiftwork_core.ports.workers import Standing
from tests.unit.functions.api.conftest import Answer, Api

ADMIN = {"scope": "admin"}
#: What the authorizer passes on for a worker's own token.
OWN = {"scope": "worker", "subject": "host-1", "token_id": "t"}
UNIX = 1767225600  # When the world's clock begins.


def own(api: Api) -> dict[str, str]:
    """Return what the authorizer passes on for the token of the worker as it is registered."""
    row = api.world.worker_store.get("host-1")
    return OWN if row is None else OWN | {"generation": row.generation}


def register(api: Api, hostname: str = "host-1", **body: Any) -> Answer:
    """Register a worker by an invitation of its own."""
    invitation = api("POST", "/v1/worker-registrations", {"hostname": hostname}, caller=ADMIN)
    return api(
        "POST",
        "/v1/workers",
        {"hostname": hostname, **body},
        caller=invited(api, invitation.body["token"]),
    )


def invited(api: Api, token: str) -> dict[str, str]:
    """Return the part of a token that the authorizer passes on."""
    access = api.app.worker_routes.bootstrap.workers.access()
    grant = access.grant_of(token, api.world.clock())
    return context_of(grant.scope, grant.claims, grant.fault)


def ids(answer: Answer) -> list[str]:
    return [item["worker_id"] for item in answer.body["items"]]


# -- registering ---------------------------------------------------------------------------------


def test_a_worker_registers_and_is_idle(api: Api) -> None:
    answer = register(api, address="http://10.0.0.7", routes=["mail.send"], build_limit=3)
    assert answer.status == 201
    assert answer.headers["Location"] == "/v1/workers/host-1"
    assert answer.body["worker"] == {
        "worker_id": "host-1",
        "hostname": "host-1",
        "address": "http://10.0.0.7",
        "routes": ["mail.send"],
        "active": True,
        "drained": False,
        "status": "idle",
        "error": None,
        "last_status_update_at": UNIX,
        "running_build_ids": [],
        "build_limit": 3,
        "last_build_started_at": None,
        "last_build_finished_at": None,
        "last_checked_in": UNIX,
        "last_seen_at": UNIX,
        "kind": "registered",
        "polls": {},
    }
    assert api("GET", "/v1/workers/host-1").body == answer.body["worker"]
    assert answer.body["expires_at"] == UNIX + 20 * 60
    assert answer.body["check_in_s"] == 30
    token = invited(api, answer.body["token"])
    assert (token["scope"], token["subject"]) == ("worker", "host-1")


def test_a_workers_limit_is_one_unless_it_names_another(api: Api) -> None:
    assert register(api).body["worker"]["build_limit"] == 1


def test_an_invitation_can_be_used_once(api: Api) -> None:
    invitation = api("POST", "/v1/worker-registrations", {"hostname": "host-1"}, caller=ADMIN)
    assert invitation.body["expires_at"] == UNIX + 60
    caller = invited(api, invitation.body["token"])
    assert caller["scope"] == "register"
    assert api("POST", "/v1/workers", {"hostname": "host-1"}, caller=caller).status == 201
    again = api("POST", "/v1/workers", {"hostname": "host-1"}, caller=caller)
    assert again.status == 401
    assert "has been used" in again.body["detail"]
    assert "WWW-Authenticate" in again.headers


def test_an_invitation_is_for_one_worker(api: Api) -> None:
    invitation = api("POST", "/v1/worker-registrations", {"hostname": "host-1"}, caller=ADMIN)
    caller = invited(api, invitation.body["token"])
    assert api("POST", "/v1/workers", {"hostname": "host-2"}, caller=caller).status == 403
    assert not api.has_written


def test_an_invitation_expires_after_a_minute(api: Api) -> None:
    invitation = api("POST", "/v1/worker-registrations", {"hostname": "host-1"}, caller=ADMIN)
    api.world.clock.advance(60)
    caller = invited(api, invitation.body["token"])
    answer = api("POST", "/v1/workers", {"hostname": "host-1"}, caller=caller)
    assert answer.status == 401
    assert "expired" in answer.body["detail"]
    assert not api.has_written


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "hostname"),
        ({"hostname": "a/b"}, "hostname"),
        ({"hostname": ""}, "hostname"),
        ({"hostname": "a", "build_limit": 0}, "build_limit"),
        ({"hostname": "a", "routes": [""]}, "routes[0]"),
        ({"hostname": "a", "status": "idle"}, "status"),
    ],
)
def test_a_bad_registration_is_refused(api: Api, body: Any, path: str) -> None:
    answer = api("POST", "/v1/workers", body, caller=ADMIN)
    assert answer.status == 422
    assert path in answer.faults


# -- tokens --------------------------------------------------------------------------------------

CHANGES: list[tuple[str, str, Any]] = [
    ("PUT", "/v1/workers/{}", {"build_limit": 2}),
    ("POST", "/v1/workers/{}/refresh", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES, ids=["put", "refresh"])
def test_a_worker_changes_its_own_record_only(api: Api, method: str, path: str, body: Any) -> None:
    register(api, "host-1")
    before = register(api, "host-2").body["worker"]
    api.world.clock.advance(5)
    assert api(method, path.format("host-1"), body, caller=own(api)).status == 200
    answer = api(method, path.format("host-2"), body, caller=OWN)
    assert answer.status == 403
    assert answer.body["next"]
    assert api("GET", "/v1/workers/host-2").body == before
    assert api(method, path.format("host-2"), body, caller=ADMIN).status == 200


def test_a_worker_gets_its_own_record_only(api: Api) -> None:
    register(api, "host-1")
    register(api, "host-2")
    assert api("GET", "/v1/workers/host-1", caller=OWN).status == 200
    assert api("GET", "/v1/workers/host-2", caller=OWN).status == 403


def test_a_revoked_token_gets_no_other_and_the_worker_may_register_again(api: Api) -> None:
    register(api)
    before = own(api)
    assert api("POST", "/v1/workers/host-1/revoke", caller=ADMIN).status == 200
    answer = api("POST", "/v1/workers/host-1/refresh", caller=before)
    assert (answer.status, "were revoked" in answer.body["detail"]) == (401, True)
    again = invited(api, register(api).body["token"])
    assert api("POST", "/v1/workers/host-1/refresh", caller=again).status == 200


def test_a_registration_that_comes_again_ends_no_token(api: Api) -> None:
    first = invited(api, register(api).body["token"])
    register(api)
    assert api("POST", "/v1/workers/host-1/refresh", caller=first).status == 200


def test_the_job_types_of_an_invitation_are_those_of_all_tokens_that_follow(api: Api) -> None:
    body = {"hostname": "host-1", "job_types": ["mail.send"]}
    invitation = api("POST", "/v1/worker-registrations", body, caller=ADMIN).body["token"]
    caller = invited(api, invitation)
    first = api("POST", "/v1/workers", {"hostname": "host-1"}, caller=caller).body["token"]
    again = api("POST", "/v1/workers/host-1/refresh", caller=invited(api, first)).body["token"]
    assert {invited(api, token)["job_types"] for token in (first, again)} == {'["mail.send"]'}


def test_the_names_of_an_invitations_types_fit_a_token(api: Api) -> None:
    names = ["ä" * 200] * 5
    body = {"hostname": "host-1", "job_types": names}
    assert api("POST", "/v1/worker-registrations", body, caller=ADMIN).status == 201
    names.append("a")
    refused = api("POST", "/v1/worker-registrations", body, caller=ADMIN)
    assert (refused.status, "2,000 bytes" in str(refused.body)) == (422, True)


@pytest.mark.parametrize("fault", ["EXPIRED_TOKEN", "INVALID_TOKEN"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/workers"),
        ("POST", "/v1/requests"),
        ("PUT", "/v1/job-types/a"),
        ("GET", "/openapi.json"),
        ("GET", "/nowhere"),
        ("DELETE", "/v1/workers/host-1"),
    ],
)
def test_an_invalid_token_is_refused_everywhere(
    api: Api, method: str, path: str, fault: str
) -> None:
    register(api)
    caller = {"scope": "", "error": fault}
    answer = api(method, path, {} if method in ("POST", "PUT") else None, caller=caller)
    assert answer.status == 401
    assert answer.body["next"]
    assert api("GET", "/v1/workers/host-1").status == 200


def test_a_check_in_renews_the_token(api: Api) -> None:
    first = register(api).body
    api.world.clock.advance(30)
    answer = api("POST", "/v1/workers/host-1/refresh", caller=own(api))
    assert answer.body["expires_at"] == first["expires_at"] + 30
    assert answer.body["token"] != first["token"]
    assert answer.body["worker"]["last_checked_in"] == UNIX + 30
    assert answer.body["worker"]["last_status_update_at"] == UNIX


def test_an_unknown_worker_must_register_again(api: Api) -> None:
    answer = api("POST", "/v1/workers/host-1/refresh", caller=own(api))
    assert answer.status == 404
    assert "register again" in answer.body["next"]
    register(api)
    api.world.clock.advance(7 * 86400)
    for method, path in (("POST", "/v1/workers/host-1/refresh"), ("GET", "/v1/workers/host-1")):
        assert api(method, path, caller=OWN).status == 404


# -- workers' reports ----------------------------------------------------------------------------

BUILDS = ["r1.1.0.1", "r1.1.1.1", "r1.1.2.1"]


@pytest.mark.parametrize(
    "say",
    [
        lambda api, body: api("PUT", "/v1/workers/host-1", body, caller=OWN).body,
        lambda api, body: api("POST", "/v1/workers/host-1/refresh", body, caller=own(api)).body[
            "worker"
        ],
    ],
    ids=["put", "refresh"],
)
def test_a_workers_status_follows_from_its_reports(
    api: Api, say: Callable[[Api, Any], Any]
) -> None:
    register(api, build_limit=2)
    steps: list[tuple[Any, str]] = [
        ({"running_build_ids": BUILDS[:1]}, "available"),
        ({"running_build_ids": BUILDS[:2]}, "busy"),
        ({"running_build_ids": BUILDS}, "error"),
        ({"build_limit": 4}, "available"),
        ({"status": "error", "error": "the GPU is gone"}, "error"),
        ({"running_build_ids": []}, "error"),
        ({"status": "idle"}, "idle"),
        ({"status": "busy"}, "idle"),
        ({"error": "broken"}, "error"),
        ({"status": "available"}, "idle"),
    ]
    for number, (body, status) in enumerate(steps, 1):
        api.world.clock.advance(1)
        before = api("GET", "/v1/workers/host-1").body
        record = say(api, body)
        assert record["status"] == status, body
        assert record == api("GET", "/v1/workers/host-1").body
        is_moved = (before["status"], before["running_build_ids"]) != (
            record["status"],
            record["running_build_ids"],
        )
        at = UNIX + number if is_moved else before["last_status_update_at"]
        assert record["last_status_update_at"] == at


def test_a_check_in_without_a_report_clears_no_error(api: Api) -> None:
    register(api)
    api("PUT", "/v1/workers/host-1", {"status": "error", "error": "the GPU is gone"}, caller=OWN)
    answer = api("POST", "/v1/workers/host-1/refresh", caller=own(api))
    assert answer.body["worker"]["error"] == "the GPU is gone"


def test_an_error_without_a_text_gets_one(api: Api) -> None:
    register(api)
    answer = api("PUT", "/v1/workers/host-1", {"status": "error"}, caller=OWN)
    assert answer.body["error"]


def test_builds_start_and_finish_when_the_worker_reports_it(api: Api) -> None:
    register(api)
    api.world.clock.advance(1)
    body = {"running_build_ids": BUILDS[:1]}
    record = api("PUT", "/v1/workers/host-1", body, caller=OWN).body
    assert (record["last_build_started_at"], record["last_build_finished_at"]) == (UNIX + 1, None)
    api.world.clock.advance(1)
    record = api("PUT", "/v1/workers/host-1", {"running_build_ids": []}, caller=OWN).body
    assert record["last_build_finished_at"] == record["last_status_update_at"] == UNIX + 2


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"running_build_ids": ["no attempt"]}, "running_build_ids[0]"),
        ({"running_build_ids": ["r1.1.0.1.x"]}, "running_build_ids[0]"),
        ({"status": "offline"}, "status"),
        ({"last_checked_in": 1}, "last_checked_in"),
        ({"build_limit": True}, "build_limit"),
    ],
)
def test_a_bad_report_is_refused(api: Api, body: Any, path: str) -> None:
    before = register(api).body["worker"]
    answer = api("PUT", "/v1/workers/host-1", body, caller=OWN)
    assert answer.status == 422
    assert path in answer.faults
    assert api("GET", "/v1/workers/host-1").body == before


def test_only_a_workers_own_calls_are_a_sign_of_life(api: Api) -> None:
    register(api)
    api.world.clock.advance(91)
    record = api("PUT", "/v1/workers/host-1", {"build_limit": 2}, caller=ADMIN).body
    assert (record["status"], record["build_limit"]) == ("offline", 2)
    record = api("PUT", "/v1/workers/host-1", {"build_limit": 3}, caller=OWN).body
    assert (record["status"], record["build_limit"]) == ("idle", 3)


# -- draining ------------------------------------------------------------------------------------


def standing(api: Api) -> Standing:
    return api.world.workers.polling("host-1", {"mail.send": 1}, api.world.clock())


def test_a_worker_that_leaves_is_given_nothing_until_it_registers_again(api: Api) -> None:
    register(api)
    record = api("PUT", "/v1/workers/host-1", {"active": False}, caller=OWN).body
    assert (record["active"], record["drained"]) == (False, False)
    assert standing(api) is Standing.DRAINED
    assert register(api).body["worker"]["active"] is True


def test_a_drained_worker_stays_drained_until_people_resume_it(api: Api) -> None:
    register(api)
    record = api("POST", "/v1/workers/host-1/drain").body
    assert (record["active"], record["drained"]) == (False, True)
    assert standing(api) is Standing.DRAINED
    api("PUT", "/v1/workers/host-1", {"active": True}, caller=OWN)
    assert register(api).body["worker"]["active"] is False
    assert api("POST", "/v1/workers/host-1/resume").body["active"] is True
    assert standing(api) is Standing.MAY_WORK
    for active in (False, True):
        record = api("PUT", "/v1/workers/host-1", {"active": active}, caller=ADMIN).body
        assert (record["active"], record["drained"]) == (active, not active)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/workers/host-1"),
        ("PUT", "/v1/workers/host-1"),
        ("DELETE", "/v1/workers/host-1"),
        ("POST", "/v1/workers/host-1/drain"),
        ("POST", "/v1/workers/host-1/resume"),
        ("GET", "/v1/workers/host-1/explain"),
    ],
)
def test_an_unknown_worker_is_not_found(api: Api, method: str, path: str) -> None:
    answer = api(method, path, {} if method == "PUT" else None)
    assert answer.status == 404
    assert not api.has_written


def test_a_worker_can_be_deleted_unless_it_is_at_work(api: Api) -> None:
    register(api)
    api("PUT", "/v1/workers/host-1", {"running_build_ids": BUILDS[:1]}, caller=OWN)
    answer = api("DELETE", "/v1/workers/host-1")
    assert answer.status == 409
    assert "drain" in answer.body["next"]
    api("PUT", "/v1/workers/host-1", {"running_build_ids": []}, caller=OWN)
    assert api("DELETE", "/v1/workers/host-1").status == 204
    assert api("GET", "/v1/workers/host-1").status == 404


def test_an_offline_worker_can_be_deleted_with_its_builds(api: Api) -> None:
    register(api)
    api("PUT", "/v1/workers/host-1", {"running_build_ids": BUILDS[:1]}, caller=OWN)
    api.world.clock.advance(91)
    assert api("DELETE", "/v1/workers/host-1").status == 204


# -- listing -------------------------------------------------------------------------------------


def test_workers_are_listed_by_id_page_by_page(api: Api) -> None:
    for number in (3, 1, 2):
        register(api, f"host-{number}")
    first = api("GET", "/v1/workers", query="limit=2")
    assert ids(first) == ["host-1", "host-2"]
    token = first.body["next_token"]
    second = api("GET", "/v1/workers", query=f"limit=2&next_token={token}")
    assert (ids(second), second.body["next_token"]) == (["host-3"], None)


def test_the_list_is_filtered(api: Api) -> None:
    world = api.world
    register(api, "a-idle")
    world.workers.polling("derived", {"mail.send": 1}, world.clock())
    world.clock.advance(60)
    register(api, "b-busy")
    world.workers.changed("b-busy", BUILDS[:1], [], world.clock())
    world.clock.advance(31)
    register(api, "c-drained")
    api("POST", "/v1/workers/c-drained/drain")
    expected = {
        "": ["a-idle", "b-busy", "c-drained", "derived"],
        "active=true": ["a-idle", "b-busy", "derived"],
        "active=false": ["c-drained"],
        "status=offline": ["a-idle", "derived"],
        "status=idle": ["c-drained"],
        "status=busy": ["b-busy"],
        "status=error": [],
        f"checked_in_before={UNIX + 60}": ["a-idle"],
        f"checked_in_before={UNIX + 61}": ["a-idle", "b-busy"],
        f"checked_in_after={UNIX + 60}": ["c-drained"],
        f"checked_in_after={UNIX + 59}": ["b-busy", "c-drained"],
        f"checked_in_after={UNIX}&checked_in_before={UNIX + 91}": ["b-busy"],
        "status=idle&active=true": [],
    }
    assert {query: ids(api("GET", "/v1/workers", query=query)) for query in expected} == expected


@pytest.mark.parametrize(
    "query", ["active=maybe", "status=asleep", "checked_in_before=now", "limit=0", "next_token=/"]
)
def test_a_bad_filter_is_refused(api: Api, query: str) -> None:
    assert api("GET", "/v1/workers", query=query).status == 422
