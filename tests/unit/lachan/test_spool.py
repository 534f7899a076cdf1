from __future__ import annotations

import hashlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lachan.spool import (
    Limits,
    Overflow,
    Spool,
    SpoolCorruptError,
    SpoolError,
    SpoolFullError,
    SpoolUnavailableError,
)

NOW = 1_750_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    spool = Spool(path)
    yield spool
    spool.close()


def payloads(spool: Spool) -> list[bytes]:
    return [item.payload for item in spool.batch(1000, 1 << 30)]


def test_items_come_back_oldest_first_with_their_digest(spool: Spool) -> None:
    for text in (b"one", b"two", b"three"):
        spool.append(text, NOW)
    items = spool.batch(2, 1 << 20)
    assert [item.payload for item in items] == [b"one", b"two"]
    assert items[0].digest == hashlib.sha256(b"one").digest()
    assert items[0].position < items[1].position


def test_a_batch_is_bounded_in_bytes_and_holds_at_least_one(spool: Spool) -> None:
    for text in (b"a" * 10, b"b" * 10, b"c" * 10):
        spool.append(text, NOW)
    assert len(spool.batch(10, 1)) == 1
    assert len(spool.batch(10, 20)) == 2


def test_everything_survives_closing(path: Path) -> None:
    first = Spool(path)
    first.append(b"one", NOW, {"head": b"h1"})
    first.close()
    again = Spool(path)
    assert payloads(again) == [b"one"]
    assert again.state("head") == b"h1"
    assert again.state("other") is None
    assert again.lost is None
    again.close()


def test_the_file_is_for_its_owner_alone(spool: Spool) -> None:
    assert spool.path.stat().st_mode & 0o777 == 0o600


def test_an_item_and_its_state_enter_together_or_not_at_all(spool: Spool) -> None:
    spool.append(b"one", NOW, {"head": b"h1"})
    with pytest.raises(SpoolError, match="known already"):
        spool.append(b"one", NOW, {"head": b"h2"})
    assert spool.state("head") == b"h1"
    assert spool.stats().items == 1


def test_an_item_leaves_with_its_proof_and_is_known_afterwards(spool: Spool) -> None:
    item = spool.append(b"one", NOW)
    assert spool.settle({item.position: b"receipt"}, NOW + 1) == 1
    assert spool.settle({item.position: b"receipt"}, NOW + 2) == 0
    assert payloads(spool) == []
    (proof,) = spool.proofs(10)
    assert (proof.position, proof.digest, proof.proof, proof.stored_at) == (
        item.position,
        item.digest,
        b"receipt",
        NOW + 1,
    )
    with pytest.raises(SpoolError, match="known already"):
        spool.append(b"one", NOW)


def test_positions_are_never_reused(spool: Spool) -> None:
    first = spool.append(b"one", NOW)
    spool.settle({first.position: b"r"}, NOW)
    assert spool.append(b"two", NOW).position > first.position


def test_only_the_newest_proofs_are_kept(path: Path) -> None:
    spool = Spool(path, Limits(proofs=2))
    for number in range(5):
        item = spool.append(b"%d" % number, NOW)
        spool.settle({item.position: b"r%d" % number}, NOW)
    assert [proof.proof for proof in spool.proofs(10)] == [b"r4", b"r3"]
    spool.close()


@pytest.mark.parametrize("limits", [Limits(items=2), Limits(bytes=20)])
def test_a_full_spool_refuses_and_changes_nothing(path: Path, limits: Limits) -> None:
    spool = Spool(path, limits)
    spool.append(b"a" * 10, NOW, {"head": b"1"})
    spool.append(b"b" * 10, NOW, {"head": b"2"})
    with pytest.raises(SpoolFullError):
        spool.append(b"c" * 10, NOW, {"head": b"3"})
    assert spool.state("head") == b"2"
    assert spool.stats().items == 2
    spool.close()


@pytest.mark.parametrize("limits", [Limits(items=2), Limits(bytes=25)])
def test_a_full_spool_may_drop_its_oldest(path: Path, limits: Limits) -> None:
    spool = Spool(path, Limits(items=limits.items, bytes=limits.bytes, overflow=Overflow.DROP_OLDEST))
    for text in (b"a" * 10, b"b" * 10, b"c" * 10):
        spool.append(text, NOW)
    assert payloads(spool) == [b"b" * 10, b"c" * 10]
    assert spool.stats().dropped == 1
    assert spool.stats().bytes == 20
    spool.close()


def test_an_item_beyond_the_bound_is_refused(path: Path) -> None:
    spool = Spool(path, Limits(item_bytes=4))
    with pytest.raises(SpoolFullError):
        spool.append(b"12345", NOW)
    spool.close()


def test_a_held_item_is_passed_by_and_stays(spool: Spool) -> None:
    one, two = spool.append(b"one", NOW), spool.append(b"two", NOW)
    spool.hold(one.position, "refused", NOW + 5)
    assert payloads(spool) == [b"two"]
    assert spool.later(0) == [two]
    assert spool.held(NOW + 5) is None
    assert spool.held(NOW + 6) == one
    stats = spool.stats()
    assert (stats.items, stats.held, stats.oldest_at) == (2, 1, NOW)


