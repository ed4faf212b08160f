"""The session of the platform's clients."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
from botocore.exceptions import DataNotFoundError

from shiftwork_core.bootstrap.session import SERVICES, new_session
from tests.template import ROOT


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.mark.parametrize("service", SERVICES)
def test_a_client_is_built_without_a_look_at_the_folders_of_other_services(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of some 400, each with a folder for its versions, at every cold start."""
    listed: list[str] = []
    listdir = os.listdir

    def record(path: Any) -> list[str]:
        listed.append(str(path))
        return listdir(path)

    session = new_session()
    monkeypatch.setattr(os, "listdir", record)
    client = session.create_client(service)
    assert client.meta.service_model.service_name == service
    assert listed
    assert {os.path.basename(path) for path in listed} == {service}  # noqa: PTH119


def test_every_service_of_which_the_platform_builds_a_client_is_known() -> None:
    bootstrap = (ROOT / "layers/core/shiftwork_core/bootstrap").glob("*.py")
    files = [*bootstrap, *(ROOT / "functions/api").rglob("*.py")]
    named = {
        service
        for path in files
        for service in re.findall(r'client\(\s*"([a-z0-9-]+)"', path.read_text())
    }
    assert named == set(SERVICES)


def test_pages_and_waiters_of_a_service_are_still_found() -> None:
    client = new_session().create_client("ec2")
    assert client.can_paginate("describe_instances")
    assert "instance_running" in client.waiter_names


def test_an_unknown_service_is_refused() -> None:
    with pytest.raises(DataNotFoundError, match="sns"):
        new_session().create_client("sns")
