from __future__ import annotations

import os
from pathlib import Path

import pytest

from blocklist_sync.central import formats
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.formats import Format, Refusal, detect

HOSTS = b"""\xef\xbb\xbf# Title
127.0.0.1 localhost
::1 localhost ip6-localhost
ff02::1 ip6-allnodes
0.0.0.0 0.0.0.0
0.0.0.0 a.example b.example # two of them

192.0.2.7 intranet.example
0.0.0.0
:: c.example\r
"""
ADBLOCK = b"""[Adblock Plus 2.0]
! Title: a list
||a.example^
@@||b.example^
||c.example^$third-party
||d.example/path
||e.example
example.com##.ad
/banner/*
||f.example^|
"""
PLAIN = b"""# a list
a.example
*.b.example   # with what is below
.c.example
two words.example
"""


def read(tmp_path: Path, data: bytes, form: Format | None = None) -> tuple[list[tuple[int, str, bool]], list[Refusal]]:
    path = tmp_path / "source"
    path.write_bytes(data)
    refused: list[Refusal] = []
    found = [(r.line, r.listed.name, r.listed.exception) for r in formats.read(path, form, refused.append)]
    assert all(refusal.file == str(path) for refusal in refused)
    return found, refused


def test_hosts(tmp_path: Path) -> None:
    found, refused = read(tmp_path, HOSTS)
    assert found == [(6, "a.example", False), (6, "b.example", False), (10, "c.example", False)]
    assert [(r.line, r.reason) for r in refused] == [
        (8, "the address is none that blocks (0.0.0.0, 127.0.0.1, ::, ::1)"),
        (9, "an address without a name"),
    ]


def test_adblock(tmp_path: Path) -> None:
    found, refused = read(tmp_path, ADBLOCK)
    assert found == [(3, "a.example", False), (4, "b.example", True), (10, "f.example", False)]
    assert [(r.line, r.reason.split()[2]) for r in refused] == [
        (5, "with"),
        (6, "about"),
        (7, "about"),
        (8, "about"),
        (9, "rule"),
    ]
    assert "DNS cannot honour" in refused[0].reason


def test_plain(tmp_path: Path) -> None:
    found, refused = read(tmp_path, PLAIN)
    assert [name for _, name, _ in found] == ["a.example", "b.example", "c.example"]
    assert [(r.line, r.text) for r in refused] == [(5, "two words.example")]


def test_a_given_format_is_not_guessed(tmp_path: Path) -> None:
    found, refused = read(tmp_path, b"a.example\n", Format.ADBLOCK)
    assert (found, len(refused)) == ([], 1)


@pytest.mark.parametrize(("data", "form"), [(HOSTS, "hosts"), (ADBLOCK, "adblock"), (PLAIN, "plain"), (b"", "plain")])
def test_the_format_shows_in_the_first_lines(data: bytes, form: str) -> None:
    assert detect(data.splitlines(keepends=True)) == Format(form)


def test_lines_are_bounded_and_bytes_that_are_no_text_are_shown(tmp_path: Path) -> None:
    long = b"a" * 5000 + b".example\n"
    found, refused = read(tmp_path, b"ok.example\n" + long * 2 + b"\xff\xfe bad\nlast.example")
    assert [(line, name) for line, name, _ in found] == [(1, "ok.example"), (5, "last.example")]
    assert [(r.line, r.reason) for r in refused] == [
        (2, "longer than 4096 bytes"),
        (3, "longer than 4096 bytes"),
        (4, "more than a name on the line"),
    ]
    assert refused[0].text == "a" * 120
    assert refused[2].text == "\\xff\\xfe bad"


def test_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_LINES", 3)
    with pytest.raises(CentralError, match="more than 3 lines"):
        read(tmp_path, b"a.example\n" * 4)
    with pytest.raises(CentralError, match="No such file"):
        list(formats.read(tmp_path / "none", None, print))


def test_real_lists_are_read() -> None:
    """Published lists, where they are at hand; they are no part of the repository."""
    root = Path(__file__).resolve().parents[4]
    folder = Path(os.environ.get("LACHAN_TEST_LISTS", root.parent / "shared" / "data"))
    files = {
        "gambling.hosts": Format.HOSTS,
        "gambling.adblock.txt": Format.ADBLOCK,
        "gambling.domains.txt": Format.PLAIN,
    }
    if not all((folder / name).exists() for name in files):
        pytest.skip(f"no published lists in {folder}")
    for name, form in files.items():
        with (folder / name).open("rb") as lines:
            assert detect(lines) is form
        refused: list[Refusal] = []
        found = sum(1 for _ in formats.read(folder / name, None, refused.append))
        assert found > 60_000
        assert len(refused) < 100
