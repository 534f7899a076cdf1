"""Who may have the list: the server as a process, told of revocations by the compliance service's own code."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import urllib3

from blocklist_sync.central.serving.membership import Shown
from compliance_api.domain.parties.credential import Membership, Objection
from compliance_api.domain.parties.organisation import Label, Node, Organisation, OrganisationKind, Registry
from compliance_api.rpc.auth import Guard
from compliance_api.rpc.membership import MembershipService
from compliance_api.usecases.membership.membership import Directory
from lachan import channel, tls
from lachan.blocklist.v1 import release_service_pb2 as releases
from lachan.blocklist.v1 import sample_service_pb2 as samples
from lachan.blocklist.v1.release_service_pb2_grpc import ReleaseServiceStub
from lachan.blocklist.v1.sample_service_pb2_grpc import SampleServiceStub
from lachan.compliance.v1 import membership_service_pb2 as pb
from lachan.compliance.v1.membership_service_pb2_grpc import (
    MembershipServiceStub,
    add_MembershipServiceServicer_to_server,
)
from lachan.tls import Identity, Role
from tests.support.list_authority import ListAuthority
from tests.support.papers import Papers
from tests.support.shares import plenty
from tests.support.wait import until

PROGRAM = Path(sys.executable).parent / "lachan-blocklist"
NODE = Identity("isp-a", Role.NODE, "n1")
LABEL = Label("x", "x")
N1, N2, N3 = (Node(name, name.encode() * 16, (), frozenset()) for name in ("n1", "n2", "n3"))
REGISTRY = Registry(
    (),
    (
        Organisation("so-test", OrganisationKind.AUTHORITY, LABEL, frozenset()),
        Organisation("isp-a", OrganisationKind.OPERATOR, LABEL, frozenset(), (N1, N2)),
    ),
)


def having(*nodes: Node) -> Registry:
    """The same with these nodes."""
    authority, operator = REGISTRY.organisations
    return Registry((), (authority, replace(operator, nodes=nodes)))


@dataclass
class Store:
    """The membership as a database would have it."""

    now: Membership = field(default_factory=lambda: Membership(1, REGISTRY))

    async def revision(self) -> int:
        return self.now.revision

    async def load(self) -> Membership:
        return self.now


@contextlib.asynccontextmanager
async def compliance(papers: Papers, store: Store, refused: list[Objection]) -> AsyncIterator[int]:
    """The part of the compliance service that tells, with its guard before it; its port."""
    own = tls.load(papers.of("lachan://so-test/service/compliance"))
    directory = Directory(store, Registry())
    guard = Guard(directory, lambda: own.ca, plenty(), lambda: datetime.now(UTC), refused.append)
    server = channel.server([guard])
    add_MembershipServiceServicer_to_server(MembershipService(directory), server)
    port = channel.bind(server, "127.0.0.1:0", own)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


@dataclass
class Place:
    folder: Path
    papers: Papers
    authority: ListAuthority
    https_port: int = 0
    push_port: int = 0
    grpc_port: int = 0

    @contextlib.contextmanager
    def serving(self, told_at: int) -> Iterator[None]:
        own = self.papers.of("lachan://so-test/service/blocklist")
        files = {"ca": str(own.ca), "certificate": str(own.certificate), "key": str(own.key)}
        https = {"certificate": files["certificate"], "key": files["key"], "client_ca": files["ca"]}
        config = {
            "release": str(self.authority.release.folder),
            "repository": str(self.authority.repository),
            "https": {"listen": "127.0.0.1:0"} | https,
            "push": {"listen": "127.0.0.1:0", "tls": files},
            "grpc": {"listen": "127.0.0.1:0", "tls": files},
            "revocations": {
                "service": f"127.0.0.1:{told_at}",
                "tls": files,
                "kept": str(self.folder / "revocations.json"),
                "interval": "100ms",
            },
        }
        path = self.folder / "list.yaml"
        path.write_text(json.dumps(config))
        with (self.folder / "serve.log").open("a") as log:
            process = subprocess.Popen(
                [PROGRAM, "serve", "--config", path], stdout=subprocess.PIPE, stderr=log, text=True
            )
            assert process.stdout is not None
            try:
                text = ""
                while not text.rstrip().endswith("}"):
                    line = process.stdout.readline()
                    assert line, (self.folder / "serve.log").read_text()
                    text += line
                ports = json.loads(text)
                self.https_port, self.push_port = ports["https_port"], ports["push_port"]
                self.grpc_port = ports["grpc_port"]
                yield
            finally:
                process.terminate()
                process.wait(20)
                process.stdout.close()

    def pool(self, uri: str) -> urllib3.PoolManager:
        own = self.papers.of(uri)
        return urllib3.PoolManager(
            ca_certs=str(own.ca), cert_file=str(own.certificate), key_file=str(own.key), retries=False
        )

    def get(self, pool: urllib3.PoolManager) -> urllib3.BaseHTTPResponse:
        return pool.request("GET", f"https://localhost:{self.https_port}/metadata/timestamp.json")

    async def watch(self, uri: str) -> Any:
        """A stream of announcements that has begun."""
        opened = channel.connect(f"127.0.0.1:{self.push_port}", tls.load(self.papers.of(uri)))
        stream = ReleaseServiceStub(opened).WatchReleases(releases.WatchReleasesRequest(), timeout=60)
        assert (await stream.read()).serial == 1
        return opened, stream


async def drained(stream: Any) -> None:
    while await stream.read() is not grpc.aio.EOF:
        pass


async def ended(stream: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await drained(stream)
    return found.value


async def test_only_nodes_and_own_people_have_the_list_and_none_who_was_revoked(tmp_path: Path) -> None:
    papers, store, refused = Papers(tmp_path / "pki"), Store(), list[Objection]()
    place = Place(tmp_path, papers, await asyncio.to_thread(ListAuthority, tmp_path / "authority"))
    await asyncio.to_thread(place.authority.publish, "bad.example")
    async with compliance(papers, store, refused) as told_at:
        with place.serving(told_at), place.pool(str(NODE)) as node:
            # The connection is kept, and looked at anew with each request.
            assert (await asyncio.to_thread(place.get, node)).status == 200
            with place.pool("lachan://so-test/person/editor") as person:
                assert (await asyncio.to_thread(place.get, person)).status == 200
            for uri in (
                "lachan://isp-a/probe/p1",
                "lachan://isp-a/person/somebody",
                "lachan://so-test/service/compliance",
            ):
                with place.pool(uri) as stranger:
                    answer = await asyncio.to_thread(place.get, stranger)
                assert (answer.status, b"for nodes" in answer.data) == (403, True)
            # The authority's key signed it, and nobody ever enrolled it; once somebody has, it is let in.
            with place.pool("lachan://isp-a/node/n3") as newcomer:
                answer = await asyncio.to_thread(place.get, newcomer)
                assert (answer.status, answer.data.decode()) == (403, "lachan://isp-a/node/n3 is not enrolled")
                with pytest.raises(grpc.aio.AioRpcError, match="is not enrolled") as unknown:
                    await place.watch("lachan://isp-a/node/n3")
                assert unknown.value.code() is grpc.StatusCode.PERMISSION_DENIED
                store.now = replace(store.now, revision=2, registry=having(N1, N2, N3))
                async with asyncio.timeout(90):
                    while (await asyncio.to_thread(place.get, newcomer)).status != 200:
                        """It was let in a moment ago."""
                opened, stream = await place.watch("lachan://isp-a/node/n3")
                # Whom the register names no more is out, without a revocation.
                store.now = replace(store.now, revision=3, registry=REGISTRY)
                assert (await ended(stream)).code() is grpc.StatusCode.PERMISSION_DENIED
                assert (await asyncio.to_thread(place.get, newcomer)).status == 403
                await opened.close()
            opened, stream = await place.watch(str(NODE))
            other, still = await place.watch("lachan://isp-a/node/n2")
            now = datetime.now(UTC)
            store.now = replace(store.now, revision=4, revoked_at={NODE: now}, revoked=frozenset([NODE]))
            error = await ended(stream)
            assert error.code() is grpc.StatusCode.PERMISSION_DENIED
            answer = await asyncio.to_thread(place.get, node)
            assert (answer.status, answer.data.decode()) == (403, f"{NODE} was revoked")
            assert not still.done()
            await opened.close()
            await other.close()
        # Nobody but an authority's services is told who was ended.
        for uri in ("lachan://isp-a/service/blocklist", "lachan://so-test/person/editor"):
            asking = channel.connect(f"127.0.0.1:{told_at}", tls.load(papers.of(uri)))
            stub = MembershipServiceStub(asking)
            found = await ended(stub.ListRevocations(pb.ListRevocationsRequest(), timeout=20))
            assert found.code() is grpc.StatusCode.PERMISSION_DENIED
            await asking.close()
    # The compliance service is gone, and what it told holds over a restart.
    with place.serving(told_at), place.pool(str(NODE)) as node:
        assert (await asyncio.to_thread(place.get, node)).status == 403
        await until(lambda: "tells no membership" in (tmp_path / "serve.log").read_text())
        with place.pool("lachan://isp-a/node/n2") as other_node:
            assert (await asyncio.to_thread(place.get, other_node)).status == 200
        with place.pool("lachan://isp-a/node/n3") as newcomer:
            assert (await asyncio.to_thread(place.get, newcomer)).status == 403
    await samples_are_for_who_was_not_revoked(place, store, refused)


async def samples_are_for_who_was_not_revoked(place: Place, store: Store, refused: list[Objection]) -> None:
    """The services beside the files heed it too: a stolen certificate of the compliance service's own, say."""
    stolen = Identity("so-test", Role.SERVICE, "compliance")
    files = place.papers.of(str(stolen))
    async with compliance(place.papers, store, refused) as told_at:
        with place.serving(told_at):
            async with channel.connect(f"127.0.0.1:{place.grpc_port}", tls.load(files)) as asking:
                stub = SampleServiceStub(asking)
                found = await stub.ListReleases(samples.ListReleasesRequest(limit=1), timeout=20)
                assert [one.serial for one in found.releases] == [1]
                digest = Shown.of(files.certificate.read_bytes()).fingerprint
                store.now = replace(store.now, revision=5, revoked_certificates=frozenset([digest]))
                await until(lambda: digest.hex() in (place.folder / "revocations.json").read_text())
                with pytest.raises(grpc.aio.AioRpcError, match="was revoked") as error:
                    await stub.ListReleases(samples.ListReleasesRequest(limit=1), timeout=20)
                assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
