"""What an authority with the ledger's keys does to the steps of a finding: each is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from compliance_api.domain.findings.casework import Action
from compliance_api.ledger.outside import Outside, acknowledged
from compliance_api.ledger.steps import Steps
from lachan import canonical
from lachan.ledger.leaf import Kind
from tests.support.people import AN, BINH, CHI, FINDING, OWN, Signer
from tests.support.steps import SERVICE, Book, ended, let_in

ORDER = ("17/2026", "Tòa Mẫu")


def book(*, answer: Action | None = Action.ANSWER, paper: bool = False) -> Book:
    """Confirmed, notified and answered; leaves 0 opening, 1 to 4 people, 5 confirmed, 6 notified, 7 answered."""
    made = Book()
    for who in (AN, BINH, CHI):
        made.tell(Kind.ENROLMENT, let_in(who))
    made.tell(Kind.ENROLMENT, let_in(OWN, "lachan://a/person/first"))
    for action in (Action.CONFIRM, Action.NOTIFY):
        made.take(AN, action)
    if answer is not None:
        made.take(AN if paper else OWN, answer, order=ORDER, paper=paper)
    return made


def read(made: Book, *, leave: tuple[int, ...] = (), whole: bool = True, outside: Outside | None = None) -> Steps:
    steps = Steps(FINDING, "a", whole, outside or Outside())
    for index, (kind, entered_at, content) in enumerate(made.leaves):
        if index not in leave:
            steps.learn(index, kind, entered_at, content)
    return steps


def faults(made: Book, **how: Any) -> list[tuple[str, int]]:
    return [(one.flaw, one.leaf) for one in read(made, **how).faults()]


def edit(made: Book, index: int, change: Callable[[dict[str, Any]], object]) -> None:
    """An entry that the ledger's keeper makes as they like."""
    kind, at, content = made.leaves[index]
    document = json.loads(content)
    change(document["step"])
    made.leaves[index] = kind, at, canonical.encode(document)


def test_what_people_signed_holds_and_whose_word_an_answer_is_is_told() -> None:
    made = book()
    made.take(BINH, Action.WITHDRAW)
    made.take(CHI, Action.CLOSE)
    steps = read(made)
    assert list(steps.faults()) == []
    assert steps.answers == ["step 3: answered by lachan://a/person/khanh, let in by lachan://a/person/first"]
    # Of an operator's form the opening is withheld.
    assert faults(made, leave=(0,), whole=False) == []
    assert faults(made, leave=(0,)) == [("dropped", 5)]


def test_an_answer_that_somebody_made_up_is_named() -> None:
    made = book(answer=None)
    for signed in (None, {"statement": "{}", "signature": "00" * 64, "key": OWN.key.public.raw.hex()}):
        forged = book()
        edit(forged, 7, lambda step, signed=signed: step.update(signed=signed) if signed else step.pop("signed"))
        assert faults(forged) == [("forged", 7)]
    # In the name of the operator's person, with a key that the ledger was not told of as theirs.
    false = Signer("khanh", "a")
    false.key = AN.key
    index = made.take(false, Action.ANSWER)
    assert faults(made) == [("forged", index)]


def test_an_answer_by_the_authoritys_own_hand_for_the_operator_is_named() -> None:
    made = book(paper=True)
    assert faults(made) == []
    assert read(made).answers == []
    steps = read(made)
    assert list(steps.faults()) == []
    assert steps.answers == ["step 3: answered on paper, entered by lachan://so/person/an: not a's"]
    # The mark is taken off.
    edit(made, 7, lambda step: step.pop("paper"))
    assert faults(made) == [("forged", 7)]


def test_a_person_whom_the_authority_made_is_seen_by_a_list_from_outside() -> None:
    made = book(answer=None)
    false = Signer("ma", "a")
    made.tell(Kind.ENROLMENT, let_in(false))
    index = made.take(false, Action.ANSWER)
    steps = read(made)
    assert list(steps.faults()) == []
    assert steps.answers == ["step 3: answered by lachan://a/person/ma, let in by so: root"]
    mine = Outside({str(OWN.identity): frozenset({OWN.key.public.raw})})
    assert faults(made, outside=mine) == [("forged", index)]
    assert faults(book(), outside=mine) == []
    # Under the true name with a key of its own.
    false = Signer("khanh", "a")
    false.key = CHI.key
    made = book(answer=None)
    made.tell(Kind.ENROLMENT, let_in(false))
    index = made.take(false, Action.ANSWER)
    assert faults(made, outside=mine) == [("forged", index)]


