from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Gauge

from lachan import endpoint
from lachan.endpoint import EndpointError, serve
from lachan.spool import SpoolUnavailableError


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("lachan_test_value", "A value.", registry=registry).set(3)
    return registry


@pytest.fixture
def found() -> list[str]:
    return []


@pytest.fixture
def place(registry: CollectorRegistry, found: list[str]) -> Iterator[tuple[str, int]]:
    with serve("127.0.0.1", 0, registry, lambda: found) as place:
        yield place


def get(place: tuple[str, int], path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*place, timeout=10)
    connection.request(method, path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


def test_metrics_are_exposed(place: tuple[str, int]) -> None:
    status, body = get(place, "/metrics")
    assert status == 200
    assert b"lachan_test_value 3.0" in body


def test_health_says_what_is_wrong(place: tuple[str, int], found: list[str]) -> None:
    status, body = get(place, "/health")
    assert (status, json.loads(body)) == (200, {"status": "ok", "problems": []})
    found.append("no worker is alive")
    status, body = get(place, "/health")
    assert (status, json.loads(body)) == (503, {"status": "failing", "problems": ["no worker is alive"]})


@pytest.mark.parametrize(("path", "method", "status"), [("/", "GET", 404), ("/metrics", "POST", 405)])
def test_nothing_else_is_served(place: tuple[str, int], path: str, method: str, status: int) -> None:
    assert get(place, path, method)[0] == status


def test_a_foreseen_error_is_told_and_not_fatal(registry: CollectorRegistry) -> None:
    def failing() -> list[str]:
        raise SpoolUnavailableError("spool.db: disk")

    with serve("127.0.0.1", 0, registry, failing) as place:
        status, body = get(place, "/health")
        assert (status, json.loads(body)) == (503, {"error": "spool.db: disk"})
        assert get(place, "/metrics")[0] == 200


def test_connections_are_bounded_and_cut(
    monkeypatch: pytest.MonkeyPatch, registry: CollectorRegistry, found: list[str]
) -> None:
    monkeypatch.setattr(endpoint, "CONNECTIONS_MAX", 2)
    monkeypatch.setattr(endpoint, "CONNECTION_SECONDS", 0.3)
    with serve("127.0.0.1", 0, registry, lambda: found) as place:
        idle = [socket.create_connection(place, timeout=10) for _ in range(2)]
        for connection in idle:
            connection.sendall(b"GET /metrics HTTP/1.1\r\n")
        third = socket.create_connection(place, timeout=10)
        # Turned away at once, since the two that say nothing hold every place...
        assert third.recv(100) == b""
        # ...but not for long.
        assert [connection.recv(100) for connection in idle] == [b"", b""]
        for connection in (*idle, third):
            connection.close()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            # A place is free again a moment after its connection is cut.
            with contextlib.suppress(ConnectionError, http.client.BadStatusLine):
                assert get(place, "/metrics")[0] == 200
                break
        else:
            pytest.fail("no place became free")


def test_ipv6_and_a_busy_port(registry: CollectorRegistry, found: list[str]) -> None:
    with serve("::1", 0, registry, lambda: found) as (address, port):
        assert get((address, port), "/metrics")[0] == 200
        with pytest.raises(EndpointError, match="in use"), serve("::1", port, registry, lambda: found):
            pass
