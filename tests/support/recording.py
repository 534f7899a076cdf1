"""An authority that writes down every byte that an edge says to any of its services, and answers as they do.

The services are gRPC's, behind TLS: what is kept is each message as it came and the metadata of its call. Letting in
and renewing are done by `Doors`, and what the edge is to open is asked by `Desk`.
"""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.central.serving import announcing
from blocklist_sync.central.serving.metrics import Metrics
from blocklist_sync.central.serving.settings import PushSettings
from compliance_api.identity.anchors import anchor_of
from compliance_api.identity.issuing import Issuer
from lachan import application, channel, tls
from lachan.compliance.v1 import challenge_service_pb2 as challenges
from lachan.compliance.v1 import enrolment_service_pb2 as enrolments
from lachan.compliance.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from lachan.compliance.v1.challenge_service_pb2_grpc import (
    ChallengeServiceServicer,
    add_ChallengeServiceServicer_to_server,
)
from lachan.compliance.v1.enrolment_service_pb2_grpc import (
    CredentialServiceServicer,
    EnrolmentServiceServicer,
    add_CredentialServiceServicer_to_server,
    add_EnrolmentServiceServicer_to_server,
)
from lachan.invitation import Invitation, hash_of
from lachan.tls import Identity, Role, TlsFiles
from tests.support.list_authority import ListAuthority
from tests.unit.resolver.test_auditor import Ledger

MONTH = timedelta(days=30)


class Recorder(grpc.aio.ServerInterceptor):
    """Keeps whatever a caller said, message and metadata, by method."""

    def __init__(self) -> None:
        self.said: dict[str, list[bytes]] = {}

    def everything(self) -> bytes:
        return b"\0".join(part for parts in self.said.values() for part in parts)

    async def intercept_service(self, continuation: Any, handler_call_details: grpc.HandlerCallDetails) -> Any:
        told = self.said.setdefault(handler_call_details.method, [])
        for item in handler_call_details.invocation_metadata or ():
            told += [part if isinstance(part, bytes) else str(part).encode() for part in (item[0], item[1])]
        handler = await continuation(handler_call_details)

        def heard(data: bytes) -> Any:
            told.append(data)
            return handler.request_deserializer(data)

        return handler._replace(request_deserializer=heard)


class Doors(EnrolmentServiceServicer, CredentialServiceServicer):
    """Lets in whoever has the token, at once; the first certificate is due to be renewed when it comes."""

    def __init__(self, party: Identity, ca: Path, own: TlsFiles) -> None:
        self._party = party
        self._issuer = Issuer(ca / "ca.pem", ca / "ca-key.pem")
        self.material = tls.load(own)
        self._csr = b""
        self.renewed = 0

    def token(self, port: int) -> str:
        pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(anchor_of(self.material).decode())).digest()
        return Invitation(f"127.0.0.1:{port}", pin, self._party, bytes(32)).text()

    async def GetAuthority(  # noqa: N802 - gRPC's name
        self, request: enrolments.GetAuthorityRequest, context: Any
    ) -> enrolments.GetAuthorityResponse:
        del request, context
        return enrolments.GetAuthorityResponse(authorities=anchor_of(self.material))

    async def RequestEnrolment(  # noqa: N802 - gRPC's name
        self, request: enrolments.RequestEnrolmentRequest, context: Any
    ) -> enrolments.RequestEnrolmentResponse:
        del context
        self._csr = request.csr
        key = application.read(request.csr, self._party, application.binding(hash_of(request.secret), request.key))
        shown = application.fingerprint(key, request.key)
        return enrolments.RequestEnrolmentResponse(enrolment_id=bytes(16), fingerprint=shown, expires_at=1)

    async def CollectCertificate(  # noqa: N802 - gRPC's name
        self, request: enrolments.CollectCertificateRequest, context: Any
    ) -> enrolments.CollectCertificateResponse:
        del request, context
        issued = self._issuer.issue(self._party, self._csr, datetime.now(UTC) - 0.8 * MONTH, MONTH.total_seconds())
        return enrolments.CollectCertificateResponse(state=enrolments.ENROLMENT_STATE_CONFIRMED, chain=issued.chain)

    async def RenewCertificate(  # noqa: N802 - gRPC's name
        self, request: enrolments.RenewCertificateRequest, context: Any
    ) -> enrolments.RenewCertificateResponse:
        self.renewed += 1
        issued = self._issuer.issue(channel.caller(context), request.csr, datetime.now(UTC), MONTH.total_seconds())
        return enrolments.RenewCertificateResponse(chain=issued.chain)


