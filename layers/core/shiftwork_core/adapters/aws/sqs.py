"""Send delayed messages through SQS."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from shiftwork_core.adapters.aws.calls import translated_errors
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.ports.world import MAX_DELAY, Queue

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SqsQueue(Queue):
    """One queue of SQS. `client` is called at the first message, so that others build no client."""

    def __init__(self, client: Callable[[], SQSClient], url: str) -> None:
        self._client = client
        self._url = url

    def send(self, message: JsonObject, delay_s: float) -> None:
        """Round the delay up to whole seconds, so that no message comes early."""
        delay = min(math.ceil(delay_s), int(MAX_DELAY.total_seconds()))
        with translated_errors():
            self._client().send_message(
                QueueUrl=self._url, MessageBody=json.dumps(message), DelaySeconds=delay
            )
