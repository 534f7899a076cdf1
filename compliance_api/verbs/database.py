"""The service's database, for a verb: migrated, and closed behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from compliance_api.errors import ComplianceError
from lachan import config, postgres

if TYPE_CHECKING:
    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import AsyncEngine

    from compliance_api.settings.service import ServiceSettings

DATABASE = "compliance"

Config = Annotated[Path, typer.Option("--config", help="compliance.yaml")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """The settings, and the database they name."""

    settings: ServiceSettings
    url: URL
    verb: str

    async def run(self, work: Callable[[AsyncEngine], Awaitable[T]], *, migrated: bool = True) -> T:
        """What `work` brings.

        Args:
            work: What is done.
            migrated: Whether the schema has to be the newest.

        Raises:
            ComplianceError: The database is not migrated, or does not answer.
        """
        from compliance_api.storage.migrate import is_current

        engine = postgres.engine(self.url, self.settings.database.connections, f"lachan-compliance {self.verb}")
        try:
            if migrated and not await is_current(engine):
                raise ComplianceError("the database is not migrated: run lachan-compliance migrate")
            return await work(engine)
        except postgres.FAILURES as error:
            raise ComplianceError(f"the database does not answer: {error}") from error
        finally:
            await engine.dispose()


@contextmanager
def using(config_file: Path, verb: str) -> Iterator[Place]:
    """The place that a configuration names."""
    from compliance_api.settings.service import ServiceSettings

    settings = config.load(config_file, ServiceSettings)
    with postgres.database(settings.database, DATABASE) as url:
        yield Place(settings, url, verb)


def on_database(
    config_file: Path, verb: str, work: Callable[[AsyncEngine], Awaitable[T]], *, migrated: bool = True
) -> T:
    """What `work` brings on the database that a configuration names; as `Place.run`."""
    with using(config_file, verb) as place:
        return asyncio.run(place.run(work, migrated=migrated))
