"""What was judged in a year: verdicts and how they changed, findings with their steps, documents, observations."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.parties.organisation import Registry
from tests.bench.storage.country import names


def coverage(now: datetime) -> str:
    """What was seen of an operator, as the judge stores it."""
    numbers = dict.fromkeys(
        (
            "windows_expected",
            "windows_received",
            "nodes",
            "nodes_reporting",
            "vantage_points",
            "listed_asked",
            "listed_blocked",
            "listed_missed",
            "listed_inconclusive",
            "controls_asked",
            "controls_over_blocked",
            "list_serial_claimed",
            "list_serial_current",
            "list_lag_seconds",
        ),
        100,
    )
    period = {"period_start": (now - timedelta(days=1)).isoformat(), "period_end": now.isoformat()}
    return json.dumps({**numbers, **period})


PIECES = 20
CHANGES = 200
"""Of each verdict's outcome."""
CLOSED = 20
"""Findings of each operator and place that came to an end in the year, beside two that did not."""
STEPS = ("open", "confirmed", "notified", "answered", "upheld", "closed")
RELEASES = 60
"""That a month's document speaks of."""


def document(now: datetime) -> bytes:
    """A month's verdict, as long as one of many releases is."""
    at = now.isoformat()
    rate = {"hits": 3, "asked": 12_000, "low_millionths": 51, "high_millionths": 731}
    between = {"at_least": 180, "at_most": 245}
    told = {"published_at": at, "blocked": 90, "answered": 4}
    seen = {"first_blocked": between, "last_answered": between}
    unseen = {"first_answered": between, "last_blocked": None}
    return json.dumps(
        {
            "period": {"start": at, "end": at},
            "rates": {"under_blocking": rate, "over_blocking": rate},
            "days": [{"day": f"2026-11-{day:02}", "counts": {f"c{n}": n for n in range(40)}} for day in range(30)],
            "times_to_block": [],
            "seen_blocking": [{"serial": one, **told, **seen} for one in range(RELEASES)],
            "seen_unblocking": [{"serial": one, **told, **unseen} for one in range(RELEASES)],
            "claimed_and_observed": {
                "windows_claimed": 8_000, "blocked_claimed": 1, "windows_not_enforcing": 0, "serial_claimed": 900,
                "listed_seen_blocked": 1, "listed_seen_missed": 1, "slope": None, "copied_counters": [],
            },
        }
    ).encode()  # fmt: skip


async def fill(engine: AsyncEngine, known: Registry, days: int, now: datetime, chance: random.Random) -> str:
    """Writes it all; the id of a finding."""
    places = [(one.identifier, place) for one in known.operators() for place in sorted(one.jurisdictions)]
    own = {"now": now, "days": days, "operators": [one for one, _ in places], "places": [place for _, place in places]}
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await _verdicts(connection, own)
        await _findings(connection, own, chance)
        await _documents(connection, own)
        await _observations(connection, known, now)
        newest = "SELECT encode(finding_id, 'hex') FROM findings ORDER BY opened_at DESC LIMIT 1"
        found: str = (await connection.execute(text(newest))).scalar_one()
        return found


_PLACES = "unnest(CAST(:operators AS text[]), CAST(:places AS text[])) AS judged (operator, place)"


async def _verdicts(connection: AsyncConnection, own: dict[str, Any]) -> None:
    """A verdict on every operator in every place of it, and how it changed."""
    values = {name: own[name] for name in ("now", "operators", "places")} | {"coverage": coverage(own["now"])}
    await connection.execute(
        text(
            "INSERT INTO verdicts (operator_id, jurisdiction, outcome, since, evaluated_at, law, findings,"  # noqa: S608
            " coverage)"
            f" SELECT operator, place, 'compliant', :now, :now, 'law', '{{}}', CAST(:coverage AS jsonb) FROM {_PLACES}"
        ),
        values,
    )
    await connection.execute(
        text(
            "INSERT INTO verdict_changes (operator_id, jurisdiction, at, outcome, law, findings, coverage)"  # noqa: S608
            " SELECT operator, place, CAST(:now AS timestamptz) - one * interval '1 day', 'compliant', 'law', '{}',"
            f" CAST(:coverage AS jsonb) FROM {_PLACES}, generate_series(1, {CHANGES}) AS one"
        ),
        values,
    )


