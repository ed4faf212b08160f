"""Switch ECS services by their desired counts: services by name or by tags.

A service under Application Auto Scaling needs a minimum capacity of 0; otherwise a scale-out brings
tasks back while the workspace is off.
"""

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
    make_calls,
    named,
    plan_lines,
    sighting_of,
)
from shiftwork_core.adapters.drivers.refusing import refusals_of
from shiftwork_core.adapters.drivers.specs import EcsSpec
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.workspaces.records import Operation, Sighting, WorkspaceState
from shiftwork_core.ports.workspaces import DriverError

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_ecs.type_defs import ServiceTypeDef

#: The most services that DescribeServices takes.
_BATCH = 10
#: The most services that ListServices returns.
_PAGE = 100

_CORRECT = "correct the workspace's cluster and services"
_FINAL = {
    "ClusterNotFoundException": _CORRECT,
    "ServiceNotFoundException": _CORRECT,
    "ServiceNotActiveException": _CORRECT,
}


@dataclass(frozen=True, slots=True)
class _Service:
    """The state of a service that a switch depends on."""

    name: str
    desired: int
    running: int
    is_daemon: bool

    @property
    def member(self) -> Member:
        if self.desired > 0:
            state = WorkspaceState.STARTING
            if self.running >= self.desired:
                state = WorkspaceState.RUNNING
            status = f"with {self.running} of {self.desired} tasks"
        else:
            state = WorkspaceState.STOPPED if self.running == 0 else WorkspaceState.STOPPING
            status = "stopped" if self.running == 0 else f"with {self.running} tasks to stop"
        return Member(self.name, state, status)


class EcsDriver:
    """Driver `ecs`: sets desired counts, and remembers those that it has set to 0."""

    def __init__(self, client: ECSClient) -> None:
        self._client = client

    def look(self, spec: JsonObject, memory: JsonObject) -> Sighting:
        """Return the services' states.

        A service runs once it has its desired count of tasks. Tags select no deleted service.

        Raises
        ------
        DriverError
            Final if the cluster or a named service does not exist, or no service has the tags.
        """
        return sighting_of([service.member for service in self._services(EcsSpec.of(spec))])

    def remember(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> JsonObject:
        """Return, before a stop, the memory with the desired counts of the running services.

        A stopped service keeps the count in the memory.
        """
        if operation is Operation.START:
            return memory
        return _with_counts(memory, self._services(EcsSpec.of(spec)))

    def plan(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> list[str]:
        read = EcsSpec.of(spec)
        return plan_lines(self._call_plan(read, self._services(read), memory, operation))

    def switch(
        self, spec: JsonObject, memory: JsonObject, operation: Operation, key: str
    ) -> JsonObject:
        """Set the desired counts of the services that lack them. Asking twice does no harm."""
        read = EcsSpec.of(spec)
        services = self._services(read)
        make_calls(self._call_plan(read, services, memory, operation))
        return memory if operation is Operation.START else _with_counts(memory, services)

    def _call_plan(
        self, spec: EcsSpec, services: Sequence[_Service], memory: JsonObject, operation: Operation
    ) -> CallPlan:
        calls: list[Call] = []
        refusals: list[DriverError] = []
        for service in services:
            # Unlike other members, a service on its way can be turned round at any time.
            if (service.desired > 0) is (operation is Operation.START):
                continue
            if service.is_daemon:
                refusals.append(_cannot_count(service))
                continue
            count = 0
            if operation is Operation.START:
                count = int(_counts(memory).get(service.name) or spec.desired_count)
            words = f"set service {service.name} from {service.desired} to {count} tasks"
            calls.append(Call(words, partial(self._set, spec.cluster, service.name, count)))
        return CallPlan(calls, refusals)

    def _set(self, cluster: str, service: str, count: int) -> None:
        with refusals_of("ecs", f"set service {service} of cluster {cluster}", _FINAL):
            self._client.update_service(cluster=cluster, service=service, desiredCount=count)

    def _services(self, spec: EcsSpec) -> list[_Service]:
        is_named = bool(spec.services.ids)
        names = list(spec.services.ids) if is_named else self._all_names(spec)
        found: list[_Service] = []
        for service in self._described(spec, names):
            tags = {tag["key"]: tag["value"] for tag in service.get("tags", [])}
            name, status = service["serviceName"], service["status"]
            if status != "ACTIVE":
                if is_named:
                    message = f"service {name} of cluster {spec.cluster} is {status.lower()}"
                    raise DriverError(f"{message}; {_CORRECT}", is_final=True)
            elif spec.services.matches(tags):
                found.append(
                    _Service(
                        name,
                        service["desiredCount"],
                        service["runningCount"],
                        service.get("schedulingStrategy") == "DAEMON",
                    )
                )
        if not found:
            message = f"no service of cluster {spec.cluster} has the tags {spec.services}"
            raise DriverError(f"{message}; tag some, or correct the tags", is_final=True)
        return sorted(found, key=lambda service: service.name)

    def _all_names(self, spec: EcsSpec) -> list[str]:
        pages = self._client.get_paginator("list_services").paginate(
            cluster=spec.cluster, PaginationConfig={"PageSize": _PAGE}
        )
        with refusals_of("ecs", f"list the services of cluster {spec.cluster}", _FINAL):
            return [arn for page in pages for arn in page["serviceArns"]]

    def _described(self, spec: EcsSpec, names: Sequence[str]) -> Iterator[ServiceTypeDef]:
        for batch in batches(names, _BATCH):
            doing = f"look at services {named(batch)} of cluster {spec.cluster}"
            with refusals_of("ecs", doing, _FINAL):
                answer = self._client.describe_services(
                    cluster=spec.cluster, services=batch, include=["TAGS"]
                )
            missing = [failure["arn"].rsplit("/", 1)[-1] for failure in answer["failures"]]
            if missing and spec.services.ids:
                message = f"cluster {spec.cluster} has no service {named(missing)}"
                raise DriverError(f"{message}; {_CORRECT}", is_final=True)
            yield from answer["services"]


def _counts(memory: JsonObject) -> JsonObject:
    counts: JsonObject = memory.get("desired") or {}
    return counts


def _with_counts(memory: JsonObject, services: Sequence[_Service]) -> JsonObject:
    desired = {service.name: service.desired for service in services if service.desired > 0}
    return {**memory, "desired": {**_counts(memory), **desired}}


def _cannot_count(service: _Service) -> DriverError:
    return DriverError(
        f"service {service.name} is a daemon, which has a task on each instance and no desired "
        "count; take it out of the workspace, and switch its instances instead",
        is_final=True,
    )
