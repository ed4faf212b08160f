"""The depth of the dead-letter queues, as SQS tells it."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from shiftwork_core.adapters.aws.dead_letters import SqsDeadLetters
from shiftwork_core.errors import Throttled


def test_messages_are_counted_by_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        sqs = boto3.client("sqs", "us-east-1")
        urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("wake", "switch")}
        for _ in range(2):
            sqs.send_message(QueueUrl=urls["wake"], MessageBody="{}")
        assert SqsDeadLetters(lambda: sqs, urls).depths() == {"wake": 2, "switch": 0}


def test_throttling_may_pass() -> None:
    class Busy:
        def get_queue_attributes(self, **parameters: Any) -> Any:
            answer: Any = {
                "Error": {"Code": "ThrottlingException", "Message": ""},
                "ResponseMetadata": {"HTTPStatusCode": 400},
            }
            raise ClientError(answer, "GetQueueAttributes")

    letters = SqsDeadLetters(lambda: Busy(), {"wake": "url"})  # type: ignore[arg-type, return-value]
    with pytest.raises(Throttled):
        letters.depths()
