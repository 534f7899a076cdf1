"""Counted days in PostgreSQL.

Holds always: a count is added once and never changed; a later count of the same day stands beside it under the next
number. A day is counted where it has ended long enough ago, or again where more was handed in since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Row, and_, bindparam, func, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import DateTime, Interval

from compliance_api.domain.findings.finding import Evidence, EvidenceKind
from compliance_api.domain.law.law_history import LawHistory
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.observations.met import Met
from compliance_api.domain.observations.observation import JUDGED, Sighting
from compliance_api.domain.observations.timing import Moment, ReleaseTiming
from compliance_api.domain.reports.record import ReleaseRecord
from compliance_api.domain.statistics.day import Line
from compliance_api.domain.statistics.parameters import Family, ProcessRule
from compliance_api.domain.verdicts.course import CountedDay, ReleaseSeen
from compliance_api.storage.judging import evidence
from compliance_api.storage.judging.evidence import Extent
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.probing.met import met
from compliance_api.storage.tables import observations, tallies
from compliance_api.usecases.judging.count import Counted, Place
from lachan import canonical
from lachan.ledger.leaf import Kind

REMOVED_WITHIN = timedelta(days=15)
"""What was taken out longer ago than this before a day is not asked on it any more."""

# What there is for each of some days, from its beginning to its closing: observations of names, sessions whose way is
# known, and observations of names of which the list had changed. Days with none before their end are left out.
_SEEN = text(
    "SELECT days.number,"
    " count(*) + count(session_paths.assignment_id) + count(gone.at) + count(came.at) AS weight"
    " FROM unnest(:numbers, :starts, :ends, :closings) AS days (number, begins, ends, closes)"
    " JOIN observations ON observations.operator_id = :operator AND observations.node = ANY(:nodes)"
    " AND observations.asked_at >= days.begins AND observations.asked_at < days.closes"
    " AND observations.arm = ANY(:arms) AND observations.received_at <= :known_at"
    " LEFT JOIN session_paths ON session_paths.operator_id = observations.operator_id"
    " AND session_paths.assignment_id = observations.assignment_id AND session_paths.decided_at <= :known_at"
    " LEFT JOIN (SELECT qname, min(removed_at) AS at FROM removals"
    " WHERE removed_at >= :recent AND heard_at <= :known_at GROUP BY qname) AS gone ON gone.qname = observations.qname"
    " AND gone.at <= observations.asked_at AND gone.at >= days.begins - CAST(:within AS interval)"
    " LEFT JOIN (SELECT qname, min(listed_at) AS at FROM listings WHERE heard_at <= :known_at GROUP BY qname) AS came"
    " ON came.qname = observations.qname AND came.at <= observations.asked_at"
    " GROUP BY days.number HAVING bool_or(observations.asked_at < days.ends)"
).bindparams(
    bindparam("numbers", type_=ARRAY(BigInteger)),
    bindparam("starts", type_=ARRAY(DateTime(timezone=True))),
    bindparam("ends", type_=ARRAY(DateTime(timezone=True))),
    bindparam("closings", type_=ARRAY(DateTime(timezone=True))),
    bindparam("within", type_=Interval()),
    bindparam("nodes", type_=ARRAY(tallies.c.operator_id.type)),
    bindparam("arms", type_=ARRAY(tallies.c.operator_id.type)),
    bindparam("known_at", type_=DateTime(timezone=True)),
)


def _own(place: Place) -> Any:
    return and_(tallies.c.operator_id == place.operator, tallies.c.jurisdiction == place.jurisdiction)


class Tallies:
    """The store that `compliance_api.usecases.judging.count` asks for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def first_seen(self, place: Place) -> datetime | None:
        """When the oldest observation of these nodes was asked."""
        kept = observations.c
        oldest = select(func.min(kept.asked_at)).where(kept.operator_id == place.operator, kept.node.in_(place.nodes))
        async with self._engine.connect() as connection:
            found: datetime | None = (await connection.execute(oldest)).scalar_one()
            return found

    async def newest(self, place: Place, seconds: int) -> Mapping[int, tuple[int, int]]:
        """Version and observations of the newest count of each day of that length."""
        wanted = (
            select(tallies.c.day, tallies.c.version, tallies.c.observations)
            .where(_own(place), tallies.c.day_seconds == seconds)
            .order_by(tallies.c.day, tallies.c.version)
        )
        async with self._engine.connect() as connection:
            return {row.day: (row.version, row.observations) for row in await connection.execute(wanted)}

    async def seen(
        self, place: Place, days: Sequence[LegalDay], closes_after: float, known_at: datetime
    ) -> Mapping[int, int]:
        """The weight of each day's evidence until it is closed; days without any of their own are left out."""
        values = {
            "operator": place.operator,
            "nodes": list(place.nodes),
            "arms": sorted(JUDGED),
            "known_at": known_at,
            "numbers": [day.number for day in days],
            "starts": [day.start for day in days],
            "ends": [day.end for day in days],
            "closings": [day.end + timedelta(seconds=closes_after) for day in days],
            "recent": min((day.start for day in days), default=known_at) - REMOVED_WITHIN,
            "within": REMOVED_WITHIN,
        }
        async with self._engine.connect() as connection:
            return {row.number: row.weight for row in await connection.execute(_SEEN, values)}

    async def evidence(self, place: Place, start: datetime, end: datetime, known_at: datetime) -> list[Sighting]:
        """What probes saw in that time, as far as it had come in by `known_at`."""
        async with self._engine.connect() as connection:
            return await evidence.sightings(connection, Extent(place.operator, place.nodes, start, end, known_at))

    async def met(self, place: Place, start: datetime, end: datetime, known_at: datetime) -> list[Met]:
        """Whom lines met in that time, of the sessions that show it."""
        async with self._engine.connect() as connection:
            return await met(connection, Extent(place.operator, place.nodes, start, end, known_at))

    async def releases(self, known_at: datetime) -> list[ReleaseRecord]:
        """The releases known by `known_at`, oldest first."""
        async with self._engine.connect() as connection:
            return await evidence.published(connection, Extent("", (), known_at, known_at, known_at))

    async def add(self, place: Place, counted: Counted) -> None:
        """Stores a count and enters it into the ledger, unless another process has stored that version."""
        row = _row(place, counted)
        statement = postgresql.insert(tallies).values(row).on_conflict_do_nothing().returning(tallies.c.version)
        async with self._engine.begin() as connection:
            if (await connection.execute(statement)).first() is None:
                return
            index = await append(connection, [_leaf(row)])
            own = [tallies.c[name] == row[name] for name in ("day_seconds", "day", "version")]
            await connection.execute(update(tallies).where(_own(place), *own).values(log_index=index))

    async def counted(
        self, place: Place, since: datetime, until: datetime, laws: LawHistory, known_at: datetime | None = None
    ) -> list[CountedDay]:
        """Every count of every day that began in that time, as far as it was made by `known_at`."""
        wanted = (
            select(*(one for one in tallies.c if one.name not in {"lines", "log_index"}))
            .where(_own(place), tallies.c.begins_at >= since, tallies.c.begins_at < until)
            .order_by(tallies.c.begins_at, tallies.c.version)
        )
        if known_at is not None:
            wanted = wanted.where(tallies.c.counted_at <= known_at)
        async with self._engine.connect() as connection:
            return [_day(row, laws) for row in await connection.execute(wanted)]


