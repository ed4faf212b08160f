"""Fixtures of all contract tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.http_service import Service
from tests.contract.raw_server import RawServer


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.release.set()
    service.server.shutdown()
    service.server.server_close()


@pytest.fixture
def server() -> Iterator[RawServer]:
    """Return a server that sends what a test says."""
    server = RawServer()
    yield server
    server.stop()
