"""Evidence packs made from the database: what a finding rests on, with the proofs that it stands in the ledger.

Holds always: it is read in one snapshot, and the same rows give the same bytes, whatever was entered since; every leaf
about the finding's nodes between the first and the last of its evidence is in the pack, at least by its commitment; of
a redacted one nothing leads to a probe or to a name that is asked.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any, Literal

from sqlalchemy import Row, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.errors import ComplianceError
from compliance_api.ledger import evidence, pack
from compliance_api.ledger.evidence import Evidence, Piece
from compliance_api.storage.proofs import made
from compliance_api.storage.tables import (
    challenges,
    findings,
    law_versions,
    ledger_checkpoints,
    ledger_leaves,
    observations,
    reports,
    unverified_reports,
)
from lachan.ledger import checkpoint, note, tree
from lachan.ledger.batch import signed
from lachan.ledger.leaf import Kind, Opening
from lachan.ledger.note import Note
from lachan.ledger.tree import Nodes

PIECES_MAX = 50_000
DATED_MAX = 30
"""Leaves that get the heads right before and behind them, so that their time of entry shows."""
CHUNK = 1000
LATE = timedelta(days=8)
"""An observation may be handed in this much later than it was made."""
SEED_SECONDS = 86_400
"""The seed of a day may have been entered up to that long before what was drawn by it."""
VANTAGES = "vantages.json"
READ_ME = "read-me.txt"

_SHOWN_TO_OPERATORS = frozenset(
    {Kind.REPORT, Kind.UNVERIFIED_REPORT, Kind.LAW, Kind.RELEASE, Kind.ORDER, Kind.APPROVAL}
)
_READ_ME = """Verify this pack without a network, with keys that did not come with it:

    lachan-compliance verify PACK --keys FILE --pinned CHECKPOINT
    python -m compliance_api.ledger PACK --keys FILE --pinned CHECKPOINT

sha256sum --check index.sha256 checks the files alone. docs/formats/ledger.md says what each of them holds.
"""


class PackBuildError(ComplianceError):
    """A pack cannot be made, or not yet."""


@dataclass
class _Found:
    """What the finding's own time and nodes lead to."""

    finding: Row[Any]
    subjects: set[str]
    # Contents that stand in tables of their own, by leaf.
    contents: dict[int, bytes] = field(default_factory=dict)
    seen: list[Row[Any]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    # ORGANISATION/NAME of probes whose signatures are in it.
    probes: set[str] = field(default_factory=set)


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain).encode() + b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(type(value).__name__)


async def _signed_reports(connection: AsyncConnection, found: _Found, first: int, end: int) -> None:
    row = found.finding
    for table in (reports, unverified_reports):
        kept = table.c
        own = select(kept.node, kept.log_index, kept.report, kept.signature, kept.key_id).where(
            kept.operator_id == row.operator_id, kept.log_index >= first, kept.log_index < end
        )
        for one in await connection.execute(own):
            if f"{row.operator_id}/{one.node}" in found.subjects:
                found.contents[one.log_index] = signed(one.report, one.signature, one.key_id)


async def _signed_observations(connection: AsyncConnection, found: _Found, first: int, end: int) -> None:
    kept, row = observations.c, found.finding
    own = (
        select(observations)
        .where(kept.operator_id == row.operator_id, kept.log_index >= first, kept.log_index < end)
        .where(kept.asked_at >= row.since - LATE, kept.asked_at <= row.last_seen + LATE)
        .order_by(kept.log_index)
    )
    for one in await connection.execute(own):
        if f"{row.operator_id}/{one.node}" not in found.subjects:
            continue
        found.contents[one.log_index] = signed(one.observation, one.signature, one.key_id)
        found.seen.append(one)
        found.names |= {f"assignment/{one.assignment_id.hex()}", f"order/{one.order_reference}"}
        found.names |= {f"release/{one.added_serial}", f"shapes/{one.shapes}"}
        found.probes.add(f"{one.probe_organisation}/{one.probe}")


