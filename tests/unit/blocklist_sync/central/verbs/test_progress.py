from __future__ import annotations

import itertools

import pytest

from blocklist_sync.central.verbs import progress
from blocklist_sync.central.verbs.progress import Bar


def test_nothing_is_shown_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar() as bar:
        passed = bar.stage("reading", 10)
        passed(10)
    assert capsys.readouterr() == ("", "")


def test_a_bar_goes_to_standard_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    clock = itertools.count()
    monkeypatch.setattr(progress, "SHOWN_EVERY", 1)
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    with Bar(shown=True) as bar:
        passed = bar.stage("reading", 10)
        for _ in range(5):
            passed(1)
        # The next stage leaves the last one as it ended.
        passed(5)
        bar.stage("writing", 10)
    out, err = capsys.readouterr()
    assert out == ""
    assert "reading" in err
    assert "100%" in err
