"""What an operator does about the questions it is asked: honest ones, and each way of cheating.

Holds always: a conduct sees what a resolver sees of a question and nothing of the authority's; what it does not change
is an honest operator's.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

from compliance_api.domain.observations.observation import Arm, Shape
from compliance_api.domain.parties.organisation import Transport

HOUR = 3600.0
DAY = 86400.0


@dataclass(frozen=True)
class Asked:
    """A question as it comes in, with what the list says of its name."""

    qname: str
    qtype: int
    arm: Arm
    transport: Transport
    family: int
    dnssec_ok: bool
    # Seconds since the simulation's first legal day, and since the name was published, or taken out; 0 for names never
    # listed.
    at: float
    age: float
    # From 0 to 1, for every question anew.
    chance: float


def part(text: str) -> float:
    """The same number from 0 to 1 for a text, whenever one asks."""
    return zlib.crc32(text.encode()) / 2**32


@dataclass(frozen=True)
class Conduct:
    """How an operator behaves; None where it is as an honest one is."""

    answers: Callable[[Asked], Shape | None] = lambda _asked: None
    # Transports and versions of IP that it serves.
    endpoints: tuple[tuple[Transport, int], ...] = ((Transport.UDP, 4),)
    # Says nothing that holds when it is asked who it is.
    spoils_whoami: bool = False
    # Part of the handed lines that meet a resolver which nobody enrolled.
    unenrolled: float = 0.0
    # What it reports of a challenged entry: of what was asked and of others' queries, with a chance; None: refuses.
    counts: Callable[[int, int, float], int | None] = lambda asked, others, _chance: asked + others
    # The part of another node's counters that it reports as its own.
    copies: float = 0.0


def _listed(shape: Shape, wanted: Callable[[Asked], bool]) -> Callable[[Asked], Shape | None]:
    return lambda asked: shape if asked.arm is Arm.LISTED and wanted(asked) else None


def unfiltered(share: float) -> Conduct:
    """Never filters a part of the names."""
    return Conduct(_listed(Shape.ANSWER, lambda asked: part(asked.qname) < share))


def leaking(share: float) -> Conduct:
    """Answers a part of the questions, whichever."""
    return Conduct(_listed(Shape.ANSWER, lambda asked: asked.chance < share))


def _kept(asked: Asked) -> Shape | None:
    return Shape.NXDOMAIN if asked.arm is Arm.RELEASED else None


def _parents(asked: Asked) -> Shape | None:
    return Shape.NXDOMAIN if asked.arm is Arm.NEIGHBOUR and part(asked.qname) < 0.3 else None


HONEST = Conduct()
EVERYTHING = _listed(Shape.ANSWER, lambda _asked: True)
CHEATS = {
    "names_unfiltered_2_percent": unfiltered(0.02),
    "list_3_days_old": Conduct(_listed(Shape.ANSWER, lambda asked: asked.age < 3 * DAY)),
    # Half a day after the deadline.
    "blocks_late": Conduct(_listed(Shape.ANSWER, lambda asked: asked.age < 36 * HOUR)),
    "never_unblocks": Conduct(_kept),
    "udp_only": Conduct(
        _listed(Shape.ANSWER, lambda asked: asked.transport is not Transport.UDP),
        ((Transport.UDP, 4), (Transport.TCP, 4)),
    ),
    "a_only": Conduct(_listed(Shape.ANSWER, lambda asked: asked.qtype != 1)),
    "v4_only": Conduct(
        _listed(Shape.ANSWER, lambda asked: asked.family != 4), ((Transport.UDP, 4), (Transport.UDP, 6))
    ),
    "do_unfiltered": Conduct(_listed(Shape.ANSWER, lambda asked: asked.dnssec_ok)),
    "random_leaks_5_percent": leaking(0.05),
    "night_only": Conduct(_listed(Shape.ANSWER, lambda asked: asked.at % DAY < 6 * HOUR)),
    "parents_blocked": Conduct(_parents),
    "counters_invented": Conduct(counts=lambda _asked, others, chance: int(others + 8 * chance)),
    "counters_scaled": Conduct(counts=lambda asked, others, _chance: round(1.5 * (asked + others))),
    "counters_copied": Conduct(copies=0.9),
    "unenrolled_resolver": Conduct(unenrolled=0.9),
    "probes_servfail": Conduct(_listed(Shape.FAILURE, lambda _asked: True)),
    "whoami_spoilt_nothing_filtered": Conduct(EVERYTHING, spoils_whoami=True),
    "openings_refused": Conduct(counts=lambda _asked, _others, _chance: None),
}
