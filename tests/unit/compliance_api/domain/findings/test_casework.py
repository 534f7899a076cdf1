from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from compliance_api.domain.findings.casework import (
    Action,
    Deed,
    Matter,
    State,
    StepError,
    WrongUnitError,
    opening,
    take,
)
from compliance_api.domain.findings.procedure import Procedure, Stage
from tests.support.cases import NOW
from tests.support.people import AN, BINH, CHI, OTHER, OWN, Signer

PROCEDURE = Procedure()
DAY = timedelta(days=1)
WHO = {
    Action.CONFIRM: AN, Action.NOTIFY: AN, Action.ANSWER: OWN, Action.REMEDY: BINH,
    Action.UPHOLD: BINH, Action.WITHDRAW: BINH, Action.CLOSE: CHI,
}  # fmt: skip


def begun(*, still_found: bool = True) -> Matter:
    return Matter("a", PROCEDURE, [opening(PROCEDURE, "a", NOW)], still_found, "00" * 32)


def deed(matter: Matter, action: Action, who: Signer | None = None, **changes: Any) -> Deed:
    return (who or WHO[action]).deed(matter, action, **changes)


def after(matter: Matter, *actions: Action, days: float = 1, **changes: Any) -> Matter:
    """The matter after these actions, each so many days after the one before; the changes are of the last."""
    for number, action in enumerate(actions, 1):
        at = matter.steps[-1].at + days * DAY
        step = take(matter, deed(matter, action, **(changes if number == len(actions) else {})), at)
        matter = replace(matter, steps=[*matter.steps, step], head=f"{step.position:064x}")
    return matter


def test_a_finding_goes_from_open_to_closed_with_one_unit_and_a_deadline_each_time() -> None:
    matter = after(begun(still_found=False), Action.CONFIRM, Action.NOTIFY, Action.ANSWER, Action.REMEDY, Action.CLOSE)
    assert [one.state for one in matter.steps] == [
        State.OPEN, State.CONFIRMED, State.NOTIFIED, State.ANSWERED, State.REMEDIED, State.CLOSED,
    ]  # fmt: skip
    assert [one.next_unit for one in matter.steps] == ["inspection", "inspection", "a", "legal", "inspection", None]
    assert [one.due_at - one.at for one in matter.steps if one.due_at] == [
        3 * DAY,
        2 * DAY,
        10 * DAY,
        15 * DAY,
        30 * DAY,
    ]
    assert [one.position for one in matter.steps] == list(range(6))


@pytest.mark.parametrize(
    ("before", "action"),
    [
        ((), Action.NOTIFY),
        ((), Action.UPHOLD),
        ((), Action.CLOSE),
        ((Action.CONFIRM,), Action.UPHOLD),
        ((Action.CONFIRM,), Action.CONFIRM),
        ((Action.CONFIRM, Action.NOTIFY), Action.CLOSE),
        ((Action.CONFIRM, Action.NOTIFY, Action.ANSWER), Action.CLOSE),
    ],
)
def test_the_authority_leaves_no_step_out(before: tuple[Action, ...], action: Action) -> None:
    matter = after(begun(), *before)
    with pytest.raises(StepError, match=f"not {action}"):
        take(matter, deed(matter, action), NOW + 9 * DAY)


def test_nobody_is_judged_unheard() -> None:
    told = after(begun(), Action.CONFIRM, Action.NOTIFY)
    last = told.steps[-1].at
    with pytest.raises(StepError, match="may still answer"):
        take(told, deed(told, Action.UPHOLD), last + 10 * DAY)
    assert take(told, deed(told, Action.UPHOLD), last + 10 * DAY + timedelta(seconds=1)).state is State.UPHELD


def test_a_deadline_is_not_shortened_after_the_operator_was_told() -> None:
    told = after(begun(), Action.CONFIRM, Action.NOTIFY)
    hurried = replace(told, procedure=Procedure(answer=Stage(unit="operator", within=1.0)))
    with pytest.raises(StepError, match="may still answer"):
        take(hurried, deed(hurried, Action.UPHOLD), told.steps[-1].at + DAY)


