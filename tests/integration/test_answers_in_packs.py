"""Packs of a finding that people acted on, from a real database: what the authority does to an answer is named."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from compliance_api.domain.findings.casework import Action, Matter
from compliance_api.domain.findings.procedure import Procedure
from compliance_api.ledger import evidence, pack, statement, verify
from compliance_api.ledger.__main__ import main
from compliance_api.ledger.outcome import Flaw
from compliance_api.ledger.outside import Outside, acknowledged
from compliance_api.ledger.statement import Kept, Receipt
from compliance_api.storage.findings.casework import Casework
from compliance_api.storage.packs import packs
from compliance_api.storage.tables import finding_steps, ledger_leaves
from lachan import canonical
from lachan.ledger.leaf import Kind
from tests.support.evidence import FINDING, PROBE, RESOLVER, Dispute
from tests.support.people import AN, BINH, OWN, Signer
from tests.support.steps import SERVICE, let_in

ORDER = ("17/2026/QĐ-MẪU", "Tòa Mẫu")
MINE = Outside({str(OWN.identity): frozenset({OWN.key.public.raw})})


class Case:
    """A finding that was confirmed and notified, under cosigned heads."""

    def __init__(self, dispute: Dispute, folder: Path) -> None:
        self.dispute = dispute
        self.folder = folder
        self.at = dispute.now
        self.packed = 0

    async def let_in(self, who: Signer, by: str = "so: root") -> None:
        subject = f"{who.identity.organisation}/{who.identity.name}"
        await self.dispute.enter(Kind.ENROLMENT, let_in(who, by), subject)

    async def begin(self) -> None:
        for who in (AN, BINH, OWN):
            await self.let_in(who)
        for action in (Action.CONFIRM, Action.NOTIFY):
            await self.take(AN, action)

    async def take(self, who: Signer, action: Action, *, days: int = 0, **said: Any) -> int:
        """A step as the desk takes it; its leaf."""
        store = Casework(self.dispute.engine)
        found = await store.detail(FINDING.hex())
        assert found is not None
        self.at += timedelta(days=days, seconds=1)
        matter = Matter("a", Procedure(), found.case.steps, True, found.head)
        taken = await store.take(FINDING.hex(), who.deed(matter, action, finding=FINDING.hex(), **said), self.at)
        return taken.index

    async def kept(self, index: int) -> Outside:
        """What the operator kept of its answer, with the service's receipt."""
        async with self.dispute.engine.connect() as connection:
            own = select(finding_steps).where(finding_steps.c.log_index == index)
            row = (await connection.execute(own)).one()
        told = Receipt(
            finding=FINDING.hex(),
            position=row.position,
            statement=statement.digest(row.statement),
            leaf=index,
            taken_at=int(row.at.timestamp()),
        )
        data, signature = statement.receipt(SERVICE, told)
        made = Kept(
            statement=row.statement.decode(),
            signature=row.signature.hex(),
            key=row.key.hex(),
            receipt=data.decode(),
            receipt_signature=signature.hex(),
        )
        (self.folder / "kept.json").write_bytes(made.encode())
        return Outside(acknowledged=[acknowledged(made.encode(), SERVICE.public)])

    async def pack(self, **how: Any) -> Path:
        await self.dispute.sequencer.round()
        self.packed += 1
        folder = self.folder / str(self.packed)
        pack.write(folder, (await packs.files(self.dispute.engine, FINDING, **how)).items())
        return folder

    def flaws(self, folder: Path, outside: Outside | None = None) -> list[tuple[Flaw, str]]:
        found = verify.verify(folder, self.dispute.circle.parties.policy, None, int(time.time()), outside)
        return [(one.flaw, one.place) for one in found.problems]


@pytest.fixture
async def case(dispute: Dispute, tmp_path: Path) -> Case:
    made = Case(dispute, tmp_path)
    await made.begin()
    return made


