"""The server as it is put together: what its connections are allowed, with services that do nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from compliance_api.domain.parties.organisation import Registry
from compliance_api.rpc.auth import Guard
from compliance_api.rpc.server import Server
from compliance_api.usecases.membership.membership import Directory
from lachan import channel
from lachan.compliance.v1 import audit_service_pb2_grpc as audit
from lachan.compliance.v1 import challenge_service_pb2_grpc as challenge
from lachan.compliance.v1 import enrolment_service_pb2_grpc as enrolment
from lachan.compliance.v1 import finding_service_pb2_grpc as finding
from lachan.compliance.v1 import membership_service_pb2_grpc as membership
from lachan.compliance.v1 import probe_service_pb2_grpc as probe
from lachan.compliance.v1 import report_service_pb2_grpc as report
from tests.support import foreign
from tests.support.shares import plenty

DEADLINE = 60.0
OURS = foreign.root("ours")


def server() -> Server:
    nobody: Any = None
    guard = Guard(Directory(nobody, Registry()), lambda: OURS.pem, plenty(), lambda: datetime.now(UTC), lambda _: None)
    services: Any = (
        report.ReportServiceServicer(),
        probe.ProbeServiceServicer(),
        audit.AuditServiceServicer(),
        challenge.ChallengeServiceServicer(),
        finding.FindingServiceServicer(),
        membership.MembershipServiceServicer(),
        enrolment.CredentialServiceServicer(),
    )
    material = OURS.leaf("lachan://so/service/compliance").material(OURS.pem)
    return Server("127.0.0.1:0", lambda: material, guard, *services)


async def test_a_connection_ends_by_its_age_though_its_caller_would_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    young = [(name, 50) for name, _ in channel._AGED]
    assert {name for name, _ in young} == {"grpc.max_connection_age_ms", "grpc.max_connection_age_grace_ms"}
    monkeypatch.setattr(channel, "_AGED", young)
    served = server()
    await served.start()
    node = OURS.leaf("lachan://a/node/e1").material(OURS.pem)
    try:
        async with asyncio.timeout(DEADLINE), channel.connect(f"127.0.0.1:{served.port}", node) as opened:
            await opened.channel_ready()
            # Nobody calls, nobody closes: without an age it would stay.
            await opened.wait_for_state_change(grpc.ChannelConnectivity.READY)
            # And a new one is made, with the certificates of then.
            await opened.channel_ready()
    finally:
        await served.stop()
