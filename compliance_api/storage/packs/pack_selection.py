"""What a finding leads to in the database: the leaves, and what they commit to, that a pack of evidence is made of.

Holds always: it is a function of the finding and of how long the ledger was: what was entered later changes nothing.
Where the finding's nodes have few leaves between the first and the last of the evidence, each of them is chosen; where
they have too many, what the finding cites with its neighbourhood is: of a cited report those before and behind it in
the chain, of a cited observation its whole session, and whoever else asked for its name, of a challenged hour what the
node had committed to for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, Table, and_, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.domain.findings.finding import EvidenceKind
from compliance_api.errors import ComplianceError
from compliance_api.ledger.removed import Names
from compliance_api.storage.packs.takenout import subject, taken_out
from compliance_api.storage.tables import (
    challenges,
    finding_steps,
    finding_versions,
    findings,
    law_versions,
    ledger_leaves,
    observations,
    reports,
    tallies,
    unverified_reports,
)
from lachan.ledger.batch import signed
from lachan.ledger.leaf import Kind

WHOLE_MAX = 20_000
"""Leaves of a finding's nodes between the first and the last of the evidence, up to which all of them are chosen."""
PIECES_MAX = 50_000
LATE = timedelta(days=8)
"""An observation may be handed in this much later than it was made."""
HOUR = timedelta(hours=1)
SEED_SECONDS = 86_400
"""The seed of a day may have been entered up to that long before what was drawn by it."""

_CHALLENGED = (EvidenceKind.OPENING, EvidenceKind.CHALLENGE)

Scope = Literal["whole", "cited"]


class PackBuildError(ComplianceError):
    """A pack cannot be made, or not yet."""


@dataclass
class Selection:
    """What a pack is made of."""

    # Of `findings`, and of `finding_versions`.
    finding: Row[Any]
    version: Row[Any]
    # How many leaves the ledger had.
    as_of: int
    scope: Scope = "whole"
    # ORGANISATION/NAME of the nodes.
    subjects: set[str] = field(default_factory=set)
    # Contents that stand in tables of their own, by leaf.
    contents: dict[int, bytes] = field(default_factory=dict)
    seen: list[Row[Any]] = field(default_factory=list)
    # ORGANISATION/NAME of probes whose signatures are in it.
    probes: set[str] = field(default_factory=set)
    # ORGANISATION/NAME of people who took steps.
    people: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    # Challenges that the operator knows of: those that it answered, or can answer no more.
    over: set[str] = field(default_factory=set)
    # By challenge in hexadecimal, the rules of those that are cited.
    rules: dict[str, Any] = field(default_factory=dict)
    # By release, the names that it took out; of those that took out one that was asked.
    removed: dict[int, Names] = field(default_factory=dict)
    leaves: list[Row[Any]] = field(default_factory=list)
    # Indices between the first and the last of the evidence that have no leaf any more.
    gone: list[int] = field(default_factory=list)

    def cited(self, *kinds: EvidenceKind) -> list[str]:
        """References of the evidence of these kinds."""
        return [str(one["reference"]) for one in self.version.evidence if one["kind"] in kinds]

    @property
    def challenged(self) -> list[tuple[str, datetime]]:
        """Node and start of the challenged hours that are cited."""
        return [
            (str(one["node"]), datetime.fromisoformat(one["at"]))
            for one in self.version.evidence
            if one["kind"] in _CHALLENGED
        ]

    @property
    def digests(self) -> list[bytes]:
        """SHA-256 of the reports that are cited."""
        return [bytes.fromhex(one) for one in self.cited(EvidenceKind.REPORT, EvidenceKind.UNVERIFIED_REPORT)]

    @property
    def sessions(self) -> list[bytes]:
        """The assignments of the observations that are cited."""
        return sorted({bytes.fromhex(one.partition("/")[0]) for one in self.cited(EvidenceKind.OBSERVATION)})

    def take_report(self, row: Row[Any]) -> None:
        """Adds a report."""
        self.subjects.add(f"{self.finding.operator_id}/{row.node}")
        self.contents[row.log_index] = signed(row.report, row.signature, row.key_id)

    def take_observation(self, row: Row[Any]) -> None:
        """Adds an observation, and what it leads to."""
        self.subjects.add(f"{self.finding.operator_id}/{row.node}")
        self.contents[row.log_index] = signed(row.observation, row.signature, row.key_id)
        self.seen.append(row)
        self.names |= {f"assignment/{row.assignment_id.hex()}", f"order/{row.order_reference}"}
        self.names |= {f"release/{row.added_serial}", f"shapes/{row.shapes}"}
        self.probes.add(f"{row.probe_organisation}/{row.probe}")


