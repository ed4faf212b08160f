"""Definitions and blobs are written once and read back."""

from __future__ import annotations

import json
import random
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

import pytest

from shiftwork_core.adapters import pages
from shiftwork_core.adapters.dynamodb import definitions as dynamodb_definitions
from shiftwork_core.domain.requests.definitions import Definition, Kind
from shiftwork_core.errors import NotFound, TooLarge
from shiftwork_core.ports.stores import MOST_LOOKED_AT
from tests.contract.store.conftest import Aws
from tests.contract.store.interfering import Interfering, Overtaken
from tests.contract.store.rows import NOW, Stores, sent_twice

FIRST = Definition(
    Kind.JOB_TYPE,
    "documents.analyse",
    1,
    {"target": "python", "retry": {"delay_s": 0.5, "jitter": "full"}, "description": "Ärger"},
    "2026-01-31T09:00:00.000Z",
)


def test_a_version_is_read_back_as_it_was_written(stores: Stores) -> None:
    deletion = replace(FIRST, version=2, body={}, is_deleted=True, queue_shards=8)
    for definition in (FIRST, deletion):
        assert sent_twice(partial(stores.definitions.put, definition))
        found = stores.definitions.get(FIRST.kind, FIRST.name, definition.version)
        assert found == definition


@pytest.mark.parametrize(
    "difference",
    [{"body": {}}, {"is_deleted": True}, {"created_at": "2026-01-31T09:00:00.001Z"}],
    ids=["body", "deletion", "time"],
)
def test_the_second_to_write_a_version_loses(stores: Stores, difference: dict[str, Any]) -> None:
    assert stores.definitions.put(FIRST)
    assert not stores.definitions.put(replace(FIRST, **difference))
    assert stores.definitions.get(FIRST.kind, FIRST.name) == FIRST


def test_the_latest_version_is_found_by_number(stores: Stores) -> None:
    for version in (9, 10, 2, 1):
        stores.definitions.put(replace(FIRST, version=version))
    latest = stores.definitions.get(FIRST.kind, FIRST.name)
    assert latest is not None
    assert latest.version == 10
    assert stores.definitions.get(FIRST.kind, FIRST.name, 3) is None


def test_kinds_and_names_are_apart(stores: Stores) -> None:
    stores.definitions.put(FIRST)
    assert stores.definitions.get(Kind.REQUEST_TYPE, FIRST.name) is None
    assert stores.definitions.get(Kind.REQUEST_TYPE, FIRST.name, 1) is None
    assert stores.definitions.get(Kind.JOB_TYPE, "documents") is None
    assert list(stores.definitions.latest(Kind.REQUEST_TYPE)) == []


def test_the_latest_of_every_name_is_listed_by_name(stores: Stores) -> None:
    for name, versions in {"b": 11, "a.b": 2, "a": 1}.items():
        for version in range(1, versions + 1):
            stores.definitions.put(replace(FIRST, name=name, version=version))
    stores.definitions.put(replace(FIRST, name="a", version=2, is_deleted=True))
    stores.definitions.put(replace(FIRST, kind=Kind.REQUEST_TYPE, name="c"))
    listed = stores.definitions.latest(Kind.JOB_TYPE)
    assert [(d.name, d.version, d.is_deleted) for d in listed] == [
        ("a", 2, True),
        ("a.b", 2, False),
        ("b", 11, False),
    ]


def test_a_definition_may_list_ten_thousand_jobs(stores: Stores) -> None:
    jobs = [{"name": f"job-{n}", "type": "documents.analyse", "params": {}} for n in range(10_000)]
    large = replace(FIRST, kind=Kind.REQUEST_TYPE, body={"steps": [{"name": "s", "jobs": jobs}]})
    assert len(json.dumps(large.body)) > 400 * 1024
    assert sent_twice(lambda: stores.definitions.put(large))
    assert stores.definitions.get(large.kind, large.name) == large
    assert list(stores.definitions.latest(large.kind)) == [large]


def test_a_definition_that_no_row_can_hold_is_refused(aws: Aws) -> None:
    noise = random.Random(1).randbytes(500_000).hex()
    with pytest.raises(TooLarge):
        aws.stores().definitions.put(replace(FIRST, body={"description": noise}))
    assert aws.stores().definitions.get(FIRST.kind, FIRST.name) is None


