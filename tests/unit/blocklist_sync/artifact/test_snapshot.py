from __future__ import annotations

import mmap
import random
import struct
import subprocess
import sys
import time
from array import array
from pathlib import Path

import pytest

from blocklist_sync.artifact import _snapshot, snapshot
from blocklist_sync.artifact.categories import ALWAYS_MANDATED, Category
from blocklist_sync.artifact.errors import ArtifactError, RecordsError, SnapshotError
from blocklist_sync.artifact.rules import Scope
from tests.support.blocklist import KEY, MANDATE, OFFER, built, entry, release
from tests.support.packing import wire_labels
from tests.support.siphash import siphash

ROOT = Path(__file__).resolve().parents[4]

# vectors.h of the SipHash reference: key 00..0f, the input of vector i is 00..i-1.
VECTORS = """
    310e0edd47db6f72 fd67dc93c539f874 5a4fa9d909806c0d 2d7efbd796666785
    b7877127e09427cf 8da699cd64557618 cee3fe586e46c9cb 37d1018bf50002ab
    6224939a79f5f593 b0e4a90bdf82009e f3b9dd94c5bb5d7a a7ad6b22462fb3f4
    fbe50e86bc8f1e75 903d84c02756ea14 eef27a8e90ca23f7 e545be4961ca29a1
    db9bc2577fcc2a3f 9447be2cf5e99a69 9cd38d96f0b3c14b bd6179a71dc96dbb
    98eea21af25cd6be c7673b2eb0cbf2d0 883ea3e395675393 c8ce5ccd8c030ca8
    94af49f6c650adb8 eab8858ade92e1bc f315bb5bb835d817 adcf6b0763612e2f
    a5c91da7acaa4dde 716595876650a2a6 28ef495c53a387ad 42c341d8fa92d832
    ce7cf2722f512771 e37859f94623f3a7 381205bb1ab0e012 ae97a10fd434e015
    b4a31508beff4d31 81396229f0907902 4d0cf49ee5d4dcca 5c73336a76d8bf9a
    d0a704536ba93e0e 925958fcd6420cad a915c29bc8067318 952b79f3bc0aa6d4
    f21df2e41d4535f9 87577519048f53a9 10a56cf5dfcd9adb eb75095ccd986cd0
    51a9cb9ecba312e6 96afadfc2ce666c7 72fe52975a4364ee 5a1645b276d592a1
    b274cb8ebf87870a 6f9bb4203de7b381 eaecb2a30b22a87f 9924a43cc1315724
    bd838d3aafbf8db7 0b1a2a3265d51aea 135079a3231ce660 932b2846e4d70666
    e1915f5cb1eca46c f325965ca16d629f 575ff28e60381be5 724506eb4c328a95
"""


def test_published_vectors_however_the_input_is_cut() -> None:
    key = bytes(range(16))
    vectors = [int.from_bytes(bytes.fromhex(word), "little") for word in VECTORS.split()]
    assert len(vectors) == 64
    for size, expected in enumerate(vectors):
        data = bytes(range(size))
        assert siphash(key, data) == expected
        for cut in range(size + 1):
            assert _snapshot.siphash(key, [data[:cut], data[cut:]]) == expected
        assert _snapshot.siphash(key, [data[i : i + 1] for i in range(size)]) == expected


def test_a_fingerprint_hashes_the_wire_labels_from_root_to_leaf() -> None:
    for name in ("bad.example", "www.bad.example", "a." * 60 + "example"):
        expected = siphash(KEY.key, b"".join(wire_labels(name)))
        assert _snapshot.fingerprint(name, KEY.key) == expected
        assert _snapshot.fingerprint(name.upper(), KEY.key) == expected
    opened = snapshot.Snapshot(built(entry("bad.example")))
    assert opened.fingerprint("bad.example") == siphash(KEY.key, b"\x07example\x03bad")


@pytest.mark.parametrize("name", ["", ".", "a..b", "a.", ".a", "a" * 64, "é.example", "a" * 63 + ".a" * 100])
def test_what_has_no_wire_form_has_no_fingerprint(name: str) -> None:
    with pytest.raises(ArtifactError):
        _snapshot.fingerprint(name, KEY.key)
    with pytest.raises(ArtifactError):
        snapshot.Snapshot(built()).lookup(name)


def test_a_key_has_sixteen_bytes() -> None:
    with pytest.raises(ArtifactError, match="16 bytes"):
        _snapshot.fingerprint("bad.example", bytes(15))


def test_lookup_names_every_rule_on_the_name_and_its_suffixes() -> None:
    opened = snapshot.Snapshot(
        built(
            entry("bad.example"),
            entry("www.bad.example", Category.PORNOGRAPHY, order=OFFER),
            entry("www.bad.example", Category.PORNOGRAPHY, scope=Scope.EXACT),
            entry("ok.bad.example", exception=True),
            entry("vile.example", Category.CSAM, order=OFFER),
        )
    )
    found = opened.lookup("WWW.bad.example")
    assert [(m.owner, m.depth, m.rule.scope, m.rule.category) for m in found] == [
        ("bad.example", 2, Scope.SUBTREE, Category.GAMBLING),
        ("www.bad.example", 3, Scope.EXACT, Category.PORNOGRAPHY),
        ("www.bad.example", 3, Scope.SUBTREE, Category.PORNOGRAPHY),
    ]
    assert [m.rule.mandated for m in found] == [True, True, False]
    assert [m.rule.exception_below for m in found] == [True, False, False]
    assert [opened.orders[m.rule.order] for m in found] == [MANDATE, MANDATE, OFFER]
    # An exact rule is met by the name alone.
    assert [m.owner for m in opened.lookup("a.www.bad.example")] == ["bad.example", "www.bad.example"]
    assert [m.rule.exception for m in opened.lookup("ok.bad.example")] == [False, True]
    assert opened.lookup("vile.example")[0].rule.mandated
    assert opened.lookup("example") == opened.lookup("clean.example") == []