async def select_for(connection: AsyncConnection, finding_id: bytes, as_of: int | None) -> Selection:
    """Chooses what a pack is made of.

    Args:
        connection: In one snapshot.
        finding_id: Of what.
        as_of: How many leaves the ledger had; None for as many as it had when it was last told of the finding.

    Raises:
        PackBuildError: There is no such finding, or not by then, or it leads to too much.
    """
    chosen = await _version(connection, finding_id, as_of)
    first, end = await _extent(connection, chosen)
    await _nodes(connection, chosen)
    kept = ledger_leaves.c
    between = and_(kept.log_index >= first, kept.log_index < end)
    own = select(func.count()).select_from(ledger_leaves).where(between, kept.subject.in_(chosen.subjects))
    if (await connection.execute(own)).scalar_one() <= WHOLE_MAX:
        await _whole(connection, chosen, first, end)
        chosen.gone = await _gone(connection, first, end)
        about: ColumnElement[bool] = and_(between, kept.subject.in_(chosen.subjects))
    else:
        chosen.scope = "cited"
        chosen.subjects.clear()
        await _cited_reports(connection, chosen)
        await _cited_observations(connection, chosen)
        await _committed(connection, chosen)
        about = kept.log_index.in_(chosen.contents)
    chosen.removed = await taken_out(connection, (one.qname for one in chosen.seen), chosen.as_of)
    for serial in chosen.removed:
        chosen.names |= {subject(serial), f"release/{serial}"}
    chosen.leaves = await _leaves(connection, chosen, about)
    if not 0 < len(chosen.leaves) <= PIECES_MAX:
        raise PackBuildError(f"the evidence is {len(chosen.leaves)} leaves, not 1 to {PIECES_MAX}")
    return chosen


async def _version(connection: AsyncConnection, finding_id: bytes, as_of: int | None) -> Selection:
    row = (await connection.execute(select(findings).where(findings.c.finding_id == finding_id))).one_or_none()
    if row is None:
        raise PackBuildError(f"there is no finding {finding_id.hex()}")
    kept = ledger_leaves.c
    if as_of is None:
        last = select(func.max(kept.log_index)).where(kept.subject == f"finding/{finding_id.hex()}")
        index: int | None = (await connection.execute(last)).scalar_one()
        as_of = index + 1 if index is not None else 0
    told = finding_versions.c
    newest = (
        select(finding_versions)
        .where(told.operator_id == row.operator_id, told.finding_id == finding_id, told.log_index < as_of)
        .order_by(told.version.desc())
        .limit(1)
    )
    version = (await connection.execute(newest)).one_or_none()
    if version is None:
        raise PackBuildError(f"the ledger was not told of the finding {finding_id.hex()}, or not within {as_of} leaves")
    return Selection(row, version, as_of)


async def _extent(connection: AsyncConnection, chosen: Selection) -> tuple[int, int]:
    """The first and the last leaf of the evidence, the one behind it."""
    row, said = chosen.finding, chosen.version
    ends: list[tuple[int, int]] = []
    for table, moment, cited in (
        (reports, "window_start", reports.c.digest.in_(chosen.digests)),
        (unverified_reports, "accepted_at", unverified_reports.c.digest.in_(chosen.digests)),
        (observations, "asked_at", observations.c.assignment_id.in_(chosen.sessions)),
    ):
        kept = table.c
        then = and_(kept[moment] >= said.since, kept[moment] <= said.last_seen)
        nodes = [kept.node == row.node] if table is reports and row.node else []
        wanted = select(func.min(kept.log_index), func.max(kept.log_index)).where(
            kept.operator_id == row.operator_id, kept.log_index < chosen.as_of, or_(then, cited), *nodes
        )
        least, most = (await connection.execute(wanted)).one()
        if least is not None:
            ends.append((least, most))
    return (min(one for one, _ in ends), max(one for _, one in ends) + 1) if ends else (0, 0)


