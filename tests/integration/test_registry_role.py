"""The registry under a role that can only read and add: everything it does, and nothing else."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from blocklist_sync.central.registry import tables
from lachan import postgres
from tests.support.protos import ROOT
from tests.support.registry import ORDER
from tests.support.registry_office import PROGRAM, Office, order_arguments

LITERAL = {"literal_binds": True}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Server]:
    with postgres.embedded(tmp_path_factory.mktemp("postgres")) as server:
        server.script(ROOT / "deploy" / "postgres" / "registry.sql")
        yield server


def owner(server: postgres.Server, folder: Path) -> Path:
    path = folder / "owner.yaml"
    url = server.url("registry", "registry_owner").render_as_string()
    path.write_text(f'database: {{url: "{url}"}}\n')
    return path


def test_the_service_does_all_it_does_with_reading_and_adding_alone(server: postgres.Server, tmp_path: Path) -> None:
    office = Office(tmp_path)
    service = server.url("registry", "registry").render_as_string()
    office.configure(database={"url": service})
    # Without the owner's migration, it says what is missing, and that it may not do it itself.
    serving = [*PROGRAM, "serve", "--config", tmp_path / "list.yaml"]
    said = subprocess.run(serving, check=False, capture_output=True, text=True, timeout=60).stderr
    assert "cannot be migrated" in said
    assert "lachan-blocklist database" in said
    for _ in range(2):
        done = office.run("database", "--config", owner(server, tmp_path), "--grant", "registry")
        assert "registry may read and add" in done
    assert "owns the tables" in office.run(
        "database", "--config", owner(server, tmp_path), "--grant", "registry_owner", status=1
    )
    office.start()
    try:
        office.found()
        scan = tmp_path / "scan"
        scan.write_bytes(b"a scanned order")
        office.run(*order_arguments(ORDER), "--scan", scan, person="editor")
        asked = ("propose", "bad.example", "--order", ORDER.number, "--category", "gambling", "--reason", "x")
        identifier = office.told(*asked, person="editor")["id"]
        office.run("approve", identifier, "--yes", person="first")
        office.run("review", identifier, "--reason", "x", "--again-after", "90d", person="second")
        other = office.told("propose", "worse.example", *asked[2:], person="editor")["id"]
        office.run("reject", other, "--reason", "x", person="second")
        assert office.told("explain", "bad.example", person="third")["history"]
    finally:
        assert office.stop() == 0
    asyncio.run(everything_else_is_refused(server))


async def everything_else_is_refused(server: postgres.Server) -> None:
    engine = postgres.engine(server.url("registry", "registry"), 2, "test")
    try:
        refused = [f"{verb} {name}" for name in tables.HISTORY for verb in ("DELETE FROM", "TRUNCATE", "DROP TABLE")]
        refused += [
            str(table.update().values({table.primary_key.columns[0].name: None}).compile(compile_kwargs=LITERAL))
            for table in tables.metadata.sorted_tables
        ]
        refused += [
            "CREATE TABLE mine (x int)",
            "CREATE TEMPORARY TABLE mine (x int)",
            "ALTER TABLE orders DISABLE TRIGGER never_rewritten",
            "CREATE OR REPLACE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "INSERT INTO alembic_version VALUES ('9999')",
            "DELETE FROM alembic_version",
            "SET ROLE registry_owner",
            "CREATE SCHEMA mine",
        ]
        for statement in refused:
            with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
                async with engine.begin() as connection:
                    await connection.execute(text(statement))
    finally:
        await engine.dispose()


async def test_an_embedded_database_is_its_own_roles_alone(server: postgres.Server) -> None:
    assert server.own_database("mine") == server.own_database("mine")
    stranger = postgres.engine(server.url("mine", "registry"), 2, "test")
    try:
        with pytest.raises(postgres.FAILURES, match="permission denied for database"):
            async with stranger.connect() as connection:
                await connection.execute(text("SELECT 1"))
    finally:
        await stranger.dispose()