def test_what_always_binds_is_mandated_whatever_the_order_says() -> None:
    for category in Category:
        opened = snapshot.Snapshot(built(entry("x.example", category, order=OFFER)))
        assert opened.lookup("x.example")[0].rule.mandated == (category in ALWAYS_MANDATED)


def test_header_fields_come_back() -> None:
    source = release(entry("a.example"), entry("b.example"), serial=7)
    opened = snapshot.verify(snapshot.build(source))
    assert (opened.serial, opened.count, opened.key_epoch) == (7, 2, 1)
    assert opened.records_digest == source.digest
    assert opened.orders == (MANDATE,)


def test_one_release_has_one_snapshot() -> None:
    entries = [entry(f"n{i}.example", random.choice(list(Category))) for i in range(2000)]
    first = built(*entries)
    random.shuffle(entries)
    assert built(*entries) == first


def test_every_name_of_a_large_list_is_found_and_no_other() -> None:
    names = [f"n{i:x}.example" for i in range(50_000)]
    data = built(*map(entry, names))
    # 64 bytes a bucket of five at 60 %: a million names stay within 22 MB.
    assert len(data) / len(names) < 22
    opened = snapshot.Snapshot(data)
    assert all(len(opened.lookup(name)) == 1 for name in names)
    assert not any(opened.lookup(f"m{i:x}.example") for i in range(50_000))


def test_an_empty_list_answers_nothing() -> None:
    opened = snapshot.verify(built())
    assert (opened.count, opened.orders, opened.lookup("a.example")) == (0, (), [])


def test_fingerprints_that_crowd_get_room_and_a_flood_of_them_is_refused() -> None:
    # 400 neighbours belong to one bucket of the usual size; with more buckets they spread within reach of a lookup.
    crowd = b"".join(struct.pack("<QBBI", i << 52, 1, 4, 0) for i in range(400))
    arguments = {
        "serial": 1,
        "key_epoch": 1,
        "key": bytes(16),
        "orders": b"\0\x01a",
        "mandated": b"\0",
        "always": bytes(9),
        "digest": bytes(32),
    }
    opened = snapshot.Snapshot(_snapshot.assemble(crowd, 0, 400, **arguments))  # type: ignore[arg-type]  # by name
    assert opened.count == 400
    flood = b"".join(struct.pack("<QBBI", i, 1, 4, 0) for i in range(400))
    with pytest.raises(RecordsError, match="keyed hash"):
        _snapshot.assemble(flood, 0, 400, **arguments)  # type: ignore[arg-type]  # by name


def test_opening_hashes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rules.snapshot"
    path.write_bytes(built(*(entry(f"n{i:x}.example") for i in range(100_000))))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapping:
        started = time.perf_counter()
        opened = snapshot.Snapshot(mapping)
        assert time.perf_counter() - started < 0.02
        assert len(opened.lookup("www.n1.example")) == 1
        with pytest.raises(BufferError):
            mapping.close()
        del opened


def test_a_changed_byte_is_noticed() -> None:
    data = bytearray(built(entry("a.example"), entry("b.example", order=OFFER)))
    for at in range(0, len(data), 7):
        data[at] ^= 1
        with pytest.raises(SnapshotError):
            snapshot.verify(data)
        data[at] ^= 1
    snapshot.verify(data)


@pytest.mark.parametrize("cut", [0, 1, 255, 256, -1, -8])
def test_a_cut_snapshot_is_none(cut: int) -> None:
    data = built(entry("a.example"))
    with pytest.raises(SnapshotError):
        snapshot.Snapshot(data[:cut])


def test_a_mapping_must_be_aligned() -> None:
    data = b"x" + built(entry("a.example"))
    with pytest.raises(SnapshotError, match="multiple of eight"):
        snapshot.Snapshot(memoryview(data)[1:])


def test_hostile_bytes_never_lead_a_lookup_outside() -> None:
    entries = [
        entry(f"n{i}.example", category, order=order, exception=bool(i % 3 == 0))
        for i in range(20)
        for category in (Category.SCAM, Category.DRUGS)
        for order in (MANDATE, OFFER)
    ]
    good = built(*entries)
    rng = random.Random(8767)
    opened = 0
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(0, 256) if rng.random() < 0.3 else rng.randrange(len(data))
            data[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", bytes(4), rng.randbytes(4)])[: len(data) - at]
        try:
            suspect = snapshot.Snapshot(data)
        except SnapshotError:
            continue
        opened += 1
        for i in range(20):
            for match in suspect.lookup(f"www.n{i}.example"):
                assert match.rule.category in Category
    assert opened > 100


def test_rule_indices_beyond_the_section_are_no_rules() -> None:
    data = bytearray(built(entry("a.example")))
    slots = [256 + 40 + 4 * slot for slot in range(5)]
    for at in slots:
        data[at : at + 4] = b"\xff\xff\xff\x7f"
    assert snapshot.Snapshot(data).lookup("a.example") == []


def test_the_stub_tells_the_truth() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy.stubtest",
            "blocklist_sync.artifact._snapshot",
            "--mypy-config-file",
            "pyproject.toml",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_its_fingerprints_are_those_of_its_names() -> None:
    names = [f"n{number}.example" for number in range(500)]
    opened = snapshot.Snapshot(built(*(entry(name) for name in names)))
    found = array("Q", opened.fingerprints())
    assert sorted(found) == sorted(opened.fingerprint(name) for name in names)
    assert snapshot.Snapshot(built()).fingerprints() == b""
