"""Packs from a real database, and what somebody with that database in their hands does to them: each is named."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL, delete, insert, select, update

from compliance_api.domain.law.retention import RetentionSettings
from compliance_api.domain.observations.removal import Removal
from compliance_api.ledger import accusation, evidence, pack, verify
from compliance_api.ledger.outcome import Flaw
from compliance_api.ledger.removed import REMOVALS
from compliance_api.storage.packs import pack_selection, packs
from compliance_api.storage.packs.packs import PackBuildError
from compliance_api.storage.packs.proofs import Proofs
from compliance_api.storage.probing.listchanges import ListChangeStore
from compliance_api.storage.tables import (
    assignments,
    finding_versions,
    findings,
    law_versions,
    ledger_checkpoints,
    ledger_leaves,
    ledger_tiles,
    observations,
    removals,
    reports,
    rounds,
)
from compliance_api.storage.upkeep.upkeep import Upkeep
from lachan import postgres
from lachan.compliance.v1 import report_pb2
from lachan.ledger import checkpoint, note
from lachan.ledger.batch import signed
from lachan.ledger.leaf import Kind
from lachan.signing import REPORT, SigningKey
from tests.support.compliance import COMMAND, Authority
from tests.support.evidence import ASSIGNMENT, FINDING, KEYS, LISTED, PROBE, RESOLVER, VANTAGE, Dispute
from tests.support.ledger import Parties
from tests.support.sequencing import circle

ROOT = Path(verify.__file__).parents[2]


async def packed(dispute: Dispute, folder: Path, **how: object) -> Path:
    pack.write(folder, (await packs.files(dispute.engine, FINDING, **how)).items())  # type: ignore[arg-type] # as a test wants it
    return folder


def problems(folder: Path, parties: Parties, pinned: bytes | None = None) -> list[tuple[Flaw, str]]:
    kept = note.parse(pinned) if pinned else None
    found = verify.verify(folder, parties.policy, kept, int(time.time())).problems
    return [(one.flaw, one.place) for one in found]


async def leaves(dispute: Dispute, kind: Kind) -> list[int]:
    kept = ledger_leaves.c
    async with dispute.engine.connect() as connection:
        own = select(kept.log_index).where(kept.kind == kind, kept.subject != "law/another").order_by(kept.log_index)
        return list((await connection.execute(own)).scalars())


async def test_what_a_custodian_did_not_hand_in_is_in_every_form_of_the_pack(dispute: Dispute, tmp_path: Path) -> None:
    begun, over = dispute.now - timedelta(minutes=30), dispute.now - timedelta(minutes=10)
    drawn = {
        "operator_id": "a", "round_id": b"r" * 16, "node": "edge-1", "address": "192.0.2.1", "port": 53,
        "transport": "udp", "number": 1, "seed": b"s", "sample_serial": 1, "drawn_at": begun, "expires_at": over,
    }  # fmt: skip
    given = {
        "operator_id": "a", "assignment_id": b"g" * 16, "round_id": b"r" * 16, "probe_organisation": "so",
        "probe": "p9", "custodian": "keeper", "issued_at": begun, "expires_at": over, "positions": [0], "questions": 10,
    }  # fmt: skip
    async with dispute.engine.begin() as connection:
        await connection.execute(insert(rounds).values(drawn))
        # What was given out after the ledger was told of the finding is none of this pack's.
        for name, leaf in ((b"g", 0), (b"h", 1_000_000)):
            row = {**given, "assignment_id": name * 16, "probe": name.decode(), "log_index": leaf}
            await connection.execute(insert(assignments).values(row))
    for redacted in (False, True):
        folder = await packed(dispute, tmp_path / f"pack-{redacted}", redacted=redacted)
        assert problems(folder, dispute.circle.parties) == []
        (told,) = json.loads((folder / packs.CUSTODIANS).read_bytes())
        assert told == {"custodian": "keeper", "questions": 10, "unreported": 10}


def ran(command: list[str], where: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=where, env=env or {}, capture_output=True, text=True, check=False, timeout=60)


async def test_a_pack_is_verified_where_there_is_only_the_verifier_and_the_keys(
    dispute: Dispute, tmp_path: Path
) -> None:
    await packed(dispute, tmp_path / "place" / "pack")
    (tmp_path / "place" / "keys").write_text(dispute.circle.parties.policy_text)
    pinned = await Proofs(dispute.engine).checkpoint()
    (tmp_path / "place" / "pinned").write_bytes(pinned or b"")
    alone = tmp_path / "place" / "verifier"
    # As the page says.
    page = (ROOT / "docs" / "formats" / "ledger.md").read_text()
    *patterns, _ = page.split("```\n")[-2].splitlines()
    for path in (path for pattern in " ".join(patterns).split(" ") for path in ROOT.glob(pattern)):
        copy = alone / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    command = [sys.executable, "-m", "compliance_api.ledger", "../pack", "--keys", "../keys", "--pinned", "../pinned"]
    told = await asyncio.to_thread(ran, command, alone)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.splitlines()[-1].startswith("holds: 13 leaves opened, 0 by")
    assert "cosigned by w1, w2, w3" in told.stdout
    one = next((tmp_path / "place" / "pack" / "ledger" / "leaves").glob("*.content"))
    one.write_bytes(one.read_bytes() + b" ")
    told = await asyncio.to_thread(ran, command, alone)
    assert told.returncode == 1
    assert f"{pack.LEAVES}{one.name}: file: was changed" in told.stdout


async def test_the_command_writes_the_pack(dispute: Dispute, url: URL, tmp_path: Path) -> None:
    database = {"url": url.render_as_string(hide_password=False)}
    config = Authority(tmp_path, settings={"database": database}).configure(1)
    (tmp_path / "kept").write_bytes(await Proofs(dispute.engine).checkpoint() or b"")
    told = await asyncio.to_thread(
        ran, [*COMMAND, "ledger", "checkpoint", "--config", str(config)], tmp_path, dict(os.environ)
    )
    assert told.stdout == (tmp_path / "kept").read_text()
    words = ["evidence", FINDING.hex(), "--config", str(config), "--out", "pack", "--pinned", "kept"]
    told = await asyncio.to_thread(ran, [*COMMAND, *words], tmp_path, dict(os.environ))
    assert (told.returncode, told.stdout) == (0, "pack\n"), told.stderr
    files = await packs.files(dispute.engine, FINDING)
    for name, data in files.items():
        assert (tmp_path / "pack" / name).read_bytes() == data
    told = await asyncio.to_thread(ran, [*COMMAND, *words], tmp_path, dict(os.environ))
    assert (told.returncode, "pack: is there already" in told.stderr) == (1, True)


async def test_a_pack_is_rebuilt_byte_for_byte(dispute: Dispute, tmp_path: Path) -> None:
    first = await packs.files(dispute.engine, FINDING)
    began = time.time()
    for later in (30, 60):
        dispute.circle.clock = lambda later=later: began + later  # type: ignore[misc] # bound now
        await dispute.enter(Kind.LAW, b"{}", "law/another")
        await dispute.sequencer.round()
    assert await packs.files(dispute.engine, FINDING) == first
    assert problems(await packed(dispute, tmp_path / "pack"), dispute.circle.parties) == []
    told = evidence.parse(first[evidence.EVIDENCE])
    kinds = [str(one.kind) for one in told.pieces]
    assert sorted(kinds) == sorted(
        ["law", "release", "order", "assignment", "finding", *["enrolment"] * 2, *["report"] * 3, *["observation"] * 3]
    )
    assert {one.state for one in told.pieces} == {"opened"}


@pytest.mark.parametrize("redacted", [False, True])
async def test_after_retention_a_pack_holds_and_is_rebuilt_byte_for_byte(
    dispute: Dispute, url: URL, tmp_path: Path, redacted: bool
) -> None:
    """Reports that nobody cites are erased by then; what the finding rests on is not."""
    upkeep = Upkeep(dispute.engine, RetentionSettings())
    await upkeep.run(dispute.now)
    assert (await upkeep.run(dispute.now + timedelta(days=120))).ran
    folder = await packed(dispute, tmp_path / "pack", redacted=redacted)
    assert problems(folder, dispute.circle.parties) == []
    # Once more, and by another process.
    restarted = postgres.engine(url, 1, "test")
    try:
        async with restarted.connect() as connection:
            erased = select(ledger_leaves.c.subject).where(ledger_leaves.c.salt.is_(None))
            assert set((await connection.execute(erased)).scalars()) == {"a/edge-1", "a/edge-2"}
        again = await packs.files(restarted, FINDING, redacted=redacted)
    finally:
        await restarted.dispose()
    assert {name: (folder / name).read_bytes() for name in again} == again


async def test_of_more_than_a_pack_can_hold_what_the_finding_leads_to_is_in_it(
    dispute: Dispute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at national size: one report is cited of three, and one observation of a session of three."""
    monkeypatch.setattr(pack_selection, "WHOLE_MAX", 5)
    await dispute.observe(5)
    folder = await packed(dispute, tmp_path / "pack")
    assert problems(folder, dispute.circle.parties) == []
    told = evidence.parse((folder / evidence.EVIDENCE).read_bytes())
    assert told.scope == "cited"
    # The session whole, and the reports before and behind the one that is cited; nothing of the other node.
    kinds = [str(one.kind) for one in told.pieces]
    assert (kinds.count("observation"), kinds.count("report"), kinds.count("enrolment")) == (3, 3, 2)
    # The ledger goes on, and the pack stays what it was.
    await dispute.observe(6)
    await dispute.enter(Kind.FINDING, b'{"state":"answered"}', f"finding/{FINDING.hex()}")
    await dispute.sequencer.round()
    again = await packs.files(dispute.engine, FINDING, as_of=told.as_of)
    assert all((folder / name).read_bytes() == data for name, data in again.items())