@pytest.mark.parametrize(
    "change",
    [
        lambda step: step.update(order={"number": "71/2026", "authority": "Tòa Mẫu"}),
        lambda step: step.update(order=None),
        lambda step: step.update(note="we did wrong"),
        lambda step: step.update(person="lachan://a/person/lam"),
        lambda step: step.update(state="remedied"),
        lambda step: step["signed"].update(statement=step["signed"]["statement"].replace("17/2026", "71/2026")),
        lambda step: step["signed"].update(signature=""),
        lambda step: step["signed"].update(key="zz"),
        lambda step: step["signed"].update(statement=7),
    ],
)
def test_what_is_swapped_in_an_answer_is_named(change: Callable[[dict[str, Any]], object]) -> None:
    made = book()
    edit(made, 7, change)
    assert ("forged", 7) in faults(made)


def test_a_step_that_is_left_out_is_named() -> None:
    made = book()
    made.take(BINH, Action.WITHDRAW)
    assert faults(made, leave=(7,)) == [("dropped", 8), ("dropped", 8)]
    # The one behind it is numbered anew, and signed anew by whoever may: what it follows gives it away.
    short = book(answer=None)
    index = short.take(BINH, Action.UPHOLD, days=20)
    assert faults(short) == []
    kind, at, content = short.leaves[index]
    long = book()
    long.leaves[7:] = [*long.leaves[7:], (kind, at, content)]
    assert faults(long, leave=(7,)) == []
    # Nothing in the pack shows it then; what the operator kept does.
    kept = acknowledged(book().kept(7).encode(), SERVICE.public)
    assert faults(long, leave=(7,), outside=Outside(acknowledged=[kept])) == [("dropped", 7)]
    assert faults(book(), outside=Outside(acknowledged=[kept])) == []
    assert faults(book(answer=None), outside=Outside(acknowledged=[kept])) == [("dropped", 7)]
    assert ("forged", 7) in faults(book(paper=True), outside=Outside(acknowledged=[kept]))
    twice = book()
    twice.leaves.append(twice.leaves[7])
    assert ("irregular", 8) in faults(twice)


def test_who_was_not_in_at_that_moment_signed_nothing() -> None:
    late = Book()
    late.take(AN, Action.CONFIRM)
    late.tell(Kind.ENROLMENT, let_in(AN))
    assert faults(late) == [("unknown_key", 1)]
    gone = book(answer=None)
    gone.tell(Kind.REVOCATION, ended(OWN))
    index = gone.take(OWN, Action.ANSWER)
    assert faults(gone) == [("forged", index)]
    back = book(answer=None)
    back.tell(Kind.REVOCATION, ended(OWN))
    back.tell(Kind.ENROLMENT, let_in(OWN))
    back.take(OWN, Action.ANSWER)
    assert faults(back) == []


def test_a_decision_by_the_same_hand_or_before_the_operator_was_heard_is_named() -> None:
    made = book()
    index = made.take(BINH, Action.UPHOLD)
    assert faults(made) == []
    for mask in (AN, Signer("tran-an")):
        mask.key = AN.key
        other = book()
        other.tell(Kind.ENROLMENT, let_in(mask))
        position, previous = 4, other.matter.head
        data, signature = mask.state(Action.UPHOLD, position, previous)
        step = {
            **json.loads(made.leaves[index][2])["step"],
            "person": str(mask.identity),
            "signed": {
                "statement": data.decode(),
                "signature": signature.hex(),
                "key": mask.key.public.raw.hex(),
            },
        }
        document = {**json.loads(made.leaves[index][2]), "step": step}
        last = other.tell(Kind.FINDING, canonical.encode(document))
        assert faults(other) == [("irregular", last)]
    # On the day of a paper answer that the authority wrote itself.
    hurried = book(paper=True)
    data, signature = BINH.state(Action.UPHOLD, 4, hurried.matter.head)
    step = json.loads(made.leaves[index][2])["step"]
    step["signed"] = {"statement": data.decode(), "signature": signature.hex(), "key": BINH.key.public.raw.hex()}
    document = {**json.loads(made.leaves[index][2]), "step": step}
    last = hurried.tell(Kind.FINDING, canonical.encode(document))
    assert faults(hurried) == [("irregular", last)]


def test_a_step_for_a_unit_that_its_author_is_not_of_is_named() -> None:
    made = book()
    index = made.take(BINH, Action.WITHDRAW)
    made.leaves[2] = Kind.ENROLMENT, 0, let_in(Signer("binh", units=frozenset({"inspection"})))
    assert faults(made) == [("irregular", index)]


def test_leaves_of_other_matters_are_passed_over() -> None:
    made = book()
    for content in (b"", b"[]", b"{}", b'{"step":7}', b'{"step":{},"finding":"another"}', b"\xff"):
        for kind in (Kind.FINDING, Kind.ENROLMENT, Kind.REVOCATION, Kind.LAW):
            made.tell(kind, content)
    made.tell(Kind.REVOCATION, canonical.encode({"party": str(OWN.identity), "certificate": "00", "event": "revoked"}))
    assert faults(made) == []
    made.tell(Kind.FINDING, canonical.encode({"step": {"state": "closed"}, "finding": FINDING}))
    assert {one[0] for one in faults(made)} == {"irregular", "forged"}
