"""AWS's errors: whether a retry helps, and what to do if not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)

from shiftwork_core.adapters.drivers.groups import Unanswered
from shiftwork_core.adapters.drivers.refusing import refusals_of
from shiftwork_core.ports.workspaces import DriverError


def client_error(code: str, status: int = 400) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": "so it is"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "StopInstances")


def refused(error: Exception) -> DriverError:
    with (
        pytest.raises(DriverError) as raised,
        refusals_of("ec2", "stop instances i-1", {"Gone": "correct the ids"}),
    ):
        raise error
    return raised.value


TAG_OR_ALLOW = (
    "tag it `shiftwork: <Stage>`, or allow ec2:StopInstances in the role of SwitchWorkspaces"
)


@pytest.mark.parametrize(
    ("code", "next_step"),
    [
        ("Gone", "correct the ids"),
        ("UnauthorizedOperation", TAG_OR_ALLOW),
        ("AccessDenied", TAG_OR_ALLOW),
        ("InvalidParameterCombination", "correct the workspace's driver"),
    ],
)
def test_an_error_that_no_retry_cures_is_final_and_names_the_next_step(
    code: str, next_step: str
) -> None:
    error = refused(client_error(code))
    assert error.is_final
    assert str(error) == f"cannot stop instances i-1: so it is ({code}); {next_step}"


@pytest.mark.parametrize("code", ["IncorrectInstanceState", "NeverHeardOf"])
def test_a_passing_state_and_an_unknown_error_are_retried(code: str) -> None:
    error = refused(client_error(code))
    assert not error.is_final and not isinstance(error, Unanswered)
    assert str(error) == f"cannot stop instances i-1: so it is ({code}); tried again later"


@pytest.mark.parametrize(
    "make",
    [
        lambda: client_error("RequestLimitExceeded", 503),
        lambda: client_error("Throttling"),
        lambda: client_error("InternalError", 500),
        lambda: ReadTimeoutError(endpoint_url="https://ec2"),
        lambda: EndpointConnectionError(endpoint_url="https://ec2"),
        NoCredentialsError,
    ],
)
def test_throttling_and_silence_are_retried(make: Callable[[], Exception]) -> None:
    error = refused(make())
    assert isinstance(error, Unanswered) and not error.is_final
    assert str(error).startswith("cannot stop instances i-1 now: ")


def test_parameters_that_botocore_refuses_are_a_fault_of_the_definition() -> None:
    assert refused(ParamValidationError(report="instance_ids: [7]")).is_final


def test_bugs_escape() -> None:
    with pytest.raises(ZeroDivisionError), refusals_of("ec2", "stop instances i-1", {}):
        raise ZeroDivisionError
