"""Test what a command says while the API does not answer."""

from __future__ import annotations

import threading

import pytest

from shiftwork.api.messages import Answer, Outgoing
from shiftwork.cli import connection

CALL = Outgoing("GET", "http://api.test:1/stage/v1/requests", {}, None, 30.0)


class Stderr:
    """What is written to stderr."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.has_lines = threading.Event()

    def echo(self, text: str, *, err: bool) -> None:
        assert err
        self.lines.append(text)
        self.has_lines.set()


class Api:
    """Answers at once, or once something is on stderr."""

    def __init__(self, awaited: Stderr | None = None) -> None:
        self.awaited = awaited
        self.is_closed = False

    def send(self, outgoing: Outgoing) -> Answer:
        if self.awaited:
            assert self.awaited.has_lines.wait(30)
        return Answer.of(200, [], b"{}", "OK")

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Stderr:
    stderr = Stderr()
    monkeypatch.setattr("typer.echo", stderr.echo)
    return stderr


def test_a_late_answer_is_told_once_with_how_long_it_is_waited_for(stderr: Stderr) -> None:
    transport = connection.Telling(Api(stderr), silence_s=0.0)
    assert transport.send(CALL).json() == {}
    transport.send(CALL)
    line = "http://api.test:1 has not answered for 0 s; still waiting (up to 30 s)"
    assert stderr.lines == [line]


def test_an_answer_in_time_is_not_told(stderr: Stderr) -> None:
    api = Api()
    transport = connection.Telling(api, silence_s=600.0)
    assert transport.send(CALL).json() == {}
    transport.close()
    assert api.is_closed
    assert stderr.lines == []


def test_the_commands_tell_it_after_three_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIFTWORK_URL", "http://api.test")
    with connection.connect() as client:
        assert isinstance(client._transport, connection.Telling)
        assert client._transport._silence_s == 3
