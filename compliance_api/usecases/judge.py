"""Reaches the verdicts, again and again.

Holds always: a verdict rests on what is stored and on the law in force, on nothing that lives in this process; a
verdict is stored with its findings in one transaction; one operator that cannot be judged does not keep the others from
it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from compliance_api.domain.case import Case
from compliance_api.domain.law import Law, LawBook, LawError
from compliance_api.domain.organisation import Registry
from compliance_api.domain.verdict import Verdict, judge
from lachan import log

_log = log.get()


class CaseStore(Protocol):
    """Reads cases and keeps verdicts."""

    async def case(self, operator: str, jurisdiction: str, nodes: Sequence[str], law: Law, now: datetime) -> Case:
        """Everything stored about these nodes of an operator in the law's period up to now."""

    async def save(self, verdict: Verdict) -> None:
        """Stores a verdict, opens and closes its findings, unless a later one is stored already."""


class Judge:
    """The task of judging."""

    def __init__(self, registry: Registry, laws: LawBook, store: CaseStore) -> None:
        self._registry = registry
        self._laws = laws
        self._store = store

    async def evaluate(self, now: datetime) -> list[Verdict]:
        """Judges every operator in each of its jurisdictions."""
        verdicts = []
        for operator in self._registry.operators():
            for jurisdiction in sorted(operator.jurisdictions):
                nodes = [node.name for node in operator.nodes if jurisdiction in node.jurisdictions]
                try:
                    law = self._laws.in_force(jurisdiction, now)
                except LawError as error:
                    _log.warning("no verdict", operator=operator.identifier, reason=str(error))
                    continue
                case = await self._store.case(operator.identifier, jurisdiction, nodes, law, now)
                # A long period is some work; receiving reports must not wait for it.
                verdict = await asyncio.to_thread(judge, case)
                await self._store.save(verdict)
                verdicts.append(verdict)
        return verdicts
