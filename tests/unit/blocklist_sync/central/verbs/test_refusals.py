from __future__ import annotations

import pytest

from blocklist_sync.central.intake.formats import Refusal
from blocklist_sync.central.verbs.refusals import Refusals


def test_the_first_are_shown_and_all_counted(capsys: pytest.CaptureFixture[str]) -> None:
    refusals = Refusals(2)
    for line in range(1, 5):
        refusals(Refusal("list", line, "co.uk", "a public suffix"))
    refusals.close()
    assert capsys.readouterr().err.splitlines() == [
        "list:1: a public suffix: 'co.uk'",
        "list:2: a public suffix: 'co.uk'",
        "… and 2 more refused lines",
    ]
    assert [shown["line"] for shown in refusals.document()] == [1, 2]
    assert refusals.count == 4
