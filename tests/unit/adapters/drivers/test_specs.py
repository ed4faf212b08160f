"""The `driver` part of a workspace's body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shiftwork_core.adapters.drivers.specs import (
    EcsSpec,
    HttpCall,
    HttpStates,
    RdsKind,
    RdsSpec,
    RequestSpec,
    Selection,
    ec2_instances,
)
from shiftwork_core.domain.workspaces.records import Operation, WorkspaceState
from shiftwork_core.ports.workspaces import DriverError

Json = dict[str, Any]


def http_state(spec: Json) -> HttpCall:
    return HttpCall.of(spec, "state", "GET")


def start_request(spec: Json) -> RequestSpec:
    return RequestSpec.of(spec, Operation.START)


@pytest.mark.parametrize(
    ("read", "spec", "message"),
    [
        (ec2_instances, {}, "names neither instance_ids nor tags; give one of them"),
        (ec2_instances, {"instance_ids": [], "tags": {}}, "names neither"),
        (ec2_instances, {"instance_ids": ["i-1"], "tags": {"a": "b"}}, "names both"),
        (EcsSpec.of, {"services": ["web"]}, "has no 'cluster'; add it"),
        (EcsSpec.of, {"cluster": "lab"}, "names neither services nor tags"),
        (EcsSpec.of, {"cluster": "lab", "services": ["w"], "desired_count": 0}, "give 1 or more"),
        (RdsSpec.of, {"instances": ["a"], "clusters": ["b"]}, "make two workspaces of them"),
        (RdsSpec.of, {"kind": "cluster"}, "names neither clusters nor tags"),
        (start_request, {"start": {}}, "has no 'type'"),
        (http_state, {"service": "crm"}, "has no 'path'"),
        (http_state, {"state": {"path": "/"}}, "has no 'service'"),
    ],
)
def test_a_spec_that_could_switch_the_wrong_thing_is_a_final_error(
    read: Callable[[Json], object], spec: Json, message: str
) -> None:
    with pytest.raises(DriverError, match=message) as raised:
        read(spec)
    assert raised.value.is_final


def test_members_are_named_once_and_tags_are_text() -> None:
    assert ec2_instances({"instance_ids": ["i-2", "i-1", "i-2"]}) == Selection(("i-2", "i-1"))
    assert ec2_instances({"tags": {"cost": 7}}) == Selection((), {"cost": "7"})


def test_all_tags_must_match() -> None:
    selection = Selection((), {"team": "research", "env": "lab"})
    assert selection.matches({"team": "research", "env": "lab", "name": "x"})
    assert not selection.matches({"team": "research"})
    assert not selection.matches({"team": "research", "env": "prod"})


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ({"instances": ["DB-1"]}, RdsKind.INSTANCE),
        ({"clusters": ["DB-1"]}, RdsKind.CLUSTER),
        ({"tags": {"a": "b"}}, RdsKind.INSTANCE),
        ({"tags": {"a": "b"}, "kind": "cluster"}, RdsKind.CLUSTER),
    ],
)
def test_databases_are_instances_or_clusters(spec: Json, kind: RdsKind) -> None:
    read = RdsSpec.of(spec)
    assert read.kind is kind
    assert read.selection.ids in ((), ("db-1",))


def test_a_definition_says_what_a_services_words_mean() -> None:
    usual = HttpStates.of({"state": {"path": "/"}})
    assert usual.value == "state"
    assert usual.meanings == {"running": WorkspaceState.RUNNING, "stopped": WorkspaceState.STOPPED}
    own = HttpStates.of({"state": {"value": "up", "running": True, "starting": "boot"}})
    assert own.meanings == {
        "true": WorkspaceState.RUNNING,
        "stopped": WorkspaceState.STOPPED,
        "boot": WorkspaceState.STARTING,
    }