async def test_the_operator_s_form_leads_to_no_probe_and_no_name(dispute: Dispute, tmp_path: Path) -> None:
    folder = await packed(dispute, tmp_path / "pack", redacted=True)
    assert problems(folder, dispute.circle.parties) == []
    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    for secret in (LISTED, PROBE, RESOLVER, ASSIGNMENT.hex() + "/"):
        assert secret.encode() not in everything, secret
    assert ASSIGNMENT not in everything
    (seen,) = json.loads((folder / packs.VANTAGES).read_bytes())
    assert (seen["vantage_point"], seen["result"], seen["observations"]) == (VANTAGE, "not_blocked", 3)
    told = evidence.parse((folder / evidence.EVIDENCE).read_bytes())
    assert {(str(one.kind), one.state) for one in told.pieces} == {
        (kind, "opened") for kind in ("law", "release", "order", "report", "enrolment")
    }
    assert told.withheld == {"assignment": 1, "enrolment": 1, "finding": 1, "observation": 3}
    # Nor by what stands between two reports: when each leaf that is shown was entered tells nothing of the others.
    observed = [pack.leaf_name(index) for index in await leaves(dispute, Kind.OBSERVATION)]
    assert not any((folder / name).exists() for name in observed)


async def test_an_edited_report_is_named(dispute: Dispute, tmp_path: Path) -> None:
    index = (await leaves(dispute, Kind.REPORT))[1]
    forged = report_pb2.Report(organisation="a", node="edge-1", sequence=2).SerializeToString()
    own = reports.c.log_index == index
    async with dispute.engine.begin() as connection:
        row = (await connection.execute(select(reports).where(own))).one()
        await connection.execute(update(reports).where(own).values(report=forged))
    folder = await packed(dispute, tmp_path / "row")
    found = problems(folder, dispute.circle.parties)
    assert (Flaw.EDITED, pack.leaf_name(index)) in found
    # And what the finding cited is not there any more.
    assert (Flaw.DROPPED, accusation.FINDING) in found
    # With the leaf made to fit, it is no leaf of the tree; the others still are.
    await dispute.recommit(index, signed(forged, row.signature, row.key_id))
    found = problems(await packed(dispute, tmp_path / "leaf"), dispute.circle.parties)
    assert (Flaw.NOT_INCLUDED, pack.leaf_name(index)) in found
    assert {place for flaw, place in found if flaw is Flaw.NOT_INCLUDED} == {pack.leaf_name(index)}


