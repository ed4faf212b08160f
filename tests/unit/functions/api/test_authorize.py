"""The routes' scopes, the tokens' scopes, and the authorizer that compares them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from shiftwork_core.caller import Caller, caller_of, context_of
from shiftwork_core.domain.workers.tokens import MAX_JOB_TYPES_BYTES, Claims, TokenFault
from shiftwork_core.errors import Forbidden, Unauthorized, Unavailable
from shiftwork_core.routes import (
    ROUTES,
    TASK_ROUTES,
    Scope,
    allowed_methods,
    grants,
    match,
    path_of,
)
from shiftwork_core.services.workers.access import (
    GENERATION_AGE_S,
    MAX_AGE_S,
    MIN_AGE_S,
    Access,
    Grant,
)
from tests.unit.functions.api.conftest import CONTEXT, http_event, short

TOKENS = {
    "admin": "a-token",
    "read": "r-token",
    "submit": "s-token",
    "operate": "o-token",
    "worker": "w-token",
}

#: Every scope against one route of each kind.
GRANTED = {
    ("GET", "/heartbeat"): {*Scope, None},
    ("GET", "/openapi.json"): {Scope.ADMIN, Scope.READ},
    ("PUT", "/v1/job-types/a"): {Scope.ADMIN},
    ("DELETE", "/v1/request-types/a"): {Scope.ADMIN},
    ("GET", "/v1/request-types/a"): {Scope.ADMIN, Scope.READ},
    ("POST", "/v1/requests"): {Scope.ADMIN, Scope.SUBMIT},
    ("GET", "/v1/requests"): {Scope.ADMIN, Scope.READ},
    ("HEAD", "/v1/requests/1"): {Scope.ADMIN, Scope.READ},
    ("POST", "/v1/requests/1/cancel"): {Scope.ADMIN, Scope.OPERATE},
    ("POST", "/v1/requests/1/retry"): {Scope.ADMIN, Scope.OPERATE},
    ("GET", "/v1/jobs/1.1.0.1/logs"): {Scope.ADMIN, Scope.READ},
    ("GET", "/v1/secrets"): {Scope.ADMIN},
    ("OPTIONS", "/v1/requests"): {Scope.ADMIN},
    ("POST", "/heartbeat"): {Scope.ADMIN},
    ("POST", "/v1/worker-registrations"): {Scope.ADMIN, Scope.INVITE},
    ("POST", "/v1/workers"): {Scope.ADMIN, Scope.REGISTER},
    ("POST", "/v1/workers/a/revoke"): {Scope.ADMIN, Scope.OPERATE},
    ("POST", "/v1/tasks/exchange"): {Scope.ADMIN, Scope.WORKER},
    ("GET", "/api/tasks/poll/batch/a"): {Scope.ADMIN, Scope.WORKER},
    ("POST", "/api/tasks"): {Scope.ADMIN, Scope.WORKER, Scope.OPERATE},
    ("POST", "/api/tasks/1/invite[0]/COMPLETED"): {Scope.ADMIN, Scope.WORKER, Scope.OPERATE},
    ("GET", "/api/tasks/1.1.0.1"): {Scope.ADMIN, Scope.READ, Scope.WORKER},
    ("PUT", "/api/metadata/taskdefs"): {Scope.ADMIN},
    ("POST", "/api/workflow/a"): {Scope.ADMIN, Scope.SUBMIT},
    ("DELETE", "/api/workflow/1"): {Scope.ADMIN, Scope.OPERATE},
    ("PUT", "/api/workflow/1/pause"): {*Scope},
    ("GET", "/api/secrets"): {Scope.ADMIN},
}


@pytest.mark.parametrize(("call", "scopes"), GRANTED.items(), ids=short)
def test_a_call_is_allowed_to_the_scopes_of_its_route_only(
    call: tuple[str, str], scopes: set[Scope | None]
) -> None:
    granted = {scope for scope in (*Scope, None) if grants(scope, match(*call))}
    assert granted == scopes


def test_only_the_heartbeat_and_the_route_of_tokens_are_open() -> None:
    assert [r.path for r in ROUTES if r.scope is None] == ["/heartbeat"]
    assert [r.path for r in TASK_ROUTES if r.scope is None] == ["/api/token"]


@pytest.mark.parametrize(
    "path",
    ["/v1/requests/", "/v1/requests/a/b", "/v1/requests//jobs", "//heartbeat", "/heartbeat\n", ""],
)
def test_a_path_that_only_resembles_a_route_has_none(path: str) -> None:
    assert match("GET", path) is None


def test_a_path_knows_its_methods() -> None:
    assert allowed_methods("/v1/requests") == ["POST", "GET", "HEAD"]
    assert allowed_methods("/v1/requests/1/cancel") == ["POST"]
    assert allowed_methods("/nowhere") == []


def test_a_path_of_another_function_knows_its_methods_too() -> None:
    assert allowed_methods("/v1/tasks/exchange") == ["POST"]
    assert allowed_methods("/api/tasks/1.1.0.1") == ["GET"]


def test_a_fixed_word_is_no_name_whose_methods_its_path_has() -> None:
    assert allowed_methods("/api/workflow/search") == ["GET"]
    assert allowed_methods("/api/tasks/update-v2") == ["POST"]
    assert allowed_methods("/api/workflow/running") == []


def test_the_stage_is_not_part_of_the_path() -> None:
    event = http_event("GET", "/dev/heartbeat")
    event["requestContext"]["stage"] = "dev"
    assert path_of(event) == ("GET", "/heartbeat")
    event["rawPath"] = "/heartbeat"
    assert path_of(event) == ("GET", "/heartbeat")


class Secret:
    """A secret, workers' generations, how often each was read, and a clock."""

    def __init__(self) -> None:
        self.text = json.dumps(TOKENS)
        self.generations = {"host-1": "g1"}
        self.reads = 0
        self.generation_reads = 0
        self.now = 1000.0
        self.is_down = False

    def __call__(self) -> str:
        self.reads += 1
        if self.is_down:
            raise Unavailable("no answer")
        return self.text

    def generation_of(self, worker_id: str) -> str | None:
        self.generation_reads += 1
        if self.is_down:
            raise Unavailable("no answer")
        return self.generations.get(worker_id)

    def access(self) -> Access:
        return Access(self, self.generation_of, lambda: self.now)


