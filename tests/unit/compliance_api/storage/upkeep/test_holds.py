from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from compliance_api.errors import ComplianceError
from compliance_api.storage.upkeep.holds import MAX_TEXT, Hold

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOLD = Hold("a", "ab" * 16, "", NOW, NOW + timedelta(days=1), "một toà án yêu cầu", "auditor", NOW)


def test_the_ledger_commits_to_every_field() -> None:
    shown = json.loads(HOLD.canonical())
    assert shown["operator"] == "a"
    assert shown["reason"] == "một toà án yêu cầu"
    assert shown["period_start"] == "2026-03-01T00:00:00+00:00"
    assert HOLD.leaf().subject == f"hold/{'ab' * 16}"
    ended = replace(HOLD, released_by="judge", release_reason="closed", released_at=NOW)
    assert ended.canonical() != HOLD.canonical()


@pytest.mark.parametrize(
    "wrong",
    [
        {"finding": "cd" * 16},
        {"period_start": None, "period_end": None},
        {"period_end": NOW},
        {"period_end": None},
        {"reason": ""},
        {"reason": "x" * (MAX_TEXT + 1)},
        {"placed_by": ""},
    ],
)
def test_a_hold_keeps_something_and_says_who_wants_that_and_why(wrong: dict[str, object]) -> None:
    with pytest.raises(ComplianceError):
        replace(HOLD, **wrong)  # type: ignore[arg-type]  # names of fields
