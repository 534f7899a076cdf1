"""The sequencer on a real PostgreSQL, with real witnesses that err, lie, lag and run ahead."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import URL, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.ledger.cosigning import Failure
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.migrate import migrate
from compliance_api.storage.packs.proofs import Proofs
from compliance_api.storage.tables import (
    ledger_checkpoints,
    ledger_leaves,
    ledger_tiles,
    log_position,
    unverified_reports,
)
from compliance_api.usecases.ledger.audit import Progress
from compliance_api.usecases.ledger.sequence import LedgerChangedError, Reply
from lachan import postgres
from lachan.ledger import checkpoint, note, tree
from lachan.ledger.batch import signed
from lachan.ledger.leaf import Kind, Opening
from tests.support.claims import enrol
from tests.support.ledger import ORIGIN, Parties, forest
from tests.support.sequencing import Circle, circle, enter, parties_in

DEADLINE = 240.0
LEAF = b"{}"


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Circle]:
    with circle(tmp_path, Parties()) as made:
        yield made


async def believed(engine: AsyncEngine, three: Circle) -> tuple[int, set[str]]:
    """The size of the head that is published, and who cosigned it."""
    head = await Proofs(engine).checkpoint()
    assert head is not None
    found = three.parties.policy.check(note.parse(head), int(three.clock()))
    return found.checkpoint.size, set(found.times)


async def test_heads_grow_and_every_one_continues_the_one_before(engine: AsyncEngine, three: Circle) -> None:
    sequencer, proofs = three.sequencer(engine), Proofs(engine)
    kept = b""
    for count in (1, 3, 300, 2):
        first = await enter(engine, *[LEAF] * count)
        assert await sequencer.round()
        assert await believed(engine, three) == (first + count, {"w1", "w2", "w3"})
        head = checkpoint.parse(note.parse(await proofs.checkpoint() or b"").text)
        for entry in await proofs.entries([0, first], head.size):
            assert entry.salt is not None
            assert entry.content == LEAF
            Opening(entry.salt, Kind(entry.kind), entry.entered_at, entry.content).check(entry.commitment)
            leaf = tree.leaf_hash(entry.commitment)
            tree.verify_inclusion(leaf, entry.index, head.size, entry.proof, head.root)
        if kept:
            old = checkpoint.parse(note.parse(kept).text)
            steps = await proofs.consistency(old.size, head.size)
            tree.verify_consistency(old.size, head.size, old.root, head.root, steps)
        kept = await proofs.checkpoint() or b""
    assert three.failures == []
    progress = await proofs.progress()
    assert (progress.entered, progress.published) == (306, 306)


async def test_several_processes_sequence_as_one(engine: AsyncEngine, three: Circle) -> None:
    sequencers = [three.sequencer(engine) for _ in range(3)]
    for _ in range(5):
        await enter(engine, LEAF)
        turns = await asyncio.gather(*(one.round() for one in sequencers), enter(engine, LEAF))
        assert any(turns[:-1])
    # Each has its own idea of what the witnesses know; they say when it is wrong.
    for one in sequencers:
        await enter(engine, LEAF)
        assert await one.round()
    assert await believed(engine, three) == (13, {"w1", "w2", "w3"})
    assert three.failures == []


async def test_a_head_needs_no_more_than_the_quorum(engine: AsyncEngine, three: Circle) -> None:
    sequencer = three.sequencer(engine)
    await enter(engine, LEAF)
    three.slow = {"w3"}
    await asyncio.wait_for(sequencer.round(), DEADLINE)
    assert await believed(engine, three) == (1, {"w1", "w2"})
    three.slow, three.away = set(), {"w1", "w3"}
    await enter(engine, LEAF)
    await sequencer.round()
    # Signed and kept, but nobody is shown what too few have seen.
    assert (await Proofs(engine).progress()).published == 1
    assert set(three.failures) == {("w1", Failure.UNREACHABLE), ("w3", Failure.UNREACHABLE)}
    three.away = set()
    await sequencer.round()
    assert await believed(engine, three) == (2, {"w1", "w2", "w3"})


async def test_what_a_lying_witness_says_does_not_count(engine: AsyncEngine, three: Circle) -> None:
    sequencer = three.sequencer(engine)
    await enter(engine, LEAF)
    stranger = note.cosign("other\n1\nx\n", "w3.example/witness", three.parties.witnesses["w3"], int(time.time()))
    lies = {
        Failure.SIGNATURE: [b"", b"no signature\n", f"{stranger}\n".encode()],
        Failure.AHEAD: [b"7\n"],
        Failure.REFUSED: [b"no number\n"],
    }
    for failure, bodies in lies.items():
        for body in bodies:
            status, form = (200, "text/plain") if failure is Failure.SIGNATURE else (409, "text/x.tlog.size")
            lie = Reply(status, form, body)
            three.bend = lambda name, reply, lie=lie: lie if name == "w3" else reply  # type: ignore[misc] # bound now
            await enter(engine, LEAF)
            await sequencer.round()
            assert (await believed(engine, three))[1] == {"w1", "w2"}
            assert three.failures.pop() == ("w3", failure)
            assert three.failures == []


async def test_a_cosignature_from_another_time_is_left_out(engine: AsyncEngine, three: Circle) -> None:
    three.ahead_of_us = {"w2": 61, "w3": -61}
    await enter(engine, LEAF)
    sequencer = three.sequencer(engine)
    await sequencer.round()
    assert (await Proofs(engine).progress()).published == 0
    assert set(three.failures) == {("w2", Failure.CLOCK), ("w3", Failure.CLOCK)}
    three.ahead_of_us = {"w2": 59, "w3": -61}
    await sequencer.round()
    assert await believed(engine, three) == (1, {"w1", "w2"})


async def test_a_witness_that_has_seen_another_tree_is_told_apart(engine: AsyncEngine, three: Circle) -> None:
    other = forest(6, b"other ")
    for name, size in (("w2", 6), ("w3", 2)):
        head = three.parties.head(size, other.root(size), {})
        three.witnesses[name].add_checkpoint(0, [], head.encode(), int(time.time()))
    await enter(engine, LEAF, LEAF)
    await three.sequencer(engine).round()
    assert set(three.failures) == {("w2", Failure.AHEAD), ("w3", Failure.CONTRADICTED)}
    await enter(engine, *[LEAF] * 8)
    three.failures.clear()
    await three.sequencer(engine).round()
    assert set(three.failures) == {("w2", Failure.CONTRADICTED), ("w3", Failure.CONTRADICTED)}


async def test_witnesses_go_on_cosigning_while_nothing_is_new(engine: AsyncEngine, three: Circle) -> None:
    sequencer = three.sequencer(engine, refresh=60)
    await enter(engine, LEAF)
    await sequencer.round()
    first, kept = await Proofs(engine).checkpoint(), ledger_checkpoints.c
    three.asked.clear()
    began = time.time()
    three.clock = lambda: began + 59
    await sequencer.round()
    assert three.asked == []
    three.clock = lambda: began + 61
    await sequencer.round()
    assert sorted(three.asked) == ["w1", "w2", "w3"]
    async with engine.connect() as connection:
        row = (await connection.execute(select(kept.cosigned, kept.refreshed, kept.refreshed_at))).one()
    assert row.cosigned == first
    assert row.refreshed != first
    assert await Proofs(engine).progress() == Progress(1, 1, int(began + 61))


async def test_nothing_is_added_to_a_tree_that_was_changed(engine: AsyncEngine, three: Circle) -> None:
    sequencer = three.sequencer(engine)
    await enter(engine, LEAF, LEAF)
    await sequencer.round()
    await enter(engine, LEAF)
    async with engine.begin() as connection:
        await connection.execute(update(ledger_tiles).values(hashes=bytes(64)))
    with pytest.raises(LedgerChangedError, match="the tree of 2 leaves that is stored has not the root"):
        await sequencer.round()
    assert (await Proofs(engine).progress()).published == 2


async def test_what_the_release_before_stored_is_entered(engine: AsyncEngine, three: Circle) -> None:
    await enrol(engine, [("a", "edge-1")], datetime.now(UTC))
    now = int(time.time())
    accepted = [now - 40, now - 50, now - 5, now + 40]

    async def stored(number: int) -> None:
        """As the release before does it: an index, and no leaf."""
        row = {
            "operator_id": "a",
            "node": "edge-1",
            "digest": b"%032d" % number,
            "signature_digest": bytes(32),
            "accepted_at": datetime.fromtimestamp(accepted[number], UTC),
            "reason": "signature",
            "report": b"report %d" % number,
            "signature": bytes(64),
            "key_id": bytes(32),
        }
        async with engine.begin() as connection:
            taken = update(log_position).values(next_index=log_position.c.next_index + 1)
            after = (await connection.execute(taken.returning(log_position.c.next_index))).scalar_one()
            await connection.execute(insert(unverified_reports), {**row, "log_index": after - 1})

    await stored(0)
    await stored(1)
    async with engine.begin() as connection:
        await append(connection, [NewLeaf(Kind.LAW, LEAF, "law/x")])
    await stored(2)
    await stored(3)
    await three.sequencer(engine).round()
    assert (await believed(engine, three))[0] == 5
    async with engine.connect() as connection:
        rows = (await connection.execute(select(ledger_leaves).order_by(ledger_leaves.c.log_index))).all()
    assert [row.kind for row in rows] == [Kind.UNVERIFIED_REPORT] * 2 + [Kind.LAW] + [Kind.UNVERIFIED_REPORT] * 2
    times = [row.entered_at for row in rows]
    assert times == sorted(times)
    assert times[:2] == [now - 40, now - 40]
    assert times[4] <= time.time()
    content = signed(b"report 3", bytes(64), bytes(32))
    Opening(rows[4].salt, Kind.UNVERIFIED_REPORT, rows[4].entered_at, content).check(rows[4].commitment)
    assert rows[4].subject == "a/edge-1"


def test_a_sequencer_killed_at_any_step_leaves_a_ledger_that_goes_on(url: URL, tmp_path: Path) -> None:
    async def prepared() -> None:
        engine = postgres.engine(url, 2, "test")
        await migrate(engine)
        await engine.dispose()

    asyncio.run(prepared())
    parties = parties_in(tmp_path)
    command = [sys.executable, "-m", "tests.support.sequencing", url.render_as_string(hide_password=False)]
    told = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert told.returncode == 0, told.stderr
    steps = int(told.stdout)
    assert steps > 12

    async def checked() -> None:
        engine = postgres.engine(url, 2, "test")
        try:
            with circle(tmp_path, parties) as made:
                # A leaf for each death, and one for the turn that lived.
                assert await believed(engine, made) == (steps + 1, {"w1", "w2", "w3"})
                assert [one.last(ORIGIN) for one in made.witnesses.values()] == [
                    checkpoint.parse(note.parse(await Proofs(engine).checkpoint() or b"").text)
                ] * 3
        finally:
            await engine.dispose()

    asyncio.run(checked())
    assert list(tmp_path.glob("*/*.contradiction")) == []
