from __future__ import annotations

import os
from pathlib import Path

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake import formats
from blocklist_sync.central.intake.formats import Format, Refusal, detect
from blocklist_sync.central.intake.formats.line import Listed, Reach
from tests.support.published import published_lists

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
DNSMASQ = b"""# a list
address=/a.example/
address=/b.example/0.0.0.0
address=/c.example/#   # null addresses
server=/d.example/
local=/e.example/f.example/

server=/g.example/192.0.2.53
server=/h.example/#
address=/i.example/192.0.2.80
address=/#/
address=/*.j.example/
cache-size=1000
address=/k.example
local=//
"""
RPZ = b"""; a zone
$TTL 60
$ORIGIN rpz.test.
@ 3600 IN SOA localhost. root.localhost. (
      2026010101 ; serial
      3600 600 86400 60 )
        NS localhost.
a.example CNAME .
*.a.example 60 IN CNAME .
b.example.rpz.test. IN 60 CNAME *.
ok.a.example CNAME rpz-passthru.
$ORIGIN example.rpz.test.
c CNAME .   ; below the origin
  A 192.0.2.1
d CNAME rpz-drop.
e CNAME walled.example.
32.1.2.0.192.rpz-ip.rpz.test. CNAME .
f.test. CNAME .
*.rpz.test. CNAME .
@ CH CNAME .
g CNAME . .
$INCLUDE other
h\\046i CNAME .
j "open CNAME .
 CNAME .
k )
l (
"""
CSV = """# from the office
name;order;Category;effect;scope;mandate
a.example;12/QĐ;gambling;block;subtree;mandated
"b.example"; 12/QĐ ;;;;

c.example;34/QĐ;scam;except;exact;profile-only
d.example;34/QĐ;unheard-of;;;
e.example;34/QĐ;;allow;;
f.example;34/QĐ
;34/QĐ;;;;
"g;34/QĐ;;;;
h.example;"\u200b";;;;
i.example;45/CV-So\u031b\u0309;;;;
""".encode()


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


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (HOSTS, "hosts"),
        (ADBLOCK, "adblock"),
        (PLAIN, "plain"),
        (b"", "plain"),
        (DNSMASQ, "dnsmasq"),
        (RPZ, "rpz"),
        (CSV, "csv"),
    ],
)
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


def test_what_can_be_read_once_alone_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(CentralError, match="no regular file"):
            list(formats.read(path, None, print))


def test_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_LINES", 3)
    with pytest.raises(CentralError, match="more than 3 lines"):
        read(tmp_path, b"a.example\n" * 4)
    with pytest.raises(CentralError, match="No such file"):
        list(formats.read(tmp_path / "none", None, print))


def test_real_lists_are_read() -> None:
    """Published lists, where they are at hand; they are no part of the repository."""
    files = dict(zip(published_lists(), [Format.HOSTS, Format.PLAIN, Format.ADBLOCK], strict=False))
    for path, form in files.items():
        with path.open("rb") as lines:
            assert detect(lines) is form
        refused: list[Refusal] = []
        found = sum(1 for _ in formats.read(path, None, refused.append))
        assert found > 60_000
        assert len(refused) < 100


def test_dnsmasq(tmp_path: Path) -> None:
    found, refused = read(tmp_path, DNSMASQ)
    assert found == [
        (n, f"{c}.example", False) for n, c in [(2, "a"), (3, "b"), (4, "c"), (5, "d"), (6, "e"), (6, "f")]
    ]
    assert [(r.line, r.reason) for r in refused] == [
        (8, "sends the name to a server, which blocks nothing"),
        (9, "leaves the name to the usual servers: an exception has its own proposal"),
        (10, "leads to an address that is none that blocks (none, #, 0.0.0.0, ::…)"),
        (11, "a pattern of names, not a name"),
        (12, "a pattern of names, not a name"),
        (13, "not an option about names (address=/…/, server=/…/, local=/…/)"),
        (14, "no / behind the name"),
        (15, "an empty name, which means every name without a dot"),
    ]


def places(
    tmp_path: Path, data: bytes, form: Format | None = None
) -> tuple[list[tuple[int, str, bool, Reach | None]], list[tuple[int, str]]]:
    path = tmp_path / "source"
    path.write_bytes(data)
    refused: list[Refusal] = []
    found = [
        (r.line, r.listed.name, r.listed.exception, r.listed.reach) for r in formats.read(path, form, refused.append)
    ]
    return found, [(r.line, r.reason) for r in refused]


