from __future__ import annotations

from dataclasses import replace

from compliance_api.domain.drawing.sampling import Inputs, Unlisted
from compliance_api.domain.observations.observation import Arm
from compliance_api.usecases.probing.plan import Plan, questions
from tests.unit.compliance_api.usecases.probing.test_assignment import PLAN, POOL


def asked(plan: Plan, inputs: Inputs) -> dict[str, list[int]]:
    """The types by which each name is asked."""
    found: dict[str, list[int]] = {}
    for one in questions(plan, inputs, b"seed", "e"):
        found.setdefault(one.qname, []).append(one.qtype)
    return found


def test_every_name_is_asked_for_its_address_and_by_another_type_beside_it() -> None:
    found = asked(replace(PLAN, qtypes=(1, 28, 65)), Inputs(POOL))
    assert len(found) == 15
    assert all(types in ([1, 28], [1, 65]) for types in found.values())
    assert {types[1] for types in found.values()} == {28, 65}
    assert set(map(tuple, asked(PLAN, Inputs(POOL)).values())) == {(1,)}
    assert set(map(tuple, asked(replace(PLAN, qtypes=(28,)), Inputs(POOL)).values())) == {(28,)}


def test_what_spoke_against_an_operator_is_asked_again_as_it_was() -> None:
    missed = replace(POOL.names[0], qname="missed.example", types=(28,))
    blocked = Unlisted("blocked.example", Arm.NEIGHBOUR, (65,)), Unlisted("n1.example", Arm.CONTROL, (1,))
    inputs = Inputs(POOL, again=(missed,), blocked=blocked)
    plan = replace(PLAN, qtypes=(1, 28, 65))
    again = [one for one in questions(plan, inputs, b"seed", "e") if one.again]
    assert [(one.qname, one.qtype, one.arm) for one in again] == [
        ("missed.example", 28, Arm.LISTED),
        # The other one is listed by now.
        ("blocked.example", 65, Arm.NEIGHBOUR),
    ]
    assert Inputs.decode(inputs.encode()) == inputs