def test_one_item_further_on_may_be_looked_at(spool: Spool) -> None:
    assert spool.later(0) == []
    items = [spool.append(b"%d" % number, NOW) for number in range(3)]
    assert spool.later(1) == [items[1]]
    assert spool.later(99) == [items[2]]


def test_a_second_owner_is_refused(spool: Spool) -> None:
    with pytest.raises(SpoolUnavailableError, match="another process"):
        Spool(spool.path)


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpoolUnavailableError, match="No such file"):
        Spool(tmp_path / "none" / "spool.db")


def test_a_closed_spool_says_so(path: Path) -> None:
    spool = Spool(path)
    spool.close()
    spool.close()
    with pytest.raises(SpoolUnavailableError, match="closed"):
        spool.append(b"one", NOW)


def test_a_file_of_a_later_version_is_left_alone(path: Path) -> None:
    Spool(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    with pytest.raises(SpoolError, match="later version"):
        Spool(path)
    assert path.read_bytes() == before


def test_threads_share_one_spool(spool: Spool) -> None:
    def work(number: int) -> None:
        for count in range(10):
            spool.append(b"%d-%d" % (number, count), NOW)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(payloads(spool))) == 40


# --- damage ---------------------------------------------------------------------------------------------------------


def filled(path: Path) -> None:
    spool = Spool(path)
    for number in range(50):
        spool.append(b"%03d" % number * 200, NOW, {"head": b"%d" % number})
    spool.close()


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a database at all" * 500),
        lambda path: overwrite(path, 0, b"\xff" * 100),
        lambda path: overwrite(path, 4096, b"\xff" * 4096),
        lambda path: os.truncate(path, path.stat().st_size // 2),
    ],
    ids=["empty", "text", "header", "page", "truncated"],
)
def test_a_damaged_file_is_kept_and_a_fresh_one_tells_the_loss(path: Path, damage: object) -> None:
    filled(path)
    assert callable(damage)
    damage(path)
    broken = path.read_bytes()
    spool = Spool(path)
    assert spool.lost is not None
    assert "corrupt-1" in spool.lost
    assert path.with_name("spool.db.corrupt-1").read_bytes() == broken
    assert payloads(spool) == []
    assert spool.state("head") is None
    spool.close()
    # The loss is remembered until an item tells it.
    spool = Spool(path)
    assert spool.lost is not None
    spool.append(b"first again", NOW, {"head": b"1"}, tells_loss=True)
    assert spool.lost is None
    spool.close()
    spool = Spool(path)
    assert spool.lost is None
    spool.close()


