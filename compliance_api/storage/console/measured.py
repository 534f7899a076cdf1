"""The newest verdict document on a month, read for the console.

Holds always: it only reads; documents of earlier releases, which say less, are read as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.storage.tables import period_verdicts
from compliance_api.usecases.console.measured import (
    RELEASES,
    BetweenView,
    ClaimsView,
    EffectView,
    LateView,
    MeasuredView,
    RateView,
    SlopeView,
)

MONTH = len("2026-11")


async def measured(connection: AsyncConnection, operator: str, jurisdiction: str) -> MeasuredView | None:
    """The newest document on a month; on a day where months were never judged; None where nothing was."""
    kept = period_verdicts.c
    wanted = (
        select(kept.period, kept.version, kept.reached_at, kept.document)
        .where(kept.operator_id == operator, kept.jurisdiction == jurisdiction)
        .order_by((func.length(kept.period) == MONTH).desc(), kept.period.desc(), kept.version.desc())
        .limit(1)
    )
    row = (await connection.execute(wanted)).first()
    return _measured(row) if row is not None else None


def _measured(row: Any) -> MeasuredView:
    told = json.loads(row.document)
    blocking, unblocking = told.get("seen_blocking", ()), told.get("seen_unblocking", ())
    return MeasuredView(
        row.period,
        datetime.fromisoformat(told["period"]["start"]),
        datetime.fromisoformat(told["period"]["end"]),
        row.reached_at,
        row.version,
        tuple(
            RateView(name, one["hits"], one["asked"], one["low_millionths"], one["high_millionths"])
            for name, one in told["rates"].items()
        ),
        _effects(blocking, "blocked", "answered"),
        len(blocking),
        _effects(unblocking, "answered", "blocked"),
        len(unblocking),
        tuple(_late(one) for one in _newest(told["times_to_block"])),
        _claims(told["claimed_and_observed"]),
    )


def _newest(releases: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(releases, key=lambda one: int(one["serial"]), reverse=True)[:RELEASES]


def _effects(releases: Sequence[Mapping[str, Any]], wanted: str, before: str) -> tuple[EffectView, ...]:
    return tuple(
        EffectView(
            one["serial"],
            datetime.fromisoformat(one["published_at"]),
            one[wanted],
            one[before],
            _between(one[f"first_{wanted}"]),
            _between(one[f"last_{before}"]),
        )
        for one in _newest(releases)
    )


def _between(told: Mapping[str, int] | None) -> BetweenView | None:
    return BetweenView(told["at_least"], told["at_most"]) if told is not None else None


def _late(told: Mapping[str, Any]) -> LateView:
    until = BetweenView(told["seconds_at_least"], told["seconds_at_most"])
    return LateView(told["serial"], datetime.fromisoformat(told["published_at"]), until)


def _claims(told: Mapping[str, Any]) -> ClaimsView:
    slope = told["slope"]
    return ClaimsView(
        told["windows_claimed"],
        told["blocked_claimed"],
        told["windows_not_enforcing"],
        told["serial_claimed"],
        told["listed_seen_blocked"],
        told["listed_seen_missed"],
        SlopeView(slope["opened"], slope["pairs"], slope["low"], slope["high"], slope["accuses"])
        if slope is not None
        else None,
        len(told["copied_counters"]),
    )
