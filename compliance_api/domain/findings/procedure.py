"""Who does what about a finding, and within what time: law data.

Holds always: each stage has one responsible unit and one deadline; the operator's own stage is its answer.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lachan.config import Duration, Settings

OPERATOR = "operator"
"""Stands for the operator that was found against."""
_DAY = 86400.0


class Stage(Settings):
    """One stage."""

    unit: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    # From the step before it.
    within: Annotated[Duration, Field(gt=0, le=366 * 86400)]


class Procedure(Settings):
    """The stages of a finding."""

    confirm: Stage = Stage(unit="inspection", within=3 * _DAY)
    notify: Stage = Stage(unit="inspection", within=2 * _DAY)
    answer: Stage = Stage(unit=OPERATOR, within=10 * _DAY)
    # Remedied, upheld or withdrawn.
    decide: Stage = Stage(unit="legal", within=15 * _DAY)
    close: Stage = Stage(unit="inspection", within=30 * _DAY)
