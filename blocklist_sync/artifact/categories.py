"""The closed sets of the list: what may be blocked, and how. Their numbers are those of the protocol's enums."""

from __future__ import annotations

import enum


class Category(enum.IntEnum):
    """Why a name is listed; numbered as lachan.compliance.v1.Category."""

    CSAM = 1
    SEXUAL_EXPLOITATION = 2
    PORNOGRAPHY = 3
    GAMBLING = 4
    VIOLENCE = 5
    DRUGS = 6
    SELF_HARM = 7
    SCAM = 8

    @property
    def label(self) -> str:
        """As files, commands and metrics write it: `self_harm`."""
        return self.name.lower()


class Action(enum.IntEnum):
    """How a query for a listed name is answered; numbered as lachan.compliance.v1.Action."""

    NXDOMAIN = 1
    NODATA = 2
    NULL_IP = 3
    SINKHOLE = 4
    REFUSED = 5

    @property
    def label(self) -> str:
        """As files, commands and metrics write it: `null_ip`."""
        return self.name.lower()


ALWAYS_MANDATED = frozenset({Category.CSAM, Category.SEXUAL_EXPLOITATION})
"""Blocked for everybody whatever the order says."""

CATEGORY_OF_LABEL = {category.label: category for category in Category}
ACTION_OF_LABEL = {action.label: action for action in Action}
