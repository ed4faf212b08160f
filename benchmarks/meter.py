"""Record the AWS calls of deployed functions through a proxy, and price each in units.

A function names itself by its application id, which botocore puts into the User-Agent. Units of
writes are those that the emulator reports as consumed, indexes apart: `check_accounting` makes sure
that it counts as AWS does. Units of reads are computed here from the items, as the emulator does
not count them by size.
"""

from __future__ import annotations

import http.client
import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, ClassVar
from urllib.parse import urlsplit

from benchmarks.units import evaluated_units, item_bytes, read_units, write_units

_WRITES = {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"}
_APP_ID = re.compile(r"\bapp/(\S+)")
_SET_STATUS = re.compile(r"#status = (:\w+)")
_LAMBDA_INVOKE = re.compile(r"^/2015-03-31/functions/[^/]+/invocations$")


@dataclass(frozen=True, slots=True)
class Call:
    """One call, as it was billed.

    Attributes
    ----------
    function
        The caller's name, empty if it gave none.
    service, operation
        As in `dynamodb`, `PutItem`.
    table
        The table, of a DynamoDB call that has one.
    status
        The answer's HTTP status.
    write_units, index_units, read_units
        Units of the table, of its indexes, and of reads.
    new_status
        The status that a write gives its row, the first of several; else empty.
    """

    function: str
    service: str
    operation: str
    table: str = ""
    status: int = 200
    write_units: float = 0.0
    index_units: float = 0.0
    read_units: float = 0.0
    new_status: str = ""


class Meter:
    """A proxy while it is `running`, and the calls that passed through it."""

    def __init__(self, endpoint: str) -> None:
        self._upstream = urlsplit(endpoint)
        self._calls: list[Call] = []
        self._lock = Lock()
        self.url = ""

    @contextmanager
    def running(self) -> Iterator[Meter]:
        """Listen on a free port of this machine until the block ends."""
        server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"answer": self._answer}))
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()

    def take(self) -> list[Call]:
        """Return the calls since the last `take`."""
        with self._lock:
            calls, self._calls = self._calls, []
        return calls

    def environment(self, function: str) -> dict[str, str]:
        """Return the variables that make a function call through this proxy, under its name."""
        return {"AWS_ENDPOINT_URL": self.url, "AWS_SDK_UA_APP_ID": function}

    # -- one call ------------------------------------------------------------------------------

    def _answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        service, operation = _operation(method, path, headers)
        request = json.loads(body) if service == "dynamodb" else {}
        if operation in _WRITES:
            request["ReturnConsumedCapacity"] = "INDEXES"
            body = json.dumps(request).encode()
        status, answer_headers, answer = self._forward(method, path, headers, body)
        found = _APP_ID.search(headers.get("user-agent", ""))
        call = Call(found.group(1) if found else "", service, operation, status=status)
        if service == "dynamodb":

            def read_again(wider: dict[str, Any]) -> dict[str, Any]:
                text = self._forward(method, path, headers, json.dumps(wider).encode())[2]
                return dict(json.loads(text))

            call = priced(call, request, json.loads(answer), read_again)
        with self._lock:
            self._calls.append(call)
        return status, answer_headers, answer

    def _forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        # A new connection each time: the emulator drops idle ones at moments of its own.
        connection = http.client.HTTPConnection(self._upstream.netloc, timeout=60)
        with closing(connection):
            connection.request(method, path, body, headers | {"content-length": str(len(body))})
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()


def _operation(method: str, path: str, headers: dict[str, str]) -> tuple[str, str]:
    target = headers.get("x-amz-target", "")
    prefix, _, operation = target.partition(".")
    for start, service in _SERVICES.items():
        if prefix.startswith(start):
            return service, operation
    if target:
        return prefix, operation
    if _LAMBDA_INVOKE.match(urlsplit(path).path):
        return "lambda", "Invoke"
    return "s3", _S3.get(method, method)


_SERVICES = {
    "DynamoDB_": "dynamodb",
    "AWSStepFunctions": "stepfunctions",
    "AmazonSQS": "sqs",
    "secretsmanager": "secretsmanager",
    "Logs_": "logs",
}
_S3 = {"GET": "GetObject", "PUT": "PutObject"}


def priced(
    call: Call,
    request: dict[str, Any],
    answer: dict[str, Any],
    read_again: Callable[[dict[str, Any]], dict[str, Any]],
) -> Call:
    """Return the call to DynamoDB with its table and units.

    `read_again` sends a read once more, for what a filter or a projection kept from the answer:
    DynamoDB bills what it evaluated.
    """
    table = request.get("TableName", "")
    write, index, read = 0.0, 0.0, 0.0
    if call.operation in _WRITES:
        if call.status == 200:
            write, index = _consumed(answer)
        else:
            write = _failed_write_units(call.operation, request, answer)
        if not table:
            table = ",".join(sorted(_tables_of(request)))
    elif call.status == 200 and call.operation in ("GetItem", "Query", "Scan"):
        is_consistent = request.get("ConsistentRead", False)
        if (wider := _widened(request)) != request:
            answer = read_again(wider)
        if call.operation == "GetItem":
            read = read_units(item_bytes(answer.get("Item", {})), is_consistent=is_consistent)
        else:
            read = evaluated_units(answer["Items"], is_consistent=is_consistent)
    elif call.status == 200 and call.operation == "BatchGetItem":
        for name, items in answer["Responses"].items():
            table = name
            is_consistent = request["RequestItems"][name].get("ConsistentRead", False)
            read += sum(read_units(item_bytes(i), is_consistent=is_consistent) for i in items)
    elif call.status == 200:
        read = math.nan  # An operation that nobody uses yet: it must not count as free.
    return replace(
        call,
        table=table,
        write_units=write,
        index_units=index,
        read_units=read,
        new_status=_new_status(request) if call.operation in _WRITES else "",
    )