async def test_what_the_operator_or_the_probe_did_not_sign_is_named(dispute: Dispute, tmp_path: Path) -> None:
    """An authority with the ledger in its hands enters a report and an observation that nobody made."""
    authority = SigningKey.generate()
    claimed = report_pb2.Report(organisation="a", node="edge-1", sequence=9).SerializeToString()
    content = signed(claimed, authority.sign(REPORT, claimed), KEYS["a/node/edge-1"].public.key_id)
    index = await dispute.enter(Kind.REPORT, content, "a/edge-1")
    async with dispute.engine.begin() as connection:
        row = (await connection.execute(select(reports).where(reports.c.node == "edge-1").limit(1))).one()
        made = {**row._asdict(), "sequence": 9, "digest": hashlib.sha256(claimed).digest(), "report": claimed}
        made |= {"signature": content[-98:-34], "key_id": KEYS["a/node/edge-1"].public.key_id, "log_index": index}
        await connection.execute(insert(reports).values(made))
    await dispute.observe(7, authority)
    await dispute.sequencer.round()
    folder = await packed(dispute, tmp_path / "pack", as_of=index + 2)
    found = problems(folder, dispute.circle.parties)
    seen = (await leaves(dispute, Kind.OBSERVATION))[-1]
    assert found == [(Flaw.FORGED, pack.content_name(index)), (Flaw.FORGED, pack.content_name(seen))]


