"""Which values name a manifest, and which names tell its format."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork_core.domain.requests.manifests.places import (
    Format,
    ManifestFault,
    Place,
    Syntax,
    format_of,
    place_of,
)

LINES, CSV = Syntax.JSON_LINES, Syntax.CSV


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("s3://lists/2026/rows.csv", Place("lists", "2026/rows.csv")),
        ("s3://lists//rows.csv", Place("lists", "/rows.csv")),
        ("s3://a.b-1/Ärger ?#%2F\n.csv", Place("a.b-1", "Ärger ?#%2F\n.csv")),
        ({"bucket": "lists", "key": "rows.csv"}, Place("lists", "rows.csv")),
        ({"key": "s3://x", "bucket": "lists"}, Place("lists", "s3://x")),
        ("s3://" + "b" * 63 + "/" + "ä" * 512, Place("b" * 63, "ä" * 512)),
    ],
)
def test_an_object_is_named_by_its_uri_or_by_bucket_and_key(value: Any, place: Place) -> None:
    assert place_of(value) == place


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        [],
        ["s3://lists/rows.csv"],
        "",
        "lists/rows.csv",
        "S3://lists/rows.csv",
        "https://lists.s3.amazonaws.com/rows.csv",
        " s3://lists/rows.csv",
        "s3://lists",
        "s3:///rows.csv",
        {},
        {"bucket": "lists"},
        {"bucket": "lists", "key": None},
        {"bucket": {"name": "lists"}, "key": "rows.csv"},
        {"bucket": "lists", "key": "rows.csv", "version": "1"},
    ],
)
def test_what_names_no_object_is_told_how_to_name_one(value: Any) -> None:
    with pytest.raises(ManifestFault, match=r"s3://bucket/key|3 to 63"):
        place_of(value)


@pytest.mark.parametrize("bucket", ["Lists", "li", "b" * 64, "-lists", "lists.", "li_sts", "lis\n"])
def test_what_s3_has_no_bucket_for_is_refused(bucket: str) -> None:
    with pytest.raises(ManifestFault, match="3 to 63"):
        place_of({"bucket": bucket, "key": "rows.csv"})


@pytest.mark.parametrize("key", ["", "k" * 1025, "ä" * 513, "\ud800.csv"])
def test_what_s3_has_no_key_for_is_refused(key: str) -> None:
    with pytest.raises(ManifestFault, match="1 to 1,024 bytes"):
        place_of({"bucket": "lists", "key": key})


def test_a_message_quotes_little_of_a_large_value() -> None:
    with pytest.raises(ManifestFault) as raised:
        place_of("x" * 100_000)
    assert len(str(raised.value)) < 400


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200))
def test_a_place_is_written_as_the_uri_that_names_it(key: str) -> None:
    place = place_of({"bucket": "lists", "key": key})
    assert place_of(str(place)) == place


@pytest.mark.parametrize(
    ("key", "form"),
    [
        ("rows.jsonl", Format(LINES)),
        ("a.csv/rows.ndjson", Format(LINES)),
        ("rows.csv", Format(CSV)),
        ("ROWS.CSV", Format(CSV)),
        ("rows.JsonL.Gz", Format(LINES, is_gzipped=True)),
        ("rows.ndjson.gz", Format(LINES, is_gzipped=True)),
        ("rows.csv.gz", Format(CSV, is_gzipped=True)),
        (".csv", Format(CSV)),
    ],
)
def test_the_end_of_the_key_tells_the_format(key: str, form: Format) -> None:
    assert format_of(Place("lists", key)) == form


@pytest.mark.parametrize(
    "key", ["rows", "rows.json", "rows.gz", "rows.csv.zip", "rows.csv.gz.gz", "rows.tsv", "csv"]
)
def test_another_format_is_told_which_are_taken(key: str) -> None:
    with pytest.raises(ManifestFault, match=r"\.jsonl, \.ndjson, \.csv .*\.gz"):
        format_of(Place("lists", key))
