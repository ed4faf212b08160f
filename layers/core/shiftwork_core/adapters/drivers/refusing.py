"""Turn AWS's errors into DriverErrors that say what was refused and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from shiftwork_core.adapters.aws.calls import translated_errors
from shiftwork_core.adapters.drivers.groups import Unanswered
from shiftwork_core.errors import Transient
from shiftwork_core.ports.workspaces import DriverError

#: Error codes that say that the role lacks a permission.
_FORBIDDEN = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
}
#: Error codes that say that a call, and so the definition, is malformed.
_MALFORMED = {
    "InvalidParameter",
    "InvalidParameterCombination",
    "InvalidParameterException",
    "InvalidParameterValue",
    "MissingParameter",
    "ValidationError",
    "ValidationException",
}


@contextmanager
def refusals_of(service: str, doing: str, final: Mapping[str, str]) -> Iterator[None]:
    """Turn every error of a call into a DriverError.

    An unknown code counts as passing: only known errors are final.

    Parameters
    ----------
    service:
        Its prefix in IAM's actions.
    doing:
        The attempted act, for the message: "stop instances i-1".
    final:
        Codes that no retry cures, each with what somebody has to do.
    """
    try:
        with translated_errors():
            yield
    except Transient as error:
        raise Unanswered(f"cannot {doing} now: {error}; tried again later") from error
    except ClientError as error:
        code = error.response["Error"]["Code"]
        next_step = _next_step(service, code, error, final)
        told = f"cannot {doing}: {error.response['Error'].get('Message') or code} ({code})"
        raise DriverError(
            f"{told}; {next_step or 'tried again later'}", is_final=next_step is not None
        ) from error
    except ParamValidationError as error:
        message = f"cannot {doing}: {error}; correct the workspace's driver"
        raise DriverError(message, is_final=True) from error
    except BotoCoreError as error:
        raise Unanswered(f"cannot {doing} now: {error}; tried again later") from error


def _next_step(service: str, code: str, error: ClientError, final: Mapping[str, str]) -> str | None:
    if code in final:
        return final[code]
    if code in _FORBIDDEN:
        allowed = f"allow {service}:{error.operation_name} in the role of SwitchWorkspaces"
        is_switched = not error.operation_name.startswith(("Describe", "List"))
        return f"tag it `shiftwork: <Stage>`, or {allowed}" if is_switched else allowed
    return "correct the workspace's driver" if code in _MALFORMED else None