def test_whoever_confirmed_does_not_uphold() -> None:
    matter = after(begun(), Action.CONFIRM, Action.NOTIFY, Action.ANSWER)
    assert matter.steps[1].person == "lachan://so/person/an"
    with pytest.raises(StepError, match="does not uphold"):
        take(matter, deed(matter, Action.UPHOLD, AN), matter.steps[-1].at)
    assert take(matter, deed(matter, Action.UPHOLD), matter.steps[-1].at).state is State.UPHELD


def test_the_same_hand_under_another_name_does_not_uphold() -> None:
    matter = after(begun(), Action.CONFIRM, Action.NOTIFY, Action.ANSWER)
    again = Signer("tran-an")
    again.key = AN.key
    with pytest.raises(StepError, match="does not uphold"):
        take(matter, deed(matter, Action.UPHOLD, again), matter.steps[-1].at)


def test_who_confirmed_by_a_spelling_alone_can_be_told_from_nobody() -> None:
    """A step from before people signed."""
    matter = after(begun(), Action.CONFIRM, Action.NOTIFY, Action.ANSWER)
    steps = [replace(one, person="Trần An", signature=b"", key=b"") for one in matter.steps]
    unsigned = replace(matter, steps=[*steps[:3], matter.steps[3]])
    with pytest.raises(StepError, match="did not sign"):
        take(unsigned, deed(unsigned, Action.UPHOLD), matter.steps[-1].at)
    assert take(unsigned, deed(unsigned, Action.WITHDRAW), matter.steps[-1].at).state is State.WITHDRAWN


def test_a_step_is_for_the_unit_that_the_law_names() -> None:
    police = Signer("giang", units=frozenset({"police"}))
    with pytest.raises(WrongUnitError, match="for inspection, for which lachan://so/person/giang does not act"):
        take(begun(), deed(begun(), Action.CONFIRM, police), NOW)
    told = after(begun(), Action.CONFIRM, Action.NOTIFY)
    named_after_it = Signer("giang", units=frozenset({"a", "operator", "inspection"}))
    for who in (OTHER, AN, named_after_it):
        with pytest.raises(WrongUnitError, match=f"for a, not for {who.identity}"):
            take(told, deed(told, Action.ANSWER, who), NOW + 9 * DAY)


def test_no_law_lets_another_answer_for_an_operator() -> None:
    told = after(begun(), Action.CONFIRM, Action.NOTIFY)
    bent = replace(told, procedure=Procedure(answer=Stage(unit="legal", within=DAY.total_seconds())))
    with pytest.raises(WrongUnitError, match="for a, not for"):
        take(bent, deed(bent, Action.ANSWER, BINH), NOW + 3 * DAY)


def test_an_answer_on_paper_takes_nothing_of_the_operators_time_and_gives_way_to_its_own() -> None:
    told = after(begun(), Action.CONFIRM, Action.NOTIFY)
    for who in (OWN, Signer("giang", units=frozenset({"legal"}))):
        with pytest.raises(WrongUnitError, match="for inspection"):
            take(told, deed(told, Action.ANSWER, who, paper=True), NOW + 3 * DAY)
    entered = after(told, Action.ANSWER, who=AN, paper=True)
    last = entered.steps[-1]
    assert (last.state, last.unit, last.person, last.paper) == (State.ANSWERED, "a", "lachan://so/person/an", True)
    assert last.document()["paper"] is True
    # An answer that the authority made up does not make the operator heard.
    with pytest.raises(StepError, match="may still answer itself"):
        take(entered, deed(entered, Action.UPHOLD), told.steps[-1].at + 10 * DAY)
    with pytest.raises(StepError, match="is answered"):
        take(entered, deed(entered, Action.ANSWER, AN, paper=True), last.at)
    late = take(entered, deed(entered, Action.UPHOLD), told.steps[-1].at + 10 * DAY + timedelta(seconds=1))
    assert late.state is State.UPHELD
    own = after(entered, Action.ANSWER)
    assert (own.steps[-1].person, own.steps[-1].paper) == ("lachan://a/person/khanh", False)
    # And the authority does not answer over it.
    for who, paper in ((AN, True), (OWN, False)):
        with pytest.raises(StepError, match="is answered"):
            take(own, deed(own, Action.ANSWER, who, paper=paper), own.steps[-1].at)
    assert take(own, deed(own, Action.UPHOLD), own.steps[-1].at).state is State.UPHELD


