"""The repository's files over HTTP, so that any cache between here and an edge does the right thing.

Holds always: a file whose name gives its digest or version never changes, and may be kept for ever; everything else,
above all `timestamp.json` and the news that a version does not exist yet, is asked for again each time.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

FOLDERS = ("metadata", "targets")

# `SHA256.NAME` of a target, half of it for a delta, `VERSION.ROLE.json` of metadata (consistent snapshots).
_DIGEST = re.compile(r"([0-9a-f]{64}|[0-9a-f]{32}(?=\.delta$))\.")
_VERSION = re.compile(r"[0-9]+\.[A-Za-z0-9_-]+\.json")
FOR_EVER = "max-age=31536000, immutable"
EACH_TIME = "no-cache"
NEVER = "no-store"


def cache_headers(name: str) -> dict[str, str]:
    """What is said of a file by its name; the validator of a target is its digest, the same on every server."""
    digest = _DIGEST.match(name)
    if digest:
        return {"Cache-Control": FOR_EVER, "ETag": f'"{digest[1]}"'}
    return {"Cache-Control": FOR_EVER if _VERSION.fullmatch(name) else EACH_TIME}


class RepositoryFiles(StaticFiles):
    """One folder of the repository."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, or that there is none, which may change with the next release."""
        try:
            return await super().get_response(path, scope)
        except HTTPException as error:
            headers = {**(error.headers or {}), "Cache-Control": NEVER}
            raise HTTPException(error.status_code, error.detail, headers) from error

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """The file, or that it is the one asked about."""
        # The headers come before the comparison: a cache asks by the validator that it was given.
        headers = cache_headers(Path(full_path).name)
        response = FileResponse(full_path, status_code, headers, stat_result=stat_result)
        if self.is_not_modified(response.headers, Headers(scope=scope)):
            return NotModifiedResponse(response.headers)
        return response


def application(repository: Path) -> Starlette:
    """The static repository as a web application."""
    app = Starlette()
    for part in FOLDERS:
        app.mount(f"/{part}", RepositoryFiles(directory=repository / part, check_dir=False))
    return app