def test_a_file_of_another_program_is_moved_aside(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE other (x)")
    db.close()
    spool = Spool(path)
    assert spool.lost is not None
    spool.close()


def test_rot_inside_an_item_is_found_by_its_digest(path: Path) -> None:
    filled(path)
    data = bytearray(path.read_bytes())
    place = data.index(b"017" * 200)
    overwrite(path, place + 5, b"X")
    spool = Spool(path)
    assert spool.lost is None
    with pytest.raises(SpoolCorruptError):
        spool.batch(100, 1 << 20)
    assert spool.lost is not None
    assert payloads(spool) == []
    spool.append(b"new", NOW)
    assert spool.stats().items == 1
    spool.close()


def test_damage_while_open_is_survived(path: Path) -> None:
    filled(path)
    spool = Spool(path)
    overwrite(path, 0, b"\xff" * path.stat().st_size)
    assert spool._db is not None
    spool._db.execute("PRAGMA shrink_memory")  # what it has cached is right, and would hide the damage
    with pytest.raises(SpoolCorruptError):
        spool.batch(100, 1 << 20)
    assert spool.lost is not None
    assert spool.append(b"new", NOW, tells_loss=True).payload == b"new"
    spool.close()


@pytest.mark.parametrize("survivors", [{"fresh", "main", "log"}, {"fresh", "log"}, {"fresh"}])
def test_a_replacement_cut_short_is_finished_and_still_tells_the_loss(
    path: Path, tmp_path: Path, survivors: set[str]
) -> None:
    donor = tmp_path / "donor.db"
    donor.write_bytes(b"broken" * 1000)
    Spool(donor).close()
    fresh = path.with_name("spool.db.fresh")
    donor.replace(fresh)
    if "main" in survivors:
        path.write_bytes(b"broken" * 1000)
    if "log" in survivors:
        path.with_name("spool.db-wal").write_bytes(b"log" * 100)
    spool = Spool(path)
    assert spool.lost is not None
    assert not fresh.exists()
    spool.close()


def test_copies_of_damaged_files_are_bounded(path: Path) -> None:
    for _ in range(10):
        path.write_bytes(b"broken" * 1000)
        Spool(path).close()
    assert len(list(path.parent.glob("spool.db.corrupt-*"))) == 8


# --- a disk that is full --------------------------------------------------------------------------------------------


@pytest.fixture
def file_limit() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("file_limit")
def test_a_full_disk_changes_nothing_and_passes(spool: Spool) -> None:
    spool.append(b"before", NOW, {"head": b"1"})
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = max(path.stat().st_size for path in spool.path.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    for number in range(3):
        with pytest.raises(SpoolUnavailableError):
            spool.append(b"%d" % number * 100_000, NOW, {"head": b"2"})
    (item,) = spool.batch(10, 1 << 20)
    with pytest.raises(SpoolUnavailableError):
        spool.settle({item.position: b"receipt" * 100_000}, NOW)
    assert payloads(spool) == [b"before"]
    assert spool.state("head") == b"1"
    assert spool.proofs(10) == []
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    spool.append(b"after", NOW, {"head": b"3"})
    assert payloads(spool) == [b"before", b"after"]
    assert spool.stats().bytes == len(b"beforeafter")


# --- a process killed at any point ----------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from lachan.spool import Spool

spool = Spool(Path(sys.argv[1]))
while True:
    count = int(spool.state("count") or b"0") + 1
    spool.append(b"item %d" % count + bytes(count % 5000), 0.0, {"count": b"%d" % count})
    if count % 3 == 0:
        spool.settle({item.position: item.digest for item in spool.batch(2, 1 << 20)}, 0.0)
    print(count, flush=True)
"""


def test_a_writer_killed_at_any_point_neither_loses_nor_doubles(path: Path) -> None:
    last_told = 0
    for kill in range(12):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(3 + kill * 2):
                last_told = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            # What it told before it died was on disk by then.
            last_told = max([last_told, *map(int, writer.stdout.read().split())])
        spool = Spool(path)
        count = int(spool.state("count") or b"0")
        waiting = [int(item.payload.split(b"\0")[0].split()[1]) for item in spool.batch(100_000, 1 << 30)]
        proven = len(spool.proofs(100_000))
        assert spool.lost is None
        assert count in {last_told, last_told + 1}
        assert waiting == list(range(proven + 1, count + 1))
        spool.close()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.binary(min_size=1, max_size=8)),
            st.tuples(st.just("settle"), st.integers(1, 3)),
            st.tuples(st.just("hold"), st.integers(1, 2)),
            st.tuples(st.just("reopen"), st.just(0)),
        ),
        max_size=30,
    )
)
def test_any_order_of_calls_keeps_what_a_plain_list_keeps(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[str, object]]
) -> None:
    path = tmp_path_factory.mktemp("spool") / "spool.db"
    spool = Spool(path, Limits(items=5))
    waiting: list[bytes] = []
    held: list[bytes] = []
    seen: set[bytes] = set()
    for call, value in calls:
        if call == "append" and isinstance(value, bytes):
            if value in seen or len(waiting) + len(held) == 5:
                with pytest.raises(SpoolError):
                    spool.append(value, NOW)
            else:
                spool.append(value, NOW)
                waiting.append(value)
                seen.add(value)
        elif call == "settle" and isinstance(value, int):
            items = spool.batch(value, 1 << 20)
            assert spool.settle({item.position: b"r" for item in items}, NOW) == len(items)
            del waiting[: len(items)]
        elif call == "hold":
            for item in spool.batch(1, 1 << 20):
                spool.hold(item.position, "test", NOW)
                held.append(waiting.pop(0))
        else:
            spool.close()
            spool = Spool(path, Limits(items=5))
        assert payloads(spool) == waiting
        assert spool.stats().held == len(held)
        assert spool.stats().bytes == sum(map(len, [*waiting, *held]))
    spool.close()


def test_what_is_acknowledged_stays_and_is_not_given_again(tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "spool")) as spool:
        items = [spool.append(b"%d" % number, 1.0) for number in range(3)]
        spool.hold(items[0].position, "refused", 2.0)
        spool.acknowledge({items[0].position: b"r0", items[1].position: b"r1", 99: b"nobody's"}, 3.0)
        assert spool.batch(9, 999) == [items[2]]
        assert spool.later(0) == [items[2]]
        assert spool.held(9.0) is None
        assert spool.acknowledged(9) == [(items[0], b"r0"), (items[1], b"r1")]
        assert spool.acknowledged(1) == [(items[0], b"r0")]
        assert (spool.stats().items, spool.stats().acknowledged) == (3, 2)
    with closing(Spool(tmp_path / "spool")) as spool:
        assert spool.acknowledged(9) == [(items[0], b"r0"), (items[1], b"r1")]
        assert spool.settle({items[0].position: b"p0"}, 4.0) == 1
        assert spool.acknowledged(9) == [(items[1], b"r1")]
        assert [one.proof for one in spool.proofs(9)] == [b"p0"]


def test_a_file_of_the_release_before_gets_a_place_for_receipts(tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "spool")) as spool:
        item = spool.append(b"item", 1.0)
        assert spool._db is not None
        spool._db.execute("DROP TABLE receipt")
    with closing(Spool(tmp_path / "spool")) as spool:
        assert spool.acknowledged(9) == []
        spool.acknowledge({item.position: b"r"}, 2.0)
        assert spool.acknowledged(9) == [(item, b"r")]
        assert spool.batch(9, 999) == []
