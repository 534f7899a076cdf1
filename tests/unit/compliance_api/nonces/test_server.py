"""The name server of nonces on loopback, and what it remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest

from compliance_api.domain.observations import nonce
from compliance_api.nonces import server as module
from compliance_api.nonces.answer import Zone
from compliance_api.nonces.server import Desk, NonceServer, NonceServerError, Pace, write
from compliance_api.nonces.settings import NonceSettings
from lachan import message
from lachan.asking import Manner, Outcome, Server, Transport
from lachan.exchange import exchange

KEY = bytes(range(32))
ZONE = "n.authority.test"


def name(number: int = 0) -> str:
    return f"{nonce.make(KEY, number.to_bytes(10, 'big'))}.{ZONE}"


def desk(most: int = 1000, now: float = 1e9) -> Desk:
    return Desk(Zone(ZONE, KEY, "ns.authority.test", "192.0.2.9"), Pace(most), lambda: now)


class Store:
    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], datetime] = {}
        self.away = True

    async def asked(self, seen: Mapping[tuple[str, str], datetime]) -> int:
        if self.away:
            raise OSError("away")
        self.seen.update(seen)
        return len(seen)


def settings(tmp_path: Path, listen: str = "127.0.0.1:0") -> NonceSettings:
    (tmp_path / "key").write_text(KEY.hex() + "\n")
    return NonceSettings(
        zone=ZONE, key=tmp_path / "key", listen=listen, nameserver="ns.authority.test", address="192.0.2.9"
    )


async def test_both_transports_are_answered_and_who_asked_is_kept_through_a_database_that_is_away(
    tmp_path: Path,
) -> None:
    kept = desk()
    running = NonceServer(settings(tmp_path), kept)
    port = await running.start()
    manner = Manner(tries=2, timeout=10)
    try:
        for number, transport in enumerate((Transport.UDP, Transport.TCP)):
            query = message.query(name(number), message.A, id=7)
            ended = await exchange(Server("127.0.0.1", port, transport), query, manner)
            assert ended.outcome is Outcome.ANSWERED
            assert message.parse(ended.response).answers[0].data == "192.0.2.9"
        with pytest.raises(NonceServerError):
            await NonceServer(settings(tmp_path, f"127.0.0.1:{port}"), kept).start()
    finally:
        await running.stop()
    store = Store()
    with pytest.raises(OSError, match="away"):
        await write(kept, store)
    store.away = False
    assert await write(kept, store) == 2
    assert set(store.seen) == {(name(0), "127.0.0.1"), (name(1), "127.0.0.1")}
    assert await write(kept, store) == 0


async def test_a_connection_that_says_nothing_sensible_is_closed(tmp_path: Path) -> None:
    running = NonceServer(settings(tmp_path), desk())
    port = await running.start()
    try:
        for data in (b"\xff\xff", b"\0\x02ab"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            assert await asyncio.wait_for(reader.read(), 20) == b""
            writer.close()
    finally:
        await running.stop()


def test_queries_a_second_and_what_waits_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = desk(most=3)
    query = message.query(name(), message.A, id=7)
    assert [slow.answer(query, "192.0.2.1", stream=False) is None for _ in range(5)] == [False] * 3 + [True] * 2
    assert slow.dropped == 2
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    full = desk()
    for number in range(4):
        assert full.answer(message.query(name(number), message.A, id=7), "192.0.2.1", stream=False)
    assert (len(full.take()), full.dropped) == (2, 2)
    # The same nonce from the same address is one sighting.
    for _ in range(3):
        full.answer(query, "192.0.2.1", stream=False)
    assert len(full.take()) == 1
