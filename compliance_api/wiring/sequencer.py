"""The ledger's part of the service: its settings, its sequencer wired, and how it goes told as metrics."""

from __future__ import annotations

import os
import time

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.errors import ComplianceError
from compliance_api.ledger.cosigning import Failure
from compliance_api.ledger.settings import LedgerSettings
from compliance_api.storage.ledger.sequence import LedgerSequence
from compliance_api.storage.packs.proofs import Proofs
from compliance_api.usecases.ledger.sequence import Log, Sequencer, origin_of
from compliance_api.witnessing import witnesses
from lachan import durable
from lachan.ledger import policy
from lachan.ledger.errors import LedgerError
from lachan.ledger.note import NoteError
from lachan.signing import SigningKey

_log = structlog.get_logger()


def load(settings: LedgerSettings) -> Log:
    """The log's key and policy.

    Raises:
        LachanError: One cannot be used, or they do not belong together.
    """
    key = SigningKey.load(settings.key)
    try:
        believed = policy.parse(durable.read(settings.policy, policy.MAX_POLICY_BYTES))
    except NoteError as error:
        raise ComplianceError(f"{settings.policy}: {error}") from error
    try:
        return Log(origin_of(believed, key), key, believed)
    except ComplianceError as error:
        raise ComplianceError(f"{settings.policy}: {error}: {settings.key}") from error


class LedgerMetrics:
    """How far the ledger has come, and what witnesses do."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.leaves = Gauge("lachan_compliance_ledger_leaves", "Leaves of the ledger.", registry=registry)
        self.unsequenced = Gauge(
            "lachan_compliance_ledger_unsequenced_leaves",
            "Leaves that are in no head yet which enough witnesses cosigned.",
            registry=registry,
        )
        self.age = Gauge(
            "lachan_compliance_ledger_cosigned_age_seconds",
            "Since enough witnesses last cosigned the ledger's head.",
            registry=registry,
        )
        self.failures = Counter(
            "lachan_compliance_ledger_witness_failures",
            "Times that a witness brought no cosignature.",
            ["witness", "reason"],
            registry=registry,
        )

    def failed(self, witness: str, failure: Failure, detail: str) -> None:
        """A witness brought no cosignature."""
        self.failures.labels(witness, failure).inc()
        grave = failure in {Failure.CONTRADICTED, Failure.AHEAD}
        tell = _log.error if grave else _log.warning
        tell("a witness did not cosign", witness=witness, reason=str(failure), detail=detail)


class Keeper:
    """The sequencer of this process."""

    def __init__(self, settings: LedgerSettings, log: Log, engine: AsyncEngine, registry: CollectorRegistry) -> None:
        """Wires it.

        Raises:
            ComplianceError: A witness's address is none.
        """
        self.interval = settings.interval
        self._metrics = LedgerMetrics(registry)
        self._proofs = Proofs(engine)
        for name in log.policy.witnesses:
            for failure in Failure:
                self._metrics.failures.labels(name, failure)
        addresses = {name: witnesses.parse(url) for name, url in log.policy.addresses.items()}
        self._sequencer = Sequencer(
            log,
            LedgerSequence(engine, os.urandom),
            witnesses.HttpWitnesses(addresses, settings.witness_timeout),
            self._metrics,
            time.time,
            refresh=settings.refresh,
        )

    async def round(self) -> None:
        """Takes a turn if it is nobody else's, and tells how far the ledger has come."""
        try:
            await self._sequencer.round()
        except LedgerError as error:
            raise ComplianceError(f"the ledger as it is stored cannot be added to: {error}") from error
        finally:
            progress = await self._proofs.progress()
            self._metrics.leaves.set(progress.entered)
            self._metrics.unsequenced.set(progress.entered - progress.published)
            self._metrics.age.set(time.time() - progress.cosigned_at if progress.cosigned_at is not None else 0)


def keeper(settings: LedgerSettings | None, engine: AsyncEngine, registry: CollectorRegistry) -> Keeper | None:
    """The sequencer, where one is asked for.

    Raises:
        LachanError: Key, policy or an address cannot be used.
    """
    return None if settings is None else Keeper(settings, load(settings), engine, registry)
