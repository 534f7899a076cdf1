"""Whether anything still stands that a proposal brought onto the list: if not, there is nothing to review.

Holds always: what stands is what the list published last has; a proposal of which nothing does is looked through once
for each published list, however often it is asked for; memory holds one piece of its changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklist_sync.central.entries import Kind, parse_kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.lookup import Lookup
from blocklist_sync.central.registry.record import Record
from blocklist_sync.central.registry.spool import inflate
from blocklist_sync.central.registry.tables import change_chunks

BYTES_A_LINE = 1000
"""Up to so many of the list for each line of changes are read in one piece; of more, each name is looked up."""


class Remains:
    """The published list beside the registry."""

    def __init__(self, clear_list: Path) -> None:
        """Looks nothing up yet.

        Args:
            clear_list: The published `entries.tsv` of the release folder; there is none before the first publication.
        """
        self._path = clear_list
        self._version: tuple[int, ...] = ()
        self._gone: set[str] = set()

    async def of(self, connection: AsyncConnection, found: Record) -> bool:
        """Whether an entry that a published proposal added is on the list.

        Raises:
            CentralError: The list cannot be read.
        """
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return True
        except OSError as error:
            raise CentralError(f"{self._path}: {error.strerror}") from error
        version = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if version != self._version:
            self._version, self._gone = version, set()
        if found.proposal.id in self._gone:
            return False
        gone = self._gone
        with Lookup(self._path) as listed:
            if await _any(connection, found.proposal.id, listed):
                return True
        gone.add(found.proposal.id)
        return False


async def _any(connection: AsyncConnection, identifier: str, listed: Lookup) -> bool:
    selected = select(change_chunks.c.deflated).where(change_chunks.c.proposal_id == identifier)
    kinds: Sequence[Kind] | None = None
    pieces = await connection.stream_scalars(selected.order_by(change_chunks.c.position))
    try:
        async for deflated in pieces:
            lines = inflate(deflated).decode().split("\n")[:-1]
            if kinds is None:
                # The first piece has the table of kinds behind its first line, and no name.
                kinds = [parse_kind(line) for line in lines[1:]]
            elif await asyncio.to_thread(stands, lines, kinds, listed):
                return True
    finally:
        await pieces.close()
    return False


def stands(lines: Sequence[str], kinds: Sequence[Kind], listed: Lookup) -> bool:
    """Whether one of the added entries in some lines of changes, which are sorted, is on the list."""
    added = [line.rpartition("\t")[0] for line in lines if line.endswith("+")]
    if not added:
        return False
    start, end = listed.between(added[0].partition("\t")[0], added[-1].partition("\t")[0])
    if end - start <= BYTES_A_LINE * len(added):
        numbers = {kind: number for number, kind in enumerate(listed.kinds)}
        there = {line.rpartition(b"\t")[0] for line in listed.lines(start, end)}
        return any(f"{name}\t{numbers.get(kinds[int(number)], -1)}".encode() in there for name, number in _split(added))
    return any(kind == kinds[int(number)] for name, number in _split(added) for kind, _ in listed.of(name))


def _split(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, number = line.partition("\t")
        yield name, number
