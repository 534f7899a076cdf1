"""The published list of a folder: of one release, line by line, with every mistake's place."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.policy import default
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.rpz.source import EntryStream, open_published
from lachan import durable
from tests.support.list_authority import ListAuthority

HEAD = "lachan-entries 1\n\tsubtree\tblock\tgambling\tmandated\t12/QĐ\n\tsubtree\texcept\tscam\tmandated\t12/QĐ\n"


def stream(text: str) -> EntryStream:
    return EntryStream(Path("entries.tsv"), io.StringIO(text))


def test_names_come_with_their_kinds_and_exceptions_with_what_is_above() -> None:
    read = stream(HEAD + "bad.example\t0\t1\nok.a.bad.example\t1\t2\n")
    assert list(read.names()) == [("bad.example", 0), ("ok.a.bad.example", 1)]
    assert read.above == {(name, Category.SCAM) for name in ("a.bad.example", "bad.example", "example")}
    assert [kind.category for kind in read.kinds] == [Category.GAMBLING, Category.SCAM]


@pytest.mark.parametrize("line", ["bad.example\n", "bad.example\t9\t1\n", "bad.example\tx\t1\n"])
def test_a_malformed_line_is_named(line: str) -> None:
    with pytest.raises(CentralError, match=r"entries\.tsv:5: malformed"):
        list(stream(HEAD + "good.example\t0\t1\n" + line).names())


def test_a_file_of_another_form_is_refused() -> None:
    with pytest.raises(CentralError, match="malformed"):
        stream("names\n")


def test_what_was_published_is_read_not_what_was_built_since(tmp_path: Path) -> None:
    authority = ListAuthority(tmp_path)
    with pytest.raises(CentralError, match="nothing was published"):
        open_published(authority.release)
    authority.publish("bad.example")
    authority.build("worse.example")
    listed = open_published(authority.release)
    with listed.file:
        assert listed.serial == 1
        assert [name for name, _ in EntryStream(listed.path, listed.file).names()] == ["bad.example"]
    assert listed.categories("mandated") == frozenset()
    assert Category.GAMBLING in listed.categories("school")
    with pytest.raises(CentralError, match="no profile 'x'"):
        listed.categories("x")


def test_the_policy_bundle_is_the_published_one(tmp_path: Path) -> None:
    authority = ListAuthority(tmp_path)
    authority.publish("bad.example")
    folder: ReleaseFolder = authority.release
    other = b'{"version": 1, "profiles": {"default": ["scam"]}, "actions": {}}'
    durable.write(folder.policy_path, [other])
    listed = open_published(folder)
    with listed.file:
        assert listed.bundle == default()
    durable.write(folder.published_policy_path, [other])
    with pytest.raises(CentralError, match="not those of serial 1"):
        open_published(folder)
