"""One question that a probe is asked to ask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from compliance_api.domain.observations.observation import Arm


@dataclass(frozen=True)
class Question:
    """What is asked, and why; what concerns the list is empty for a name never listed."""

    qname: str
    qtype: int
    arm: Arm
    category: int = 0
    order: str = ""
    added_serial: int = 0
    added_at: datetime | None = None
    dnssec_ok: bool = False
    # The challenge that it is asked for; empty for all others.
    challenge: bytes = b""
    # A listed name that had been missed before.
    again: bool = False
