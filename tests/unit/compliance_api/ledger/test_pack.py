from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from compliance_api.ledger import pack
from compliance_api.ledger.pack import Contents, Folder, PackError, Range
from lachan.durable import FileError
from lachan.ledger.leaf import Kind
from tests.support.ledger import Book, Parties


def small_book() -> Book:
    book = Book(Parties())
    for number in range(6):
        book.enter(Kind.REPORT, b"report %d" % number)
    return book


def test_a_pack_is_read_as_it_was_written(tmp_path: Path) -> None:
    files = small_book().files([1, 2, 5], [3, 6])
    pack.write(tmp_path, files.items())
    folder = Folder(tmp_path)
    assert folder.names == {*files, pack.INDEX}
    assert folder.index() == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    assert {name: folder.read(name, 1 << 20) for name in files} == files
    assert folder.digest(pack.CONTENTS) == folder.index()[pack.CONTENTS]
    contents = pack.parse_contents(files[pack.CONTENTS])
    assert contents.ranges == [Range(first=1, end=3), Range(first=5, end=6)]
    assert list(contents.indexes()) == [1, 2, 5]
    leaf = pack.parse_leaf("leaf", files[pack.leaf_name(2)])
    assert leaf.opened is not None
    assert leaf.opened.kind is Kind.REPORT


def test_the_same_evidence_gives_the_same_bytes(tmp_path: Path) -> None:
    files = small_book().files([1, 2, 5], [3, 6])
    pack.write(tmp_path / "one", files.items())
    pack.write(tmp_path / "two", reversed(files.items()))
    one, two = Folder(tmp_path / "one"), Folder(tmp_path / "two")
    assert one.read(pack.INDEX, 1 << 20) == two.read(pack.INDEX, 1 << 20)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="coreutils are not here")
def test_the_index_is_what_sha256sum_checks(tmp_path: Path) -> None:
    pack.write(tmp_path, small_book().files([1], [6]).items())
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", pack.INDEX], cwd=tmp_path, check=True)


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", "a/../b", ".x", "A", "a b", "", pack.INDEX, "a/" * 8 + "b"])
def test_a_path_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(PackError, match="not a path of a pack"):
        pack.write(tmp_path, [(name, b"")])


def test_a_path_stands_once(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="there twice"):
        pack.write(tmp_path, [("a", b""), ("a", b"")])


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(PackError, match="'link': neither a file nor a folder"):
        Folder(tmp_path)
    (tmp_path / "link").unlink()
    (tmp_path / "Strange\n").write_bytes(b"")
    with pytest.raises(PackError, match=r"'Strange\\n': not a path"):
        Folder(tmp_path)


def test_the_number_of_files_and_their_size_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack.write(tmp_path, [("a", b"12345"), ("b", b"")])
    folder = Folder(tmp_path)
    with pytest.raises(FileError, match="larger than 4 bytes"):
        folder.read("a", 4)
    with pytest.raises(PackError, match="c: is missing"):
        folder.read("c", 4)
    (tmp_path / "a").unlink()
    with pytest.raises(PackError, match="a: No such file"):
        folder.digest("a")
    monkeypatch.setattr(pack, "MAX_FILES", 0)
    with pytest.raises(PackError, match="more than 0 files"):
        Folder(tmp_path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x", 1),
        (f"{'0' * 64}  a\n{'0' * 64}  a\n", 2),
        (f"{'0' * 64} a\n", 1),
        (f"{'0' * 64}  ../a\n", 1),
        (f"{'0' * 64}  a\n\n", 2),
        (f"{'0' * 64}  \udcff\n", 1),
    ],
)
def test_what_is_no_index_is_refused_by_its_line(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / pack.INDEX).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(PackError, match=f"line {line}: not a digest"):
        Folder(tmp_path).index()


@pytest.mark.parametrize(
    ("ranges", "reason"),
    [
        ([(3, 3)], "empty or out of order"),
        ([(3, 5), (4, 6)], "empty or out of order"),
        ([(0, pack.MAX_LEAVES), (pack.MAX_LEAVES, pack.MAX_LEAVES + 1)], "more than 100000 leaves"),
    ],
)
def test_ranges_are_in_order_and_bounded(ranges: list[tuple[int, int]], reason: str) -> None:
    made = Contents(origin="log.example", ranges=[Range(first=first, end=end) for first, end in ranges])
    with pytest.raises(PackError, match=reason):
        list(made.indexes())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "document: Invalid JSON"),
        (b"{}", "origin: Field required"),
        (b'{"format":"lachan-ledger-pack 2","origin":"a","ranges":[{"first":0,"end":1}]}', "format: "),
        (b'{"format":"lachan-ledger-pack 1","origin":"a","ranges":[{"first":-1,"end":1}]}', r"ranges\.0\.first: "),
        (b'{"format":"lachan-ledger-pack 1","origin":"a","ranges":[{"first":0,"end":1}]}', "canonical form"),
        (b'{"origin":"a","origin":"b","ranges":[{"first":0,"end":1}]}\n', "canonical form"),
        (b"[" * 60_000, "document: "),
        (b'{"origin":"a b","ranges":[{"first":0,"end":1}]}', "origin: .*not a name without blanks"),
        (b'{"origin":"a","ranges":[],"\\u001b[2J":1}', r"\\x1b\[2J: Extra"),
    ],
)
def test_what_is_no_list_of_contents_is_refused_by_its_field(data: bytes, reason: str) -> None:
    with pytest.raises(PackError, match=f"^{pack.CONTENTS}: .*{reason}"):
        pack.parse_contents(data)


def test_what_is_no_leaf_is_refused_by_its_field() -> None:
    digest = "0" * 64
    for data, reason in (
        (b'{"commitment":"00","proof":[]}', "commitment: "),
        (f'{{"commitment":"{digest}\\n","proof":[]}}'.encode(), "commitment: "),
        (f'{{"commitment":"{digest}","proof":{["0"] * 64}}}'.replace("'", '"').encode(), "proof: "),
        (f'{{"commitment":"{digest}","proof":[],"more":1}}\n'.encode(), "more: "),
        (f'{{"commitment":"{digest}","proof":[] }}\n'.encode(), "canonical form"),
    ):
        with pytest.raises(PackError, match=f"^leaf: .*{reason}"):
            pack.parse_leaf("leaf", data)


def test_a_proof_is_a_hash_a_line() -> None:
    proof = [bytes([number]) * 32 for number in range(5)]
    assert pack.parse_hashes("p", pack.encode_hashes(proof)) == proof
    assert pack.parse_hashes("p", b"") == []
    whole = pack.encode_hashes(proof)
    for data, reason in (
        (whole[:-1], "whole lines"),
        (pack.encode_hashes([bytes(32)] * 64), "at most 63"),
        (whole + b"AAAA\n", "line 6: the hash is 3 bytes"),
        (b"\xff", "codec"),
    ):
        with pytest.raises(PackError, match=f"^p: .*{reason}"):
            pack.parse_hashes("p", data)
