"""The gRPC server: services, health and reflection behind mutual TLS."""

from __future__ import annotations

from collections.abc import Callable

import grpc.aio

# None of these carries types, and no stubs for them are locked.
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_health.v1.health import SERVICE_NAME as HEALTH  # type: ignore[import-untyped]
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]

from compliance_api.rpc.audit import AuditService
from compliance_api.rpc.auth import Guard
from compliance_api.rpc.challenge import ChallengeService
from compliance_api.rpc.enrolment import CredentialService
from compliance_api.rpc.finding import FindingService
from compliance_api.rpc.membership import MembershipService
from compliance_api.rpc.probe import ProbeService
from compliance_api.rpc.report import ReportService
from lachan import channel
from lachan.compliance.v1 import (
    audit_service_pb2,
    challenge_service_pb2,
    enrolment_service_pb2,
    finding_service_pb2,
    membership_service_pb2,
    probe_service_pb2,
    report_service_pb2,
)
from lachan.compliance.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from lachan.compliance.v1.challenge_service_pb2_grpc import add_ChallengeServiceServicer_to_server
from lachan.compliance.v1.enrolment_service_pb2_grpc import add_CredentialServiceServicer_to_server
from lachan.compliance.v1.finding_service_pb2_grpc import add_FindingServiceServicer_to_server
from lachan.compliance.v1.membership_service_pb2_grpc import add_MembershipServiceServicer_to_server
from lachan.compliance.v1.probe_service_pb2_grpc import add_ProbeServiceServicer_to_server
from lachan.compliance.v1.report_service_pb2_grpc import add_ReportServiceServicer_to_server
from lachan.tls import TlsMaterial

STOP_SECONDS = 5.0
_NAMES = (
    report_service_pb2.DESCRIPTOR.services_by_name["ReportService"].full_name,
    probe_service_pb2.DESCRIPTOR.services_by_name["ProbeService"].full_name,
    audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"].full_name,
    challenge_service_pb2.DESCRIPTOR.services_by_name["ChallengeService"].full_name,
    finding_service_pb2.DESCRIPTOR.services_by_name["FindingService"].full_name,
    membership_service_pb2.DESCRIPTOR.services_by_name["MembershipService"].full_name,
)
_CREDENTIALS = enrolment_service_pb2.DESCRIPTOR.services_by_name["CredentialService"].full_name


class Server:
    """The server, and what it says about its own health."""

    def __init__(
        self,
        address: str,
        material: Callable[[], TlsMaterial],
        guard: Guard,
        reports: ReportService,
        probes: ProbeService,
        audit: AuditService,
        challenges: ChallengeService,
        findings: FindingService,
        membership: MembershipService,
        credentials: CredentialService | None,
    ) -> None:
        """Binds `address`, with `guard` before every service.

        Raises:
            TlsError: It cannot be bound.
        """
        self._server: grpc.aio.Server = channel.server([guard], aged=True)
        self._health = health.HealthServicer()
        add_ReportServiceServicer_to_server(reports, self._server)
        add_ProbeServiceServicer_to_server(probes, self._server)
        add_AuditServiceServicer_to_server(audit, self._server)
        add_ChallengeServiceServicer_to_server(challenges, self._server)
        add_FindingServiceServicer_to_server(findings, self._server)
        add_MembershipServiceServicer_to_server(membership, self._server)
        if credentials is not None:
            add_CredentialServiceServicer_to_server(credentials, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((*_NAMES, _CREDENTIALS, HEALTH, reflection.SERVICE_NAME), self._server)
        self.port = channel.bind_renewing(self._server, address, material)

    async def start(self) -> None:
        """Begins to answer."""
        await self._server.start()

    async def show(self, *, serving: bool) -> None:
        """Says whether calls can be served; false while the database does not answer."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *_NAMES):
            await self._health.set(name, status)

    async def stop(self) -> None:
        """Says so, lets running calls finish within `STOP_SECONDS`, and ends."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(STOP_SECONDS)
