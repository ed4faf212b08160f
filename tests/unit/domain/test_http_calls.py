"""Params lead no call elsewhere and add nothing to it."""

from __future__ import annotations

import posixpath
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork_core.domain.http_calls import (
    header_name_fault,
    header_value_fault,
    path_fault,
)


@pytest.mark.parametrize(
    "path", ["/", "/a/b", "/a%20b", "/a?b=..", "/a//b", "/...", "/a;v=1", "/a%2Fb", "/@me", "/a:b"]
)
def test_a_path_below_the_base_url_is_sent(path: str) -> None:
    assert path_fault(path) is None


@pytest.mark.parametrize(
    "path",
    ["", "a", "@evil.test/", ":80/", "//evil.test/", "http://evil.test/", "/..", "/a/../b",
     "/%2e%2E/b", "/a/..%2Fb", "/a/..%5cb", "/a/..;x/b", "/.", "/\\evil.test", "/a\\..\\b", "/a#b",
     "/a b", "/a\tb", "/a\r\nHost: evil", "/a\0", "/a%00b", "/a%0d%0ab", "/ü", "?x", "\\a"],
)  # fmt: skip
def test_a_path_that_some_reader_takes_elsewhere_is_refused(path: str) -> None:
    assert path_fault(path) is not None


@given(st.text(max_size=20).filter(lambda text: text.isascii() or text.isprintable()))
def test_no_escaped_value_leads_a_path_elsewhere(value: str) -> None:
    path = f"/users/{quote(value, safe='')}/removal"
    if path_fault(path) is None:
        seen = posixpath.normpath(unquote(path).replace("\\", "/"))
        assert seen.startswith("/users/") and seen.endswith("removal")


@pytest.mark.parametrize("value", ["", "a b", "\ta", "n=7", "größe", "\xff", "~!@#"])
def test_a_value_that_http_can_carry_is_sent(value: str) -> None:
    assert header_value_fault(value) is None


@pytest.mark.parametrize(
    "value", ["a\nb", "a\r\nEvil: 1", "a\0", "\x7f", "\x1b[31m", "ключ", "\u2028", "😀", "\ud800"]
)
def test_a_value_that_http_cannot_carry_is_refused(value: str) -> None:
    assert header_value_fault(value) is not None


@given(st.text(max_size=20))
def test_a_value_that_is_sent_is_one_line_of_latin_1(value: str) -> None:
    if header_value_fault(value) is None:
        assert not set(value.encode("latin-1")) & set(b"\r\n\0")


@pytest.mark.parametrize(
    "name", ["", "a b", "a:b", "a\n", "ü", "Host", "content-length", "Transfer-Encoding", "TE",
             "Idempotency-Key", "Connection", "Upgrade", "Expect", "Trailer"],
)  # fmt: skip
def test_a_header_that_would_change_the_request_is_refused(name: str) -> None:
    assert header_name_fault(name) is not None
