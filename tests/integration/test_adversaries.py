"""The four roles, each with its strongest attack, played through one week of the service and judged by the verifier.

What each does to one part alone is tested where that part is: counters that challenges refute in
`test_challenge_verdicts`, spoilt ways in `test_spoilt_ways`, answers that an authority invents in
`test_answers_in_packs`, split views in `test_evidence_packs`, keys of the list in `test_blocklist_attacks`, keys of the
membership in `test_enrolling`; the rates at which cheats are found and honest operators are not, by `make simulate`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import ColumnElement, Table, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from blocklist_sync.artifact import policy
from blocklist_sync.edge.errors import Reason, RefusedError
from blocklist_sync.edge.verify import Offer, check
from compliance_api.domain.findings.casework import Action, Matter, StepError
from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.findings.procedure import Procedure
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.verdicts.verdict import Outcome
from compliance_api.ledger import pack, verify
from compliance_api.ledger.outcome import Flaw
from compliance_api.storage.findings.casework import Casework
from compliance_api.storage.judging.periods import Periods
from compliance_api.storage.migrate import migrate
from compliance_api.storage.packs import packs
from compliance_api.storage.tables import findings, law_versions, observations, removals, reports
from compliance_api.usecases.judging.count import Place
from compliance_api.usecases.judging.periods import RecountError
from compliance_api.wiring.judging import recompute
from lachan import postgres
from lachan.ledger import checkpoint, note
from lachan.ledger.leaf import Kind
from tests.support.blocklist import entry, release
from tests.support.evidence import Dispute
from tests.support.ledger import Parties
from tests.support.people import AN, BINH, Signer
from tests.support.sequencing import circle
from tests.support.week import CHANGE, DAYS, FIRST, HOUR, MINUTE, OLD, WINDOW, Life, Line, Week, judged_at

PATIENT = 30 * 86400.0
OUTAGE, SHOCK, DEAF, WITHDRAWN = 1, 2, 4, 6
"""Days on which something befalls the honest operator."""


class Cheat(Life):
    """Filters for the lines that it knows, a third of them, and says of everything that it is as it should be."""

    def answered(self, day: int, line: Line, name: int, age: timedelta) -> bool:
        return line.number >= 4 or super().answered(day, line, name, age)


class Framed(Life):
    """Honest; one custodian says on all of its lines, day after day, that nothing is blocked."""

    def answered(self, day: int, line: Line, name: int, age: timedelta) -> bool:
        return line.custodian == "keeper-0" or super().answered(day, line, name, age)


class Unlucky(Life):
    """Honest, slow within the deadlines, and everything happens to it that is nobody's cheating."""

    def answered(self, day: int, line: Line, name: int, age: timedelta) -> bool:
        if line.number == 5 or (day == SHOCK and name < OLD) or (day == WITHDRAWN and name < 3):
            # Somebody on the way; a list that was lost until the evening; names that the list let go.
            return True
        return age < (HOUR * 23 if day < DEAF else HOUR * 11)

    def off(self, day: int) -> range:
        return range(26, 38) if day == OUTAGE else range(0)


@dataclass(frozen=True)
class Past:
    """The week as it was, to be looked at, and to be copied by whoever wants to change it."""

    week: Week
    server: postgres.Server
    folder: Path
    parties: Parties

    @asynccontextmanager
    async def opened(self, name: str = "adversaries") -> AsyncIterator[AsyncEngine]:
        made = postgres.engine(self.server.url(name, postgres.SUPERUSER), 4, "test")
        try:
            yield made
        finally:
            await made.dispose()

    @asynccontextmanager
    async def stolen(self, name: str) -> AsyncIterator[Dispute]:
        """A copy of the database and of the witnesses, in somebody's hands."""
        async with self.opened("postgres") as made, made.connect() as connection:
            apart = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await apart.execute(text(f"CREATE DATABASE {name} TEMPLATE adversaries"))
        shutil.copytree(self.folder, self.folder.parent / name)
        async with self.opened(name) as engine:
            with circle(self.folder.parent / name, self.parties) as three:
                yield Dispute(engine, three)

    def flaws(self, folder: Path) -> set[tuple[Flaw, str]]:
        """What the verifier says of a pack, with the policy alone."""
        found = verify.verify(folder, self.parties.policy, None, int(time.time())).problems
        return {(one.flaw, one.place) for one in found}


