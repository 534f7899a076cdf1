from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from compliance_api.domain.casework import Action, Deed, Matter, State, StepError, opening, take
from compliance_api.domain.procedure import Procedure, Stage
from tests.support.cases import NOW

PROCEDURE = Procedure()
DAY = timedelta(days=1)
UNITS = {
    Action.CONFIRM: "inspection", Action.NOTIFY: "inspection", Action.ANSWER: "a", Action.REMEDY: "legal",
    Action.UPHOLD: "legal", Action.WITHDRAW: "legal", Action.CLOSE: "inspection",
}  # fmt: skip


def begun(*, still_found: bool = True) -> Matter:
    return Matter("a", PROCEDURE, [opening(PROCEDURE, "a", NOW)], still_found)


def deed(action: Action, person: str = "anh", **changes: str) -> Deed:
    return Deed(action, **{"unit": UNITS[action], "person": person, "note": "because", **changes})


def after(matter: Matter, *actions: Action, days: float = 1) -> Matter:
    """The matter after these actions, each by a person of its own and so many days after the one before."""
    for number, action in enumerate(actions, len(matter.steps)):
        at = matter.steps[-1].at + days * DAY
        matter = replace(matter, steps=[*matter.steps, take(matter, deed(action, f"person-{number}"), at)])
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
        take(matter, deed(action, "somebody"), NOW + 9 * DAY)


def test_nobody_is_judged_unheard() -> None:
    told = after(begun(), Action.CONFIRM, Action.NOTIFY)
    last = told.steps[-1].at
    with pytest.raises(StepError, match="may still answer"):
        take(told, deed(Action.UPHOLD, "binh"), last + 10 * DAY)
    assert take(told, deed(Action.UPHOLD, "binh"), last + 10 * DAY + timedelta(seconds=1)).state is State.UPHELD


def test_a_deadline_is_not_shortened_after_the_operator_was_told() -> None:
    told = after(begun(), Action.CONFIRM, Action.NOTIFY)
    hurried = replace(told, procedure=Procedure(answer=Stage(unit="operator", within=1.0)))
    with pytest.raises(StepError, match="may still answer"):
        take(hurried, deed(Action.UPHOLD, "binh"), told.steps[-1].at + DAY)


def test_whoever_confirmed_does_not_uphold() -> None:
    matter = after(begun(), Action.CONFIRM, Action.NOTIFY, Action.ANSWER)
    confirmer = matter.steps[1].person
    with pytest.raises(StepError, match="does not uphold"):
        take(matter, deed(Action.UPHOLD, f" {confirmer} "), matter.steps[-1].at)
    assert take(matter, deed(Action.UPHOLD, "another"), matter.steps[-1].at).state is State.UPHELD


def test_a_step_is_for_the_unit_that_the_law_names() -> None:
    with pytest.raises(StepError, match="for inspection, not for police"):
        take(begun(), deed(Action.CONFIRM, unit="police"), NOW)
    told = after(begun(), Action.CONFIRM, Action.NOTIFY)
    with pytest.raises(StepError, match="for a, not for b"):
        take(told, deed(Action.ANSWER, unit="b"), NOW + 9 * DAY)
    with pytest.raises(StepError, match="for a, not for inspection"):
        take(told, deed(Action.ANSWER, unit="inspection"), NOW + 9 * DAY)


def test_a_step_is_never_dated_before_another() -> None:
    with pytest.raises(StepError, match="before the one it follows"):
        take(begun(), deed(Action.CONFIRM), NOW - timedelta(seconds=1))


def test_what_is_still_found_is_not_remedied() -> None:
    matter = after(begun(), Action.CONFIRM, Action.NOTIFY, Action.ANSWER)
    with pytest.raises(StepError, match="not remedied"):
        take(matter, deed(Action.REMEDY), matter.steps[-1].at)
    assert take(replace(matter, still_found=False), deed(Action.REMEDY), matter.steps[-1].at).state is State.REMEDIED


def test_an_operator_cites_another_order_and_is_heard() -> None:
    """Blocked by an order of somebody else: what looked like over-blocking is withdrawn."""
    told = after(begun(), Action.CONFIRM, Action.NOTIFY)
    at = told.steps[-1].at + DAY
    answer = take(told, deed(Action.ANSWER, order_number="17/2026/QĐ-MẪU", order_authority="Tòa Mẫu"), at)
    assert (answer.order_number, answer.order_authority) == ("17/2026/QĐ-MẪU", "Tòa Mẫu")
    assert answer.document()["order"] == {"number": "17/2026/QĐ-MẪU", "authority": "Tòa Mẫu"}
    heard = replace(told, steps=[*told.steps, answer])
    withdrawn = take(heard, deed(Action.WITHDRAW, "binh"), at)
    assert (withdrawn.state, withdrawn.next_unit) == (State.WITHDRAWN, "inspection")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"person": "  "}, "by somebody"),
        ({"note": "x" * 4001}, "note"),
        ({"person": "a\x1b[31m"}, "control character"),
        ({"order_number": "17"}, "number and its authority"),
        ({"order_number": "17", "order_authority": "x"}, "only an answer"),
    ],
)
def test_what_is_said_is_bounded(changes: dict[str, str], complaint: str) -> None:
    with pytest.raises(StepError, match=complaint):
        take(begun(), replace(deed(Action.CONFIRM), **changes), NOW)


@pytest.mark.parametrize("action", [Action.UPHOLD, Action.WITHDRAW])
def test_a_decision_says_why(action: Action) -> None:
    matter = after(begun(), Action.CONFIRM, Action.NOTIFY, Action.ANSWER)
    with pytest.raises(StepError, match="needs a reason"):
        take(matter, deed(action, "binh", note=" "), NOW + 9 * DAY)


def test_a_late_step_shows() -> None:
    one = begun().steps[0]
    assert not one.overdue(NOW + 3 * DAY)
    assert one.overdue(NOW + 3 * DAY + timedelta(seconds=1))
