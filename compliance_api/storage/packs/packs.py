"""Evidence packs made from the database: what a finding rests on, with the proofs that it stands in the ledger.

Holds always: it is read in one snapshot, and the same length of the ledger gives the same bytes, whatever was entered
since; what is chosen is in the pack, at least by its commitment; of a redacted one nothing leads to a probe or to a
name that is asked.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any, Literal

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.ledger import evidence, pack
from compliance_api.ledger.accusation import FINDING
from compliance_api.ledger.challenged import CHALLENGES
from compliance_api.ledger.evidence import Evidence, Piece
from compliance_api.ledger.removed import REMOVALS
from compliance_api.storage.findings import finding_versions as versions
from compliance_api.storage.judging.evidence import Extent
from compliance_api.storage.packs import takenout
from compliance_api.storage.packs.pack_selection import PackBuildError, Selection, select_for, unreported
from compliance_api.storage.packs.proofs import made
from compliance_api.storage.packs.withheld import withheld as dropped_by_custodians
from compliance_api.storage.tables import ledger_checkpoints
from lachan.ledger import checkpoint, note, tree
from lachan.ledger.leaf import Kind, Opening
from lachan.ledger.note import Note
from lachan.ledger.tree import Nodes

DATED_MAX = 30
"""Leaves that get the heads right before and behind them, so that their time of entry shows."""
CHUNK = 1000
VANTAGES = "vantages.json"
CUSTODIANS = "custodians.json"
READ_ME = "read-me.txt"

_SHOWN_TO_OPERATORS = frozenset(
    {Kind.REPORT, Kind.UNVERIFIED_REPORT, Kind.LAW, Kind.RELEASE, Kind.ORDER, Kind.APPROVAL}
)
# Evidence that is the operator's own word, or what it was asked.
_KNOWN_TO_OPERATORS = frozenset({"report", "unverified_report", "opening", "challenge"})
_READ_ME = """Verify this pack without a network, with keys that did not come with it:

    lachan-compliance verify PACK --keys FILE --pinned CHECKPOINT
    python -m compliance_api.ledger PACK --keys FILE --pinned CHECKPOINT

sha256sum --check index.sha256 checks the files alone. docs/formats/ledger.md says what each of them holds.
"""


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain).encode() + b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(type(value).__name__)


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


def _shown(row: Row[Any], chosen: Selection) -> bool:
    """Whether an operator may see a leaf: its own keys, what people did and what it was asked to open.

    No probe's leaf is among them, no seed, and nothing that says what was found, which leads to sessions.
    """
    kind, content = Kind(row.kind), row.content or b""
    if kind is Kind.FINDING:
        return evidence.is_deed(content)
    if kind in {Kind.ENROLMENT, Kind.REVOCATION}:
        return row.subject.startswith(f"{chosen.finding.operator_id}/") or evidence.is_of_person(content)
    if row.subject in map(takenout.subject, chosen.removed):
        # It would lead to a name that was asked.
        return False
    return row.subject in chosen.over or kind in _SHOWN_TO_OPERATORS


def _opening(row: Row[Any], chosen: Selection) -> tuple[State, Opening | None]:
    """A leaf's state in the pack, and what opens it there."""
    kind = Kind(row.kind)
    if row.salt is None:
        return "erased", None
    content = row.content if row.content is not None else chosen.contents.get(row.log_index)
    if content is None:
        return "missing", None
    return "opened", Opening(row.salt, kind, row.entered_at, content)


def _finding(chosen: Selection, *, redacted: bool) -> bytes:
    """What the finding said, beginning as its leaf does."""
    row, version = chosen.finding, chosen.version
    said = {name: getattr(version, name) for name in ("since", "law", "counts", "evidence", "last_seen", "version")}
    told = {**versions.about(row._asdict()), **said, "opened_at": row.opened_at}
    told["citation"] = {"vi": version.citation_vi, "en": version.citation_en}
    if redacted:
        # The minute of a question, with the operator's own log, would lead to the probe.
        told["evidence"] = [
            {"kind": one["kind"], "day": one["at"][:10], "node": one["node"]}
            | ({"reference": one["reference"]} if one["kind"] in _KNOWN_TO_OPERATORS else {})
            for one in version.evidence
        ]
    return _json(told)


def _unreported(chosen: Selection) -> dict[str, list[int]]:
    """Of the sessions that are cited, the questions that no observation answers."""
    sessions = {f"assignment/{one.hex()}": one for one in chosen.sessions}
    asked = {
        sessions[row.subject]: int(json.loads(row.content)["questions"])
        for row in chosen.leaves
        if row.subject in sessions and row.content is not None
    }
    return unreported(chosen.seen, asked)


