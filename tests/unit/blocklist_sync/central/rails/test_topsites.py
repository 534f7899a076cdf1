from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.rails.topsites import load


def test_ranked_and_plain_files_are_read_from_the_top(tmp_path: Path) -> None:
    path = tmp_path / "top.csv"
    for text in (
        "rank,name\n1,a.example\n2,B.Example\n3,x.b.example\n4,c.example\n",
        "a.example\nb.example\nx.b.example\n",
    ):
        path.write_text(text)
        top = load(path, 3)
        assert [top.rank(f"{c}.example") for c in ("a", "b", "x.b", "c")] == [1, 2, 3, None]
        assert (top.below("b.example"), top.below("a.example"), len(top)) == (1, 0, 3)
    assert load(path, 10).skipped == 0


def test_what_holds_no_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "top.csv"
    path.write_bytes(b"<html>\n\xff\xff\n\n")
    with pytest.raises(CentralError, match="no name in it"):
        load(path, 10)
    with pytest.raises(CentralError, match="No such file"):
        load(tmp_path / "none", 10)