async def _happens(week: Week, engine: AsyncEngine, day: int) -> float:
    """What is handed in before a day is judged, and what else comes to pass on it."""
    for name in week.lives:
        # From the last judging on, or from the one before: the authority took nothing for a day.
        since = {0: FIRST.start, DEAF + 1: judged_at(DEAF - 1)}.get(day, judged_at(day - 1)) - MINUTE
        if day == 0:
            since += MINUTE
        if day != DEAF:
            await week.report(engine, name, week.windows(name, since, judged_at(day) - MINUTE), judged_at(day))
    if day == WITHDRAWN:
        at = FIRST.after(day).start + 30 * MINUTE
        gone = {"serial": 99, "removed_at": at, "added_serial": 1, "category": 3, "order_reference": "OR-1"}
        rows = [
            {**gone, "qname": f"old{place}.example", "free": True, "control": False, "heard_at": at}
            for place in range(3)
        ]
        async with engine.begin() as connection:
            await connection.execute(insert(removals), rows)
    if day == DAYS - 1:
        # Another report under the number of the last one.
        week.chains["cheat"][0] -= 1
        last = judged_at(day) - MINUTE
        await week.report(engine, "cheat", [(last - WINDOW, 7)], last)
    return 60.0 if day == DEAF else PATIENT


@pytest.fixture(scope="module")
def past(databases: postgres.Server, tmp_path_factory: pytest.TempPathFactory) -> Past:
    folder = tmp_path_factory.mktemp("adversaries") / "witnesses"
    databases.database("adversaries")
    week = Week({"cheat": Cheat(), "framed": Framed(), "unlucky": Unlucky()})
    made = Past(week, databases, folder, Parties())

    async def live() -> None:
        async with made.opened() as engine:
            await migrate(engine)
            await week.live(engine, lambda opened, day: _happens(week, opened, day))
            with circle(folder, made.parties) as three:
                await three.sequencer(engine, refresh=1).round()

    asyncio.run(live())
    return made


async def _finding(engine: AsyncEngine, operator: str, kind: FindingKind) -> bytes:
    own = select(findings.c.finding_id).where(findings.c.operator_id == operator, findings.c.kind == kind)
    async with engine.connect() as connection:
        found: bytes = (await connection.execute(own)).scalar_one()
        return found


async def _packed(engine: AsyncEngine, folder: Path, finding: bytes, **how: object) -> Path:
    pack.write(folder, (await packs.files(engine, finding, **how)).items())  # type: ignore[arg-type]  # as a test wants it
    return folder


async def test_a_cheating_operator_is_found_and_proven_to_whoever_doubts_it(past: Past, tmp_path: Path) -> None:
    """It filters for a third of the lines, reports what an honest one would, and contradicts itself once."""
    contradicts = {FindingKind.UNDER_BLOCKING, FindingKind.EQUIVOCATION}
    assert past.week.accused("cheat") == [set()] * 4 + [{FindingKind.UNDER_BLOCKING}] * 2 + [contradicts]
    async with past.opened() as engine:
        finding = await _finding(engine, "cheat", FindingKind.UNDER_BLOCKING)
        assert past.flaws(await _packed(engine, tmp_path / "pack", finding)) == set()
        # What the operator is shown of it holds as well, and leads to no name that is asked.
        finding = await _finding(engine, "cheat", FindingKind.EQUIVOCATION)
        theirs = await _packed(engine, tmp_path / "theirs", finding, redacted=True)
        assert past.flaws(theirs) == set()
        assert b"old3.example" not in b"".join(one.read_bytes() for one in theirs.rglob("*") if one.is_file())


async def test_an_operator_that_is_only_unlucky_is_never_accused(past: Past) -> None:
    """Whatever befalls it.

    Hours of outage, a line that is intercepted all week, a day on which everything fails, an authority that hears
    nobody, a stricter law that says nothing of what was published before it, and names that the list lets go.
    """
    assert past.week.accused("unlucky") == [set()] * DAYS
    assert past.week.said["unlucky"][-1].outcome is Outcome.COMPLIANT
    assert past.week.said["unlucky"][SHOCK].outcome is Outcome.NOT_ENOUGH_EVIDENCE
    place = Place("unlucky", "hcm", ("edge-1",))
    async with past.opened() as engine:
        for day in range(DAYS):
            document = await Periods(engine).newest("unlucky", "hcm", FIRST.after(day).name)
            assert document is not None
            told = json.loads(document)
            assert told["outcome"] != "not_compliant", (day, told["findings"])
            assert [one["id"] for one in told["law"]] == ["mild" if FIRST.after(day).start < CHANGE else "strict"]
            assert told["days"][0]["bad"]["filtering"] is (day == SHOCK)
            # Whoever computes it again, whenever, has the same bytes.
            assert (await recompute(engine, place, told["period"]["name"], None)).document == document
        for month in {FIRST.after(day).name[:7] for day in range(DAYS)}:
            reached = await recompute(engine, place, month, judged_at(DAYS - 1))
            assert reached.outcome is not Outcome.NOT_COMPLIANT


