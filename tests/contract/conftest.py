"""Fixtures of all contract tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.http_service import Service


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.release.set()
    service.server.shutdown()
    service.server.server_close()