def _vantages(seen: Iterable[Row[Any]]) -> bytes:
    """What each vantage point saw of each node, in numbers."""
    counts = Counter((one.vantage_point, one.node, one.arm, one.result) for one in seen)
    return _json(
        [
            {"vantage_point": vantage, "node": node, "arm": arm, "result": result, "observations": number}
            for (vantage, node, arm, result), number in sorted(counts.items())
        ]
    )


async def files(
    engine: AsyncEngine,
    finding_id: bytes,
    *,
    redacted: bool = False,
    through: int | None = None,
    as_of: int | None = None,
) -> dict[str, bytes]:
    """The files of a pack, but for its index.

    Args:
        engine: The database.
        finding_id: Of what.
        redacted: Whether it is for the operator.
        through: The size of a head that somebody has kept, through which the pack shall go.
        as_of: How many leaves the ledger had, for the same pack as then; None for the newest one.

    Raises:
        PackBuildError: There is no such finding, too much evidence, or no head over all of it yet.
        LedgerError: The ledger as it is stored does not hold.
    """
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        async with connection.begin():
            chosen = await select_for(connection, finding_id, as_of)
            withheld = None
            if redacted:
                # Not even by their commitments: a place between two reports tells the minute of a question.
                shown = [_shown(row, chosen) for row in chosen.leaves]
                withheld = Counter(str(row.kind) for row, there in zip(chosen.leaves, shown, strict=True) if not there)
                chosen.leaves = [row for row, there in zip(chosen.leaves, shown, strict=True) if there]
                indexes = [row.log_index for row in chosen.leaves]
            else:
                # Where a leaf is gone somebody has been at the ledger, and the pack says so by what it lacks.
                there = {row.log_index for row in chosen.leaves}
                indexes = sorted({*there, *chosen.contents, *chosen.gone})
            heads = await _heads(connection, indexes, _dated(chosen.leaves), through)
            steps = await _steps(connection, heads)
            head = checkpoint.parse(heads[-1].text)
            proofs = await _proofs(connection, indexes, head.size)
            said, nodes = chosen.version, sorted(one.partition("/")[2] for one in chosen.subjects)
            span = Extent(said.operator_id, nodes, said.since, said.last_seen)
            dropped = await dropped_by_custodians(connection, span, chosen.as_of)
    files = dict(_packed(chosen, indexes, heads, steps, proofs, withheld))
    if dropped:
        files[CUSTODIANS] = _json([one.document() for one in dropped])
    return files


def _dated(rows: Sequence[Row[Any]]) -> list[int]:
    """The leaves whose times matter most: law, finding, assignments, then the first and the last of the rest."""
    order = {Kind.LAW: 0, Kind.FINDING: 1, Kind.ASSIGNMENT: 2}
    indexes = [row.log_index for row in rows]
    first = sorted((row for row in rows if row.kind in order), key=lambda row: (order[row.kind], row.log_index))
    return list(dict.fromkeys([*(row.log_index for row in first[: DATED_MAX - 2]), indexes[0], indexes[-1]]))


def _packed(
    chosen: Selection,
    indexes: Sequence[int],
    heads: Sequence[Note],
    steps: Mapping[tuple[int, int], Sequence[bytes]],
    proofs: Mapping[int, Sequence[bytes]],
    withheld: Mapping[str, int] | None,
) -> Iterator[tuple[str, bytes]]:
    leaves: dict[int, tuple[pack.Leaf, bytes | None]] = {}
    pieces: dict[int, Piece] = {}
    for row in chosen.leaves:
        index, kind = row.log_index, Kind(row.kind)
        state, opening = _opening(row, chosen)
        leaves[index] = pack.Leaf.of(row.commitment, proofs[index], opening), opening.content if opening else None
        name = evidence.reference(kind, opening.content) if opening else ""
        pieces[index] = Piece(index=index, kind=kind, subject=row.subject, state=state, reference=name)
    operator = chosen.finding.operator_id
    for index in set(indexes) - set(pieces):
        pieces[index] = Piece(index=index, kind=Kind.OBSERVATION, subject=operator, state="missing")
    told = Evidence(
        form="full" if withheld is None else "redacted",
        operator=operator,
        finding=chosen.finding.finding_id.hex(),
        as_of=chosen.as_of,
        scope=chosen.scope,
        pieces=[pieces[index] for index in indexes],
        unreported=_unreported(chosen) if withheld is None else None,
        withheld=None if withheld is None else dict(sorted(withheld.items())),
    )
    origin = checkpoint.parse(heads[-1].text).origin
    yield evidence.EVIDENCE, told.encode()
    yield FINDING, _finding(chosen, redacted=withheld is not None)
    yield VANTAGES, _vantages(chosen.seen)
    yield READ_ME, _READ_ME.encode()
    if chosen.rules and withheld is None:
        yield CHALLENGES, _json(chosen.rules)
    if chosen.removed and withheld is None:
        yield REMOVALS, _json(chosen.removed)
    yield from pack.ledger_files(origin, heads, steps, leaves, indexes)
