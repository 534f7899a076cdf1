"""Whom each line meets: what sessions show of their way, as the service decides it.

Holds always: paths and meetings are decided by `compliance_api.domain.observations.path` from hints; only the hints are
made up.
"""

from __future__ import annotations

import itertools
import random
from datetime import datetime

from compliance_api.domain.observations.met import Met
from compliance_api.domain.observations.observation import Path
from compliance_api.domain.observations.path import Hints, Whoami, met_enrolled, path
from tests.simulate.composed.conduct import Conduct
from tests.simulate.composed.life import SILENT, Life
from tests.simulate.world import World

# Of a line and day, those that are looked at.
SESSIONS = 4
_OWN, _FOREIGN = ("192.0.2.9",), ("198.51.100.9",)


def hints(rng: random.Random, world: World, life: Life, conduct: Conduct, line: int, *, handed: bool) -> Hints:
    """What a session of a line shows."""
    if line in life.intercepted:
        # Whoever sits on the way asks the authority's zone from its own address; some are not seen to.
        caught = line % 10 >= round(10 * world.uncaught)
        egress = _FOREIGN if caught else ()
        return Hints(Whoami.UNSIGNED, egress, egress, True)
    if handed and (line in life.misconfigured or rng.random() < conduct.unenrolled):
        return Hints(Whoami.UNSIGNED, _FOREIGN, _FOREIGN, True)
    if conduct.spoils_whoami:
        # Whoever wants to can also have strangers ask for the nonce.
        egress = rng.choice(((), _FOREIGN))
        return Hints(rng.choice((Whoami.UNSIGNED, Whoami.SILENT)), egress, egress, True)
    return Hints(Whoami.SILENT if rng.random() < SILENT else Whoami.OWN, _OWN, (), True)


def way(rng: random.Random, world: World, life: Life, conduct: Conduct, line: int) -> Path:
    """By which way a session went."""
    return path(hints(rng, world, life, conduct, line, handed=False))


def meetings(
    rng: random.Random, world: World, life: Life, conduct: Conduct, lines: list[dict[str, str]], at: datetime
) -> list[Met]:
    """Whom the lines of a day met, in some of its sessions: they use the resolvers handed to them, too."""
    found = []
    for session, (number, line), handed in itertools.product(range(SESSIONS), enumerate(lines), (False, True)):
        shown = hints(rng, world, life, conduct, number, handed=handed)
        found.append(
            Met(
                at,
                f"{at:%j}{session}{number:04x}/{int(handed)}",
                line["vantage_point"],
                line["access_network"],
                line["custodian"],
                min(shown.egress, default=""),
                met_enrolled(shown, handed=handed),
                handed,
            )
        )
    return found
