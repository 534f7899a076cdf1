from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from blocklist_sync.edge import hosts
from blocklist_sync.edge.hosts import ADDRESSES_MAX, KEPT_SECONDS, Hosts
from blocklist_sync.edge.settings import HostSettings

HOST = "list.example"
OLD, NEW = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the system's resolver says."""
    answer: list[str] = []

    def ask(host: str, timeout: float) -> list[str]:
        assert (host, timeout) == (HOST, 4.0)
        return list(answer)

    monkeypatch.setattr(hosts, "ask_system", ask)
    return answer


def test_what_the_settings_say_is_asked_of_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> list[str]:
        raise AssertionError("somebody was asked")

    for name in ("ask_system", "ask_resolvers"):
        monkeypatch.setattr(hosts, name, never)
    found = Hosts(HostSettings(addresses={HOST: (NEW, OLD)}), tmp_path / "hosts.json")
    assert found.addresses(HOST) == [NEW, OLD]
    assert found.addresses("2001:db8::1") == ["2001:db8::1"]


def test_what_worked_goes_first_where_it_is_said_and_last_where_it_is_not(tmp_path: Path, said: list[str]) -> None:
    now = 0.0
    found = Hosts(HostSettings(), tmp_path / "state" / "hosts.json", lambda: now)
    said[:] = [NEW, OLD]
    assert found.addresses(HOST) == [NEW, OLD]
    found.worked(HOST, OLD)
    assert found.addresses(HOST) == [OLD, NEW]
    # It moved. What is known is asked again once it is old.
    said[:] = [NEW]
    assert found.addresses(HOST) == [OLD, NEW]
    now = KEPT_SECONDS
    assert found.addresses(HOST) == [NEW, OLD]
    # Nobody can be asked, and after a restart: where it was reached.
    said.clear()
    now = 2 * KEPT_SECONDS
    assert found.addresses(HOST) == [OLD]
    restarted = Hosts(HostSettings(), tmp_path / "state" / "hosts.json", lambda: now)
    assert restarted.addresses(HOST) == [OLD]
    # An answer of nothing is not kept: the next question is asked at once.
    said[:] = [NEW]
    assert restarted.addresses(HOST) == [NEW, OLD]


def test_as_many_addresses_are_kept_as_are_of_use(tmp_path: Path, said: list[str]) -> None:
    said[:] = [f"192.0.2.{number}" for number in range(100)]
    found = Hosts(HostSettings(), tmp_path / "hosts.json")
    assert len(found.addresses(HOST)) == ADDRESSES_MAX
    for address in said:
        found.worked(HOST, address)
    said.clear()
    kept = Hosts(HostSettings(), tmp_path / "hosts.json").addresses(HOST)
    assert kept == [f"192.0.2.{number}" for number in range(99, 99 - ADDRESSES_MAX, -1)]


@pytest.mark.parametrize("data", [b"", b"[]", b'{"hosts": {"list.example": ["not an address"]}}', b"\xff", b"[" * 9999])
def test_a_damaged_memory_harms_nobody(tmp_path: Path, said: list[str], data: bytes) -> None:
    (tmp_path / "hosts.json").write_bytes(data)
    found = Hosts(HostSettings(), tmp_path / "hosts.json")
    assert found.addresses(HOST) == []
    said[:] = [NEW]
    found.worked(HOST, found.addresses(HOST)[0])
    assert json.loads((tmp_path / "hosts.json").read_bytes())["hosts"] == {HOST: [NEW]}


def test_a_system_that_does_not_answer_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where this machine's resolver is this very edge, and is not up yet."""
    ending = threading.Event()

    def hang(*_: Any, **__: Any) -> list[Any]:
        ending.wait(60)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    path = tmp_path / "hosts.json"
    path.write_text(json.dumps({"form": 1, "hosts": {HOST: [OLD]}}))
    try:
        assert Hosts(HostSettings(timeout=0.1), path).addresses(HOST) == [OLD]
        assert not ending.is_set()
    finally:
        ending.set()
