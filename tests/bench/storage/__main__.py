"""`python -m tests.bench.storage`: a national year in a real PostgreSQL, and how long the console waits for an answer.

Sums by the hour of 2,000 nodes over a year, by the day made of them, a day of raw reports, and what was judged in the
year, all in the tables as the migrations make them, in their partitions. Then whatever the console reads is asked for,
of the whole country and of operators large and small, and every page of it, as a browser has it. A table, then one line
of JSON; it fails where the median of a query reaches 200 ms.

    python -m tests.bench.storage --nodes 200 --days 30
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.law.retention import RetentionSettings
from compliance_api.domain.parties.organisation import Registry
from compliance_api.storage.console.overview import OverviewStore
from compliance_api.storage.findings.casework import Casework
from compliance_api.storage.migrate import migrate
from compliance_api.storage.reports.activity import ActivityStore
from compliance_api.storage.upkeep.upkeep import Upkeep
from compliance_api.web.app import create
from lachan import postgres
from tests.bench.storage import judged, year
from tests.bench.storage.country import registry
from tests.bench.tables import say

TARGET_MS = 200.0
ROUNDS = 15
CONNECTIONS = 4
LARGE, SMALL = ("op00", "p00"), ("op20", "p20")
TABLES = (
    "hourly_rollups",
    "daily_rollups",
    "reports",
    "observations",
    "findings",
    "finding_steps",
    "verdict_changes",
    "period_verdicts",
)

Asking = Callable[[], Awaitable[Any]]


async def counted(engine: AsyncEngine) -> dict[str, int]:
    """How much there is."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("SET statement_timeout = 0"))
        await connection.execute(text("VACUUM ANALYZE"))
        found = {}
        for table in TABLES:
            query = text(f"SELECT count(*) FROM {table}")  # noqa: S608 - a name from above
            found[table] = (await connection.execute(query)).scalar_one()
        size = await connection.execute(text("SELECT pg_database_size(current_database())"))
        return {**found, "bytes": size.scalar_one()}


async def measured(asking: Callable[[], Awaitable[Any]]) -> list[float]:
    """How long an answer takes, in milliseconds; the first one warms what there is to warm."""
    took = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        answer = await asking()
        took.append((time.perf_counter() - began) * 1000)
        if answer is None:
            raise RuntimeError("the console has no answer")
    return took[1:]


def queries(engine: AsyncEngine, known: Registry, finding: str, now: datetime) -> dict[str, Asking]:
    """Whatever the console reads."""
    console, sums, casework = OverviewStore(engine, known), ActivityStore(engine, known), Casework(engine)
    return {
        "verdicts of all": console.overview,
        "the same with their evidence": console.verdicts,
        "where an operator is judged": lambda: console.places(LARGE[0]),
        "national operator in a city": lambda: console.operator_detail(*LARGE),
        "regional operator": lambda: console.operator_detail(*SMALL),
        "48 hours and 92 days, national": lambda: sums.activity(*LARGE, now),
        "48 hours and 92 days, regional": lambda: sums.activity(*SMALL, now),
        "findings": lambda: casework.listing(now),
        "a finding": lambda: casework.case(finding),
    }


PAGES = {
    "/": "/",
    "/operators/ID, national": "/operators/{0[0]}?jurisdiction={0[1]}",
    "/operators/ID, regional": "/operators/{1[0]}?jurisdiction={1[1]}",
    "/operators/ID/activity, national": "/operators/{0[0]}/activity?jurisdiction={0[1]}",
    "/operators/ID/activity, regional": "/operators/{1[0]}/activity?jurisdiction={1[1]}",
    "/findings": "/findings",
    "/findings/ID": "/findings/{2}",
    "/api/v1/verdicts": "/api/v1/verdicts",
    "/health": "/health",
}


async def ask(engine: AsyncEngine, known: Registry, finding: str, now: datetime) -> dict[str, dict[str, list[float]]]:
    """How long the queries took, and the pages with them."""
    took = {name: await measured(asking) for name, asking in queries(engine, known, finding, now).items()}
    app = create(OverviewStore(engine, known), sums=ActivityStore(engine, known), casework=Casework(engine))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://console.test") as browser:

        async def get(path: str) -> httpx.Response:
            return (await browser.get(path)).raise_for_status()

        shown = {
            name: await measured(lambda path=path: get(path.format(LARGE, SMALL, finding)))
            for name, path in PAGES.items()
        }
    return {"queries": took, "pages": shown}


async def run(folder: Path, nodes: int, days: int) -> dict[str, Any]:
    """Fills a database and asks it."""
    now, chance, known = datetime.now(UTC), random.Random(7), registry(nodes)
    with postgres.embedded(folder) as server:
        engine = postgres.engine(server.database("bench"), CONNECTIONS, "bench")
        try:
            await migrate(engine)
            began = time.monotonic()
            await year.fill(engine, known, days, now, chance)
            finding = await judged.fill(engine, known, days, now, chance)
            counts = await counted(engine)
            filled = time.monotonic() - began
            took = await ask(engine, known, finding, now)
            began = time.monotonic()
            done = await Upkeep(engine, RetentionSettings()).run(now)
            upkeep = time.monotonic() - began
        finally:
            await engine.dispose()
    return {
        "nodes": nodes,
        "days": days,
        **counts,
        "filled_s": round(filled, 1),
        "summed_reports": done.reports_summed,
        "summed_s": round(upkeep, 1),
        **{
            kind: {
                name: {"median_ms": round(statistics.median(one), 1), "worst_ms": round(max(one), 1)}
                for name, one in these.items()
            }
            for kind, these in took.items()
        },
    }


def main() -> None:
    """Prints the table and the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=2000, help="of all operators (default 2,000)")
    parser.add_argument("--days", type=int, default=365, help="of sums by the hour (default 365)")
    parser.add_argument("--folder", type=Path, help="where the database is made (default: a temporary folder)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        found = asyncio.run(run(Path(folder), given.nodes, given.days))
    say(f"{found['hourly_rollups']:>12,} sums by the hour of {found['nodes']:,} nodes over {found['days']} days")
    say(f"{found['daily_rollups']:>12,} sums by the day")
    say(f"{found['reports']:>12,} reports of one day, summed in {found['summed_s']} s")
    say(f"{found['findings']:>12,} findings with {found['finding_steps']:,} steps")
    say(f"{found['period_verdicts']:>12,} verdicts on days and months")
    say(f"{found['bytes'] / 1e9:>12.1f} GB; written in {found['filled_s']} s\n")
    for kind, title in (("queries", "the console asks for"), ("pages", "a browser asks for")):
        say(f"{title:<36}{'median ms':>12}{'worst ms':>12}")
        for name, took in found[kind].items():
            say(f"{name:<36}{took['median_ms']:>12}{took['worst_ms']:>12}")
    worst, page = (max(one["median_ms"] for one in found[kind].values()) for kind in ("queries", "pages"))
    say(json.dumps({**found, "worst_median_ms": worst, "worst_page_ms": page, "target_ms": TARGET_MS}))
    if worst >= TARGET_MS:
        sys.exit(1)


if __name__ == "__main__":
    main()
