"""What a probe sees of a real edge, by every transport, family, type and flag, and of what the edge does not offer."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from random import Random

import pytest

from compliance_api.domain.observations.observation import Exchange, Result, Shape, classify
from compliance_api.domain.observations.shapes import DEFAULT
from compliance_api.probe.assignment import Endpoint
from compliance_api.probe.measure import asker
from compliance_api.probe.settings import MeasureSettings
from compliance_api.usecases.probing.sighting import exchange
from deploy.demo.upstream import upstream
from lachan.asking import Transport
from lachan.compliance.v1 import probe_service_pb2 as pb
from tests.support.blocklist import built
from tests.support.cases import NOW
from tests.support.edge import Edge, free_port
from tests.support.encrypted import ENTRIES
from tests.support.tls import Authority

SHAPES = DEFAULT.in_force(NOW).shapes("a")
TYPES = (1, 28, 65)
ADDRESSES = ("127.0.0.1", "::1")
NAMES = {
    "www.bad.example": (Result.BLOCKED, Shape.EDE),
    "worse.example": (Result.BLOCKED, Shape.EDE),
    "clean.example": (Result.NOT_BLOCKED, Shape.ANSWER),
}


@pytest.fixture(autouse=True)
def certificates(tmp_path: Path) -> None:
    """A server's pair, and who vouches for it."""
    authority = Authority(tmp_path)
    authority.issue("dns.example", "127.0.0.1", "::1")
    authority.ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))


def ports() -> dict[Transport, int]:
    clear = free_port()
    return {Transport.UDP: clear, Transport.TCP: clear, Transport.DOT: free_port(), Transport.DOH: free_port()}


async def test_every_way_of_asking_meets_the_same_filter(tmp_path: Path) -> None:
    (tmp_path / "rules.snapshot").write_bytes(built(*ENTRIES, serial=7))
    tls = {"certificate": "certificate.pem", "key": "key.pem"}
    at = ports()
    listen = [
        {"address": address, "port": at[transport], **({"protocol": transport.value, "tls": tls} if secret else {})}
        for address in ADDRESSES
        for transport, secret in ((Transport.UDP, False), (Transport.DOT, True), (Transport.DOH, True))
    ]
    ask = asker(MeasureSettings(timeout=10, tries=2, roots=tmp_path / "ca.pem"), Random(1))
    ways = list(itertools.product(Transport, ADDRESSES, NAMES, TYPES, (False, True)))
    async with upstream() as port:
        edge = Edge(tmp_path, [port], blocklist={"snapshot": "rules.snapshot"}, listen=listen)
        room = asyncio.Semaphore(8)

        async def one(transport: Transport, address: str, name: str, qtype: int, do: bool) -> pb.Exchange:
            endpoint = Endpoint(address, at[transport], transport, "dns.example")
            async with room:
                return await ask(endpoint, name, qtype, do)

        try:
            await edge.start()
            raw = await asyncio.gather(*(one(*way) for way in ways))
            alive = await asyncio.gather(
                *(ask(Endpoint("127.0.0.1", port, way), name, qtype, False)
                  for way in (Transport.UDP, Transport.TCP) for name in NAMES for qtype in TYPES)
            )  # fmt: skip
        finally:
            await edge.stop()
    references: dict[tuple[str, int], list[Exchange]] = {}
    for (_, name, qtype), seen in zip(itertools.product((1, 2), NAMES, TYPES), alive, strict=True):
        references.setdefault((name, qtype), []).append(exchange(seen, name, qtype))
    for (transport, address, name, qtype, do), seen in zip(ways, raw, strict=True):
        found = classify(exchange(seen, name, qtype), references[name, qtype], SHAPES)
        assert (found.result, found.shape) == NAMES[name], (transport, address, name, qtype, do, edge.log)
        assert seen.certificate_holds == (transport in {Transport.DOT, Transport.DOH})
        assert len(seen.certificate_sha256) == (32 if seen.certificate_holds else 0)


async def test_what_is_not_offered_is_unreachable_and_never_an_answer(tmp_path: Path) -> None:
    ask = asker(MeasureSettings(timeout=0.5, tries=1, roots=tmp_path / "ca.pem"), Random(1))
    at = ports()
    async with upstream() as port:
        # By UDP and TCP at 127.0.0.1 alone.
        gone = [
            await ask(Endpoint(address, at[transport], transport, "dns.example"), "www.bad.example", 1, False)
            for transport in Transport
            for address in ADDRESSES
        ]
        # Plain DNS over TCP where TLS is expected.
        gone += [
            await ask(Endpoint("127.0.0.1", port, transport), "www.bad.example", 1, False)
            for transport in (Transport.DOT, Transport.DOH)
        ]
        alive = exchange(await ask(Endpoint("127.0.0.1", port), "www.bad.example", 1, False), "www.bad.example", 1)
    assert {one.outcome for one in gone} == {pb.OUTCOME_UNREACHABLE}
    found = [classify(exchange(one, "www.bad.example", 1), [alive, alive], SHAPES) for one in gone]
    assert {(one.result, one.shape) for one in found} == {(Result.INCONCLUSIVE, Shape.UNREACHABLE)}