class Desk(ChallengeServiceServicer):
    """Asks a node to open counts, and keeps what it opened."""

    def __init__(self, hour: int, fingerprints: Sequence[int]) -> None:
        self._request = challenges.OpeningRequest(
            challenge_id=bytes(range(16)), hour=hour, fingerprints=fingerprints, deadline=hour + 10 * 86400
        )
        self.openings: list[challenges.Opening] = []

    async def PendingOpenings(  # noqa: N802 - gRPC's name
        self, request: challenges.PendingOpeningsRequest, context: Any
    ) -> challenges.PendingOpeningsResponse:
        del request, context
        return challenges.PendingOpeningsResponse(requests=[] if self.openings else [self._request])

    async def SubmitOpening(  # noqa: N802 - gRPC's name
        self, request: challenges.SubmitOpeningRequest, context: Any
    ) -> challenges.SubmitOpeningResponse:
        del context
        self.openings.append(challenges.Opening.FromString(request.opening.opening))
        return challenges.SubmitOpeningResponse()


@dataclass
class Everybody:
    """Every service that an edge speaks with, and what it said to each."""

    ledger: Ledger
    doors: Doors
    desk: Desk
    recorder: Recorder
    downloads: list[bytes]
    # Of the edge's configuration.
    settings: dict[str, Any]
    token: str

    def said(self) -> bytes:
        return b"\0".join([self.recorder.everything(), *self.downloads])


@contextlib.asynccontextmanager
async def everybody(
    folder: Path, monkeypatch: pytest.MonkeyPatch, hour: int, fingerprints: Sequence[int]
) -> AsyncIterator[Everybody]:
    """All of them, for the node `a/edge-1`, which is asked to open an hour's counts of these rules."""
    recorder = Recorder()
    make = channel.server

    def recorded(interceptors: Sequence[grpc.aio.ServerInterceptor] = (), *args: Any, **options: Any) -> Any:
        return make([recorder, *interceptors], *args, **options)

    # Whoever makes a server here makes one that writes down.
    monkeypatch.setattr(channel, "server", recorded)
    (folder / "authority").mkdir()
    ledger = Ledger(folder / "authority")
    party = Identity("a", Role.NODE, "edge-1")
    doors = Doors(party, ledger.papers.ca, ledger.papers.issue("authority", Role.SERVICE, "compliance"))
    lists = ListAuthority(folder / "lists")
    lists.build("bad.example")
    lists.build("worse.example", category=Category.CSAM, extend=True)
    lists.publish()
    desk = Desk(hour, fingerprints)

    def more(server: grpc.aio.Server) -> None:
        add_AuditServiceServicer_to_server(ledger, server)
        add_ChallengeServiceServicer_to_server(desk, server)
        add_CredentialServiceServicer_to_server(doors, server)

    ledger.serve_more = more  # type: ignore[method-assign]  # with whom else shares its port
    await ledger.start()
    door = channel.server()
    add_EnrolmentServiceServicer_to_server(doors, door)
    port = channel.bind_open(door, "127.0.0.1:0", lambda: doors.material)
    await door.start()
    own = ledger.papers.issue("list", Role.SERVICE, "blocklist")
    push = await announcing.start(
        PushSettings(listen="127.0.0.1:0", tls=own, heartbeat=0.1), lists.repository, Metrics()
    )
    (folder / "policy").write_text(ledger.parties.policy_text)
    both = folder / "both.pem"
    both.write_bytes(own.ca.read_bytes() + lists.ca_path.read_bytes())
    paper = "state/tls/edge.pem"
    with lists.serve() as server:
        sync = {
            "repository": f"https://127.0.0.1:{server.server_address[1]}",
            "root": str(lists.repository / "metadata" / "1.root.json"),
            "ca": str(both),
            "tls": {"certificate": paper, "key": paper},
            "push": {"target": f"127.0.0.1:{push.port}", "poll_interval": "300ms", "spread": "100ms"},
            "poll_interval": "300ms",
        }
        uplink = {
            "target": ledger.target,
            "tls": {"ca": "state/tls/ca.pem", "certificate": paper, "key": paper},
            "authority_key": str(ledger.key_file),
            "ledger": {"policy": str(folder / "policy"), "poll": "100ms", "check": "300ms"},
            "backoff_first": "100ms",
            "backoff_max": "500ms",
        }
        try:
            yield Everybody(
                ledger,
                doors,
                desk,
                recorder,
                server.said,
                {
                    "blocklist": {"sync": sync},
                    "report": {"window": "1s", "uplink": uplink, "openings": {"clients": 20_000}},
                },
                doors.token(port),
            )
        finally:
            await push.stop()
            await door.stop(None)
            await ledger.stop()