async def _findings(connection: AsyncConnection, own: dict[str, Any], chance: random.Random) -> None:
    """Two open findings of each, and those of the year that were closed, with every step."""
    evidence = [
        {"kind": "report", "reference": chance.randbytes(32).hex(), "at": own["now"].isoformat(), "node": "",
         "probe": "", "detail": ""}
        for _ in range(PIECES)
    ]  # fmt: skip
    values = own | {"evidence": json.dumps(evidence), "closed": CLOSED}
    await connection.execute(
        text(
            "INSERT INTO findings (operator_id, finding_id, jurisdiction, kind, node, since, opened_at,"  # noqa: S608
            " last_seen,"
            " closed_at, counts, evidence, law, citation_vi, citation_en) SELECT operator,"
            " decode(md5(operator || place || one), 'hex'), place,"
            " CASE one % 2 WHEN 0 THEN 'missing_reports' ELSE 'under_blocking' END, '', begun, begun, begun,"
            " CASE WHEN one < 2 THEN NULL ELSE begun + interval '1 day' END, '[]', CAST(:evidence AS jsonb), 'law',"
            f" 'Điều 1', 'Article 1' FROM {_PLACES}, generate_series(0, :closed + 1) AS one, LATERAL (SELECT"
            " CAST(:now AS timestamptz) - (one % 2 + one * :days / (:closed + 2)) * interval '1 day' AS begun) AS time"
        ),
        values,
    )
    await connection.execute(
        text(
            "INSERT INTO finding_steps (operator_id, finding_id, position, state, at, unit, person, note, order_number,"
            " order_authority, next_unit, due_at, log_index, statement, signature) SELECT operator_id, finding_id,"
            " number - 1, state, opened_at + number * interval '1 hour', 'thanh tra', 'lachan://so/person/an',"
            " repeat('nói rõ ', 20), '', '', CASE state WHEN 'closed' THEN NULL ELSE 'operator' END,"
            " CASE state WHEN 'closed' THEN NULL ELSE opened_at + interval '20 days' END, 0,"
            " CAST(repeat('s', 500) AS bytea), CAST(repeat('s', 64) AS bytea) FROM findings,"
            " unnest(CAST(:states AS text[])) WITH ORDINALITY AS step (state, number)"
            " WHERE closed_at IS NOT NULL OR number < 3"
        ),
        {"states": list(STEPS)},
    )


async def _documents(connection: AsyncConnection, own: dict[str, Any]) -> None:
    """A verdict on each day of the year and each month, some said anew."""
    values = own | {"document": document(own["now"])}
    for unit, form in (("day", "YYYY-MM-DD"), ("month", "YYYY-MM")):
        await connection.execute(
            text(
                "INSERT INTO period_verdicts (operator_id, jurisdiction, period, version, begins_at,"  # noqa: S608
                " reached_at,"
                f" outcome, digest, document) SELECT operator, place, to_char(day, '{form}'), version, day, :now,"
                f" 'compliant', 'd', CAST(:document AS bytea) FROM {_PLACES},"
                f" generate_series(CAST(:now AS timestamptz) - :days * interval '1 day', :now, '1 {unit}') AS day,"
                " generate_series(1, 2) AS version ON CONFLICT DO NOTHING"
            ),
            values,
        )


async def _observations(connection: AsyncConnection, known: Registry, now: datetime) -> None:
    nodes = names(known)
    await connection.execute(
        text(
            "INSERT INTO observations (operator_id, assignment_id, question, digest, asked_at, received_at,"
            " probe_organisation, probe, vantage_point, access_network, custodian, node, endpoint, qname, qtype,"
            " arm, category, order_reference, added_serial, added_at, result, shape, reference_alive, observation,"
            " signature, key_id) SELECT node.operator, sha256((node.name || one)::bytea), place, 'd',"
            " CAST(:now AS timestamptz) - one * interval '1 minute', :now, 'so', 'p1', 'hcm-1', 'net-1', 'so',"
            " node.name, 'udp://192.0.2.1:53', 'n' || place || '.bad.example', 1, 'listed', 3, 'OR-1', 900, :now,"
            " 'blocked', 'nxdomain', true, sha256('o'), 's', 'k'"
            " FROM unnest(CAST(:operators AS text[]), CAST(:nodes AS text[])) AS node (operator, name),"
            " generate_series(1, 10) AS one, generate_series(0, 9) AS place"
            " ON CONFLICT DO NOTHING"
        ),
        {"now": now, "operators": [one[0] for one in nodes], "nodes": [one[1] for one in nodes]},
    )
