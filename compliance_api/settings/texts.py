"""Texts that others than the service's keepers write: the law, and what a block looks like.

Holds always: a law names only places that the registry knows.
"""

from __future__ import annotations

from pathlib import Path

from compliance_api.domain.law.law import LawBook
from compliance_api.domain.observations import shapes
from compliance_api.domain.observations.shapes import ShapeBook
from compliance_api.domain.parties.organisation import (
    Registry,
)
from lachan import config
from lachan.config import ConfigError, Problem


def load_shapes(path: Path | None) -> ShapeBook:
    """What a block looks like; the built-in text where no file is named.

    Raises:
        ConfigError: With every problem found.
    """
    return config.load(path, ShapeBook) if path else shapes.DEFAULT


def load_law(path: Path, registry: Registry) -> LawBook:
    """The laws.

    Raises:
        ConfigError: With every problem found, a jurisdiction that the registry does not know included.
    """
    book = config.load(path, LawBook)
    known = {one.identifier for one in registry.jurisdictions}
    problems = [
        Problem(f"laws.{index}.jurisdictions", f"{name} is not in the registry")
        for index, law in enumerate(book.laws)
        for name in law.jurisdictions
        if name not in known
    ]
    if problems:
        raise ConfigError(str(path), problems)
    return book
