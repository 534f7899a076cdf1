from __future__ import annotations

import io

import pytest

from lachan.enrolling import handed_over


@pytest.mark.parametrize(("token", "given"), [(None, None), ("lachan1.abc", "lachan1.abc"), ("-", "from a pipe\n")])
def test_a_token_may_come_by_standard_input(
    monkeypatch: pytest.MonkeyPatch, token: str | None, given: str | None
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("from a pipe\n"))
    assert handed_over(token) == given