def _moment(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None


def _row(place: Place, counted: Counted) -> dict[str, Any]:
    day, tally = counted.judged, counted.count.tally
    return {
        "operator_id": place.operator,
        "jurisdiction": place.jurisdiction,
        "day_seconds": day.day.length,
        "day": day.day.number,
        "version": day.version,
        "begins_at": day.day.start,
        "counted_at": day.counted_at,
        "law": day.law,
        "law_version": counted.law_version,
        "observations": day.observations,
        "digest": day.digest,
        "bad": {family.value: bad for family, bad in day.bad.items()},
        "reasons": list(day.reasons),
        "counts": dict(day.counts),
        "strata": {name: list(pair) for name, pair in day.strata.items()},
        "lines": {
            "lines": [[line.network, line.custodian] for line in tally.lines],
            "seen": {name: [list(pair) for pair in pairs] for name, pairs in tally.seen.items()},
        },
        "evidence": {
            family.value: [{**vars(one), "kind": one.kind.value, "at": one.at.isoformat()} for one in pieces]
            for family, pieces in day.evidence.items()
        },
        "releases": [
            {
                "serial": one.serial,
                "published_at": one.published_at.isoformat(),
                "names": one.names,
                "missed": one.missed,
                "last_missed_at": _moment(one.last_missed_at),
                "first_blocked_at": _moment(one.first_blocked_at),
            }
            for one in day.releases
        ],
        "timings": [
            {
                "serial": one.serial,
                "published_at": one.published_at.isoformat(),
                "removed": one.removed,
                "new": one.new,
                "old": one.old,
                "first_new": _bounds(one.first_new),
                "last_old": _bounds(one.last_old),
            }
            for one in day.timings
        ],
    }


def _leaf(row: Mapping[str, Any]) -> NewLeaf:
    """What the ledger is told of a count: all that judging the day anew takes, and no name that was asked."""
    own = {name: value for name, value in row.items() if name not in {"operator_id", "begins_at", "counted_at"}}
    own |= {
        "operator": row["operator_id"],
        "begins_at": row["begins_at"].isoformat(),
        "counted_at": row["counted_at"].isoformat(),
        "evidence": {
            family: [[one["kind"], one["reference"]] for one in pieces] for family, pieces in row["evidence"].items()
        },
    }
    return NewLeaf(Kind.TALLY, canonical.encode(own), f"tally/{row['operator_id']}/{row['jurisdiction']}")


def _read_moment(text_: str | None) -> datetime | None:
    return datetime.fromisoformat(text_) if text_ is not None else None


def _evidence(stored: Mapping[str, str]) -> Evidence:
    return Evidence(
        EvidenceKind(stored["kind"]),
        datetime.fromisoformat(stored["at"]),
        stored["reference"],
        stored["node"],
        stored["probe"],
        stored["detail"],
    )


def _release(stored: Mapping[str, Any]) -> ReleaseSeen:
    return ReleaseSeen(
        stored["serial"],
        datetime.fromisoformat(stored["published_at"]),
        stored["names"],
        stored["missed"],
        _read_moment(stored["last_missed_at"]),
        _read_moment(stored["first_blocked_at"]),
    )


def _bounds(moment: Moment | None) -> list[str] | None:
    return [moment.earliest.isoformat(), moment.latest.isoformat()] if moment is not None else None


def _read_bounds(stored: Sequence[str] | None) -> Moment | None:
    return Moment(*(datetime.fromisoformat(one) for one in stored)) if stored is not None else None


def _timing(stored: Mapping[str, Any]) -> ReleaseTiming:
    return ReleaseTiming(
        stored["serial"],
        datetime.fromisoformat(stored["published_at"]),
        stored["removed"],
        stored["new"],
        stored["old"],
        _read_bounds(stored["first_new"]),
        _read_bounds(stored["last_old"]),
    )


def _process(laws: LawHistory, name: str, version: int) -> ProcessRule:
    law = laws.version(name, version).law
    return law.burden.process_rule() if law is not None else ProcessRule()


def _day(row: Row[Any], laws: LawHistory) -> CountedDay:
    return CountedDay(
        LegalDay(row.day, row.day_seconds),
        row.version,
        row.counted_at,
        row.law,
        _process(laws, row.law, row.law_version),
        {Family(name): bad for name, bad in row.bad.items()},
        tuple(row.reasons),
        row.counts,
        {name: (pair[0], pair[1]) for name, pair in row.strata.items()},
        {Family(name): tuple(_evidence(one) for one in pieces) for name, pieces in row.evidence.items()},
        tuple(_release(one) for one in row.releases),
        row.observations,
        row.digest,
        tuple(_timing(one) for one in row.timings or ()),
    )


def lines(stored: Mapping[str, Any]) -> tuple[tuple[Line, ...], dict[str, list[tuple[int, int]]]]:
    """What a stored count holds of each line: enough to judge the day anew."""
    return (
        tuple(Line(network, custodian) for network, custodian in stored["lines"]),
        {name: [(pair[0], pair[1]) for pair in pairs] for name, pairs in stored["seen"].items()},
    )