def test_a_definition_is_compressed_only_if_it_must_be(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"description": "x" * 999}
    text = json.dumps(body, separators=(",", ":"))
    squeezed = zlib.compress(text.encode())
    for most_bytes, stored in (
        (len(text), {"S": text}),
        (len(text) - 1, {"B": squeezed}),
        (len(squeezed), {"B": squeezed}),
    ):
        monkeypatch.setattr(dynamodb_definitions, "_MAX_BODY_BYTES", most_bytes)
        definition = replace(FIRST, name=str(most_bytes), body=body)
        assert aws.stores().definitions.put(definition)
        [row] = [row for row in rows_of(aws) if row["name"]["S"].endswith(f"#{most_bytes}")]
        assert row["body"] == stored
        assert aws.stores().definitions.get(FIRST.kind, definition.name) == definition
    monkeypatch.setattr(dynamodb_definitions, "_MAX_BODY_BYTES", len(squeezed) - 1)
    with pytest.raises(TooLarge):
        aws.stores().definitions.put(replace(FIRST, body=body))


def test_a_definition_stores_no_defaults(aws: Aws) -> None:
    assert aws.stores().definitions.put(FIRST)
    [row] = rows_of(aws)
    assert set(row) == {"name", "version", "body", "created_at", "kind", "place"}


def rows_of(aws: Aws) -> list[dict[str, Any]]:
    found = aws.rows.scan(TableName=aws.definitions_table, ConsistentRead=True)
    rows: list[dict[str, Any]] = found["Items"]
    return rows


def put_versions(stores: Stores, name: str, *versions: int, **of_last: Any) -> None:
    """Write versions of a definition; `of_last` is true of the last alone."""
    for version in versions:
        values = of_last if version == versions[-1] else {}
        assert stores.definitions.put(replace(FIRST, name=name, version=version, **values))


def pages_of(stores: Stores, limit: int) -> list[list[tuple[str, int]]]:
    """Return names and versions, page by page."""
    pages, token = [], None
    while True:
        page = stores.definitions.find(Kind.JOB_TYPE, limit, token)
        pages.append([(d.name, d.version) for d in page.items])
        token = page.next_token
        if token is None:
            return pages


def test_definitions_are_listed_by_name_page_by_page_in_their_latest_versions(
    stores: Stores,
) -> None:
    put_versions(stores, "b", *range(1, 12))
    put_versions(stores, "a.b", 1, 2)
    put_versions(stores, "gone", 1, 2, is_deleted=True, body={})
    put_versions(stores, "a", 1)
    put_versions(stores, "a-b", 10**9 - 1)
    stores.definitions.put(replace(FIRST, kind=Kind.REQUEST_TYPE, name="c"))
    assert [one for page in pages_of(stores, 2) for one in page] == [
        ("a", 1),
        ("a-b", 10**9 - 1),
        ("a.b", 2),
        ("b", 11),
    ]
    assert pages_of(stores, 2)[0] == [("a", 1), ("a-b", 10**9 - 1)]
    assert stores.definitions.find(Kind.JOB_TYPE, 9, "b").items == []


def test_a_list_of_definitions_begins_with_the_first_capital(stores: Stores) -> None:
    for name in ("a", "Z", "A"):
        put_versions(stores, name, 1)
    assert pages_of(stores, 9) == [[("A", 1), ("Z", 1), ("a", 1)]]
    assert [d.name for d in stores.definitions.latest(Kind.JOB_TYPE)] == ["A", "Z", "a"]