async def _extent(connection: AsyncConnection, row: Row[Any]) -> tuple[int, int]:
    """The first and the last leaf of the evidence, the one behind it."""
    kept, seen, foreign = reports.c, observations.c, unverified_reports.c
    cited = [bytes.fromhex(one["reference"]) for one in row.evidence if one["kind"].endswith("report")]
    assignments = [
        bytes.fromhex(one["reference"].partition("/")[0]) for one in row.evidence if one["kind"] == "observation"
    ]
    wanted = (
        select(func.min(kept.log_index), func.max(kept.log_index))
        .where(kept.operator_id == row.operator_id, kept.node == row.node if row.node else kept.node.is_not(None))
        .where(
            or_(
                (kept.window_start >= row.since) & (kept.window_start <= row.last_seen),
                kept.digest.in_(cited),
            )
        ),
        select(func.min(foreign.log_index), func.max(foreign.log_index)).where(
            foreign.operator_id == row.operator_id,
            or_(
                (foreign.accepted_at >= row.since) & (foreign.accepted_at <= row.last_seen),
                foreign.digest.in_(cited),
            ),
        ),
        select(func.min(seen.log_index), func.max(seen.log_index)).where(
            seen.operator_id == row.operator_id,
            or_(
                (seen.asked_at >= row.since) & (seen.asked_at <= row.last_seen),
                seen.assignment_id.in_(assignments),
            ),
        ),
    )
    ends = [tuple((await connection.execute(one)).one()) for one in wanted]
    there = [one for one in ends if one[0] is not None]
    if not there:
        return 0, 0
    return min(one[0] for one in there), max(one[1] for one in there) + 1


async def _entries(connection: AsyncConnection, found: _Found, first: int, end: int) -> list[Row[Any]]:
    """The leaves that the pack is about."""
    kept, row = ledger_leaves.c, found.finding
    own = {f"finding/{row.finding_id.hex()}", *found.names}
    asked = select(challenges.c.challenge_id).where(
        challenges.c.operator_id == row.operator_id,
        challenges.c.hour >= row.since - timedelta(hours=1),
        challenges.c.hour <= row.last_seen,
    )
    own |= {f"challenge/{one.hex()}" for one in (await connection.execute(asked)).scalars()}
    versions = select(law_versions.c.log_index).where(law_versions.c.law == row.law)
    laws = list((await connection.execute(versions)).scalars())
    wanted = select(ledger_leaves).where(
        or_(
            (kept.log_index >= first) & (kept.log_index < end) & kept.subject.in_(found.subjects),
            kept.subject.in_(own) & kept.content.is_not(None),
            kept.subject.startswith(f"seed/{row.operator_id}/", autoescape=True)
            & kept.content.is_not(None)
            & (kept.log_index < end)
            & (kept.entered_at >= int(row.since.timestamp()) - SEED_SECONDS),
            kept.log_index.in_(laws),
            # Whose keys the signatures are held against.
            kept.kind.in_([Kind.ENROLMENT, Kind.REVOCATION])
            & kept.subject.in_(found.subjects | found.probes)
            & (kept.log_index < end),
        )
    )
    return list((await connection.execute(wanted.order_by(kept.log_index).limit(PIECES_MAX + 1))).all())


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


async def _heads(
    connection: AsyncConnection, indexes: Sequence[int], dated: Sequence[int], through: int | None
) -> list[Note]:
    """Published heads: the first over all leaves, those around the leaves that are dated, and one that is asked for."""
    kept = ledger_checkpoints.c
    published = select(kept.size, kept.cosigned, kept.refreshed).where(kept.cosigned.is_not(None))
    newest = (
        await connection.execute(published.where(kept.size > indexes[-1]).order_by(kept.size).limit(1))
    ).one_or_none()
    if newest is None:
        raise PackBuildError("enough witnesses have not cosigned a head with all of the evidence yet: try again soon")
    # What is cosigned again later must not change a pack: of the newest head the first cosignatures count.
    chosen = {newest.size: newest.cosigned}
    for index in dated[:DATED_MAX]:
        before = published.where(kept.size <= index).order_by(kept.size.desc()).limit(1)
        behind = published.where(kept.size > index, kept.size < newest.size).order_by(kept.size).limit(1)
        for wanted in (before, behind):
            one = (await connection.execute(wanted)).one_or_none()
            if one is not None:
                chosen[one.size] = one.refreshed
    if through is not None and through not in chosen:
        one = (await connection.execute(published.where(kept.size == through))).one_or_none()
        if one is None:
            raise PackBuildError(f"no head of {through} leaves was published")
        chosen[through] = one.cosigned if through > newest.size else one.refreshed
    return [note.parse(chosen[size]) for size in sorted(chosen)]