@pytest.mark.parametrize(("name", "token"), TOKENS.items())
def test_a_token_has_its_scope(name: str, token: str) -> None:
    scope = Scope.INVITE if name == "worker" else Scope(name)
    assert Secret().access().scope_of(token) is scope


@pytest.mark.parametrize("token", ["", "wrong", "a-toke", "a-token ", "ä", "\udc80", "x" * 10_000])
def test_an_unknown_token_has_no_scope(token: str) -> None:
    assert Secret().access().scope_of(token) is None


def test_the_secret_is_read_once_a_minute() -> None:
    secret = Secret()
    access = secret.access()
    for _ in range(100):
        access.scope_of("a-token")
    assert secret.reads == 1


def test_a_rotated_token_works_soon_and_the_old_one_no_longer() -> None:
    secret = Secret()
    access = secret.access()
    access.scope_of("a-token")
    secret.text = '{"admin": "new"}'
    secret.now += MIN_AGE_S
    assert access.scope_of("new") is Scope.ADMIN
    assert access.scope_of("a-token") is None


def test_a_withdrawn_token_is_refused_after_a_minute_at_most() -> None:
    secret = Secret()
    access = secret.access()
    access.scope_of("a-token")
    secret.text = "{}"
    secret.now += MAX_AGE_S
    assert access.scope_of("a-token") is None


def test_a_flood_of_wrong_tokens_reads_the_secret_once_in_a_few_seconds() -> None:
    secret = Secret()
    access = secret.access()
    for number in range(1000):
        secret.now += 0.01
        access.scope_of(f"wrong {number}")
    assert secret.reads <= 1 + 10 / MIN_AGE_S


def test_known_tokens_stay_valid_while_the_secret_cannot_be_read() -> None:
    secret = Secret()
    access = secret.access()
    access.scope_of("a-token")
    secret.is_down = True
    secret.now += MAX_AGE_S
    assert access.scope_of("a-token") is Scope.ADMIN
    secret.now += MIN_AGE_S
    assert access.scope_of("wrong") is None