def test_a_list_of_definitions_goes_on_behind_very_many_versions(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_LOOKED_AT", 5)
    put_versions(stores, "a", *range(1, 9))
    put_versions(stores, "b", *range(1, 9), is_deleted=True, body={})
    put_versions(stores, "c", 1)
    found = pages_of(stores, 3)
    assert [one for page in found for one in page] == [("a", 8), ("c", 1)]
    assert len(found) == 3


def test_a_page_of_definitions_reads_no_more_than_it_needs(aws: Aws) -> None:
    for number in range(40):
        put_versions(aws.stores(), f"n{number:02}", 1, 2)
    client = Interfering(aws.dynamodb)
    page = aws.stores(client).definitions.find(Kind.JOB_TYPE, 3, "n10")
    assert [d.name for d in page.items] == ["n11", "n12", "n13"]
    assert client.calls == {"query": 1, "batch_get_item": 1}
    [listed, read] = client.sent
    assert listed["Limit"] == MOST_LOOKED_AT + 1
    assert len(read["RequestItems"][aws.definitions_table]["Keys"]) == 3


def test_all_definitions_are_read_page_by_page_as_far_as_one_goes(aws: Aws) -> None:
    for number in range(120):
        put_versions(aws.stores(), f"n{number:03}", 1)
    client = Interfering(aws.dynamodb)
    some = list(islice(aws.stores(client).definitions.latest(Kind.JOB_TYPE), 90))
    assert [d.name for d in some] == [f"n{number:03}" for number in range(90)]
    assert client.calls == {"query": 1, "batch_get_item": 1}


# -- blobs ---------------------------------------------------------------------------------------

FILLINGS = ("", "." * 9000)
IN_100_DAYS = NOW + timedelta(days=100)
#: Texts for a row, and for an object.
SMALL, LARGE = '{"names":["Zoë","李"]}', json.dumps(["Zoë"] * 2000, ensure_ascii=False)


@pytest.mark.parametrize(
    ("text", "ref_begins"), [(SMALL, "row/r1/"), (LARGE, "requests/32/r1/")], ids=["small", "large"]
)
def test_a_text_is_read_back_under_a_reference_of_its_content(
    stores: Stores, text: str, ref_begins: str
) -> None:
    ref = sent_twice(lambda: stores.blobs.put("r1", text, 32))
    assert ref.startswith(ref_begins)
    assert stores.blobs.get(ref) == text
    assert stores.blobs.put("r1", "{}", 32) != ref
    assert stores.blobs.put("r2", text, 32) != ref


def test_a_row_has_a_text_of_8_kib_and_no_larger(stores: Stores) -> None:
    refs = [stores.blobs.put("r1", "é" * 4096 + more, 32) for more in ("", ".")]
    assert [ref.partition("/")[0] for ref in refs] == ["row", "requests"]


@pytest.mark.parametrize("ref", ["requests/32/r1/gone.json", "row/r1/gone"])
def test_a_text_that_has_expired_is_not_found(stores: Stores, ref: str) -> None:
    with pytest.raises(NotFound):
        stores.blobs.get(ref)


def test_texts_are_read_back_in_their_order_whatever_keeps_them(stores: Stores) -> None:
    texts = [f'"{n}{filling}"' for n in range(15) for filling in FILLINGS]
    refs = [stores.blobs.put("r1", text, 32) for text in texts]
    assert list(stores.blobs.get_many(iter(refs))) == texts
    assert list(stores.blobs.get_many([])) == []


def test_of_texts_that_are_read_back_one_that_has_expired_is_not_found(stores: Stores) -> None:
    refs = [stores.blobs.put("r1", f"{LARGE}{n}", 32) for n in range(15)]
    texts = stores.blobs.get_many([*refs[:12], "requests/32/r1/gone.json", *refs[12:]])
    assert list(islice(texts, 12)) == [f"{LARGE}{n}" for n in range(12)]
    with pytest.raises(NotFound):
        next(texts)


def test_bytes_are_read_back_from_any_place(stores: Stores) -> None:
    ref = sent_twice(lambda: stores.blobs.put_bytes("r1", b"\xff2345", 32))
    read = [stores.blobs.get_bytes("r1", ref, *part) for part in ((0, 5), (1, 3), (3, 9))]
    assert read == [b"\xff2345", b"23", b"45"]
    assert stores.blobs.put_bytes("r1", b"other", 32) != ref


@pytest.mark.parametrize("request_id", ["r2", "r", ""])
def test_bytes_of_another_request_are_not_found(stores: Stores, request_id: str) -> None:
    ref = stores.blobs.put_bytes("r1", b"12345", 32)
    with pytest.raises(NotFound):
        stores.blobs.get_bytes(request_id, ref, 0, 1)
    with pytest.raises(NotFound):
        stores.blobs.get_bytes("r1", ref + "x", 0, 1)


def test_bytes_that_are_renewed_stay_under_their_reference(stores: Stores) -> None:
    ref = stores.blobs.put_bytes("r1", b"12345", 32)
    assert stores.blobs.renew("r1", IN_100_DAYS, 256)
    assert stores.blobs.get_bytes("r1", ref, 0, 5) == b"12345"


def test_a_text_that_is_renewed_stays_under_its_reference(stores: Stores) -> None:
    texts = [(f'"{n}{filling}"', days) for n, days in enumerate([32, 512]) for filling in FILLINGS]
    refs = {stores.blobs.put("r1", text, days): text for text, days in texts}
    other = stores.blobs.put("r2", '"other"', 32)
    assert sent_twice(lambda: stores.blobs.renew("r1", IN_100_DAYS, 256))
    assert {ref: stores.blobs.get(ref) for ref in refs} == refs
    assert stores.blobs.get(other) == '"other"'
    assert stores.blobs.renew("r3", IN_100_DAYS, 256)


def test_an_object_that_is_renewed_is_kept_for_longer_and_found_once_the_first_has_expired(
    aws: Aws,
) -> None:
    blobs = aws.stores().blobs
    ref, long = blobs.put("r1", LARGE, 32), blobs.put("r1", f"[{LARGE}]", 512)
    in_100_days = datetime.now(UTC) + timedelta(days=100)  # By moto's clock.
    for _ in range(2):
        assert blobs.renew("r1", in_100_days, 256)
        found = aws.s3.list_objects_v2(Bucket=aws.bucket)["Contents"]
        # The first is left alone, since it has a copy that is kept for long enough.
        assert sorted(o["Key"] for o in found) == sorted([ref, ref.replace("/32/", "/256/"), long])
    aws.s3.delete_object(Bucket=aws.bucket, Key=ref)
    assert blobs.get(ref) == LARGE
    aws.s3.delete_object(Bucket=aws.bucket, Key=ref.replace("/32/", "/256/"))
    with pytest.raises(NotFound):
        blobs.get(ref)


def test_a_row_that_would_expire_too_early_is_kept_for_longer_and_no_other(aws: Aws) -> None:
    blobs = aws.stores().blobs
    for request_id, text, days in [("r1", "[1]", 32), ("r1", "[2]", 128), ("r2", "[3]", 32)]:
        blobs.put(request_id, text, days)
    blobs.renew("r1", IN_100_DAYS, 256)
    lives = {row["text"]["S"]: int(row["expires_at"]["N"]) for row in aws.items(aws.payloads_table)}
    days_of = {text: (at - NOW.timestamp()) / 86_400 for text, at in lives.items()}
    assert days_of == {"[1]": 256, "[2]": 128, "[3]": 32}


def test_rows_that_live_for_long_enough_cost_a_renewal_no_write(aws: Aws) -> None:
    blobs = aws.stores().blobs
    for number, days in enumerate([100, 101, 512]):
        blobs.put("r1", f"[{number}]", days)
    client = Interfering(aws.dynamodb)
    aws.stores(client).blobs.renew("r1", IN_100_DAYS, 256)
    assert client.calls == {"query": 1}


def test_a_row_that_another_lets_live_for_long_enough_meanwhile_is_not_written(aws: Aws) -> None:
    blobs = aws.stores().blobs
    blobs.put("r1", "[1]", 32)
    client = Overtaken(aws.dynamodb, others=[lambda: blobs.put("r1", "[1]", 100)])
    aws.stores(client).blobs.renew("r1", IN_100_DAYS, 256)
    [row] = aws.items(aws.payloads_table)
    assert client.calls == {"query": 1, "update_item": 1}
    assert int(row["expires_at"]["N"]) == IN_100_DAYS.timestamp()


def test_a_row_that_expires_while_it_is_renewed_does_not_come_back_without_its_text(
    aws: Aws,
) -> None:
    _, request_id, part = aws.stores().blobs.put("r1", "[1]", 32).split("/")
    key = {"request_id": {"S": request_id}, "part": {"S": part}}

    def expire() -> None:
        aws.rows.delete_item(TableName=aws.payloads_table, Key=key)

    aws.stores(Overtaken(aws.dynamodb, others=[expire])).blobs.renew("r1", IN_100_DAYS, 256)
    assert aws.items(aws.payloads_table) == []


def test_a_text_that_is_written_again_lives_from_then_on(aws: Aws) -> None:
    blobs = aws.stores().blobs
    assert blobs.put("r1", "[1]", 32) == blobs.put("r1", "[1]", 512)
    [row] = aws.items(aws.payloads_table)
    assert int(row["expires_at"]["N"]) == (NOW + timedelta(days=512)).timestamp()


def test_a_text_is_published_where_a_state_machine_can_read_it(aws: Aws) -> None:
    where = aws.stores().blobs.publish("r1", "[1]", 32)
    found = aws.s3.get_object(Bucket=where["bucket"], Key=where["key"])
    assert found["Body"].read() == b"[1]"
