"""Which entries stand on a name."""

from __future__ import annotations

from blocklist_sync.central.verbs.standing import fold, kind_of
from lachan.blocklist.v1 import registry_service_pb2 as pb


def event(
    index: int, *, added: bool = True, effect: int = 0, state: str = "approved", order: str = "1"
) -> pb.NameEvent:
    decision = pb.Decision(log_index=index, effect_at=effect or index)
    return pb.NameEvent(
        name="a.example",
        added=added,
        scope="subtree",
        category=4,
        order_number=order,
        mandated=True,
        proposal=pb.Proposal(state=state, decision=decision),
    )


def test_what_was_approved_counts_in_the_order_of_its_effect() -> None:
    kind = kind_of(event(1))
    assert fold([event(1)], "a.example") == [(kind, 1)]
    assert fold([event(1)], "b.example") == []
    assert fold([event(1, state="rejected")], "a.example") == []
    assert fold([event(1), event(2, added=False)], "a.example") == []
    assert fold([event(2, added=False, effect=1), event(1, effect=9)], "a.example") == [(kind, 9)]
    other = event(3, order="2")
    assert fold([event(1), other, event(4, added=False)], "a.example") == [(kind_of(other), 3)]
    # What is brought again was there all the while.
    assert fold([event(1), event(5)], "a.example") == [(kind, 1)]
