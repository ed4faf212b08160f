"""An AWS account in moto, and the calls made to it.

The state of a thing is set in moto's own model, so that it can be one that moto never takes by
itself, as pending or backing-up; how it is asked and answers goes through botocore as on AWS.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import StateReason
from moto.ecs.models import ecs_backends
from moto.rds.models import rds_backends

REGION = "us-east-1"


_PREPARED, _NOTING = "provide-client-params.*.*", "tests"


@cache
def _client(service: str) -> Any:
    """Return a client; to build one takes longer than most tests."""
    return boto3.client(service, REGION)  # type: ignore[call-overload]


@dataclass
class Account:
    """The account, and the calls that were made to it in order, by operation and parameters."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def client(self, service: str) -> Any:
        """Return a client whose calls are noted, by this account only."""
        made = _client(service)
        made.meta.events.unregister(_PREPARED, unique_id=_NOTING)
        made.meta.events.register(_PREPARED, self._note, unique_id=_NOTING)
        return made

    def _note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.calls.append((model.name, params))

    @property
    def writes(self) -> list[tuple[str, dict[str, Any]]]:
        """The calls that change something."""
        return [call for call in self.calls if not call[0].startswith(("Describe", "List"))]

    def forget(self) -> None:
        """Note calls from now on."""
        self.calls.clear()

    # -- EC2 -----------------------------------------------------------------------------------

    def run_instances(self, *statuses: str, **tags: str) -> list[str]:
        """Run instances with the same tags, and leave each in one of these states."""
        found = self.client("ec2").run_instances(
            ImageId="ami-12345678",
            MinCount=len(statuses),
            MaxCount=len(statuses),
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": _tags("Key", "Value", tags)},
            ]
            if tags
            else [],
        )
        ids = [str(instance["InstanceId"]) for instance in found["Instances"]]
        for id, status in zip(ids, statuses, strict=True):
            self.set_instance(id, status)
        self.forget()
        return ids

    def set_instance(self, id: str, status: str, reason: tuple[str, str] = ("", "")) -> None:
        """Leave an instance in a state, with the code and message of its reason."""
        instance = ec2_backends[DEFAULT_ACCOUNT_ID][REGION].get_instance(id)
        instance._state.name = status
        instance.state_reason = StateReason(reason[1], reason[0])

    # -- ECS -----------------------------------------------------------------------------------

    def create_services(self, services: dict[str, tuple[int, int]], **tags: str) -> None:
        """Create services of cluster `lab`, each with these desired and running tasks."""
        client = self.client("ecs")
        client.create_cluster(clusterName="lab")
        container = {"name": "web", "image": "web", "memory": 128}
        client.register_task_definition(family="web", containerDefinitions=[container])
        for name, (desired, running) in services.items():
            client.create_service(
                cluster="lab",
                serviceName=name,
                taskDefinition="web",
                desiredCount=desired,
                tags=_tags("key", "value", tags),
            )
            self.set_service(name, running_count=running)
        self.forget()

    def set_service(self, name: str, **values: Any) -> None:
        service = ecs_backends[DEFAULT_ACCOUNT_ID][REGION].services[f"lab:{name}"]
        for attribute, value in values.items():
            setattr(service, attribute, value)

    # -- RDS -----------------------------------------------------------------------------------

    def create_databases(self, statuses: dict[str, str], **tags: str) -> None:
        """Create database instances, each in one of these statuses."""
        for id, status in statuses.items():
            self.client("rds").create_db_instance(
                DBInstanceIdentifier=id,
                DBInstanceClass="db.t3.micro",
                Engine="postgres",
                Tags=_tags("Key", "Value", tags),
            )
            self.set_database(id, status=status)
        self.forget()

    def create_clusters(self, statuses: dict[str, str], **tags: str) -> None:
        """Create database clusters, each in one of these statuses."""
        for id, status in statuses.items():
            self.client("rds").create_db_cluster(
                DBClusterIdentifier=id,
                Engine="aurora-postgresql",
                MasterUsername="lab",
                MasterUserPassword="laboratory",
                Tags=_tags("Key", "Value", tags),
            )
            rds_backends[DEFAULT_ACCOUNT_ID][REGION].clusters[id].status = status
        self.forget()

    def set_database(self, id: str, **values: Any) -> None:
        database = rds_backends[DEFAULT_ACCOUNT_ID][REGION].databases[id]
        for attribute, value in values.items():
            setattr(database, attribute, value)


def _tags(key: str, value: str, tags: dict[str, str]) -> list[dict[str, str]]:
    return [{key: name, value: text} for name, text in tags.items()]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    # Thousands of images that no test looks at.
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")


@pytest.fixture
def account(environment: None) -> Iterator[Account]:
    with mock_aws():
        yield Account()
