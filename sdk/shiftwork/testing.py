"""What tests of a project name beside the fixture `engine`; `shiftwork[platform]` brings both."""

try:
    from shiftwork_platform.testing import (
        Answers,
        AttemptSeen,
        Engine,
        NoStub,
        RequestSeen,
        StillRunning,
        StubbedJob,
    )
    from shiftwork_platform.testing.chaos import ChaosFound
except ModuleNotFoundError as error:
    if error.name is None or not error.name.startswith("shiftwork_"):
        raise
    raise ImportError(
        "tests need the platform, which is not installed: pip install 'shiftwork[platform]'"
    ) from error

__all__ = [
    "Answers",
    "AttemptSeen",
    "ChaosFound",
    "Engine",
    "NoStub",
    "RequestSeen",
    "StillRunning",
    "StubbedJob",
]