async def test_nobody_with_one_key_accuses_clears_or_proves_anything(past: Past, tmp_path: Path) -> None:
    # A custodian whose probes all lie.
    assert past.week.accused("framed") == [set()] * DAYS
    async with past.stolen("insider") as dispute:
        finding = await _finding(dispute.engine, "cheat", FindingKind.EQUIVOCATION)
        honest = await _packed(dispute.engine, tmp_path / "pack", finding)
        files = {one.relative_to(honest).as_posix(): one.read_bytes() for one in honest.rglob("*") if one.is_file()}
        name = max((one for one in files if one.startswith(pack.CHECKPOINTS)), key=lambda one: int(one.split("/")[-1]))
        head = checkpoint.parse(note.parse(files[name]).text)
        del files[pack.INDEX]
        # The ledger's key, and with it one witness's: neither makes a head.
        for number, cosigned in enumerate(({}, {"w1": int(time.time())})):
            signed = past.parties.head(head.size, head.root, cosigned)
            pack.write(tmp_path / str(number), {**files, name: signed.encode()}.items())
            assert (Flaw.CHECKPOINT, name) in past.flaws(tmp_path / str(number))
        # An inspector who would decide what they confirmed.
        desk, at = Casework(dispute.engine), FIRST.after(DAYS + 1).start
        for who, action, days in ((AN, Action.CONFIRM, 0), (AN, Action.NOTIFY, 1), (BINH, Action.UPHOLD, 20)):
            if action is Action.UPHOLD:
                with pytest.raises(StepError, match="does not uphold"):
                    await _take(desk, finding, AN, action, at + timedelta(days=days))
            await _take(desk, finding, who, action, at + timedelta(days=days))


async def _take(desk: Casework, finding: bytes, who: Signer, action: Action, at: datetime) -> None:
    found = await desk.detail(finding.hex())
    assert found is not None
    matter = Matter("cheat", Procedure(), found.case.steps, True, found.head)
    await desk.take(finding.hex(), who.deed(matter, action, finding=finding.hex()), at)


async def test_an_abusive_authority_is_named_by_the_verifier(past: Past, tmp_path: Path) -> None:
    """It holds the database and the service, and wants the operator to look worse than it is."""
    async with past.stolen("abused") as dispute:
        finding = await _finding(dispute.engine, "cheat", FindingKind.UNDER_BLOCKING)
        day = FIRST.after(DEAF)
        clears = await _leaf_of(dispute.engine, observations, "asked_at", day, observations.c.result == "blocked")
        claim = await _leaf_of(dispute.engine, reports, "window_start", day)
        async with dispute.engine.begin() as connection:
            await connection.execute(delete(observations).where(observations.c.log_index == clears))
            await connection.execute(update(reports).where(reports.c.log_index == claim).values(report=b"another"))
        with pytest.raises(RecountError):
            await recompute(dispute.engine, Place("cheat", "hcm", ("edge-1",)), day.name, None)
        # A law that was always known, entered today.
        async with dispute.engine.connect() as connection:
            known = (await connection.execute(select(law_versions).where(law_versions.c.law == "strict"))).one()
        index = await dispute.enter(Kind.LAW, b'{"tolerated":"nothing"}', "law/strict")
        row = {**known._asdict(), "version": 2, "content": '{"tolerated":"nothing"}', "log_index": index}
        async with dispute.engine.begin() as connection:
            await connection.execute(insert(law_versions).values(row))
        await dispute.recommit(index, b'{"tolerated":"nothing"}', int(time.time()) - 86_400)
        await dispute.sequencer.round()
        found = past.flaws(await _packed(dispute.engine, tmp_path / "pack", finding, as_of=index + 1))
        assert (Flaw.DROPPED, pack.leaf_name(clears)) in found
        assert (Flaw.EDITED, pack.leaf_name(claim)) in found
        assert (Flaw.BACKDATED, pack.leaf_name(index)) in found
    _no_edge_takes_another_category()


async def _leaf_of(engine: AsyncEngine, table: Table, when: str, day: LegalDay, *wanted: ColumnElement[bool]) -> int:
    """The leaf of the cheat's last row of a day."""
    kept = table.c
    own = select(func.max(kept.log_index)).where(
        kept.operator_id == "cheat", kept[when] >= day.start, kept[when] < day.end, *wanted
    )
    async with engine.connect() as connection:
        found: int = (await connection.execute(own)).scalar_one()
        return found


def _no_edge_takes_another_category() -> None:
    """Every key of the list may sign it: what is no category of the law is refused where it would be enforced."""
    data = release(entry("opposition.example"), serial=5).data
    ninth = data[:-5] + b"\x09" + data[-4:]
    bundle = policy.default().encode()
    offered = Offer(5, hashlib.sha256(ninth).digest(), len(ninth), len(bundle), 1_800_000_000, urgent=False)
    with pytest.raises(RefusedError) as refused:
        check(offered, ninth, bundle)
    assert refused.value.reason is Reason.FOREIGN_CATEGORY
