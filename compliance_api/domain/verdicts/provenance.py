"""What a verdict was computed with: whoever computes it again and finds other bytes can tell whether that is why.

Holds always: two texts of what decides have two digests, whether or not anybody gave them two version numbers; where
the sources lie, when they were written and what else is installed changes nothing.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable

PACKAGE = "compliance_api.domain"
"""Everything that decides, and nothing else."""


@lru_cache(maxsize=1)
def made_with() -> Mapping[str, str]:
    """The versions of what computes: other ones may decide otherwise, or round the last bit of an interval."""
    return {
        "lachan": metadata.version("lachan"),
        "domain_sha256": digest(resources.files(PACKAGE)),
        "python": platform.python_version(),
        "numpy": metadata.version("numpy"),
        "scipy": metadata.version("scipy"),
    }


def digest(folder: Traversable) -> str:
    """SHA-256 of the sources in a folder, with their places in it."""
    whole = hashlib.sha256()
    for place, source in sorted(_sources(folder, "")):
        whole.update(f"{place} {hashlib.sha256(source).hexdigest()}\n".encode())
    return whole.hexdigest()


def _sources(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for one in folder.iterdir():
        if one.is_dir():
            yield from _sources(one, f"{prefix}{one.name}/")
        elif one.name.endswith(".py"):
            yield f"{prefix}{one.name}", one.read_bytes()