async def test_a_dropped_observation_is_named(dispute: Dispute, tmp_path: Path) -> None:
    indexes = await leaves(dispute, Kind.OBSERVATION)
    async with dispute.engine.begin() as connection:
        await connection.execute(delete(observations).where(observations.c.log_index == indexes[0]))
    folder = await packed(dispute, tmp_path / "row")
    assert problems(folder, dispute.circle.parties) == [(Flaw.DROPPED, pack.leaf_name(indexes[0]))]
    # With its leaf, and one that the finding cites.
    async with dispute.engine.begin() as connection:
        await connection.execute(delete(observations).where(observations.c.log_index == indexes[1]))
        await connection.execute(delete(ledger_leaves).where(ledger_leaves.c.log_index == indexes[1]))
    found = problems(await packed(dispute, tmp_path / "leaf"), dispute.circle.parties)
    assert {(Flaw.DROPPED, pack.leaf_name(one)) for one in indexes[:2]} <= set(found)
    assert (Flaw.DROPPED, accusation.FINDING) in found
    # Out of a pack that was whole, with an index that fits.
    (folder / pack.leaf_name(indexes[2])).unlink()
    (folder / pack.content_name(indexes[2])).unlink()
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    del files[pack.INDEX]
    pack.write(tmp_path / "less", files.items())
    assert (Flaw.DROPPED, pack.leaf_name(indexes[2])) in problems(tmp_path / "less", dispute.circle.parties)


async def test_a_finding_s_edited_row_is_named(dispute: Dispute, tmp_path: Path) -> None:
    """Another passage of the law, another name or minute of what is cited: all but references could be rewritten."""
    kept = finding_versions.c
    async with dispute.engine.connect() as connection:
        row = (await connection.execute(select(finding_versions))).one()
    changes: list[dict[str, object]] = [
        {"citation_vi": "Điều 99"},
        {"last_seen": row.last_seen + timedelta(days=3)},
        {"evidence": [*row.evidence[:1], {**row.evidence[1], "detail": "innocent.example"}]},
        {"evidence": [{**row.evidence[0], "at": "2026-01-01T00:00:00+00:00"}, *row.evidence[1:]]},
    ]
    for number, change in enumerate(changes):
        async with dispute.engine.begin() as connection:
            await connection.execute(update(finding_versions).where(kept.version == row.version).values(change))
        folder = await packed(dispute, tmp_path / str(number))
        assert (Flaw.CONTRADICTED, accusation.FINDING) in problems(folder, dispute.circle.parties), change
        async with dispute.engine.begin() as connection:
            whole = {name: getattr(row, name) for name in change}
            await connection.execute(update(finding_versions).where(kept.version == row.version).values(whole))
    async with dispute.engine.begin() as connection:
        await connection.execute(update(findings).values(opened_at=row.last_seen - timedelta(days=9)))
    folder = await packed(dispute, tmp_path / "opened")
    assert problems(folder, dispute.circle.parties) == [(Flaw.CONTRADICTED, accusation.FINDING)]


async def test_a_finding_that_says_two_things_is_named(dispute: Dispute, tmp_path: Path) -> None:
    """A program would read the last of two members, and a person the first."""
    files = await packs.files(dispute.engine, FINDING)
    shown = files[accusation.FINDING]
    files[accusation.FINDING] = b'{"law":"another",' + shown.removeprefix(b"{")
    pack.write(tmp_path / "pack", files.items())
    assert (Flaw.FILE, accusation.FINDING) in problems(tmp_path / "pack", dispute.circle.parties)


