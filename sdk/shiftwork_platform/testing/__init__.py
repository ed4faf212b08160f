"""Test definitions and callbacks on the real engine, in virtual time: the fixture `engine`."""

from shiftwork_platform.testing.deployment import NoStub
from shiftwork_platform.testing.engine import Engine
from shiftwork_platform.testing.requests import AttemptSeen, RequestSeen, StillRunning
from shiftwork_platform.testing.stubs import Answers, StubbedJob

__all__ = [
    "Answers",
    "AttemptSeen",
    "Engine",
    "NoStub",
    "RequestSeen",
    "StillRunning",
    "StubbedJob",
]
