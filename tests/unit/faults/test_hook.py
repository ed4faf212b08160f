"""The hook makes calls fail, in botocore's event but without a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from tests.faults.deployed.client_faults import Hook, Kill, Plan, _Raw

DROP, THROTTLE, LOSE, SEND = 0.05, 0.15, 0.25, 0.35
MIXED = Plan("mixed", dropped=0.1, throttled=0.1, lost=0.1)
KEY = {"id": {"S": "1"}}


class Died(BaseException):
    """Stands for the end of the process."""


class Function:
    """A function with the hook, whose calls reach a service that only counts them."""

    def __init__(self, folder: Path, name: str = "run-jobs") -> None:
        self.folder = folder
        self.reached: list[Any] = []
        self.draws: list[float] = []
        self.hook = Hook(
            folder, name, send=self._send, draw=lambda: self.draws.pop(0), die=self._die
        )

    def client(self, service: str) -> Any:
        client = boto3.client(  # type: ignore[call-overload]
            service,
            "us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )
        client.meta.events.register("before-send", self.hook)
        return client

    def call(self, draw: float, call: Callable[[], Any], request_id: str = "r1") -> Any:
        """Make a call in an invocation of its own that draws this fate."""
        self.draws = [0.99, draw, 0.0, 0.0]
        with self.hook.invocation({"request_id": request_id}):
            return call()

    def fates(self) -> list[str]:
        lines = (self.folder / "calls.jsonl").read_text().splitlines()
        return [json.loads(line)["fate"] for line in lines]

    def _send(self, request: Any) -> AWSResponse:
        self.reached.append(request)
        headers: Any = {}
        return AWSResponse(request.url, 200, headers, _Raw(b"{}"))

    def _die(self) -> None:
        raise Died


def follow(folder: Path, plan: Plan) -> None:
    (folder / "plan.json").write_text(json.dumps(asdict(plan)))


@pytest.fixture
def function(tmp_path: Path) -> Function:
    follow(tmp_path, MIXED)
    return Function(tmp_path)


@pytest.fixture
def put(function: Function) -> Callable[[], Any]:
    client = function.client("dynamodb")
    return lambda: client.put_item(TableName="t", Item=KEY)


def test_a_call_without_a_fault_is_sent_once_and_answered(
    function: Function, put: Callable[[], Any]
) -> None:
    assert function.call(SEND, put)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert len(function.reached) == 1
    assert function.fates() == ["sent"]


def test_a_dropped_call_is_never_sent(function: Function, put: Callable[[], Any]) -> None:
    with pytest.raises(EndpointConnectionError):
        function.call(DROP, put)
    assert function.reached == []
    assert function.fates() == ["dropped"]


def test_a_lost_reply_is_lost_after_the_call_was_carried_out(
    function: Function, put: Callable[[], Any]
) -> None:
    with pytest.raises(ConnectionClosedError):
        function.call(LOSE, put)
    assert len(function.reached) == 1
    assert function.fates() == ["lost"]


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "code"),
    [
        ("dynamodb", "put_item", {"TableName": "t", "Item": KEY}, "ProvisionedThroughputExceeded"),
        ("sqs", "send_message", {"QueueUrl": "http://q/1/q", "MessageBody": "m"}, "RequestThrott"),
        ("lambda", "invoke", {"FunctionName": "f"}, "TooManyRequestsException"),
        ("s3", "get_object", {"Bucket": "b", "Key": "k"}, "SlowDown"),
        ("stepfunctions", "send_task_success", {"taskToken": "t", "output": "{}"}, "Throttling"),
    ],
)
def test_a_throttled_call_is_answered_as_its_service_answers(
    function: Function, service: str, operation: str, arguments: dict[str, Any], code: str
) -> None:
    call = getattr(function.client(service), operation)
    with pytest.raises(ClientError, match=code):
        function.call(THROTTLE, lambda: call(**arguments))
    assert function.reached == []
    assert function.fates() == ["throttled"]


def test_a_throttled_transaction_says_which_of_its_rows_is_throttled(function: Function) -> None:
    client = function.client("dynamodb")
    rows: Any = [{"Put": {"TableName": "t", "Item": {"id": {"S": str(n)}}}} for n in range(2)]
    with pytest.raises(ClientError) as raised:
        function.call(THROTTLE, lambda: client.transact_write_items(TransactItems=rows))
    answer: Any = raised.value.response
    assert answer["Error"]["Code"] == "TransactionCanceledException"
    codes = [reason["Code"] for reason in answer["CancellationReasons"]]
    assert codes == ["ThrottlingError", "None"]


def test_written_rows_are_counted_where_they_are_sent(function: Function) -> None:
    client = function.client("dynamodb")
    rows: Any = [{"Put": {"TableName": "t", "Item": {"id": {"S": str(n)}}}} for n in range(3)]
    batch: Any = {"t": [{"PutRequest": {"Item": KEY}}, {"PutRequest": {"Item": KEY}}]}
    function.call(SEND, lambda: client.transact_write_items(TransactItems=rows))
    function.call(SEND, lambda: client.batch_write_item(RequestItems=batch))
    function.call(SEND, lambda: client.update_item(TableName="t", Key=KEY))
    function.call(SEND, lambda: client.get_item(TableName="t", Key=KEY))
    lines = (function.folder / "calls.jsonl").read_text().splitlines()
    assert [json.loads(line)["rows"] for line in lines] == [3, 2, 1, 0]


# -- kills ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_after", [False, True])
def test_the_process_dies_once_before_or_after_its_call(
    function: Function, put: Callable[[], Any], is_after: bool
) -> None:
    follow(function.folder, Plan("kill", kills=[Kill("run-jobs", 2, is_after, "r1")]))
    function.call(SEND, put)
    with pytest.raises(Died):
        function.call(SEND, put)
    assert len(function.reached) == 1 + is_after
    function.call(SEND, put)
    assert function.fates() == ["sent", f"killed-{'after' if is_after else 'before'}", "sent"]


def test_calls_of_all_processes_of_a_function_are_counted_together(tmp_path: Path) -> None:
    follow(tmp_path, Plan("kill", kills=[Kill("run-jobs", 2)]))
    first, second = Function(tmp_path), Function(tmp_path)
    first.call(SEND, lambda: first.client("dynamodb").list_tables())
    with pytest.raises(Died):
        second.call(SEND, lambda: second.client("dynamodb").list_tables())


def test_only_calls_for_the_named_request_and_of_the_named_function_are_counted(
    function: Function, put: Callable[[], Any]
) -> None:
    kills = [Kill("run-jobs", 1, request_id="r2"), Kill("sweep", 1)]
    follow(function.folder, Plan("kill", kills=kills))
    function.call(SEND, put, "r1")
    with pytest.raises(Died):
        function.call(SEND, put, "r2")


def test_a_new_plan_starts_counting_from_zero(function: Function, put: Callable[[], Any]) -> None:
    for name in ("one", "two"):
        follow(function.folder, Plan(name, kills=[Kill("run-jobs", 1)]))
        with pytest.raises(Died):
            function.call(SEND, put)


def test_a_process_with_a_random_time_of_death_dies_within_its_invocation(
    function: Function, put: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    timers: list[Any] = []

    class Timer:
        def __init__(self, after_s: float, call: Callable[[], None]) -> None:
            self.after_s, self.call, self.is_cancelled = after_s, call, False
            timers.append(self)

        def start(self) -> None:
            self.is_started = True

        def cancel(self) -> None:
            self.is_cancelled = True

    monkeypatch.setattr("tests.faults.deployed.client_faults.Timer", Timer)
    follow(function.folder, Plan("random", killed=0.2))
    function.draws = [0.1, 0.5]
    with function.hook.invocation({}):
        (timer,) = timers
        assert timer.is_started and not timer.is_cancelled
        assert timer.after_s == 0.25
        with pytest.raises(Died):
            timer.call()
    assert timer.is_cancelled
    function.draws = [0.3]
    with function.hook.invocation({}):
        assert len(timers) == 1
