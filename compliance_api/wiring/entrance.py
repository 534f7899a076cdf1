"""The entrance of the service: its certificate, the membership, the guard before every service, and newcomers' door."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import grpc.aio
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.parties.credential import Objection
from compliance_api.domain.parties.organisation import Registry
from compliance_api.identity.anchors import anchor_of
from compliance_api.identity.issuing import Issuer
from compliance_api.metrics import Metrics
from compliance_api.rpc.auth import Guard
from compliance_api.rpc.enrolment import CredentialService, EnrolmentService
from compliance_api.rpc.membership import MembershipService
from compliance_api.settings.admission import EnrolmentSettings
from compliance_api.settings.service import ServiceSettings
from compliance_api.storage.membership.enrolments import Enrolments
from compliance_api.storage.membership.members import Members
from compliance_api.storage.membership.shares import ShareTable
from compliance_api.usecases.membership.enrolment import Enrolling
from compliance_api.usecases.membership.membership import Directory
from compliance_api.usecases.membership.share import Shares
from lachan import channel
from lachan.compliance.v1.enrolment_service_pb2_grpc import add_EnrolmentServiceServicer_to_server
from lachan.tls import Credential, TlsMaterial

# A revocation ends streams this soon, and calls at once.
REFRESH_SECONDS = 1.0
NEWCOMERS_AT_ONCE = 64
STOP_SECONDS = 2.0


def enrolling(settings: EnrolmentSettings, engine: AsyncEngine, clock: Callable[[], datetime]) -> Enrolling:
    """The task of letting in and out.

    Raises:
        PkiError: The authority that signs certificates cannot be used.
    """
    issuer = Issuer(settings.issuer.certificate, settings.issuer.key)
    return Enrolling(Enrolments(engine), issuer, settings.terms(), clock, os.urandom)


class Entrance:
    """Whoever comes in comes by here."""

    def __init__(
        self,
        engine: AsyncEngine,
        registry: Registry,
        settings: ServiceSettings,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ) -> None:
        """Reads the service's own certificate.

        Args:
            engine: The database.
            registry: What the file of organisations says; from `prepare` on, what the database says.
            settings: The service's.
            metrics: Where refusals are counted.
            clock: The time.

        Raises:
            TlsError: The certificate cannot be used.
            PkiError: The authority that signs certificates cannot be used.
        """
        self._members = Members(engine)
        self._file = registry
        self._clock = clock
        self._credential = Credential(settings.tls)
        self._metrics = metrics
        self.directory = Directory(self._members, registry)
        limits = settings.limits
        shares = Shares(limits.party.share(), limits.organisation.share(), ShareTable(engine), time.monotonic)
        self.guard = Guard(self.directory, lambda: self._credential.material.ca, shares, clock, self._refused)
        self.membership = MembershipService(self.directory)
        self.credentials: CredentialService | None = None
        self._door: grpc.aio.Server | None = None
        self.port = 0
        if settings.enrolment is not None:
            task = enrolling(settings.enrolment, engine, clock)
            self.credentials = CredentialService(task)
            self._door = channel.server(most=NEWCOMERS_AT_ONCE, aged=True)
            add_EnrolmentServiceServicer_to_server(EnrolmentService(task, self._authorities), self._door)
            self.port = channel.bind_open(self._door, settings.enrolment.listen, lambda: self._credential.material)

    def _refused(self, objection: Objection) -> None:
        self._metrics.turned_away.labels(objection).inc()

    def _authorities(self) -> bytes:
        return anchor_of(self._credential.material)

    async def prepare(self) -> None:
        """Applies the file of organisations, and reads the membership.

        Raises:
            ComplianceError: The file contradicts what was enrolled.
        """
        await self._members.apply(self._file, "the service's start", self._clock())
        await self.directory.refresh()

    async def start(self) -> None:
        """Begins to let newcomers in."""
        if self._door is not None:
            await self._door.start()

    async def stop(self) -> None:
        """Lets nobody in any more."""
        if self._door is not None:
            await self._door.stop(STOP_SECONDS)

    def material(self) -> TlsMaterial:
        """What TLS shows, and whom it lets in: everybody whom any authority vouches for. The guard tells them apart."""
        own = self._credential.material
        others = dict.fromkeys(one.roots for one in self.directory.last.registry.organisations if one.roots)
        return replace(own, ca=b"\n".join([own.ca, *others]))
