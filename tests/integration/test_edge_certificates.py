"""Certificates and sockets of a real edge through changes, damage, deaths and goodbyes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.edge import Edge, until
from tests.support.encrypted import LISTED, LISTED_NAME, Place, place, post, verdict
from tests.support.packets import question, read
from tests.support.tls import Authority

# The upstream lives in the loop of all tests.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def own(tmp_path: Path) -> AsyncIterator[Place]:
    """An edge to do things to."""
    async with place(tmp_path) as made:
        yield made


def shown(at: Place, kind: str) -> bytes | None:
    """The certificate that a new connection gets."""
    with at.connect(kind) as connection:
        assert isinstance(connection.sock, ssl.SSLSocket)
        return connection.sock.getpeercert(binary_form=True)


async def test_certificates_are_replaced_without_a_restart_and_broken_ones_are_not_taken(own: Place) -> None:
    before = own.edge.workers()
    with own.connect("dot") as kept:
        second = own.authority.issue()
        for kind in ("dot", "doh"):
            await until(lambda kind=kind: shown(own, kind) == second, f"the new certificate over {kind}")  # type: ignore[misc]
        # The key of another pair: what was good stays, and the log says so.
        key = own.authority.files.key.read_bytes()
        own.authority.issue()
        own.authority.files.key.write_bytes(key)
        await until(lambda: own.edge.log.count("a certificate cannot be used") == 2, "the alarm of both listeners")
        assert shown(own, "dot") == shown(own, "doh") == second

        def refused() -> bool:
            status = own.edge.status()
            certificates = status["workers"][0]["certificates"].values() if status and status["workers"] else ()
            return bool(certificates) and all(one["refused"] for one in certificates)

        await until(refused, "the status tells it")
        third = own.authority.issue()
        await until(lambda: shown(own, "doh") == third, "the next good certificate")
        # Nobody was thrown out meanwhile.
        kept.send(question("bad.example"))
        assert read(kept.receive()).rcode() == 3
    assert own.edge.workers() == before
    assert own.edge.log.count("a certificate cannot be used") == 2


async def test_a_dead_worker_is_replaced_though_its_certificate_is_broken(own: Place) -> None:
    [pid] = own.edge.workers()
    own.authority.files.key.write_bytes(b"")
    os.kill(pid, 9)
    await until(lambda: own.edge.workers() not in ([], [pid]), "another worker serves")
    # Names are still answered where no certificate is needed; elsewhere connections are closed at once.
    assert verdict(await asyncio.to_thread(own.ask, "udp", LISTED_NAME)) == LISTED

    def closed() -> bool:
        with contextlib.suppress(OSError):
            shown(own, "dot")
            return False
        return True

    assert await asyncio.to_thread(closed)
    fresh = own.authority.issue()

    def served() -> bool:
        with contextlib.suppress(OSError):
            return shown(own, "dot") == fresh
        return False

    await until(served, "a good certificate is taken")


async def test_sockets_are_kept_through_the_supervisor_s_death_and_a_change_of_protocol(own: Place) -> None:
    before = own.edge.workers()
    own.edge.kill()
    assert verdict(await asyncio.to_thread(own.ask, "dot", LISTED_NAME)) == LISTED
    await own.edge.start()
    assert own.edge.workers() == before
    assert verdict(await asyncio.to_thread(own.ask, "post/2", LISTED_NAME)) == LISTED
    own.edge.kill()
    # DoT where DoH was, and the other way round.
    listens = own.edge.settings["listen"]
    listens[1]["port"], listens[2]["port"] = listens[2]["port"], listens[1]["port"]
    own.ports |= {"dot": own.ports["doh"], "doh": own.ports["dot"]}
    await own.edge.start()
    assert own.edge.workers() != before
    for kind in ("dot", "post/2", "get/1.1", "udp"):
        assert verdict(await asyncio.to_thread(own.ask, kind, LISTED_NAME)) == LISTED


async def test_a_stopped_edge_says_goodbye(own: Place) -> None:
    def talk(stop: Callable[[], None]) -> None:
        with own.connect("dot") as connection, own.client() as client:
            connection.send(question("bad.example"))
            connection.receive()
            assert post(client, question("bad.example")).status_code == 200
            stop()
            # A goodbye, not a reset: an SSL socket would raise.
            assert connection.sock.recv(1) == b""

    assert own.edge.process is not None
    await asyncio.to_thread(talk, own.edge.process.terminate)
    assert await asyncio.to_thread(own.edge.process.wait, 15) == 0


async def test_a_certificate_that_cannot_be_used_is_told_before_anything_starts(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("dns.example")
    edge = Edge(tmp_path, [9], blocklist={"snapshot": "rules.snapshot"}, profiles=[{"name": "school"}])
    tls = {"certificate": "certificate.pem", "key": "key.pem"}
    edge.settings["listen"] += [
        {"address": "127.0.0.1", "port": 1, "protocol": "dot", "tls": tls | {"key": "certificate.pem"}},
        {"address": "127.0.0.1", "port": 2, "protocol": "doh", "tls": tls,
         "profiles": {"server_names": {"school.dns.example": "school"}}},
        {"address": "127.0.0.1", "port": 3, "protocol": "dot", "tls": tls | {"certificate": "missing.pem"}},
    ]  # fmt: skip
    edge.config.write_text(json.dumps(edge.settings))
    for verb in ("validate", "serve"):
        result = await edge.command(verb)
        assert result.returncode == 1
        for wrong in ("listen.1.tls", "listen.2.profiles.server_names.school.dns.example", "missing.pem"):
            assert wrong in result.stderr
        assert "Traceback" not in result.stderr
    assert not edge.runtime.exists()
