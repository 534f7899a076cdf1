"""Where reports are taken, put together: the room, the groups, and the store over connections of its own.

Holds always: whoever asks the database much (the console, a judgement) never keeps a report waiting for a connection.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import URL

from compliance_api.domain.parties.organisation import Registry
from compliance_api.metrics import Metrics
from compliance_api.settings.intake import IntakeSettings
from compliance_api.storage.reports.reports import Reports
from compliance_api.usecases.reports.grouping import Groups
from compliance_api.usecases.reports.ingest import Ingest
from compliance_api.usecases.reports.room import Room
from lachan import postgres
from lachan.signing import SigningKey

# One writes a group; the other is there where the first has just been lost.
CONNECTIONS = 2
# Of a group's transaction, whose locks keep the other processes waiting; it asks one thing right after the other.
IDLE_SECONDS = 10


class Intake:
    """Everything between a call and the database."""

    def __init__(
        self,
        url: URL,
        settings: IntakeSettings,
        registry: Registry,
        key: SigningKey,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ) -> None:
        """Connects to nothing yet.

        Args:
            url: The database.
            settings: Bounds.
            registry: Whose reports are taken, and by which keys they are signed.
            key: What receipts are signed with.
            metrics: Where groups are counted.
            clock: The time.
        """
        self._engine = postgres.engine(url, CONNECTIONS, "lachan-compliance intake", IDLE_SECONDS)
        room = Room(settings.capacity())
        metrics.ingest.held.set_function(lambda: room.reports)
        groups = Groups(Reports(self._engine), clock, metrics.ingest.written)
        self.ingest = Ingest(registry, groups, key, room)

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._engine.dispose()
