"""A year of sums by the hour, and a day of reports."""

from __future__ import annotations

import hashlib
import os
import random
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.parties.organisation import Registry
from compliance_api.domain.reports.rollup import COLUMNS, hour_of
from compliance_api.storage.reports.reports import REPORT_COLUMNS
from compliance_api.storage.upkeep.partitions import HOURLY, REPORTS
from lachan.compliance.v1 import report_pb2 as pb
from tests.bench.storage.copying import fill_span
from tests.bench.storage.country import names

WINDOW = 300


def tell(words: str) -> None:
    """A line about what is being done."""
    sys.stderr.write(f"{words}\n")


def hourly_rows(known: Registry, start: datetime, end: datetime, chance: random.Random) -> Iterator[str]:
    """An hour of every node after the other."""
    prefixes = [f"{operator}\t{node}\t" for operator, node in names(known)]
    tails = []
    for _ in range(512):
        queries = chance.randrange(10_000, 900_000)
        sums = {name: chance.randrange(1 + queries // 100) for name in COLUMNS if name.startswith("blocked_")}
        sums |= {"windows": 12, "seconds": 3600, "unmeasured": 0, "not_enforcing": 0, "queries": queries}
        sums |= {"drops": 5, "upstream_failures": 1, "list_serial": 900, "list_lag_seconds": 40, "delay_seconds": 9}
        tails.append("\t" + "\t".join(str(sums[name]) for name in COLUMNS) + "\n")
    at = start
    while at < end:
        moment = at.isoformat()
        picked = chance.choices(tails, k=len(prefixes))
        yield "".join([prefix + moment + tail for prefix, tail in zip(prefixes, picked, strict=True)])
        at += timedelta(hours=1)


def reports(known: Registry, start: datetime, chance: random.Random) -> Iterator[str]:
    """A day of reports: the windows one after the other, in each of them every node's."""
    messages = []
    for number in range(64):
        message = pb.Report(
            organisation="op00",
            node="edge-000",
            boot_epoch=b"e" * 16,
            previous_digest=b"p" * 32,
            sequence=number + 1,
            window_seconds=WINDOW,
            list=pb.ListState(serial=900, records_digest=b"r" * 32, activated_at=1, checked_at=2),
            queries=[
                pb.QueryCount(transport=transport, profile="default", rcode=rcode, count=chance.randrange(1 << 17))
                for transport in (pb.TRANSPORT_UDP, pb.TRANSPORT_TCP, pb.TRANSPORT_DOT, pb.TRANSPORT_DOH)
                for rcode in (0, 2, 3)
            ],
            blocked=[
                pb.BlockCount(category=category, action=pb.ACTION_NXDOMAIN, count=chance.randrange(1 << 10))
                for category in pb.Category.values()[1:]
            ],
            clock=pb.ClockState(synchronised=True, max_error_us=900),
            rule_commitment=pb.RuleCommitment(hour=1, root=b"m" * 32),
            enforcing=True,
        )
        messages.append(message.SerializeToString().hex())
    epoch, signature, key = (b"e" * 16).hex(), os.urandom(64).hex(), os.urandom(32).hex()
    index = 0
    for window in range(86_400 // WINDOW):
        at = start + timedelta(seconds=window * WINDOW)
        taken = (at + timedelta(seconds=WINDOW + 4)).isoformat()
        lines = []
        for operator, node in names(known):
            digest = hashlib.sha256(index.to_bytes(8, "big")).hexdigest()
            lines.append(
                f"{operator}\t{node}\t\\\\x{epoch}\t{window + 1}\t\\\\x{digest}\t{index}\t{taken}\textends\t\\N\t"
                f"{at.isoformat()}\t{WINDOW}\t900\t{taken}\t{chance.randrange(1 << 20)}\tt\t40\tt"
                f"\t\\\\x{messages[index % 64]}\t\\\\x{signature}\t\\\\x{key}\n"
            )
            index += 1
        yield "".join(lines)


DAYS = (
    "INSERT INTO daily_rollups (operator_id, node, day, {names}) SELECT operator_id, node,"
    " (hour AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day, {sums} FROM hourly_rollups GROUP BY 1, 2, 3"
    # As the upkeep writes them: an operator's day after the other.
    " ORDER BY day, operator_id, node"
)


async def fill(engine: AsyncEngine, known: Registry, days: int, now: datetime, chance: random.Random) -> None:
    """Writes sums and reports."""
    begin = hour_of(now) - timedelta(days=days)
    start = HOURLY.start(begin)
    while start < now:
        rows = hourly_rows(known, max(start, begin), min(start + HOURLY.width, hour_of(now)), chance)
        await fill_span(engine, HOURLY, start, ["operator_id", "node", "hour", *COLUMNS], rows)
        tell(f"hours from {start:%Y-%m-%d} are in")
        start += HOURLY.width
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await connection.execute(text("SET LOCAL work_mem = '256MB'"))
        await connection.execute(
            text(DAYS.format(names=", ".join(COLUMNS), sums=", ".join(f"sum({name})" for name in COLUMNS)))
        )
    tell("days are made")
    # Within one week of the table, and over by now.
    day = REPORTS.start(now - timedelta(days=1, seconds=1)).replace(hour=0)
    while day + timedelta(days=2) < now and day + timedelta(days=2) <= REPORTS.start(day) + REPORTS.width:
        day += timedelta(days=1)
    await fill_span(engine, REPORTS, REPORTS.start(day), REPORT_COLUMNS, reports(known, day, chance))
    async with engine.begin() as connection:
        count = len(names(known)) * 86_400 // WINDOW
        await connection.execute(text("UPDATE log_position SET next_index = :count"), {"count": count})
    tell("a day of reports is in")
