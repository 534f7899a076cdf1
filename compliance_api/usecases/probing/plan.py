"""What a round asks: a plan and what is drawn from it in, questions out.

Holds always: the same plan, inputs, seed and resolver give the same questions, in the same order; a name never listed
is asked only where nothing on the list is known to reach it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from compliance_api.domain.drawing.draws import Draws, derived
from compliance_api.domain.drawing.sampling import Inputs, ListedName, draw, parents
from compliance_api.domain.observations.observation import Arm
from compliance_api.domain.parties.organisation import Endpoint
from compliance_api.usecases.probing.question import Question

# Of which shares are counted.
PARTS = 1_000_000
A = 1


@dataclass(frozen=True)
class Plan:
    """How rounds are made up; times in seconds."""

    interval: float
    listed: int
    spread: float
    expires: float
    # Two resolvers that do not filter, of two different people.
    reference: Endpoint
    second_reference: Endpoint
    qtypes: tuple[int, ...]
    controls: tuple[str, ...]
    neighbours: tuple[str, ...]
    # Part of the questions that have DO set.
    dnssec_share: float = 0.0
    # Beside `listed`: names between their deadline and a week; controls, all where 0; ancestors of listed names.
    aged: int = 0
    controls_asked: int = 0
    parents: int = 0
    # Beside all of these, the same ones all day: names that need not be blocked yet, and names that were taken out.
    young: int = 0
    released: int = 0


def questions(
    plan: Plan, inputs: Inputs, seed: bytes, resolver: str, spared: Collection[str] = frozenset()
) -> list[Question]:
    """The questions of one round: names by its seed alone, types and flags by the seed and the resolver.

    Every name is asked for its IPv4 address, for hardly a name that is alive has none, and by one of the other types
    beside it, where the references tell whether there is such a record. What was missed is asked again as it was.

    Args:
        plan: How rounds are made up.
        inputs: What is drawn from.
        seed: The round's.
        resolver: Whom they are for: each of an operator's is asked the same names.
        spared: But for these, which it cannot know.
    """
    names = draw(inputs, plan.listed, plan.aged, seed)
    drawn = {one.qname for one in names}
    names += [one for one in inputs.young if one.qname not in drawn]
    names = [one for one in names if one.qname not in spared]
    draws = Draws(derived(seed, "types", resolver))
    others = [one for one in plan.qtypes if one != A]
    share = int(plan.dnssec_share * PARTS)

    def types(missed: Sequence[int] = ()) -> Sequence[int]:
        if missed or A not in plan.qtypes:
            return missed or [draws.choice(plan.qtypes)]
        return [A, draws.choice(others)] if others else [A]

    asked = [*((one, Arm.LISTED) for one in names), *((one, Arm.RELEASED) for one in inputs.released)]
    found = [
        Question(
            one.qname,
            qtype,
            arm,
            one.category,
            one.order,
            one.added_serial,
            one.added_at,
            draws.below(PARTS) < share,
            again=one.again,
        )
        for one, arm in asked
        for qtype in types(one.types)
    ]
    for qname, (arm, missed) in _unlisted(plan, inputs, _neighbours(plan, inputs, names, seed), seed).items():
        found += [
            Question(qname, qtype, arm, dnssec_ok=draws.below(PARTS) < share, again=bool(missed))
            for qtype in types(missed)
        ]
    return found


def _neighbours(plan: Plan, inputs: Inputs, names: Sequence[ListedName], seed: bytes) -> list[str]:
    """Names beside listed ones: the plan's, and some of those that were found to be alive and not listed."""
    if inputs.neighbours is None:
        return [*plan.neighbours, *parents(names, plan.parents, seed)]
    return [*inputs.neighbours, *Draws(derived(seed, "kin")).sample(inputs.kin, plan.parents)]


def _unlisted(
    plan: Plan, inputs: Inputs, neighbours: Sequence[str], seed: bytes
) -> dict[str, tuple[Arm, tuple[int, ...]]]:
    """Names never listed, with the types by which they were blocked before; without those that are listed by now."""
    known = plan.controls if inputs.controls is None else inputs.controls
    controls = Draws(derived(seed, "controls")).sample(known, plan.controls_asked or len(known))
    blocked = Draws(derived(seed, "blocked")).sample(inputs.blocked, len(controls) + plan.parents)
    listed = {one.qname for one in (*inputs.pool.names, *inputs.pool.recent, *inputs.pool.aged)}
    drawn: dict[str, tuple[Arm, tuple[int, ...]]] = {
        **dict.fromkeys(neighbours, (Arm.NEIGHBOUR, ())),
        **{name: (Arm.CONTROL, ()) for name in controls if name not in listed},
    }
    again = {one.qname: (one.arm, one.types) for one in blocked if one.qname not in listed and one.qname not in drawn}
    return drawn | again
