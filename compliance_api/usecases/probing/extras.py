"""What a probe is asked beside its round: two nonces that tell which way its session goes, and its part of a challenge.

Holds always: a nonce is fresh for each assignment, and marks the line that asks for it as a probe's, so that beside the
authority's own lines, which are known anyway, only a few ask, always the same; a challenge's questions look like any
other about a listed name, are spread over as many probes as there are, and are given out only while they can still be
asked within its hour.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from compliance_api.domain.challenges.challenge import HOUR, Challenge, hour_of
from compliance_api.domain.observations import nonce
from compliance_api.domain.observations.observation import Arm
from compliance_api.domain.parties.organisation import Probe, Registry
from compliance_api.usecases.probing.question import Question
from lachan.line import Line

A = 1
TXT = 16
WHOAMI_LABEL = "whoami"
WHOAMI_BYTES = 10
# Probes among which a rule's questions are divided at most.
MAX_SHARES = 16
# In one assignment, whose probe takes up to 2000 questions in all.
MAX_CHALLENGED = 900


class LiveChallenges(Protocol):
    """What is challenged now."""

    async def challenged(self, operator: str, node: str, hour: datetime) -> Challenge | None:
        """The challenge of that hour; None where there is none."""

    async def given(self, operator: str, challenge_id: bytes) -> Mapping[str, int]:
        """By qname, how many of its questions were given out."""


@dataclass(frozen=True)
class NonceZone:
    """The authority's zone and the key of its nonces."""

    zone: str
    key: bytes


def shown(registry: Registry, operator: str, number: int) -> frozenset[Probe]:
    """The lines, not the authority's own, that show themselves to an operator: so many, and half of them at most.

    Those that are handed the operator's resolvers come first, for only their nonces tell whose they are; among equals a
    hash of their names decides, so that they stay the same. The others are never to be told from customers by a nonce.
    """
    ours = [
        (not probe.is_handed(operator), hashlib.sha256(f"{owner.identifier}/{probe.name}".encode()).digest(), probe)
        for owner in registry.organisations
        for probe in owner.probes
        if probe.line is not Line.AUTHORITY and probe.reaches(operator)
    ]
    ordered = sorted(ours, key=lambda one: one[:2])
    return frozenset(probe for *_, probe in ordered[: min(number, len(ordered) // 2)])


class Extras:
    """Makes what goes with an assignment."""

    def __init__(
        self,
        registry: Registry,
        challenges: LiveChallenges,
        zone: NonceZone | None,
        entropy: Callable[[int], bytes],
        qtypes: tuple[int, ...] = (A,),
        shown_lines: int | None = None,
    ) -> None:
        """Takes what it makes them of.

        Args:
            registry: Who there is.
            challenges: What is challenged.
            zone: Of the nonces that tell who asks; None where there is none.
            entropy: Where nonces come from.
            qtypes: Types that challenged names are asked for.
            shown_lines: How many lines show themselves to an operator, as `shown` has it; None for all of them.
        """
        self._registry = registry
        self._challenges = challenges
        self._zone = zone
        self._entropy = entropy
        self._qtypes = qtypes
        self._shown_lines = shown_lines

    async def questions(
        self, operator: str, node: str, probe: Probe, now: datetime, spread: float
    ) -> tuple[Question, ...]:
        """What to ask beside the round of a node.

        Args:
            operator: Whose resolver is asked.
            node: Which of its nodes.
            probe: Who asks.
            now: When it takes the assignment.
            spread: Seconds over which it will ask.
        """
        all_show = self._shown_lines is None or probe.line is Line.AUTHORITY
        shows = all_show or probe in shown(self._registry, operator, self._shown_lines or 0)
        found = self._nonces(operator, node) if shows else []
        challenge = await self._challenges.challenged(operator, node, hour_of(now))
        if challenge is not None and now + timedelta(seconds=spread) <= challenge.hour + HOUR:
            found += await self._share(challenge, probe)
        return tuple(found)

    def _nonces(self, operator: str, node: str) -> list[Question]:
        found = []
        known = self._registry.judged_node(operator, node)
        if known is not None and known.own_name:
            drawn = base64.b32encode(self._entropy(WHOAMI_BYTES)).decode().lower()
            found.append(Question(f"{drawn}.{WHOAMI_LABEL}.{known.own_name}", TXT, Arm.WHOAMI))
        if self._zone is not None:
            made = nonce.make(self._zone.key, self._entropy(nonce.RANDOM_BYTES))
            found.append(Question(f"{made}.{self._zone.zone}", A, Arm.EGRESS))
        return found

    async def _share(self, challenge: Challenge, probe: Probe) -> list[Question]:
        if not probe.line.may_ask_anything:
            return []
        probes = sum(
            one.reaches(challenge.operator) and one.line.may_ask_anything
            for owner in self._registry.organisations
            for one in owner.probes
        )
        shares = max(1, min(MAX_SHARES, probes))
        given = await self._challenges.given(challenge.operator, challenge.challenge_id)
        found = []
        for rule in challenge.rules:
            count = min(-(-rule.times // shares), rule.times - given.get(rule.qname, 0))
            found += [
                Question(
                    rule.qname,
                    self._qtypes[place % len(self._qtypes)],
                    Arm.CHALLENGE,
                    rule.category,
                    rule.order,
                    rule.added_serial,
                    rule.added_at,
                    challenge=challenge.challenge_id,
                )
                for place in range(count)
            ]
        return found[:MAX_CHALLENGED]