async def _steps(connection: AsyncConnection, heads: Sequence[Note]) -> dict[tuple[int, int], list[bytes]]:
    sizes = [checkpoint.parse(one.text).size for one in heads]
    return {
        (old, new): await made(connection, partial(tree.consistency_proof, old=old, new=new))
        for old, new in pairwise(sizes)
    }


async def _proofs(connection: AsyncConnection, indexes: Sequence[int], size: int) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for at in range(0, len(indexes), CHUNK):
        some = indexes[at : at + CHUNK]

        def paths(nodes: Nodes, some: Sequence[int] = some) -> list[list[bytes]]:
            return [tree.inclusion_proof(nodes, index, size) for index in some]

        found |= dict(zip(some, await made(connection, paths), strict=True))
    return found


State = Literal["opened", "erased", "missing"]


def _shown(row: Row[Any], operator: str) -> bool:
    """Whether an operator may see a leaf: its own keys it may, a probe's it may not."""
    kind = Kind(row.kind)
    own = kind in {Kind.ENROLMENT, Kind.REVOCATION} and row.subject.startswith(f"{operator}/")
    return own or kind in _SHOWN_TO_OPERATORS


def _opening(row: Row[Any], found: _Found) -> tuple[State, Opening | None]:
    """A leaf's state in the pack, and what opens it there."""
    kind = Kind(row.kind)
    if row.salt is None:
        return "erased", None
    content = row.content if row.content is not None else found.contents.get(row.log_index)
    if content is None:
        return "missing", None
    return "opened", Opening(row.salt, kind, row.entered_at, content)


def _finding(row: Row[Any], *, redacted: bool) -> bytes:
    told = {name: getattr(row, name) for name in findings.c.keys()}  # noqa: SIM118 - not a mapping of its own
    told["counts"] = dict(row.counts)
    if redacted:
        # The minute of a question, with the operator's own log, would lead to the probe.
        told["evidence"] = [
            {"kind": one["kind"], "day": one["at"][:10], "node": one["node"]}
            | ({"reference": one["reference"]} if one["kind"].endswith("report") else {})
            for one in row.evidence
        ]
    return _json(told)


def _vantages(seen: Iterable[Row[Any]]) -> bytes:
    """What each vantage point saw of each node, in numbers."""
    counts = Counter((one.vantage_point, one.node, one.arm, one.result) for one in seen)
    return _json(
        [
            {"vantage_point": vantage, "node": node, "arm": arm, "result": result, "observations": number}
            for (vantage, node, arm, result), number in sorted(counts.items())
        ]
    )


async def _found(connection: AsyncConnection, finding_id: bytes) -> tuple[_Found, int, int]:
    row = (await connection.execute(select(findings).where(findings.c.finding_id == finding_id))).one_or_none()
    if row is None:
        raise PackBuildError(f"there is no finding {finding_id.hex()}")
    nodes = {row.node} if row.node else set()
    if not nodes:
        own = (
            select(reports.c.node)
            .where(reports.c.operator_id == row.operator_id, reports.c.window_start >= row.since)
            .union(
                select(observations.c.node).where(
                    observations.c.operator_id == row.operator_id, observations.c.asked_at >= row.since
                )
            )
        )
        nodes = set((await connection.execute(own)).scalars())
    found = _Found(row, {f"{row.operator_id}/{node}" for node in nodes})
    first, end = await _extent(connection, row)
    await _signed_reports(connection, found, first, end)
    await _signed_observations(connection, found, first, end)
    return found, first, end


