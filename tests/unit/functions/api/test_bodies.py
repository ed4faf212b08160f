"""Bad bodies of every kind: each has its status, names its faults, and writes nothing."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.unit.functions.api.conftest import Api

MIB = 1024 * 1024
GOOD = '{"type": "sum", "params": {"numbers": [1, 2]}}'


def nested(levels: int) -> str:
    """Return a submission whose body has this many levels of objects and arrays."""
    inner = "[" * (levels - 2) + "]" * (levels - 2)
    return f'{{"type": "sum", "params": {{"numbers": {inner}}}}}'


def with_params(text: str) -> str:
    """Return a submission with this text among its params."""
    return f'{{"type": "sum", "params": {{"a": {{"b": [0, {text}]}}}}}}'


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("{", "line 1, column 2"),
        ("type=sum", "line 1, column 1"),
        (GOOD + "{}", "Extra data"),
        ("{'type': 'sum'}", "property name enclosed in double quotes"),
        ("\ufeff" + GOOD, "BOM"),
        (with_params("NaN"), "params.a.b[1]: JSON has no NaN"),
        (with_params("-Infinity"), "params.a.b[1]: JSON has no NaN and no Infinity"),
        (with_params("01"), "not JSON"),
        ('{"type": "sum", "type": "other", "params": {}}', "the key 'type' twice"),
        (with_params('{"x": 1, "x": 1}'), "the key 'x' twice"),
        (with_params('"\t"'), "Invalid control character"),
    ],
)
def test_a_body_that_is_not_json_is_malformed(api: Api, raw: str, said: str) -> None:
    answer = api("POST", "/v1/requests", raw=raw)
    assert (answer.status, answer.body["title"]) == (400, "The body is not JSON")
    assert said in answer.body["detail"]
    assert not api.has_written


@pytest.mark.parametrize("content", [b"\xff\xfe", GOOD.encode("utf-16"), b'{"type": "\xc3"}'])
def test_a_body_that_is_not_utf8_is_malformed(api: Api, content: bytes) -> None:
    raw = base64.b64encode(content).decode()
    answer = api("POST", "/v1/requests", raw=raw, is_base64=True)
    assert answer.status == 400
    assert "not UTF-8" in answer.body["detail"]
    assert not api.has_written


def test_a_body_declared_as_base64_that_is_not_is_malformed(api: Api) -> None:
    assert api("POST", "/v1/requests", raw="%%%", is_base64=True).status == 400


def test_a_body_may_be_sent_in_base64(api: Api) -> None:
    raw = base64.b64encode(GOOD.encode()).decode()
    assert api("POST", "/v1/requests", raw=raw, is_base64=True).status == 201


@pytest.mark.parametrize("raw", ["[]", f"[{GOOD}]", '"text"', "5", "true", "null", "[[[]]]"])
def test_a_body_must_be_an_object(api: Api, raw: str) -> None:
    answer = api("POST", "/v1/requests", raw=raw)
    assert (answer.status, answer.faults) == (422, {"": "must be a JSON object"})
    assert not api.has_written


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", ""])
@pytest.mark.parametrize("raw", [None, ""])
def test_a_body_is_required(api: Api, raw: str | None, media_type: str) -> None:
    answer = api("POST", "/v1/requests", raw=raw, headers={"content-type": media_type})
    assert (answer.status, list(answer.faults)) == (422, [""])
    assert not api.has_written


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "application/jsonlines", "application/xml", "*/*", "application/json-patch+json"],
)  # fmt: skip
def test_a_body_must_be_declared_as_json(api: Api, media_type: str) -> None:
    answer = api("POST", "/v1/requests", raw=GOOD, headers={"content-type": media_type})
    assert answer.status == 415
    assert not api.has_written


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=utf-8", "application/json ;x=y"]
)
def test_json_may_be_declared_in_any_spelling(api: Api, media_type: str) -> None:
    assert api("POST", "/v1/requests", raw=GOOD, headers={"content-type": media_type}).status == 201


def test_a_body_that_is_not_declared_counts_as_json(api: Api) -> None:
    event = {"type": "sum", "params": {}}
    assert api("POST", "/v1/requests", event, headers={"content-type": ""}).status == 201


@pytest.mark.parametrize("filler", ["x", "ä", "\U0001f600"])
def test_a_body_over_a_mebibyte_is_too_large(api: Api, filler: str) -> None:
    text = filler * (MIB // len(filler.encode()))
    answer = api("POST", "/v1/requests", raw=json.dumps({"a": text}, ensure_ascii=False))
    assert (answer.status, answer.body["title"]) == (413, "The input is too large")
    assert not api.has_written


def test_a_body_of_a_mebibyte_is_read(api: Api) -> None:
    raw = GOOD[:-1] + ', "unknown": "' + "x" * (MIB - len(GOOD) - 15) + '"}'
    assert len(raw) == MIB
    assert api("POST", "/v1/requests", raw=raw).faults == {"unknown": "is not a known field"}


def test_a_body_of_32_levels_is_accepted(api: Api) -> None:
    assert api("POST", "/v1/requests", raw=nested(32)).status == 201


@pytest.mark.parametrize("levels", [33, 500, 5_000, 500_000])
def test_a_deeper_body_is_refused_however_deep(api: Api, levels: int) -> None:
    answer = api("POST", "/v1/requests", raw=nested(levels))
    assert answer.status == 422
    assert "more than 32 levels" in answer.body["detail"]
    assert not api.has_written


@pytest.mark.parametrize("levels", [100_000])
@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_a_body_that_only_opens_is_refused(api: Api, levels: int, opening: str) -> None:
    assert api("POST", "/v1/requests", raw=opening * levels).status in (400, 422)


@pytest.mark.parametrize(
    "number",
    ["1e999", "-1e999", "9" * 309, "9" * 5000, str(2**63), str(-(2**63) - 1), "1" + "0" * 400],
)
def test_a_number_out_of_range_is_named(api: Api, number: str) -> None:
    answer = api("POST", "/v1/requests", raw=with_params(number))
    assert answer.status == 422
    assert answer.faults == {"params.a.b[1]": "the number is out of range"}
    assert not api.has_written


@pytest.mark.parametrize("number", [str(2**63 - 1), str(-(2**63)), "1e308", "-0", "5e-324", "0.1"])
def test_a_number_in_range_is_returned_unchanged(api: Api, number: str) -> None:
    answer = api("POST", "/v1/requests", raw=with_params(number))
    assert answer.body["params"]["a"]["b"][1] == json.loads(number)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (r'"\ud800"', "params.a.b[1]"),
        (r'"x\udfff"', "params.a.b[1]"),
        (r'{"\udc00": 1}', "params.a.b[1]"),
    ],
)
def test_half_a_surrogate_pair_is_named(api: Api, text: str, path: str) -> None:
    answer = api("POST", "/v1/requests", raw=with_params(text))
    assert answer.status == 422
    assert list(answer.faults) == [path]
    assert not api.has_written


def test_every_bad_value_is_named_at_once(api: Api) -> None:
    answer = api("POST", "/v1/requests", raw=with_params(r'1e999, 1e999, "\ud800"'))
    assert set(answer.faults) == {"params.a.b[1]", "params.a.b[2]", "params.a.b[3]"}


@pytest.mark.parametrize("text", ["ä", "\U0001f600", "\x00", "\u2028", "</script>", ""])
def test_any_text_is_returned_unchanged(api: Api, text: str) -> None:
    body = {"type": "sum", "params": {text: text}}
    answer = api("POST", "/v1/requests", body)
    assert answer.body["params"] == {text: text}


@pytest.mark.parametrize("payload", ["params", "extras"])
def test_a_payload_of_256_kib_is_accepted_and_a_larger_one_refused(api: Api, payload: str) -> None:
    def body(size: int) -> dict[str, Any]:
        return {"type": "sum", "params": {}} | {payload: {"a": "ä" * ((size - 8) // 2)}}

    assert api("POST", "/v1/requests", body(256 * 1024 + 2)).status == 413
    assert not api.has_written
    answer = api("POST", "/v1/requests", body(256 * 1024))
    assert answer.status == 201
    assert answer.body[payload] == body(256 * 1024)[payload]


def test_both_payloads_are_named_when_both_are_too_large(api: Api) -> None:
    large = {"a": "x" * 300_000}
    answer = api("POST", "/v1/requests", {"type": "sum", "params": large, "extras": large})
    assert answer.body["detail"].startswith("params has 300,008 and extras has 300,008 bytes")
