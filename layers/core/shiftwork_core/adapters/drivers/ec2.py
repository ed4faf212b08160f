"""Switch EC2 instances, by id or by tags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from shiftwork_core.adapters.drivers.groups import (
    Call,
    CallPlan,
    Member,
    batches,
    cannot_now,
    make_calls,
    named,
    plan_lines,
    sighting_of,
    sort_out,
)
from shiftwork_core.adapters.drivers.refusing import refusals_of
from shiftwork_core.adapters.drivers.specs import Selection, ec2_instances
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.workspaces.records import Operation, Sighting, WorkspaceState
from shiftwork_core.ports.workspaces import DriverError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef, InstanceTypeDef

#: The most instances that one call names.
_BATCH = 100

_STATES = {
    "pending": WorkspaceState.STARTING,
    "running": WorkspaceState.RUNNING,
    "stopping": WorkspaceState.STOPPING,
    "stopped": WorkspaceState.STOPPED,
}
#: The other two states: nothing is left to switch.
_GONE = {"shutting-down": "is being terminated", "terminated": "is terminated"}

#: The tag that EC2 itself gives to the instances of an Auto Scaling group.
_SCALED = "aws:autoscaling:groupName"

#: Why an instance stopped that somebody has stopped: people, its own system, AWS by plan. Any other
#: reason means that a start failed: EC2 accepts the call, and the instance falls back to stopped.
#: From the API reference's StateReason.
_STOPPED_ON_PURPOSE = {
    "Client.InstanceInitiatedShutdown",
    "Client.UserInitiatedHibernate",
    "Client.UserInitiatedShutdown",
    "Server.ScheduledStop",
    "Server.SpotInstanceShutdown",
}
#: What EC2 says if the caller may not create a grant for a volume's key, among other causes.
_PERHAPS_A_KEY = "Client.InternalError"
_LOOK_AT_KEYS = "if a volume has a key of yours, put its ARN into the parameter VolumeKeyArns"

_CORRECT = "correct the workspace's instance_ids"
_FINAL = {
    "InvalidInstanceID.NotFound": _CORRECT,
    "InvalidInstanceID.Malformed": _CORRECT,
    "OperationNotPermitted": "take the instance's stop protection off",
    # Instances without an EBS root volume, and spot instances that are asked for once.
    "UnsupportedOperation": "take the instance out of the workspace: it cannot be stopped",
}


@dataclass(frozen=True, slots=True)
class _Instance:
    """An instance; `group` is its Auto Scaling group, or empty; so is `fault` of most."""

    id: str
    status: str
    group: str
    fault: str

    @property
    def member(self) -> Member:
        return Member(self.id, _STATES[self.status], self.status, self.fault)


class Ec2Driver:
    """Driver `ec2`: starts and stops instances, a hundred a call."""

    def __init__(self, client: EC2Client) -> None:
        self._client = client

    def look(self, spec: JsonObject, memory: JsonObject) -> Sighting:
        """Return the instances' states. Tags select no terminated instance.

        Raises
        ------
        DriverError
            Final if an instance named by id is gone, or no instance has the tags.
        """
        return sighting_of([instance.member for instance in self._instances(spec)])

    def remember(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> JsonObject:
        """Return the memory as it is: an instance keeps what it needs to start again."""
        return memory

    def plan(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> list[str]:
        return plan_lines(self._call_plan(spec, operation))

    def switch(
        self, spec: JsonObject, memory: JsonObject, operation: Operation, key: str
    ) -> JsonObject:
        """Start, or stop, the instances that are not on their way. Asking twice does no harm."""
        make_calls(self._call_plan(spec, operation))
        return memory

    def _call_plan(self, spec: JsonObject, operation: Operation) -> CallPlan:
        instances = {instance.id: instance for instance in self._instances(spec)}
        asked, refusals = sort_out(
            (instance.member for instance in instances.values()),
            operation,
            lambda member: _refusal(instances[member.id], operation),
        )
        calls = []
        for ids in batches([member.id for member in asked], _BATCH):
            words = f"{operation.value} instances {named(ids)}"
            calls.append(Call(words, partial(self._ask, operation, ids)))
        return CallPlan(calls, refusals)

    def _ask(self, operation: Operation, ids: Sequence[str]) -> None:
        with refusals_of("ec2", f"{operation.value} instances {named(ids)}", _FINAL):
            if operation is Operation.START:
                self._client.start_instances(InstanceIds=ids)
            else:
                self._client.stop_instances(InstanceIds=ids)

    def _instances(self, spec: JsonObject) -> list[_Instance]:
        selection = ec2_instances(spec)
        found = self._by_id(selection) if selection.ids else self._by_tags(selection)
        present = []
        for instance in map(_instance, found):
            if instance.status not in _GONE:
                present.append(instance)
            elif selection.ids:
                message = f"instance {instance.id} {_GONE[instance.status]}; {_CORRECT}"
                raise DriverError(message, is_final=True)
        if not present:
            message = f"no instance has the tags {selection}; tag some, or correct the tags"
            raise DriverError(message, is_final=True)
        return sorted(present, key=lambda instance: instance.id)

    def _by_id(self, selection: Selection) -> Iterator[InstanceTypeDef]:
        for ids in batches(selection.ids, _BATCH):
            # A call that names instances has no pages.
            with refusals_of("ec2", f"look at instances {named(ids)}", _FINAL):
                found = self._client.describe_instances(InstanceIds=ids)
            for reservation in found["Reservations"]:
                yield from reservation["Instances"]

    def _by_tags(self, selection: Selection) -> Iterator[InstanceTypeDef]:
        # In a filter's value * and ? match any text, so check the tags again.
        filters: list[FilterTypeDef] = [
            {"Name": f"tag:{key}", "Values": [value.replace("\\", "\\\\")]}
            for key, value in selection.tags.items()
        ]
        filters.append({"Name": "instance-state-name", "Values": list(_STATES)})
        pages = self._client.get_paginator("describe_instances").paginate(
            Filters=filters, PaginationConfig={"PageSize": 1000}
        )
        with refusals_of("ec2", f"look for instances with the tags {selection}", _FINAL):
            reservations = (found for page in pages for found in page["Reservations"])
            instances = (found for one in reservations for found in one["Instances"])
            yield from (found for found in instances if selection.matches(_tags(found)))


def _tags(instance: InstanceTypeDef) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}


def _instance(found: InstanceTypeDef) -> _Instance:
    group = _tags(found).get(_SCALED, "")
    status = found["State"]["Name"]
    return _Instance(
        found["InstanceId"], status, group, _fault(found) if status == "stopped" else ""
    )


def _fault(found: InstanceTypeDef) -> str:
    """Return why EC2 stopped an instance that nobody has stopped, or nothing."""
    reason = found.get("StateReason", {})
    code, message = reason.get("Code", ""), reason.get("Message", "")
    if not code or code in _STOPPED_ON_PURPOSE:
        return ""
    told = message if message.startswith(code) else f"{code}: {message}"
    return f"{told} ({_LOOK_AT_KEYS})" if code == _PERHAPS_A_KEY else told


def _refusal(instance: _Instance, operation: Operation) -> DriverError | None:
    """Return why EC2 would refuse: it stops running instances and starts stopped ones."""
    if instance.group and operation is Operation.STOP:
        return DriverError(
            f"instance {instance.id} is of Auto Scaling group {instance.group}, which would "
            "terminate it once it is stopped; take it out of the workspace",
            is_final=True,
        )
    is_ready = instance.status in ("running", "stopped")
    return None if is_ready else cannot_now(instance.member, operation)