async def _nodes(connection: AsyncConnection, chosen: Selection) -> None:
    """The nodes that a finding is about: its own, or all of the operator's that did something in its time."""
    row, said = chosen.finding, chosen.version
    nodes = {row.node} if row.node else set()
    if not nodes:
        own = (
            select(reports.c.node)
            .where(reports.c.operator_id == row.operator_id, reports.c.window_start >= said.since)
            .where(reports.c.window_start <= said.last_seen)
            .union(
                select(observations.c.node)
                .where(observations.c.operator_id == row.operator_id, observations.c.asked_at >= said.since)
                .where(observations.c.asked_at <= said.last_seen)
            )
        )
        nodes = {*(await connection.execute(own)).scalars(), *(node for node, _ in chosen.challenged)}
    chosen.subjects = {f"{row.operator_id}/{node}" for node in nodes}


async def _rows(connection: AsyncConnection, table: Table, chosen: Selection, *wanted: Any) -> Sequence[Row[Any]]:
    kept, own = table.c, chosen.finding.operator_id
    rows = select(table).where(kept.operator_id == own, kept.log_index < chosen.as_of, *wanted)
    return (await connection.execute(rows.order_by(kept.log_index).limit(PIECES_MAX + 1))).all()


async def _whole(connection: AsyncConnection, chosen: Selection, first: int, end: int) -> None:
    """Everything of the finding's nodes between the first and the last of the evidence."""
    operator, said, subjects = chosen.finding.operator_id, chosen.version, set(chosen.subjects)
    for table in (reports, unverified_reports):
        for one in await _rows(connection, table, chosen, table.c.log_index >= first, table.c.log_index < end):
            if f"{operator}/{one.node}" in subjects:
                chosen.take_report(one)
    kept = observations.c
    then = (kept.asked_at >= said.since - LATE) & (kept.asked_at <= said.last_seen + LATE)
    for one in await _rows(connection, observations, chosen, kept.log_index >= first, kept.log_index < end, then):
        if f"{operator}/{one.node}" in subjects:
            chosen.take_observation(one)


async def _cited_reports(connection: AsyncConnection, chosen: Selection) -> None:
    """The reports that are cited, and those before and behind each of them in its chain."""
    kept = reports.c
    found = await _rows(connection, reports, chosen, kept.digest.in_(chosen.digests))
    beside = [(one.node, one.boot_epoch, one.sequence + step) for one in found for step in (-1, 1)]
    neighbours = await _rows(connection, reports, chosen, tuple_(kept.node, kept.boot_epoch, kept.sequence).in_(beside))
    foreign = await _rows(connection, unverified_reports, chosen, unverified_reports.c.digest.in_(chosen.digests))
    for one in (*found, *neighbours, *foreign):
        chosen.take_report(one)


async def _cited_observations(connection: AsyncConnection, chosen: Selection) -> None:
    """The sessions that are cited, and whatever was seen of the names in the finding's time, by whomever."""
    kept, said = observations.c, chosen.version
    then = (kept.asked_at >= said.since - LATE) & (kept.asked_at <= said.last_seen + LATE)
    names = {str(one["detail"]) for one in said.evidence if one["kind"] == EvidenceKind.OBSERVATION}
    about = or_(kept.assignment_id.in_(chosen.sessions), kept.qname.in_(names))
    for one in await _rows(connection, observations, chosen, then, about):
        chosen.take_observation(one)


async def _committed(connection: AsyncConnection, chosen: Selection) -> None:
    """The reports of the challenged hours that are cited, and of those behind them, which tell the commitments."""
    kept = reports.c
    for node, hour in chosen.challenged:
        then = (kept.window_start >= hour) & (kept.window_start < hour + 2 * HOUR)
        for one in await _rows(connection, reports, chosen, kept.node == node, then):
            chosen.take_report(one)


async def _counts(connection: AsyncConnection, chosen: Selection) -> list[int]:
    """The counted days of the year that the finding's last day is in: all that its standing rests on."""
    kept, row, said = tallies.c, chosen.finding, chosen.version
    begins = said.last_seen - timedelta(days=366)
    wanted = select(kept.log_index).where(
        kept.operator_id == row.operator_id,
        kept.jurisdiction == row.jurisdiction,
        kept.begins_at >= min(begins, said.since),
        kept.begins_at <= said.last_seen,
        kept.log_index < chosen.as_of,
    )
    return list((await connection.execute(wanted)).scalars())


