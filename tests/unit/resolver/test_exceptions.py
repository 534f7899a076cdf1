from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blocklist_sync.artifact._snapshot import Snapshot
from lachan.config import parse
from lachan.durable import FileError
from resolver.edgefile import EdgeFile
from resolver.exceptions import Exceptions
from resolver.overrides import OverrideError
from resolver.settings import Edge, normalise
from tests.support.blocklist import OFFER, built, entry

NOW = 1_764_738_000.0
SNAPSHOT = Snapshot(built(entry("bad.example"), entry("games.example", order=OFFER)))
CONFIGURATION = """
organisation: a
node: edge-1
listen: [{address: 127.0.0.1}]
upstreams: [{address: 192.0.2.1}]
own: {allow: [{name: www.bad.example, reason: because}, {name: games.example, reason: because}]}
blocklist: {snapshot: rules.snapshot}
"""


@pytest.fixture
def edge() -> Edge:
    return normalise(parse(CONFIGURATION, EdgeFile, base=Path("/etc/lachan")))


def exceptions(path: Path, changes: list[int] | None = None) -> Exceptions:
    noted = changes if changes is not None else []
    made = Exceptions(path, lambda: noted.append(1), lambda: NOW)
    made.recover()
    return made


def add(one: Exceptions, **changed: Any) -> dict[str, Any]:
    asked = {"name": "Bad.Example.", "scope": "exact", "code": "other", "reason": "because", "hours": 1}
    answer, _ = one.handlers()["override-add"](asked | changed, [])
    return answer


def test_an_override_is_kept_announced_and_told(tmp_path: Path, edge: Edge) -> None:
    changes: list[int] = []
    one = exceptions(tmp_path / "overrides.json", changes)
    one.judge(edge, SNAPSHOT)
    answer = add(one)
    assert (answer["override"]["name"], answer["revision"], changes) == ("bad.example", 1, [1])
    [told] = one.within(int(NOW), int(NOW) + 300)
    assert told.entry == SNAPSHOT.fingerprint("bad.example")
    # Another process finds it.
    again = exceptions(tmp_path / "overrides.json")
    assert [override.name for override in again.live()] == ["bad.example"]
    assert again.status()["overrides"][0]["reason"] == "because"
    one.handlers()["override-remove"]({"name": "bad.example"}, [])
    assert not one.live()
    assert (one.revision, len(changes)) == (2, 2)
    assert len(one.within(int(NOW) - 300, int(NOW) + 300)) == 1, "however short it was, it is told"


@pytest.mark.parametrize(
    "changed", [{"name": "co.uk"}, {"name": "a..b"}, {"hours": 73}, {"reason": ""}, {"code": "x"}, {"scope": "all"}]
)
def test_what_cannot_be_changes_nothing(tmp_path: Path, changed: dict[str, Any]) -> None:
    one = exceptions(tmp_path / "overrides.json")
    with pytest.raises(OverrideError):
        add(one, **changed)
    assert (one.live(), one.revision, list(tmp_path.iterdir())) == ((), 0, [])


def test_what_cannot_be_kept_is_not_in_force(tmp_path: Path) -> None:
    one = exceptions(tmp_path / "gone" / "overrides.json")
    with pytest.raises(FileError):
        add(one)
    assert (one.live(), one.revision) == ((), 0)


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "overrides.json").write_text("{")
    assert not exceptions(tmp_path / "overrides.json").live()
    assert [path.name for path in tmp_path.iterdir()] == ["overrides.damaged"]


def test_allowed_names_that_are_mandated_are_told(tmp_path: Path, edge: Edge) -> None:
    one = exceptions(tmp_path / "overrides.json")
    one.judge(edge, SNAPSHOT)
    assert one.status()["allowed_ignored"] == ["www.bad.example"]
    one.judge(edge, None)
    assert one.ignored == ()