def test_no_token_is_accepted_or_refused_before_the_secret_was_read() -> None:
    secret = Secret()
    secret.is_down = True
    with pytest.raises(Unavailable):
        secret.access().scope_of("a-token")


@pytest.mark.parametrize(
    "text", ["", "no JSON", "[]", '"a-token"', "null", '{"admin": ""}', '{"admin": null}', "{}"]
)
def test_a_secret_without_tokens_allows_nobody(text: str) -> None:
    secret = Secret()
    secret.text = text
    assert secret.access().scope_of("") is None
    assert secret.access().scope_of("a-token") is None


def test_an_unknown_scope_in_the_secret_is_left_out() -> None:
    secret = Secret()
    secret.text = '{"root": "x", "read": "y"}'
    assert secret.access().scope_of("x") is None
    assert secret.access().scope_of("y") is Scope.READ


@pytest.fixture
def authorize(import_app: Callable[[str], ModuleType]) -> Iterator[Callable[..., Any]]:
    """Return the authorizer over a secret with a token of each scope."""
    app = import_app("authorize")
    access = Secret().access()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.bootstrap.workers, "access", lambda: access)
        yield lambda *call, **options: app.handler(http_event(*call, **options), CONTEXT)


@pytest.mark.parametrize(
    ("headers", "scope"),
    [
        ({"authorization": "Bearer a-token"}, "admin"),
        ({"Authorization": "bearer a-token"}, "admin"),
        ({"x-authorization": "r-token"}, "read"),
        ({"authorization": "Basic YTpi", "x-authorization": "r-token"}, "read"),
        ({"authorization": "Bearer wrong", "x-authorization": "a-token"}, ""),
        ({"authorization": "a-token"}, ""),
        ({"authorization": "Bearer"}, ""),
        ({}, ""),
    ],
)
def test_the_token_may_be_in_either_header(
    authorize: Callable[..., Any], headers: dict[str, str], scope: str
) -> None:
    answer = authorize("GET", "/v1/requests", headers=headers)
    assert answer == {"isAuthorized": bool(scope), "context": {"scope": scope}}


def test_the_scope_must_be_the_routes(authorize: Callable[..., Any]) -> None:
    headers = {"authorization": "Bearer r-token"}
    answer = authorize("POST", "/v1/requests", headers=headers)
    assert answer == {"isAuthorized": False, "context": {"scope": "read"}}


def test_the_heartbeat_needs_no_token(authorize: Callable[..., Any]) -> None:
    assert authorize("GET", "/heartbeat")["isAuthorized"]


def test_no_token_is_logged(
    authorize: Callable[..., Any], caplog: pytest.LogCaptureFixture, capsys: Any
) -> None:
    with caplog.at_level(logging.DEBUG):
        authorize("GET", "/v1/requests", headers={"authorization": "Bearer a-token"})
    assert "a-token" not in caplog.text + capsys.readouterr().out


# -- signed tokens -------------------------------------------------------------------------------

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
CLAIMS = Claims("worker", "host-1", NOON + timedelta(minutes=20), "7d9f", "g1")


def test_a_signed_token_has_its_scope_and_its_worker() -> None:
    access = Secret().access()
    assert access.grant_of(access.issue(CLAIMS), NOON) == Grant(Scope.WORKER, CLAIMS)
    assert access.grant_of("r-token", NOON) == Grant(Scope.READ)
    assert access.grant_of("wrong", NOON) == Grant(None)


def test_a_signed_token_expires() -> None:
    access = Secret().access()
    grant = access.grant_of(access.issue(CLAIMS), CLAIMS.expires_at)
    assert grant == Grant(None, fault=TokenFault.EXPIRED)


def test_one_process_signs_and_another_reads() -> None:
    secret = Secret()
    assert secret.access().grant_of(secret.access().issue(CLAIMS), NOON).scope is Scope.WORKER


def test_a_new_admin_token_ends_all_signed_tokens_and_those_signed_since_work_at_once() -> None:
    secret = Secret()
    old, new = secret.access(), secret.access()
    token = old.issue(CLAIMS)
    secret.text = '{"admin": "new"}'
    later = new.issue(CLAIMS)
    secret.now += MIN_AGE_S
    assert old.grant_of(later, NOON).scope is Scope.WORKER
    assert old.grant_of(token, NOON) == Grant(None, fault=TokenFault.INVALID)


