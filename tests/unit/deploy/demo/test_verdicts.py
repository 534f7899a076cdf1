from __future__ import annotations

import pytest

from deploy.demo.verdicts import Told, are_in, are_right, get, read

GOOD = Told("compliant")
CAUGHT = Told("not_compliant", ("stale_list", "under_blocking", "counter_mismatch"))
OTHERWISE = Told("not_compliant", ("stale_list", "under_blocking"))
UNKNOWN = Told("not_enough_evidence", ("low_coverage",))


@pytest.mark.parametrize(
    ("a", "b", "cheating", "in_", "right"),
    [
        (GOOD, CAUGHT, True, True, True),
        (GOOD, OTHERWISE, True, False, False),
        (GOOD, UNKNOWN, True, False, False),
        (UNKNOWN, CAUGHT, True, False, False),
        (GOOD, GOOD, True, False, False),
        (OTHERWISE, CAUGHT, True, True, False),
        (OTHERWISE, GOOD, True, True, False),
        (GOOD, GOOD, False, True, True),
        (GOOD, UNKNOWN, False, False, False),
        (GOOD, CAUGHT, False, True, False),
        (Told("compliant", ("low_coverage",)), GOOD, False, True, False),
    ],
)
def test_when_verdicts_are_in_and_right(a: Told, b: Told, *, cheating: bool, in_: bool, right: bool) -> None:
    told = {"a": a, "b": b}
    assert are_in(told, cheating=cheating) is in_
    assert are_right(told, cheating=cheating) is right


def test_the_console_is_read_by_organisation() -> None:
    document = {
        "operators": [
            {"organisation": "b", "verdict": "not_compliant", "findings": [{"kind": "stale_list"}] * 2},
            {"organisation": "c", "verdict": "compliant", "findings": []},
        ]
    }
    told = read(document, {"a": "a", "b": "b"})
    assert told == {"a": Told(), "b": Told("not_compliant", ("stale_list",))}
    assert told["b"].document() == {"verdict": "not_compliant", "findings": ["stale_list"]}


def test_a_page_that_is_not_there_is_none() -> None:
    assert get(1, "/") is None
