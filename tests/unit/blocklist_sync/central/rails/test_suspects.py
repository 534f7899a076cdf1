from __future__ import annotations

from pathlib import Path

import idna

from blocklist_sync.central.rails import rails
from blocklist_sync.central.rails.rails import RailSettings
from blocklist_sync.central.rails.suspects import Suspects
from lachan import config

TEXT = """
shipped_names: false
never_block:
  - {id: state, why: a name of the state, trees: [state.example, deep.tree.example]}
  - {id: service, why: used daily, names: [service.example]}
"""


def test_what_no_rail_knows_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "top.csv").write_text("1,big.example\n2,a.wide.example\n")
    text = TEXT + f"top_sites: {{file: {tmp_path / 'top.csv'}}}\n"
    suspects = Suspects(rails.prepare(config.parse(text, RailSettings)))
    alike = idna.encode("sеrvice.example").decode()
    known = {
        "state.example",
        "a.state.example",
        "a.b.c.state.example",
        "tree.example",
        "x.deep.tree.example",
        "service.example",
        "big.example",
        "wide.example",
        alike,
        f"a.{alike}",
        "com.vn",
        "a.ck",
    }
    silent = ["a.example", "a.b.example", "xstate.example", "below.service.example", "a.com.vn", "x.big.example"]
    assert suspects.among([*silent, *known]) == known
    assert suspects.among(silent) == suspects.among([]) == set()