def test_a_flood_of_forged_tokens_reads_the_secret_once_in_a_few_seconds() -> None:
    secret = Secret()
    access = secret.access()
    for number in range(1000):
        secret.now += 0.01
        assert access.grant_of(f"sw1.{number}.x", NOON).fault is TokenFault.INVALID
    assert secret.reads <= 1 + 10 / MIN_AGE_S


def test_without_an_admin_token_nothing_is_signed() -> None:
    secret = Secret()
    access = secret.access()
    token = access.issue(CLAIMS)
    secret.text = '{"read": "r-token"}'
    secret.now += MAX_AGE_S
    with pytest.raises(Unavailable):
        access.issue(CLAIMS)
    assert access.grant_of(token, NOON).fault is TokenFault.INVALID


def test_the_secret_holds_no_token_that_registers_any_worker_at_any_time() -> None:
    secret = Secret()
    secret.text = '{"register": "x"}'
    assert secret.access().scope_of("x") is None


def test_a_token_has_all_that_was_signed() -> None:
    access = Secret().access()
    claims = replace(CLAIMS, job_types=("gpu.render", "ä"), source=access.source_of("s-token"))
    grant = access.grant_of(access.issue(claims), NOON)
    assert grant == Grant(Scope.WORKER, claims)
    event = http_event("GET", "/v1/workers")
    event["requestContext"]["authorizer"] = {"lambda": context_of(grant.scope, claims, None)}
    assert caller_of(event) == Caller(
        Scope.WORKER, "host-1", "7d9f", "g1", ("gpu.render", "ä"), is_group=False
    )