async def test_what_releases_took_out_is_shown_as_the_ledger_was_told(dispute: Dispute, tmp_path: Path) -> None:
    """Over-blocking rests on it: that a name had to be answered again is said by no observation."""
    store = ListChangeStore(dispute.engine)

    def gone(name: str, serial: int) -> Removal:
        return Removal(name, serial, dispute.now - timedelta(minutes=35), 1, 3, "OR-1", free=True)

    await store.save([gone(f"n1.{LISTED}", 7), gone("b-a.example", 7), gone("ba.example", 7)], dispute.now)
    await store.save([gone("not-asked.example", 8)], dispute.now)
    await dispute.sequencer.round()
    index = (await leaves(dispute, Kind.RELEASE))[-2]
    # More is heard of the same release later: the pack of then stays what it was.
    await store.save([gone("later.example", 7)], dispute.now + timedelta(hours=1))
    await dispute.sequencer.round()
    folder = await packed(dispute, tmp_path / "pack", as_of=index + 1)
    assert problems(folder, dispute.circle.parties) == []
    shown = json.loads((folder / REMOVALS).read_bytes())
    assert shown == {"7": [["b-a.example", True], ["ba.example", True], [f"n1.{LISTED}", True]]}
    # Of the operator's form it would tell which name was asked.
    redacted = await packs.files(dispute.engine, FINDING, as_of=index + 1, redacted=True)
    assert REMOVALS not in redacted
    assert not any(b"removals" in data for data in redacted.values())
    # A row that is edited, one that is made up, and a file that is left out.
    files = await packs.files(dispute.engine, FINDING, as_of=index + 1)
    del files[REMOVALS]
    pack.write(tmp_path / "without", files.items())
    assert problems(tmp_path / "without", dispute.circle.parties) == [(Flaw.CONTRADICTED, REMOVALS)]
    async with dispute.engine.begin() as connection:
        own = removals.c.qname == "ba.example"
        await connection.execute(update(removals).where(own).values(qname=f"n2.{LISTED}"))
    found = problems(await packed(dispute, tmp_path / "edited", as_of=index + 1), dispute.circle.parties)
    assert found == [(Flaw.CONTRADICTED, REMOVALS)]


async def test_a_backdated_law_is_named(dispute: Dispute, tmp_path: Path) -> None:
    async with dispute.engine.connect() as connection:
        known = (await connection.execute(select(law_versions))).one()
    text = b'{"tolerated":"nothing"}'
    index = await dispute.enter(Kind.LAW, text, f"law/{known.law}")
    async with dispute.engine.begin() as connection:
        row = {**known._asdict(), "version": 2, "content": text.decode(), "log_index": index}
        await connection.execute(insert(law_versions).values(row))
    await dispute.recommit(index, text, int(time.time()) - 86_400)
    await dispute.sequencer.round()
    folder = await packed(dispute, tmp_path / "pack", as_of=index + 1)
    assert problems(folder, dispute.circle.parties) == [(Flaw.BACKDATED, pack.leaf_name(index))] * 2
    # The finding stands on what the ledger had when it was told of it.
    assert problems(await packed(dispute, tmp_path / "then"), dispute.circle.parties) == []


async def test_a_split_view_is_named_with_a_head_that_somebody_kept(dispute: Dispute, tmp_path: Path) -> None:
    kept = await Proofs(dispute.engine).checkpoint() or b""
    size = checkpoint.parse(note.parse(kept).text).size
    folder = await packed(dispute, tmp_path / "honest", through=size)
    assert problems(folder, dispute.circle.parties, kept) == []
    # The log and its witnesses begin anew, all together, without one observation.
    index = (await leaves(dispute, Kind.OBSERVATION))[2]
    async with dispute.engine.begin() as connection:
        await connection.execute(delete(ledger_tiles))
        await connection.execute(delete(ledger_checkpoints))
    await dispute.recommit(index, b"never happened")
    with circle(tmp_path / "fresh", dispute.circle.parties) as colluding:
        await colluding.sequencer(dispute.engine).round()
    found = problems(await packed(dispute, tmp_path / "split", through=size), dispute.circle.parties, kept)
    assert (Flaw.SPLIT_VIEW, pack.checkpoint_name(size)) in found


async def test_what_is_not_under_a_cosigned_head_yet_makes_no_pack(dispute: Dispute) -> None:
    dispute.circle.away = {"w1", "w2", "w3"}
    await dispute.enter(Kind.FINDING, b'{"state":"answered"}', f"finding/{FINDING.hex()}")
    await dispute.sequencer.round()
    with pytest.raises(PackBuildError, match="have not cosigned a head with all of the evidence yet"):
        await packs.files(dispute.engine, FINDING)
    with pytest.raises(PackBuildError, match="there is no finding ffff"):
        await packs.files(dispute.engine, b"\xff" * 16)


def test_references_are_read_from_the_bytes() -> None:
    data = report_pb2.Report(node="edge-1").SerializeToString()
    assert evidence.reference(Kind.REPORT, signed(data, b"s", b"k")) == hashlib.sha256(data).hexdigest()