async def test_an_answer_stands_in_the_pack_as_it_was_signed(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    registered = await case.dispute.enter(Kind.ORDER, canonical.encode({"number": ORDER[0]}), f"order/{ORDER[0]}")
    index = await case.take(OWN, Action.ANSWER, order=ORDER)
    kept = await case.kept(index)
    both = Outside(MINE.parties, kept.acknowledged)
    await case.take(BINH, Action.WITHDRAW)
    whole, theirs = await case.pack(), await case.pack(redacted=True)
    assert case.flaws(whole, both) == case.flaws(theirs, both) == []
    told = evidence.parse((theirs / evidence.EVIDENCE).read_bytes())
    assert [one.subject for one in told.pieces if one.kind is Kind.FINDING] == [f"finding/{FINDING.hex()}"] * 4
    # What the list's registry had told of the cited order is there for whoever weighs the answer.
    assert [one.index for one in told.pieces if one.subject == f"order/{ORDER[0]}"] == [registered]
    # The operator's form shows who acted on it, and still no probe.
    text = b"".join(one.read_bytes() for one in theirs.rglob("*") if one.is_file())
    assert b"lachan://so/person/binh" in text
    assert PROBE.encode() not in text
    assert RESOLVER.encode() not in text
    # By the command, with everything from outside.
    keys, people, receipts = (case.folder / name for name in ("keys", "people", "receipts"))
    keys.write_text(case.dispute.circle.parties.policy_text)
    people.write_text(f"{OWN.identity} {OWN.key.public.raw.hex()}\n")
    receipts.write_bytes(SERVICE.public.pem())
    words = [str(whole), "--keys", str(keys), "--parties", str(people)]
    words += ["--kept", str(case.folder / "kept.json"), "--receipt-key", str(receipts)]
    assert main(words) == 0
    assert "step 3: answered by lachan://a/person/khanh, let in by so: root" in capsys.readouterr().out
    assert main([str(whole), "--keys", str(keys), "--kept", str(people), "--receipt-key", str(receipts)]) == 2


async def enter_false(case: Case, who: Signer) -> int:
    """An answer that the authority writes into the ledger itself, past the service."""
    found = await Casework(case.dispute.engine).detail(FINDING.hex())
    assert found is not None
    false = Signer("khanh", "a")
    false.key = who.key
    data, signature = false.state(Action.ANSWER, 3, found.head, finding=FINDING.hex())
    step = {
        "position": 3,
        "state": "answered",
        "at": case.at.isoformat(),
        "unit": "a",
        "person": str(false.identity),
        "note": "because",
        "order": None,
        "next_unit": "legal",
        "due_at": None,
        "signed": {
            "statement": data.decode(),
            "signature": signature.hex(),
            "key": false.key.public.raw.hex(),
        },
    }
    document = {"finding": FINDING.hex(), "operator": "a", "step": step}
    index = await case.dispute.enter(Kind.FINDING, canonical.encode(document), f"finding/{FINDING.hex()}")
    values = {"operator_id": "a", "finding_id": FINDING, "log_index": index, "at": case.at, "due_at": None}
    values |= {name: step[name] for name in ("position", "state", "unit", "person", "note", "next_unit")}
    async with case.dispute.engine.begin() as connection:
        await connection.execute(insert(finding_steps).values(values | {"order_number": "", "order_authority": ""}))
    return index


async def test_an_answer_that_the_authority_invents_is_named(case: Case) -> None:
    index = await enter_false(case, BINH)
    assert case.flaws(await case.pack()) == [(Flaw.FORGED, pack.leaf_name(index))]


async def test_a_person_of_the_operators_whom_the_authority_made_is_named_by_the_operators_list(case: Case) -> None:
    false = Signer("ma", "a")
    await case.let_in(false)
    index = await case.take(false, Action.ANSWER)
    folder = await case.pack()
    assert case.flaws(folder) == []
    assert case.flaws(folder, MINE) == [(Flaw.FORGED, pack.leaf_name(index))]


async def test_an_order_that_was_swapped_is_named(case: Case) -> None:
    index = await case.take(OWN, Action.ANSWER, order=ORDER)
    async with case.dispute.engine.connect() as connection:
        own = select(ledger_leaves.c.content).where(ledger_leaves.c.log_index == index)
        content = (await connection.execute(own)).scalar_one()
    document = json.loads(content)
    document["step"]["order"] = {"number": "1/2020", "authority": "Không ai"}
    # The tree has not been made over it yet, so an insider can do it without a trace in the proofs.
    await case.dispute.recommit(index, canonical.encode(document))
    assert case.flaws(await case.pack()) == [(Flaw.FORGED, pack.leaf_name(index))]


async def test_an_answer_that_is_left_out_is_named(case: Case) -> None:
    index = await case.take(OWN, Action.ANSWER, order=ORDER)
    kept = await case.kept(index)
    await case.take(BINH, Action.UPHOLD)
    # In the middle the steps behind it show it, to everybody.
    async with case.dispute.engine.begin() as connection:
        own = ledger_leaves.c.log_index == index
        await connection.execute(update(ledger_leaves).where(own).values(subject="law/another"))
    folder = await case.pack()
    assert {flaw for flaw, _ in case.flaws(folder)} == {Flaw.DROPPED, Flaw.IRREGULAR}
    # At the end nothing in the pack does; what the operator kept does, at the leaf that the service named.
    before = await case.pack(as_of=index)
    assert case.flaws(before) == []
    assert case.flaws(before, kept) == [(Flaw.DROPPED, pack.leaf_name(index))]


async def test_a_step_of_a_release_before_is_nobodys_word(case: Case) -> None:
    """Typed where the service runs, by a release that knew no signatures."""
    step = {"position": 3, "state": "answered", "unit": "a", "person": "Ông Khánh", "note": "", "order": None}
    document = {"finding": FINDING.hex(), "operator": "a", "step": step}
    index = await case.dispute.enter(Kind.FINDING, canonical.encode(document), f"finding/{FINDING.hex()}")
    async with case.dispute.engine.begin() as connection:
        values = {"operator_id": "a", "finding_id": FINDING, "position": 3, "state": "answered", "at": case.at}
        values |= {"unit": "a", "person": "Ông Khánh", "note": "", "order_number": "", "order_authority": ""}
        await connection.execute(insert(finding_steps).values(values | {"log_index": index}))
    found = await Casework(case.dispute.engine).case(FINDING.hex())
    assert found is not None
    assert (found.steps[-1].signature, found.steps[-1].paper) == (b"", False)
    assert case.flaws(await case.pack()) == [(Flaw.FORGED, pack.leaf_name(index))]