def test_the_longest_token_that_can_be_issued_is_read() -> None:
    access = Secret().access()
    types = tuple(chr(0x10000 + n) * (MAX_JOB_TYPES_BYTES // 200) for n in range(50))
    claims = replace(CLAIMS, subject="w" * 200, generation="g" * 36, job_types=types)
    claims = replace(claims, is_group=True)
    assert access.grant_of(access.issue(claims), NOON).claims == claims


@pytest.mark.parametrize("is_now", [{}, {"host-1": "g2"}], ids=["deleted", "revoked"])
def test_a_workers_token_ends_half_a_minute_after_its_record_or_its_generation(
    is_now: dict[str, str],
) -> None:
    secret = Secret()
    access = secret.access()
    token = access.issue(CLAIMS)
    assert access.grant_of(token, NOON).scope is Scope.WORKER
    secret.generations = is_now
    secret.now += GENERATION_AGE_S - 1
    assert access.grant_of(token, NOON).scope is Scope.WORKER
    secret.now += 1
    assert access.grant_of(token, NOON) == Grant(None, fault=TokenFault.INVALID)


def test_a_worker_that_registers_again_is_let_in_at_once() -> None:
    secret = Secret()
    access = secret.access()
    access.grant_of(access.issue(CLAIMS), NOON)
    secret.generations = {"host-1": "g2"}
    again = replace(CLAIMS, generation="g2")
    assert access.grant_of(access.issue(again), NOON).scope is Scope.WORKER


def test_a_workers_generation_is_read_twice_a_minute_however_often_it_calls() -> None:
    secret = Secret()
    access = secret.access()
    token = access.issue(CLAIMS)
    for _ in range(120):
        access.grant_of(token, NOON)
        secret.now += 0.5
    assert secret.generation_reads == 2


def test_while_a_workers_record_cannot_be_read_its_token_is_good_for_a_minute() -> None:
    secret = Secret()
    access = secret.access()
    token = access.issue(CLAIMS)
    access.grant_of(token, NOON)
    secret.is_down = True
    secret.now += MAX_AGE_S - 1
    assert access.grant_of(token, NOON).scope is Scope.WORKER
    secret.now += 1
    with pytest.raises(Unavailable):
        access.grant_of(token, NOON)


def test_a_process_forgets_the_generations_of_workers_that_have_not_called_for_longest() -> None:
    secret = Secret()
    access = secret.access()
    names = [f"host-{n}" for n in range(5001)]
    secret.generations = dict.fromkeys(names, "g1")
    for name in names:
        access.grant_of(access.issue(replace(CLAIMS, subject=name)), NOON)
    access.grant_of(access.issue(replace(CLAIMS, subject=names[-1])), NOON)
    assert secret.generation_reads == 5001
    access.grant_of(access.issue(replace(CLAIMS, subject=names[0])), NOON)
    assert secret.generation_reads == 5002


def test_an_exchanged_token_ends_with_the_one_that_it_was_exchanged_for() -> None:
    secret = Secret()
    access = secret.access()
    read = replace(CLAIMS, scope="read", subject="", source=access.source_of("r-token"))
    others = replace(read, scope="submit", source=access.source_of("s-token"))
    tokens = access.issue(read), access.issue(others)
    secret.text = json.dumps(TOKENS | {"read": "another"})
    secret.now += MAX_AGE_S - 1
    assert [access.grant_of(t, NOON).scope for t in tokens] == ["read", "submit"]
    secret.now += 1
    assert [access.grant_of(t, NOON).scope for t in tokens] == [None, "submit"]


def test_a_token_does_not_show_what_it_was_exchanged_for() -> None:
    access = Secret().access()
    assert access.source_of("r-token") != access.source_of("r-toke")
    assert "r-token" not in access.source_of("r-token")


@pytest.mark.parametrize(
    "call", [("POST", "/v1/tasks/exchange"), ("GET", "/api/tasks/poll/a"), ("PUT", "/v1/workers/a")]
)
def test_the_secrets_worker_token_acts_as_no_worker_and_is_told_what_to_do(
    authorize: Callable[..., Any], call: tuple[str, str]
) -> None:
    headers = {"authorization": "Bearer w-token"}
    assert authorize("POST", "/v1/worker-registrations", headers=headers)["isAuthorized"]
    assert not authorize("GET", "/v1/requests", headers=headers)["isAuthorized"]
    answer = authorize(*call, headers=headers)
    assert answer["isAuthorized"]
    event = http_event(*call)
    event["requestContext"]["authorizer"] = {"lambda": answer["context"]}
    with pytest.raises(Forbidden, match="invites workers") as refused:
        caller_of(event)
    assert "POST /api/token" in refused.value.next_step


def test_the_authorizer_passes_a_signed_tokens_claims_on(
    import_app: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, access = import_app("authorize"), Secret().access()
    monkeypatch.setattr(app.bootstrap.workers, "access", lambda: access)
    monkeypatch.setattr(app.bootstrap.world, "now", lambda: NOON)

    def authorize(token: str, *call: str) -> Any:
        return app.handler(http_event(*call, headers={"X-Authorization": token}), CONTEXT)

    poll = ("GET", "/api/tasks/poll/gpu.render")
    token = access.issue(CLAIMS)
    assert authorize(token, *poll) == {
        "isAuthorized": True,
        "context": {
            "scope": "worker",
            "subject": "host-1",
            "token_id": "7d9f",
            "generation": "g1",
        },
    }
    assert not authorize(token, "POST", "/v1/requests")["isAuthorized"]
    old = access.issue(replace(CLAIMS, expires_at=NOON))
    for bad, fault in ((old, "EXPIRED_TOKEN"), (token + "x", "INVALID_TOKEN")):
        for call in (poll, ("POST", "/v1/requests"), ("GET", "/nowhere")):
            answer = authorize(bad, *call)
            assert answer == {"isAuthorized": True, "context": {"scope": "", "error": fault}}
            event = http_event(*call)
            event["requestContext"]["authorizer"] = {"lambda": answer["context"]}
            with pytest.raises(Unauthorized) as refused:
                caller_of(event)
            assert refused.value.code == fault


def test_the_functions_learn_who_calls() -> None:
    event = http_event("GET", "/v1/workers")
    assert caller_of(event) == Caller()
    event["requestContext"]["authorizer"] = {"lambda": {"scope": "admin"}}
    caller = caller_of(event)
    assert caller == Caller(Scope.ADMIN)
    caller.require("any worker")
    own = Caller(Scope.WORKER, "host-1")
    own.require("host-1")
    with pytest.raises(Forbidden):
        own.require("host-2")
