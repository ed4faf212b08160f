"""Count the messages in the dead-letter queues of SQS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from shiftwork_core.adapters.aws.calls import translated_errors
from shiftwork_core.ports.metrics import DeadLetters

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SqsDeadLetters(DeadLetters):
    """The dead-letter queues, each under the name of the queue whose messages it gets."""

    def __init__(self, client: Callable[[], SQSClient], urls: Mapping[str, str]) -> None:
        self._client = client
        self._urls = urls

    def depths(self) -> dict[str, int]:
        """Make one call for each queue. A message that somebody is reading is not counted."""
        return {name: self._depth(url) for name, url in self._urls.items()}

    def _depth(self, url: str) -> int:
        with translated_errors():
            answer = self._client().get_queue_attributes(
                QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
            )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])
