"""Targets, downloaded whole: what was cut off goes on where it ended, in the next round or from the next repository.

Holds always: what is returned has the signed length and digest, and no more was ever kept than that length; a part that
does not lead there is thrown away once found out, and costs one download from the beginning.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuf.api import exceptions

from blocklist_sync.edge.errors import Reason, RefusedError
from blocklist_sync.edge.fetcher import HTTP_OK, HTTP_PARTIAL, Fetcher
from lachan import durable

PARTS_MAX = 4
WORTH_BYTES = 4096
"""A shorter part is not kept: asking for the rest would not be cheaper."""
NOTE_MAX_BYTES = 4096
HTTP_UNSATISFIABLE = 416

_RANGE = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)")


@dataclass(frozen=True)
class Wanted:
    """A target, as it is signed."""

    path: str
    """Below `targets/`, by the name that its digest gives it."""
    length: int
    digest: str
    """SHA-256, in hexadecimal."""


class Parts:
    """What was cut off, each under its digest, in `folder`; used by one thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def held(self, wanted: Wanted) -> int:
        """Bytes that are there already."""
        with contextlib.suppress(OSError):
            size = self.file(wanted).stat().st_size
            if WORTH_BYTES <= size < wanted.length:
                return size
        return 0

    def file(self, wanted: Wanted) -> Path:
        """Where the bytes are."""
        return self._folder / f"{wanted.digest}.part"

    def _note(self, wanted: Wanted) -> Path:
        return self._folder / f"{wanted.digest}.json"

    def validator(self, wanted: Wanted, origin: str) -> str:
        """The strong validator that this very repository gave the part, empty where it gave none."""
        try:
            note: Any = json.loads(durable.read(self._note(wanted), NOTE_MAX_BYTES))
            return str(note["etag"]) if note["origin"] == origin else ""
        except (durable.FileError, ValueError, TypeError, KeyError):
            return ""

    def note(self, wanted: Wanted, origin: str, etag: str) -> None:
        """Notes who gave the part, and its validator."""
        # Lost with the power, it costs a comparison; so nobody waits for the disk.
        self._note(wanted).write_text(json.dumps({"origin": origin, "etag": etag}), encoding="utf-8")

    def make_room(self, wanted: Wanted) -> None:
        """Makes the folder, and forgets all but the newest parts."""
        durable.make_folder(self._folder)
        others = [path for path in self._folder.glob("*.part") if path != self.file(wanted)]
        for path in sorted(others, key=lambda path: path.stat().st_mtime)[: -PARTS_MAX + 1 or None]:
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)

    def drop(self, wanted: Wanted) -> None:
        """Forgets a part."""
        self.file(wanted).unlink(missing_ok=True)
        self._note(wanted).unlink(missing_ok=True)


def download(fetcher: Fetcher, origin: str, wanted: Wanted, parts: Parts) -> bytes:
    """The target's bytes.

    Args:
        fetcher: Asks the repository.
        origin: The repository's URL.
        wanted: What is signed.
        parts: Where what was cut off is kept.

    Raises:
        DownloadError: They did not come; what came is kept.
        RefusedError: Others came.
        OSError, FileError: The disk is in the way.
    """
    parts.make_room(wanted)
    resumed = parts.held(wanted)
    try:
        return _download(fetcher, origin, wanted, parts, resumed)
    except (OSError, exceptions.DownloadLengthMismatchError):
        parts.drop(wanted)
        raise
    except RefusedError:
        parts.drop(wanted)
        if not resumed:
            raise
        # The part may have been bad, and whoever gave it: what is here now gets its own chance.
        return _download(fetcher, origin, wanted, parts, 0)


def _download(fetcher: Fetcher, origin: str, wanted: Wanted, parts: Parts, held: int) -> bytes:
    url = f"{origin}/targets/{wanted.path}"
    headers = {}
    if held:
        headers["Range"] = f"bytes={held}-"
        if etag := parts.validator(wanted, origin):
            headers["If-Range"] = etag
    response = fetcher.open(url, headers)
    if response.status == HTTP_UNSATISFIABLE and held:
        response.close()
        return _download(fetcher, origin, wanted, parts, 0)
    if response.status == HTTP_PARTIAL and held:
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if not found or (int(found[1]), int(found[3])) != (held, wanted.length):
            response.close()
            raise exceptions.DownloadError(f"{url}: another part than the one asked for")
    elif response.status == HTTP_OK:
        held = 0
    else:
        fetcher.refused(url, response)
    parts.note(wanted, origin, _strong(response.headers.get("ETag", "")))
    chunks = fetcher.chunks(url, response)
    size = _append(parts.file(wanted), held, wanted, chunks)
    if size < wanted.length:
        detail = f"{wanted.path}: {size} bytes where {wanted.length} are signed"
        raise RefusedError(Reason.TRUNCATED, detail, of_mirror=True)
    data = parts.file(wanted).read_bytes()
    if hashlib.sha256(data).hexdigest() != wanted.digest:
        raise RefusedError(Reason.TAMPERED, f"{wanted.path}: not the bytes that were signed", of_mirror=True)
    parts.drop(wanted)
    return data


def _append(path: Path, held: int, wanted: Wanted, chunks: Iterator[bytes]) -> int:
    """Writes the body behind what is held; bytes that are there then."""
    size = held
    with path.open("r+b" if held else "wb") as file:
        path.chmod(durable.PRIVATE)
        file.seek(held)
        file.truncate()
        for chunk in chunks:
            size += len(chunk)
            if size > wanted.length:
                raise exceptions.DownloadLengthMismatchError(
                    f"{wanted.path}: more than the {wanted.length} bytes that are signed"
                )
            file.write(chunk)
    return size


def _strong(etag: str) -> str:
    """A validator by which a range may be asked for (RFC 9110 13.1.5): none where it is weak."""
    return etag if etag.startswith('"') and len(etag) <= NOTE_MAX_BYTES // 4 else ""
