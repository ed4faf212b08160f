"""Send reads and writes to DynamoDB; tell a lost race from a failure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from shiftwork_core.adapters.aws.calls import translated_errors
from shiftwork_core.adapters.dynamodb.expressions import Action, Item, Values, expressions
from shiftwork_core.adapters.dynamodb.namespaces import NamespacedClient, TableKeys
from shiftwork_core.domain.backoff import doubled
from shiftwork_core.errors import Throttled, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Answer = TypeVar("Answer")

#: Attempts while transactions conflict, or keys are left out of an answer, and the bounds of the
#: wait between two. A hundred jobs of a batch that fail at once all write their request's row; this
#: spreads them over six seconds or so.
_MAX_TRIES = 12
_FIRST_WAIT_S = 0.02
_LONGEST_WAIT_S = 1.0

#: The most keys that BatchGetItem takes.
_MAX_KEYS = 100

#: The same transaction is under way, or another holds the row.
_CONFLICTS = {"TransactionConflictException", "TransactionInProgressException"}
#: Reasons of a cancelled transaction that may pass. botocore reads none, and so retries none.
_PASSING_REASONS = {
    "TransactionConflict",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether an action's condition held, and its row: as written, or as it was found if not.

    Judge by the row, where there is one, whether a write is won: a writer that finds what it wrote
    in an earlier sending has won as well.
    """

    held: bool
    item: Item | None = None


