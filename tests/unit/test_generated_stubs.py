"""The committed stubs are what the sources generate."""

from __future__ import annotations

from pathlib import Path

from tests.support.protos import ROOT, generate


def test_committed_stubs_are_what_the_sources_generate(tmp_path: Path) -> None:
    generated = {path.relative_to(tmp_path): path.read_bytes() for path in generate(tmp_path)}
    committed = {
        path.relative_to(ROOT): path.read_bytes()
        for path in (ROOT / "lachan").rglob("*_pb2*.py*")
        if "__pycache__" not in path.parts
    }
    assert generated.keys() == committed.keys()
    assert [str(path) for path in generated if generated[path] != committed[path]] == []
