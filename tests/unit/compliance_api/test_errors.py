from __future__ import annotations

from compliance_api.errors import MAX_VIOLATIONS, InvalidRequestError, Violation


def test_every_violation_is_told_up_to_a_bound() -> None:
    error = InvalidRequestError([Violation("reports[0].sequence", "at least 1"), Violation("x", "y")])
    assert str(error) == "reports[0].sequence: at least 1; x: y"
    many = InvalidRequestError([Violation("x", "y")] * 1000)
    assert len(many.violations) == MAX_VIOLATIONS
