"""The entrance of the service: its certificate, the membership, and the guard before every service, put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.credential import Objection
from compliance_api.domain.organisation import Registry
from compliance_api.metrics import Metrics
from compliance_api.rpc.auth import Guard
from compliance_api.sharesettings import LimitSettings
from compliance_api.storage.members import Members
from compliance_api.usecases.membership import Directory
from lachan.tls import Credential, TlsFiles, TlsMaterial

# A revocation ends streams this soon, and calls at once.
REFRESH_SECONDS = 1.0


class Entrance:
    """Whoever comes in comes by here."""

    def __init__(
        self,
        engine: AsyncEngine,
        registry: Registry,
        files: TlsFiles,
        limits: LimitSettings,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ) -> None:
        """Reads the service's own certificate.

        Args:
            engine: The database.
            registry: What the file of organisations says; from `prepare` on, what the database says.
            files: The service's certificate and key, and the authorities it trusts.
            limits: What each caller may take.
            metrics: Where refusals are counted.
            clock: The time.

        Raises:
            TlsError: The certificate cannot be used.
        """
        self._members = Members(engine)
        self._file = registry
        self._clock = clock
        self._credential = Credential(files)
        self._metrics = metrics
        self.directory = Directory(self._members, registry)
        self.guard = Guard(self.directory, lambda: self._credential.material.ca, limits.shares(), clock, self._refused)

    def _refused(self, objection: Objection) -> None:
        self._metrics.turned_away.labels(objection).inc()

    async def prepare(self) -> None:
        """Applies the file of organisations, and reads the membership.

        Raises:
            ComplianceError: The file contradicts what was enrolled.
        """
        await self._members.apply(self._file, "the service's start", self._clock())
        await self.directory.refresh()

    def material(self) -> TlsMaterial:
        """What TLS shows, and whom it lets in: everybody whom any authority vouches for. The guard tells them apart."""
        own = self._credential.material
        others = dict.fromkeys(one.roots for one in self.directory.last.registry.organisations if one.roots)
        return replace(own, ca=b"\n".join([own.ca, *others]))
