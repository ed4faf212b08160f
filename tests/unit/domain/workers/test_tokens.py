"""Signed tokens: only the key makes a valid one, and it expires."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork_core.domain.workers.tokens import (
    Claims,
    TokenFault,
    is_signed,
    read,
    sign,
    signing_key,
)

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
KEY = signing_key(b"an administrator's token")
CLAIMS = Claims("worker", "host-1", NOW + timedelta(minutes=20), "7d9f")


def test_a_token_carries_its_claims() -> None:
    token = sign(CLAIMS, KEY)
    assert is_signed(token)
    assert read(token, KEY, NOW) == CLAIMS


@given(subject=st.text(max_size=300))
def test_any_name_can_be_a_subject(subject: str) -> None:
    claims = replace(CLAIMS, subject=subject)
    token = sign(claims, KEY)
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    assert len(token) > 2048 or read(token, KEY, NOW) == claims


def test_a_token_is_valid_until_it_expires() -> None:
    token = sign(CLAIMS, KEY)
    assert read(token, KEY, CLAIMS.expires_at - timedelta(seconds=1)) == CLAIMS
    assert read(token, KEY, CLAIMS.expires_at) is TokenFault.EXPIRED


def test_a_token_of_another_key_is_invalid() -> None:
    assert read(sign(CLAIMS, KEY), signing_key(b"another"), NOW) is TokenFault.INVALID


@given(place=st.integers(0, 200), other=st.characters(codec="ascii"))
def test_no_character_of_a_token_can_be_changed(place: int, other: str) -> None:
    token = sign(CLAIMS, KEY)
    place %= len(token) - 1  # The last character has unused bits.
    changed = token[:place] + other + token[place + 1 :]
    assert changed == token or read(changed, KEY, NOW) is TokenFault.INVALID


def test_a_tokens_scope_cannot_be_changed_under_its_signature() -> None:
    prefix, payload, signature = sign(CLAIMS, KEY).split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    forged = base64.urlsafe_b64encode(json.dumps(claims | {"scope": "admin"}).encode()).decode()
    assert read(f"{prefix}.{forged.rstrip('=')}.{signature}", KEY, NOW) is TokenFault.INVALID


@pytest.mark.parametrize(
    "token", ["", "sw1", "sw1.", "sw1..", "sw1.a.b", "sw2.a.b", "sw1.ä.ö", "sw1.e30.", "." * 5000]
)
def test_a_text_that_is_not_a_token_is_invalid(token: str) -> None:
    assert read(token, KEY, NOW) is TokenFault.INVALID


@given(token=st.text(max_size=50))
def test_no_text_makes_it_fail(token: str) -> None:
    assert read(f"sw1.{token}", KEY, NOW) is TokenFault.INVALID