def test_rpz(tmp_path: Path) -> None:
    found, refused = places(tmp_path, RPZ)
    assert found == [
        (8, "a.example", False, Reach.NAME),
        (9, "a.example", False, Reach.BELOW),
        (10, "b.example", False, Reach.NAME),
        (11, "ok.a.example", True, Reach.NAME),
        (13, "c.example", False, Reach.NAME),
    ]
    assert refused == [
        (14, "not a CNAME: the zone's own data, or an answer of its own"),
        (15, "drops queries in silence, which this project does not do"),
        (16, "leads to another name, which is no block"),
        (17, "a trigger on addresses or name servers, not on the name asked for"),
        (18, "not below the zone's apex rpz.test."),
        (19, "a rule on every name"),
        (20, "not of the class IN"),
        (21, "a CNAME has one target"),
        (22, "a directive that is not followed ($ORIGIN and $TTL are)"),
        (23, "an escaped character in the owner's name"),
        (24, "a quotation mark or a backslash without its end"),
        (25, "no owner, and no record above to take it from"),
        (26, "a parenthesis is closed that was not opened"),
        (27, "a parenthesis, opened up to 1 lines above, is not closed"),
    ]


def test_rpz_without_an_origin_has_relative_owners(tmp_path: Path) -> None:
    zone = b"@ SOA localhost. root.localhost. 1 2 3 4 5\n@ NS localhost.\na.example CNAME .\nb.example. CNAME .\n"
    found, refused = places(tmp_path, zone)
    assert found == [(3, "a.example", False, Reach.NAME)]
    assert refused == [(4, "an absolute name, and neither SOA nor $ORIGIN says of which zone")]
    # The owner of the SOA says it too; at the root, the name is the trigger.
    found, refused = places(tmp_path, b"rpz.test. SOA a. b. 1 2 3 4 5\na.example.rpz.test. CNAME .\n")
    assert (found, refused) == ([(2, "a.example", False, Reach.NAME)], [])
    found, refused = places(tmp_path, b"$ORIGIN .\na.example CNAME .\n")
    assert (found, refused) == ([(2, "a.example", False, Reach.NAME)], [])


def test_rpz_records_are_bounded_and_a_lost_owner_is_not_guessed(tmp_path: Path) -> None:
    found, refused = places(
        tmp_path, b"a.example CNAME .\nb (\n" + b"x\n" * 63 + b"c.example CNAME .\n() ; nothing\n", Format.RPZ
    )
    assert [name for _, name, *_ in found] == ["a.example", "c.example"]
    assert refused == [
        (65, "a record of more than 64 lines: a parenthesis is not closed"),
        (67, "an empty record"),
    ]
    found, refused = places(tmp_path, b"a.example CNAME .\n" + b"b" * 5000 + b" CNAME .\n CNAME .\n")
    assert [name for _, name, *_ in found] == ["a.example"]
    assert [line for line, _ in refused] == [2, 3]


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"\xef\xbb\xbf" + CSV)
    refused: list[Refusal] = []
    found = list(formats.read(path, None, refused.append))
    assert found == [
        (3, Listed("a.example", False, Reach.BOTH, Category.GAMBLING, "12/QĐ", True)),
        (4, Listed("b.example", False, None, None, "12/QĐ", None)),
        (6, Listed("c.example", True, Reach.NAME, Category.SCAM, "34/QĐ", False)),
        # Its letters were composed of several characters, as some editors write them.
        (13, Listed("i.example", False, None, None, "45/CV-Sở", None)),
    ]
    assert [(r.line, r.reason.partition(",")[0]) for r in refused] == [
        (7, "category: one of csam"),
        (8, "effect: one of block"),
        (9, "2 fields"),
        (10, "name: empty"),
        (11, "quotation marks that are not in pairs"),
        (12, "an order's number is printable text without blanks around it"),
    ]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"a.example,12", "1: the first row names the columns"),
        (b"name,order,colour", "1: unknown columns: colour"),
        (b"name,order,name", "1: a column is named twice"),
        (b"name,category", "1: columns that must be there: order"),
    ],
)
def test_csv_needs_its_header(tmp_path: Path, header: bytes, reason: str) -> None:
    path = tmp_path / "source"
    path.write_bytes(header + b"\na.example,1\n")
    with pytest.raises(CentralError, match=reason):
        list(formats.read(path, Format.CSV, print))