def test_what_was_signed_about_another_moment_is_not_taken() -> None:
    told = after(begun(), Action.CONFIRM, Action.NOTIFY)
    signed = deed(told, Action.ANSWER)
    elsewhere = replace(told, head="ff" * 32)
    entered = after(told, Action.ANSWER, who=AN, paper=True)
    for now in (elsewhere, entered):
        with pytest.raises(StepError, match="went on since this was signed"):
            take(now, signed, NOW + 9 * DAY)
    with pytest.raises(StepError, match="never opened"):
        take(replace(told, steps=[]), signed, NOW + 9 * DAY)


def test_a_step_is_never_dated_before_another() -> None:
    with pytest.raises(StepError, match="before the one it follows"):
        take(begun(), deed(begun(), Action.CONFIRM), NOW - timedelta(seconds=1))


def test_what_is_still_found_is_not_remedied() -> None:
    matter = after(begun(), Action.CONFIRM, Action.NOTIFY, Action.ANSWER)
    with pytest.raises(StepError, match="not remedied"):
        take(matter, deed(matter, Action.REMEDY), matter.steps[-1].at)
    gone = replace(matter, still_found=False)
    assert take(gone, deed(gone, Action.REMEDY), matter.steps[-1].at).state is State.REMEDIED


def test_an_operator_cites_another_order_and_is_heard() -> None:
    """Blocked by an order of somebody else: what looked like over-blocking is withdrawn."""
    told = after(begun(), Action.CONFIRM, Action.NOTIFY)
    at = told.steps[-1].at + DAY
    answer = take(told, deed(told, Action.ANSWER, order=("17/2026/QĐ-MẪU", "Tòa Mẫu")), at)
    assert (answer.order_number, answer.order_authority) == ("17/2026/QĐ-MẪU", "Tòa Mẫu")
    assert answer.document()["order"] == {"number": "17/2026/QĐ-MẪU", "authority": "Tòa Mẫu"}
    heard = replace(told, steps=[*told.steps, answer])
    heard = replace(heard, head="11" * 32)
    withdrawn = take(heard, deed(heard, Action.WITHDRAW), at)
    assert (withdrawn.state, withdrawn.next_unit) == (State.WITHDRAWN, "inspection")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"note": "x" * 4001}, "note"),
        ({"note": "a\x1b[31m"}, "control character"),
        ({"order_number": "17"}, "number and its authority"),
        ({"order_number": "17", "order_authority": "x"}, "only an answer cites"),
        ({"paper": True}, "only an answer comes on paper"),
    ],
)
def test_what_is_said_is_bounded(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(StepError, match=complaint):
        take(begun(), replace(deed(begun(), Action.CONFIRM), **changes), NOW)


@pytest.mark.parametrize("action", [Action.UPHOLD, Action.WITHDRAW])
def test_a_decision_says_why(action: Action) -> None:
    matter = after(begun(), Action.CONFIRM, Action.NOTIFY, Action.ANSWER)
    with pytest.raises(StepError, match="needs a reason"):
        take(matter, deed(matter, action, note=" "), NOW + 9 * DAY)


def test_a_unit_that_lets_its_time_go_by_says_why() -> None:
    for before, action in (((), Action.CONFIRM), ((Action.CONFIRM,), Action.NOTIFY)):
        matter = after(begun(), *before)
        with pytest.raises(StepError, match="after its deadline"):
            after(matter, action, days=4, note=" ")
        assert after(matter, action, days=4, note="Nobody was there").steps[-1].note
        assert after(matter, action, note="").steps[-1].state
    # An operator is heard late as well, until somebody has decided.
    assert after(begun(), Action.CONFIRM, Action.NOTIFY, Action.ANSWER, days=1.9, note="").state is State.ANSWERED
    late = after(begun(), Action.CONFIRM, Action.NOTIFY)
    assert after(late, Action.ANSWER, days=11, note="").state is State.ANSWERED


def test_a_late_step_shows() -> None:
    one = begun().steps[0]
    assert not one.overdue(NOW + 3 * DAY)
    assert one.overdue(NOW + 3 * DAY + timedelta(seconds=1))
