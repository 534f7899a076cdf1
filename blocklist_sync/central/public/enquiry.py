"""Is this exact domain listed, and by which order? Anybody may ask, but for one kind of entry.

Holds always: nothing is said of csam: a name that is listed as that alone is answered, byte for byte, as one that is
not listed at all; who asks is remembered only as long as the limit on questions needs it, in memory, and never logged.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from blocklist_sync.artifact import snapshot
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.artifact.names import NameRefusedError, spelled
from blocklist_sync.artifact.rules import Match
from blocklist_sync.artifact.snapshot import Snapshot
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release import accountability
from blocklist_sync.central.release.candidate import ReleaseFolder
from lachan import log
from lachan.errors import LachanError

UNTOLD = frozenset({Category.CSAM})
MAX_NAME_CHARACTERS = 1024
MAX_ASKERS = 20_000
PREFIX = {4: 24, 6: 56}
RETRY_SECONDS = 10


class Limit:
    """Questions by prefix of address: so many at once, then so many a second."""

    def __init__(self, burst: float, rate: float) -> None:
        self._burst = burst
        self._rate = rate
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admits(self, address: str, now: float) -> bool:
        """Whether a question may be answered; `now` in seconds, only growing."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        prefix = str(ipaddress.ip_network((parsed, PREFIX[parsed.version]), strict=False))
        left, at = self._left.pop(prefix, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        admitted = left >= 1
        self._left[prefix] = (left - admitted, now)
        if len(self._left) > MAX_ASKERS:
            self._left.popitem(last=False)
        return admitted


def told(match: Match, opened: Snapshot, key: bytes | None) -> dict[str, Any]:
    """An entry, as the public is told of it; with its salt, so that anybody finds its commitment in a release."""
    rule = match.rule
    order = opened.orders[rule.order]
    line = accountability.line_of(match.owner, Kind(rule.scope, rule.exception, rule.category, order))
    salt = {"salt": accountability.salt(key, line).hex()} if key is not None else {}
    return salt | {
        "scope": rule.scope.value,
        "effect": "except" if rule.exception else "block",
        "category": rule.category.label,
        "mandated": rule.mandated,
        "order": order.text,
    }


def answer(qname: str, opened: Snapshot, key: bytes | None = None) -> dict[str, Any]:
    """What is said of a name: the entries on it, and on nothing above it."""
    entries = [match for match in opened.lookup(qname) if match.owner == qname and match.rule.category not in UNTOLD]
    return {
        "name": qname,
        "serial": opened.serial,
        "listed": any(not match.rule.exception for match in entries),
        "entries": [told(match, opened, key) for match in entries],
        "not_told": sorted(category.label for category in UNTOLD),
    }


class Enquiries:
    """Answers from the list that was published last."""

    def __init__(self, folder: ReleaseFolder) -> None:
        self._folder = folder
        self._path = folder.published_records_path
        self.key: bytes | None = None
        """What salts are drawn from, where a release was built here."""
        self._seen: tuple[int, int] | None = None
        self._opened: Snapshot | None = None

    def current(self) -> Snapshot:
        """The published list; blocks where there is a new one.

        Raises:
            CentralError: Nothing is published, or it cannot be read.
        """
        try:
            found = self._path.stat()
        except OSError as error:
            raise CentralError(f"{self._path}: {error.strerror}") from error
        state = (found.st_ino, found.st_mtime_ns)
        if self._opened is None or state != self._seen:
            try:
                self._opened = Snapshot(snapshot.build(self._folder.published_release()))
            except ArtifactError as error:
                raise CentralError(f"{self._path}: {error}") from error
            self.key = accountability.held_secret(self._folder.folder)
            self._seen = state
        return self._opened


def application(folder: ReleaseFolder, public: Path, limit: Limit, clock: Any) -> Starlette:
    """The public's questions, and the statements on every release.

    Args:
        folder: The release folder.
        public: The folder of statements.
        limit: How many questions are answered.
        clock: Seconds, only growing.
    """
    enquiries = Enquiries(folder)

    async def listed(request: Request) -> Response:
        if request.client is None or not limit.admits(request.client.host, clock()):
            headers = {"Retry-After": str(RETRY_SECONDS)}
            return JSONResponse({"error": "too many questions"}, 429, headers)
        name = request.query_params.get("name", "")
        if not 0 < len(name) <= MAX_NAME_CHARACTERS:
            return JSONResponse({"error": "name: one is expected"}, 400)
        try:
            qname = spelled(name)
        except NameRefusedError as error:
            return JSONResponse({"error": f"name: {error.reason}"}, 400)
        try:
            opened = await run_in_threadpool(enquiries.current)
        except LachanError as error:
            log.get().error("list unreadable", error=str(error))
            return JSONResponse({"error": "no list at the moment"}, 503)
        return JSONResponse(answer(qname, opened, enquiries.key), headers={"Cache-Control": "no-store"})

    return Starlette(
        routes=[
            Route("/listed", listed, methods=["GET"]),
            Mount("/public", StaticFiles(directory=public, check_dir=False)),
        ]
    )
