"""What the emulator must do that we start, whichever it is; see `shiftwork.local.ministack`."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shiftwork.local import ministack
from shiftwork.local.deployment import boto3_session
from shiftwork.local.emulator import Emulator, Running, free_port
from shiftwork.local.probe import status_of
from tests.template import ROOT

ROLE = "arn:aws:iam::000000000000:role/any"
STATES = """\
Comment: does nothing
StartAt: Done
States:
  Done: {Type: Succeed}
"""


@pytest.fixture
def command() -> list[str]:
    return ministack.command(ROOT, ROOT / ".shiftwork", lambda line: None)


@pytest.fixture
def emulators(tmp_path: Path) -> Iterator[list[Emulator]]:
    found = [Emulator(tmp_path / name) for name in ("one", "two")]
    for emulator in found:
        emulator.home.mkdir()
    yield found
    for emulator in found:
        emulator.stop()


def client(running: Running, service: str) -> Any:
    untyped: Any = boto3_session()
    return untyped.client(service, endpoint_url=running.endpoint)


def test_two_live_side_by_side_each_with_tables_of_its_own(
    emulators: list[Emulator], command: list[str]
) -> None:
    one, two = [emulator.start(command, free_port()) for emulator in emulators]
    client(one, "sqs").create_queue(QueueName="only-there")
    assert "only-there" in client(one, "sqs").list_queues()["QueueUrls"][0]
    assert client(two, "sqs").list_queues().get("QueueUrls", []) == []


def test_one_that_was_killed_is_started_again_on_its_port(
    emulators: list[Emulator], command: list[str]
) -> None:
    emulator = emulators[0]
    first = emulator.start(command, free_port())
    assert not emulator.has_died
    os.killpg(first.pid, signal.SIGKILL)
    os.waitpid(first.pid, 0)
    assert emulator.has_died
    second = emulator.start(command, first.port)
    assert second.pid != first.pid
    assert status_of(second.endpoint + ministack.HEALTH_PATH) == 200
    assert emulator.stop()
    assert not emulator.has_died
    assert status_of(second.endpoint + ministack.HEALTH_PATH) is None


def test_a_state_machine_of_ours_is_what_it_reads(
    emulators: list[Emulator], command: list[str], tmp_path: Path
) -> None:
    tree, built = tmp_path / "tree", tmp_path / "tree" / "build" / "template.yaml"
    (tree / "statemachines").mkdir(parents=True)
    (tree / "statemachines" / "any.asl.yaml").write_text(STATES)
    built.parent.mkdir()
    built.write_text("DefinitionUri: ../statemachines/any.asl.yaml\n")
    ministack.adapt(tree, built)
    definition = (built.parent / built.read_text().split()[1]).read_text()
    assert json.loads(definition)["Comment"] == "does nothing"
    states = client(emulators[0].start(command, free_port()), "stepfunctions")
    made = states.create_state_machine(name="any", definition=definition, roleArn=ROLE)
    read = states.describe_state_machine(stateMachineArn=made["stateMachineArn"])
    assert json.loads(read["definition"])["StartAt"] == "Done"
