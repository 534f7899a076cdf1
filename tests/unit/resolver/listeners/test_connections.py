from __future__ import annotations

import asyncio
from typing import Any

from resolver.listeners.connections import Connections


class Stream(asyncio.Transport):
    """A transport that says who is there, and whether it was cut off."""

    def __init__(self, host: str | None) -> None:
        super().__init__({"peername": (host, 40000) if host else None})
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


class One:
    def __init__(self, slow: bool = False) -> None:
        self.slow = slow
        self.told: list[str] = []

    def overdue(self, now: float) -> bool:
        return self.slow and now > 1

    def dismiss(self) -> None:
        self.told.append("dismissed")

    def retire(self) -> None:
        self.told.append("retired")


def admitted(connections: Connections[Any], one: One, host: str | None = "192.0.2.7") -> bytes | None:
    stream = Stream(host)
    address = connections.admit(one, stream)
    assert stream.aborted == (address is None)
    return address


def test_a_client_is_known_by_its_address() -> None:
    connections: Connections[One] = Connections(2)
    assert admitted(connections, One()) == bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 7])
    assert admitted(connections, One(), "fe80::1%eth0") == bytes.fromhex("fe80" + "00" * 13 + "01")
    assert admitted(connections, One(), None) is None


def test_no_more_than_the_bound_are_held() -> None:
    connections: Connections[One] = Connections(1)
    first, second = One(), One()
    assert admitted(connections, first)
    assert admitted(connections, second) is None
    connections.forget(second)
    assert len(connections) == 1
    connections.forget(first)
    assert admitted(connections, second)


def test_only_who_is_overdue_is_dismissed() -> None:
    connections: Connections[One] = Connections(2)
    quick, slow = One(), One(slow=True)
    assert admitted(connections, quick)
    assert admitted(connections, slow)
    connections.sweep(1.0)
    connections.sweep(2.0)
    assert (quick.told, slow.told) == ([], ["dismissed"])


def test_after_retiring_nobody_comes_in() -> None:
    connections: Connections[One] = Connections(2)
    here = One()
    assert admitted(connections, here)
    connections.retire()
    assert here.told == ["retired"]
    assert admitted(connections, One()) is None