async def _challenges(connection: AsyncConnection, chosen: Selection) -> set[str]:
    """Those of the finding's time, or those alone that it cites."""
    row, said, kept = chosen.finding, chosen.version, challenges.c
    asked = select(kept.challenge_id, kept.deadline, kept.opening_index, kept.rules).where(
        kept.operator_id == row.operator_id, kept.hour >= said.since - HOUR, kept.hour <= said.last_seen
    )
    if chosen.scope == "cited":
        asked = asked.where(kept.challenge_id.in_([bytes.fromhex(one) for one in chosen.cited(*_CHALLENGED)]))
    found, cited = set(), set(chosen.cited(*_CHALLENGED))
    for one in await connection.execute(asked):
        name = f"challenge/{one.challenge_id.hex()}"
        if one.challenge_id.hex() in cited:
            chosen.rules[one.challenge_id.hex()] = one.rules
        found.add(name)
        if one.deadline < said.last_seen or (one.opening_index is not None and one.opening_index < chosen.as_of):
            chosen.over.add(name)
    return found


async def _leaves(connection: AsyncConnection, chosen: Selection, about: ColumnElement[bool]) -> list[Row[Any]]:
    """The leaves of all that was chosen, of what it leads to, and of the finding."""
    kept, row, said = ledger_leaves.c, chosen.finding, chosen.version
    own = {f"finding/{row.finding_id.hex()}", *chosen.names, *await _challenges(connection, chosen)}
    own |= {f"release/{one}" for one in chosen.cited(EvidenceKind.RELEASE)}
    own |= await _orders(connection, chosen)
    laws = select(law_versions.c.log_index).where(law_versions.c.law == said.law)
    indexes = [*(await connection.execute(laws)).scalars(), *await _counts(connection, chosen)]
    chosen.people = await _people(connection, chosen)
    signers = chosen.subjects | chosen.probes | chosen.people
    wanted = (
        select(ledger_leaves)
        .where(kept.log_index < chosen.as_of)
        .where(
            or_(
                about,
                kept.subject.in_(own) & kept.content.is_not(None),
                kept.log_index.in_(indexes),
                and_(
                    kept.subject.startswith(f"seed/{row.operator_id}/", autoescape=True),
                    kept.content.is_not(None),
                    kept.entered_at >= int(said.since.timestamp()) - SEED_SECONDS,
                    kept.entered_at <= int(said.last_seen.timestamp()),
                ),
                # Whose keys the signatures are held against.
                kept.kind.in_([Kind.ENROLMENT, Kind.REVOCATION]) & kept.subject.in_(signers),
            )
        )
    )
    return list((await connection.execute(wanted.order_by(kept.log_index).limit(PIECES_MAX + 1))).all())


async def _people(connection: AsyncConnection, chosen: Selection) -> set[str]:
    """ORGANISATION/NAME of who took steps about the finding."""
    kept, row = finding_steps.c, chosen.finding
    own = select(kept.person).where(
        kept.operator_id == row.operator_id, kept.finding_id == row.finding_id, kept.log_index < chosen.as_of
    )
    named = [one.removeprefix("lachan://").split("/") for one in (await connection.execute(own)).scalars()]
    return {f"{one[0]}/{one[2]}" for one in named if len(one) == 3}


async def _orders(connection: AsyncConnection, chosen: Selection) -> set[str]:
    """The orders that the operator cited, as the list's registry told of them."""
    kept, row = finding_steps.c, chosen.finding
    own = select(kept.order_number).where(
        kept.operator_id == row.operator_id, kept.finding_id == row.finding_id, kept.log_index < chosen.as_of
    )
    return {f"order/{one}" for one in (await connection.execute(own)).scalars() if one}


async def _gone(connection: AsyncConnection, first: int, end: int) -> list[int]:
    """Indices between the first and the last of the evidence that have no leaf any more."""
    kept = ledger_leaves.c
    following = func.lead(kept.log_index).over(order_by=kept.log_index).label("following")
    pairs = select(kept.log_index, following).where(kept.log_index >= first, kept.log_index < end).subquery()
    wanted = select(pairs).where(pairs.c.following > pairs.c.log_index + 1).order_by(pairs.c.log_index)
    gone: list[int] = []
    for row in await connection.execute(wanted):
        gone += range(row.log_index + 1, min(row.following, row.log_index + PIECES_MAX))
    return gone


def unreported(seen: Iterable[Row[Any]], asked: dict[bytes, int]) -> dict[str, list[int]]:
    """Of sessions, the questions that no observation answers.

    Args:
        seen: Observations.
        asked: How many questions each session had.
    """
    answered: dict[bytes, set[int]] = {one: set() for one in asked}
    for one in seen:
        if one.assignment_id in answered:
            answered[one.assignment_id].add(one.question)
    missing = {name: sorted(set(range(count)) - answered[name]) for name, count in sorted(asked.items())}
    return {name.hex(): questions for name, questions in missing.items() if questions}