class Database:
    """DynamoDB's client, which sends again while transactions conflict.

    Parameters
    ----------
    sleep, draw:
        Wait so many seconds; return a random number of [0, 1).
    keys:
        The keys of each table that it is used for.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        sleep: Callable[[float], None],
        draw: Callable[[], float],
        keys: Mapping[str, TableKeys],
    ) -> None:
        self._client = NamespacedClient(client, keys)
        self._sleep = sleep
        self._draw = draw

    def read(self, table: str, key: Item) -> Item | None:
        """Return a row, strongly consistent."""
        with _translated():
            answer = self._client.get_item(TableName=table, Key=key, ConsistentRead=True)
        item: Item | None = answer.get("Item")
        return item

    def read_many(self, table: str, keys: Sequence[Item]) -> Iterator[Item]:
        """Return those rows that exist, strongly consistent, in any order.

        Raises
        ------
        Throttled
            If DynamoDB leaves out the same keys `_MAX_TRIES` times.
        """
        for start in range(0, len(keys), _MAX_KEYS):
            yield from self._read_batch(table, keys[start : start + _MAX_KEYS])

    def _read_batch(self, table: str, keys: Sequence[Item]) -> Iterator[Item]:
        """Return the rows, asking again for what is left out: all beyond 16 MB, or some throttled.

        An answer with fewer keys left out begins the tries again, so it ends after `_MAX_KEYS`.
        """
        tries, left = 0, len(keys)
        wanted: Any = {table: {"Keys": keys, "ConsistentRead": True}}
        while True:
            with _translated():
                answer = self._client.batch_get_item(RequestItems=wanted)
            yield from answer["Responses"].get(table, [])
            wanted = answer.get("UnprocessedKeys")
            if not wanted:
                return
            before, left = left, len(wanted[table]["Keys"])
            tries = 1 if left < before else tries + 1
            if tries >= _MAX_TRIES:
                raise Throttled(f"{table} left out {left} rows {tries} times in a row")
            self._wait(tries)

    def count(
        self, table: str, condition: str, values: Values, index: str, limit: int | None = None
    ) -> int:
        """Return how many rows an index has, up to `limit`, eventually consistent."""
        texts = expressions(values, KeyConditionExpression=condition)
        parameters: dict[str, Any] = {"TableName": table, "IndexName": index, **texts}
        counted = 0
        while limit is None or counted < limit:
            if limit is not None:
                parameters["Limit"] = limit - counted
            with _translated():
                answer = self._client.query(**parameters, Select="COUNT")
            counted += answer["Count"]
            if "LastEvaluatedKey" not in answer:
                break
            parameters["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return counted

    def query(
        self,
        table: str,
        condition: str,
        values: Values,
        *,
        index: str | None = None,
        where: str | None = None,
        is_descending: bool = False,
        page_size: int | None = None,
        is_consistent: bool = True,
    ) -> Iterator[Item]:
        """Return rows in key order, page by page; an index is never strongly consistent."""
        texts = {"KeyConditionExpression": condition}
        if where is not None:
            texts["FilterExpression"] = where
        parameters: dict[str, Any] = {"TableName": table, **expressions(values, **texts)}
        if index is not None:
            parameters["IndexName"] = index
        elif is_consistent:
            parameters["ConsistentRead"] = True
        if is_descending:
            parameters["ScanIndexForward"] = False
        if page_size is not None:
            parameters["Limit"] = page_size
        return self._pages(self._client.query, parameters)

    def scan(self, table: str, after: Item | None = None) -> Iterator[Item]:
        """Return the rows of a whole table, or those behind a key, strongly consistent."""
        parameters: dict[str, Any] = {"TableName": table, "ConsistentRead": True}
        if after is not None:
            parameters["ExclusiveStartKey"] = after
        return self._pages(self._client.scan, parameters)

    def _pages(self, call: Callable[..., Any], parameters: dict[str, Any]) -> Iterator[Item]:
        while True:
            with _translated():
                answer = call(**parameters)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            parameters = {**parameters, "ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def write(self, action: Action) -> Outcome:
        """Write one row."""
        try:
            if action.kind == "Put":
                self._retry_conflicts(lambda: self._client.put_item(**action.parameters))
                return Outcome(True, action.parameters["Item"])
            if action.kind == "Delete":
                self._retry_conflicts(lambda: self._client.delete_item(**action.parameters))
                return Outcome(True)
            answer = self._retry_conflicts(
                lambda: self._client.update_item(**action.parameters, ReturnValues="ALL_NEW")
            )
            return Outcome(True, answer["Attributes"])
        except ClientError as error:
            if _code_of(error) != "ConditionalCheckFailedException":
                raise
            return Outcome(False, self._loser_sees(action, error.response))

    def transact(self, actions: Sequence[Action]) -> list[Outcome]:
        """Write all rows or none: all were written if every outcome `held`.

        The token is made of what is written. So DynamoDB does not repeat a transaction whose reply
        was lost, but answers it again, for ten minutes; after that its conditions decide.
        """
        items: Any = [{action.kind: action.parameters} for action in actions]
        text = json.dumps(items, sort_keys=True, default=bytes.hex)
        token = hashlib.sha256(text.encode()).hexdigest()[:36]
        try:
            self._retry_conflicts(
                lambda: self._client.transact_write_items(
                    TransactItems=items, ClientRequestToken=token
                )
            )
        except ClientError as error:
            reasons = _reasons_of(error)
            if not any(_is_condition(reason) for reason in reasons):
                raise
            return [
                Outcome(False, self._loser_sees(action, reason))
                if _is_condition(reason)
                else Outcome(True)
                for action, reason in zip(actions, reasons, strict=True)
            ]
        return [Outcome(True) for _ in actions]

    def _loser_sees(self, action: Action, answer: Any) -> Item | None:
        # Some emulators leave the row out even where there is one; DynamoDB does not.
        item: Item | None = answer.get("Item")
        return self.read(action.table, action.key) if item is None else item

    def _retry_conflicts(self, call: Callable[[], Answer]) -> Answer:
        """Call again, after a random and growing wait, while transactions conflict."""
        for attempt in range(1, _MAX_TRIES + 1):
            try:
                with _translated():
                    return call()
            except ClientError as error:
                if not _is_conflict(error):
                    raise
            self._wait(attempt)
        raise Throttled(f"transactions still conflict after {_MAX_TRIES} attempts")

    def _wait(self, tries: int) -> None:
        """Wait after so many tries, for a random time that grows with them."""
        self._sleep(min(doubled(_FIRST_WAIT_S, tries), _LONGEST_WAIT_S) * self._draw())


@contextmanager
def _translated() -> Iterator[None]:
    """Turn errors that may pass into `Transient`; so is a table that is not there, or not yet."""
    try:
        with translated_errors():
            yield
    except ClientError as error:
        if _code_of(error) != "ResourceNotFoundException":
            raise
        raise Unavailable("a table of this deployment is not there: deploy it again") from error


def _code_of(error: ClientError) -> str:
    return error.response["Error"]["Code"]


def _reasons_of(error: ClientError) -> list[Any]:
    """Return why a transaction was cancelled, in the order of its actions."""
    reasons: list[Any] = error.response.get("CancellationReasons", [])
    return reasons


def _is_condition(reason: Any) -> bool:
    return bool(reason.get("Code") == "ConditionalCheckFailed")


def _is_conflict(error: ClientError) -> bool:
    # Also when a condition failed in the same call: what the other transaction does to that row
    # decides whether this one has lost, or finds its own earlier sending.
    reasons = {reason.get("Code") for reason in _reasons_of(error)}
    return _code_of(error) in _CONFLICTS or not reasons.isdisjoint(_PASSING_REASONS)