def _new_status(request: dict[str, Any]) -> str:
    for action in (request, *(next(iter(a.values())) for a in request.get("TransactItems", []))):
        if "Item" in action:
            status = action["Item"].get("status")
        elif found := _SET_STATUS.search(action.get("UpdateExpression", "")):
            status = action["ExpressionAttributeValues"][found.group(1)]
        else:
            continue
        if status:
            return str(status["S"])
    return ""


def _consumed(answer: dict[str, Any]) -> tuple[float, float]:
    """Return a write's units of tables and of indexes, as the emulator reports them."""
    reports = answer["ConsumedCapacity"]
    total, index = 0.0, 0.0
    for report in reports if isinstance(reports, list) else [reports]:
        total += report["CapacityUnits"]
        for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
            index += sum(i["CapacityUnits"] for i in report.get(kind, {}).values())
    return total - index, index


def _failed_write_units(operation: str, request: dict[str, Any], answer: dict[str, Any]) -> float:
    """Return the units of a write whose condition failed: as many as if it had held.

    The item is the error's, where the caller asks for it (ALL_OLD), or the one that was sent.
    """
    code = answer.get("__type", "").rpartition("#")[2]
    if code == "ConditionalCheckFailedException":
        return write_units(item_bytes(answer.get("Item") or request.get("Item", {})))
    if code == "TransactionCanceledException":
        reasons = answer.get("CancellationReasons", [])
        actions = [next(iter(action.values())) for action in request["TransactItems"]]
        return sum(
            write_units(
                item_bytes(reason.get("Item") or action.get("Item", {})), is_transaction=True
            )
            for action, reason in zip(actions, reasons, strict=True)
        )
    return 0.0


def _tables_of(request: dict[str, Any]) -> set[str]:
    batch: dict[str, Any] = request.get("RequestItems", {})
    actions: list[dict[str, Any]] = request.get("TransactItems", [])
    return set(batch) | {next(iter(action.values()))["TableName"] for action in actions}


def _widened(request: dict[str, Any]) -> dict[str, Any]:
    """Return the read without its filter and projection, and without the names only they use."""
    kept = {
        key: value
        for key, value in request.items()
        if key not in ("FilterExpression", "ProjectionExpression", "Select")
    }
    used = kept.get("KeyConditionExpression", "")
    for key in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
        aliases = {k: v for k, v in kept.pop(key, {}).items() if re.search(rf"{k}\b", used)}
        if aliases:
            kept[key] = aliases
    return kept


def check_accounting(dynamodb: Any) -> None:
    """Check that the emulator reports the units of writes as AWS bills them.

    Raises
    ------
    RuntimeError
        If it does not: then all counts of this module are worthless.
    """
    table = "bench-accounting"
    dynamodb.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("id", "lane")],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_lane",
                "KeySchema": [{"AttributeName": "lane", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["shown"]},
            }
        ],
    )
    item = {"id": {"S": "1"}, "text": {"S": "x" * 1500}}
    reported = [_consumed(dynamodb.put_item(TableName=table, Item=item, **_REPORT))]
    for attribute, value in (("text", "y"), ("lane", "a"), ("shown", "b"), ("lane", "c")):
        changed = dynamodb.update_item(
            TableName=table,
            Key={"id": item["id"]},
            UpdateExpression="SET #name = :value",
            ExpressionAttributeNames={"#name": attribute},
            ExpressionAttributeValues={":value": {"S": value}},
            **_REPORT,
        )
        reported.append(_consumed(changed))
    put = {"Put": {"TableName": table, "Item": item | {"id": {"S": "2"}}}}
    reported.append(_consumed(dynamodb.transact_write_items(TransactItems=[put], **_REPORT)))
    dynamodb.delete_table(TableName=table)
    # Two KiB begun; the larger size of a change; an index entry added, changed, and moved.
    billed = [(2, 0), (2, 0), (1, 1), (1, 1), (1, 2), (4, 0)]
    if reported != billed:
        raise RuntimeError(f"the emulator reports {reported} for writes billed as {billed}")


_REPORT = {"ReturnConsumedCapacity": "INDEXES"}


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore callers that went away: a function that ends drops its connections."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer: ClassVar[Callable[..., tuple[int, list[tuple[str, str]], bytes]]]

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, answer_headers, answer = type(self).answer(self.command, self.path, headers, body)
        self.send_response_only(status)
        for name, value in answer_headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = _pass_on

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