async def files(
    engine: AsyncEngine, finding_id: bytes, *, redacted: bool = False, through: int | None = None
) -> dict[str, bytes]:
    """The files of a pack, but for its index.

    Args:
        engine: The database.
        finding_id: Of what.
        redacted: Whether it is for the operator.
        through: The size of a head that somebody has kept, through which the pack shall go.

    Raises:
        PackBuildError: There is no such finding, too much evidence, or no head over all of it yet.
        LedgerError: The ledger as it is stored does not hold.
    """
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        async with connection.begin():
            found, first, end = await _found(connection, finding_id)
            rows = await _entries(connection, found, first, end)
            if not 0 < len(rows) <= PIECES_MAX:
                raise PackBuildError(f"the evidence is {len(rows)} leaves, not 1 to {PIECES_MAX}")
            withheld = [row for row in rows if redacted and not _shown(row, found.finding.operator_id)]
            if redacted:
                # Not even by their commitments: a place between two reports tells the minute of a question.
                rows = [row for row in rows if _shown(row, found.finding.operator_id)]
                indexes = [row.log_index for row in rows]
            else:
                # Where a leaf is gone somebody has been at the ledger, and the pack says so by what it lacks.
                gone = await _gone(connection, first, end)
                indexes = sorted({*(row.log_index for row in rows), *found.contents, *gone})
            heads = await _heads(connection, indexes, _dated(rows), through)
            steps = await _steps(connection, heads)
            head = checkpoint.parse(heads[-1].text)
            proofs = await _proofs(connection, indexes, head.size)
    hidden = Counter(str(row.kind) for row in withheld) if redacted else None
    return dict(_packed(found, rows, indexes, heads, steps, proofs, hidden))


def _dated(rows: Sequence[Row[Any]]) -> list[int]:
    """The leaves whose times matter most: law, finding, assignments, then the first and the last of the rest."""
    order = {Kind.LAW: 0, Kind.FINDING: 1, Kind.ASSIGNMENT: 2}
    indexes = [row.log_index for row in rows]
    first = sorted((row for row in rows if row.kind in order), key=lambda row: (order[row.kind], row.log_index))
    return list(dict.fromkeys([*(row.log_index for row in first[: DATED_MAX - 2]), indexes[0], indexes[-1]]))


def _packed(
    found: _Found,
    rows: Sequence[Row[Any]],
    indexes: Sequence[int],
    heads: Sequence[Note],
    steps: Mapping[tuple[int, int], Sequence[bytes]],
    proofs: Mapping[int, Sequence[bytes]],
    withheld: Mapping[str, int] | None,
) -> Iterator[tuple[str, bytes]]:
    leaves: dict[int, tuple[pack.Leaf, bytes | None]] = {}
    pieces: dict[int, Piece] = {}
    for row in rows:
        index, kind = row.log_index, Kind(row.kind)
        state, opening = _opening(row, found)
        leaves[index] = pack.Leaf.of(row.commitment, proofs[index], opening), opening.content if opening else None
        name = evidence.reference(kind, opening.content) if opening else ""
        pieces[index] = Piece(index=index, kind=kind, subject=row.subject, state=state, reference=name)
    operator = found.finding.operator_id
    for index in set(indexes) - set(pieces):
        pieces[index] = Piece(index=index, kind=Kind.OBSERVATION, subject=operator, state="missing")
    told = Evidence(
        form="full" if withheld is None else "redacted",
        operator=operator,
        finding=found.finding.finding_id.hex(),
        pieces=[pieces[index] for index in indexes],
        withheld=None if withheld is None else dict(sorted(withheld.items())),
    )
    origin = checkpoint.parse(heads[-1].text).origin
    yield evidence.EVIDENCE, told.encode()
    yield evidence.FINDING, _finding(found.finding, redacted=withheld is not None)
    yield VANTAGES, _vantages(found.seen)
    yield READ_ME, _READ_ME.encode()
    yield from pack.ledger_files(origin, heads, steps, leaves, indexes)
