"""DynamoDB clients that count calls, or fail as a network does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

WRITES = ("put_item", "update_item", "delete_item", "transact_write_items")


@dataclass
class Interfering:
    """A client that counts its calls and, before or after one, may raise."""

    client: Any
    before: list[Exception] = field(default_factory=list)
    after: list[Exception] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    sent: list[dict[str, Any]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)

        def call(**parameters: Any) -> Any:
            self.calls[name] += 1
            self.sent.append(parameters)
            if name in WRITES and self.before:
                raise self.before.pop(0)
            answer = method(**parameters)
            if name in WRITES and self.after:
                raise self.after.pop(0)
            return answer

        return call


def refusal(code: str, reasons: list[str | None] | None = None, http: int = 400) -> ClientError:
    """Return what the client raises when DynamoDB refuses with this code."""
    answer: Any = {
        "Error": {"Code": code, "Message": "as told"},
        "ResponseMetadata": {"HTTPStatusCode": http},
    }
    if reasons is not None:
        answer["CancellationReasons"] = [{"Code": reason or "None"} for reason in reasons]
    return ClientError(answer, "Write")


def timeout() -> ReadTimeoutError:
    """Return what the client raises when no answer comes."""
    return ReadTimeoutError(endpoint_url="dynamodb")


@dataclass
class Overtaken(Interfering):
    """A client that lets others write just before its own first write."""

    others: list[Callable[[], object]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        call = super().__getattr__(name)

        def overtaken(**parameters: Any) -> Any:
            while name in WRITES and self.others:
                self.others.pop()()
            return call(**parameters)

        return overtaken


@dataclass
class Reading(Interfering):
    """A client that counts the rows that its queries read."""

    scanned: int = 0

    def __getattr__(self, name: str) -> Any:
        call = super().__getattr__(name)

        def counted(**parameters: Any) -> Any:
            answer = call(**parameters)
            self.scanned += answer.get("ScannedCount", 0)
            return answer

        return counted
