from __future__ import annotations

from lachan.line import Line


def test_lines_of_schools_and_volunteers_are_never_asked_for_abuse_of_children() -> None:
    assert {line for line in Line if line.may_ask_anything} == {Line.AUTHORITY, Line.CONSUMER}
