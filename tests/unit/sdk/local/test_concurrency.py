"""What an account's quota of concurrent executions means, said before a deployment."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from botocore.stub import Stubber

from shiftwork.local import LocalStackError, concurrency
from shiftwork.local.concurrency import RESERVATIONS, check_concurrency
from shiftwork_core.domain.requests.planning import MAX_INLINE_BATCHES
from tests.template import ROOT, load_template, resources


class Quota:
    """An account's quota, and what is said of it."""

    def __init__(self) -> None:
        self.client = boto3.client(
            "lambda", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        self.stub = Stubber(self.client)
        self.told: list[str] = []

    def is_quota(self, total: int, unreserved: int | None = None) -> None:
        limits = {
            "ConcurrentExecutions": total,
            "UnreservedConcurrentExecutions": total if unreserved is None else unreserved,
        }
        self.stub.add_response("get_account_settings", {"AccountLimit": limits})

    def has_reserved(self, count: int | None, function: str = "run-jobs") -> None:
        """Answer with the reservations; None means that the stack does not exist yet."""
        for name in RESERVATIONS.values():
            asked = {"FunctionName": f"shiftwork-dev-{name}"}
            if count is None:
                self.stub.add_client_error(
                    "get_function_concurrency", "ResourceNotFoundException", expected_params=asked
                )
            else:
                has = count and name == function
                answer = {"ReservedConcurrentExecutions": count} if has else {}
                self.stub.add_response("get_function_concurrency", answer, asked)

    def check(self, wanted: int = 0, **others: int) -> str:
        reservations = dict.fromkeys(RESERVATIONS, 0) | {"RunJobsConcurrency": wanted} | others
        check_concurrency(self.client, "shiftwork-dev", reservations, self.told.append)
        return "\n".join(self.told)


@pytest.fixture
def quota() -> Iterator[Quota]:
    found = Quota()
    with found.stub:
        yield found
        found.stub.assert_no_pending_responses()


@pytest.mark.parametrize("total", [101, 1000])
def test_nothing_is_said_of_a_larger_quota(quota: Quota, total: int) -> None:
    quota.is_quota(total)
    assert quota.check() == ""


def test_a_new_accounts_quota_is_explained_for_jobs_and_for_workers(quota: Quota) -> None:
    quota.is_quota(10)
    told = quota.check()
    assert "in eu-west-1 together run at most 10 times at once" in told
    assert "up to 40 batches of jobs side by side; here at most 10" in told
    assert "an idle one holds one all the time, 20 s a poll. 10 of them leave none" in told
    assert "request-service-quota-increase" in told


@pytest.mark.parametrize("wanted", [1, 10, 100])
def test_an_account_with_a_small_quota_can_reserve_nothing(quota: Quota, wanted: int) -> None:
    quota.is_quota(100)
    quota.has_reserved(None)
    with pytest.raises(LocalStackError, match=f"RunJobsConcurrency={wanted} would leave") as told:
        quota.check(wanted)
    assert told.value.next_step.startswith("set RunJobsConcurrency=0,")


@pytest.mark.parametrize(
    ("unreserved", "reserved", "wanted", "is_refused"),
    [
        pytest.param(1000, None, 900, False, id="all that may be"),
        pytest.param(1000, None, 901, True, id="one more"),
        pytest.param(100, 900, 900, False, id="what it has already"),
        pytest.param(100, 900, 200, False, id="less than it has"),
        pytest.param(600, 0, 600, True, id="other functions have reserved the rest"),
    ],
)
def test_lambda_keeps_a_hundred_executions_unreserved(
    quota: Quota, unreserved: int, reserved: int | None, wanted: int, is_refused: bool
) -> None:
    quota.is_quota(1000, unreserved)
    quota.has_reserved(reserved)
    if not is_refused:
        assert quota.check(wanted) == ""
        return
    with pytest.raises(LocalStackError, match="Lambda keeps 100") as told:
        quota.check(wanted)
    most = unreserved + (reserved or 0) - 100
    assert f"RunJobsConcurrency={most}," in told.value.next_step


@pytest.mark.parametrize(("api", "is_refused"), [(100, False), (101, True)])
def test_the_reservations_of_all_functions_count_together(
    quota: Quota, api: int, is_refused: bool
) -> None:
    quota.is_quota(1000, 950)
    quota.has_reserved(50, "serve-tasks")
    if not is_refused:
        assert quota.check(700, ServeTasksConcurrency=100, ApiConcurrency=api) == ""
        return
    with pytest.raises(LocalStackError) as told:
        quota.check(700, ServeTasksConcurrency=100, ApiConcurrency=api)
    assert "RunJobsConcurrency=700 ApiConcurrency=101 ServeTasksConcurrency=100 would leave 99" in (
        told.value.message
    )
    assert told.value.next_step.startswith("reserve 900 in all,")


def test_who_may_not_read_the_quota_may_deploy_all_the_same(quota: Quota) -> None:
    quota.stub.add_client_error("get_account_settings", "AccessDeniedException", "not allowed")
    assert "is not known" in quota.check()


def test_a_reservation_is_not_made_blindly(quota: Quota) -> None:
    quota.stub.add_client_error("get_account_settings", "AccessDeniedException", "not allowed")
    with pytest.raises(LocalStackError, match="not allowed"):
        quota.check(5)


def test_the_figures_are_those_of_the_state_machine_and_of_the_poll() -> None:
    assert concurrency._BATCHES == MAX_INLINE_BATCHES
    poll = (ROOT / "functions/serve_tasks/exchange_route.py").read_text()
    assert f"\nMAX_WAIT_S = {concurrency._POLL_S}\n" in poll


def test_no_function_reserves_executions_unless_a_deployment_says_so() -> None:
    reserving = {
        name: entry["Properties"]["ReservedConcurrentExecutions"]
        for name, entry in resources("AWS::Serverless::Function").items()
        if "ReservedConcurrentExecutions" in entry["Properties"]
    }
    assert reserving == {
        f"{parameter.removesuffix('Concurrency')}Function": {
            "Fn::If": [f"Has{parameter}", {"Ref": parameter}, {"Ref": "AWS::NoValue"}]
        }
        for parameter in RESERVATIONS
    }
    names = {
        f"{parameter.removesuffix('Concurrency')}Function": name
        for parameter, name in RESERVATIONS.items()
    }
    for function, name in names.items():
        told = resources("AWS::Serverless::Function")[function]["Properties"]["FunctionName"]
        assert told == {"Fn::Sub": f"${{AWS::StackName}}-{name}"}
    template = load_template()
    for parameter in RESERVATIONS:
        assert template["Parameters"][parameter]["Default"] == 0
        assert template["Conditions"][f"Has{parameter}"] == {
            "Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, 0]}]
        }
