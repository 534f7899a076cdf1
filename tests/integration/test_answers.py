"""An operator answers its own finding, and everybody else tries to: real TLS, real commands, a real database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from compliance_api.cli import app
from compliance_api.domain.findings.casework import Action, State
from compliance_api.domain.law.law import LawBook
from compliance_api.domain.parties.credential import Objection
from compliance_api.domain.parties.organisation import Person, Registry
from compliance_api.domain.statistics.parameters import Family
from compliance_api.domain.verdicts.verdict import judge
from compliance_api.identity import pki
from compliance_api.ledger import statement
from compliance_api.rpc.auth import Guard
from compliance_api.rpc.finding import FindingService
from compliance_api.settings.parties import load_registry
from compliance_api.storage.findings.cases import Cases
from compliance_api.storage.findings.casework import Casework
from compliance_api.storage.judging.laws import Laws
from compliance_api.storage.membership.members import Members
from compliance_api.usecases.findings.desk import Desk
from compliance_api.usecases.membership.membership import Directory
from lachan import channel
from lachan.compliance.v1 import finding_service_pb2 as pb
from lachan.compliance.v1.finding_service_pb2_grpc import FindingServiceStub, add_FindingServiceServicer_to_server
from lachan.signing import VerifyKey
from tests.support.cases import NOW, course, honest, law
from tests.support.compliance import Authority
from tests.support.people import AN, BINH, OTHER, OWN, Signer, let_in
from tests.support.shares import plenty

SECONDS = 60
POLICE = Signer("giang", units=frozenset({"police"}))
EVERYBODY = (AN, BINH, OWN, OTHER, POLICE)


class World:
    """The service's findings behind its own guard, and people with certificates."""

    def __init__(self, folder: Path, engine: AsyncEngine) -> None:
        self.folder = folder
        self.engine = engine
        self.authority = Authority(folder)
        self.at = datetime.now(UTC)
        self.refused: list[Objection] = []
        self.target = ""
        self.finding = ""

    def folder_of(self, who: Signer) -> Path:
        uri = f"{who.identity.organisation}/person/{who.identity.name}"
        own = self.folder / "tls" / uri.replace("/", "-")
        if not own.exists():
            self.authority.certify(uri)
            who.key.save(own / "signing.pem")
            (own / "receipt.pub.pem").write_bytes(self.authority.receipt_key.public.pem())
        return own

    async def begin(self) -> grpc.aio.Server:
        members = Members(self.engine)
        await members.apply(load_registry(self.folder / "organisations.yaml"), "test", self.at)
        people = [(who.identity, Person(who.identity.name, who.key.public.raw, who.units), who) for who in EVERYBODY]
        chains = [(party, kept, (self.folder_of(who) / "certificate.pem").read_bytes()) for party, kept, who in people]
        await let_in(self.engine, chains, self.at)
        await Laws(self.engine).learn(LawBook(laws=(law(),)), NOW - timedelta(days=1))
        await Cases(self.engine).save(judge(honest(course=course(Family.OVER_BLOCKING))), law().procedure)
        (case,) = await Casework(self.engine).cases()
        self.finding = case.identifier
        registry = Registry()
        directory = Directory(members, registry)
        await directory.refresh()
        own = self.authority.material("so/service/compliance")
        guard = Guard(directory, lambda: own.ca, plenty(), lambda: self.at, self.refused.append)
        server = channel.server([guard])
        desk = Desk(registry, Casework(self.engine), self.authority.receipt_key, lambda: self.at)
        add_FindingServiceServicer_to_server(FindingService(desk), server)
        self.target = f"127.0.0.1:{channel.bind(server, '127.0.0.1:0', own)}"
        await server.start()
        return server

    async def run(self, who: Signer, *words: str, fails: bool = False) -> str:
        by = ("--service", self.target, "--as", str(self.folder_of(who)))
        told = await asyncio.to_thread(CliRunner().invoke, app, ["finding", *words, *by], env={"COLUMNS": "300"})
        assert (told.exit_code != 0) is fails, told.output + repr(told.exception)
        return str(told.exception) if fails else told.stdout

    async def call(self, uri: str, method: str, request: Any) -> Any:
        async with channel.connect(self.target, self.authority.material(uri)) as opened:
            return await getattr(FindingServiceStub(opened), method)(request, timeout=SECONDS)

    async def refusal(self, who: Signer | str, method: str, request: Any) -> tuple[grpc.StatusCode, str]:
        uri = who if isinstance(who, str) else f"{who.identity.organisation}/person/{who.identity.name}"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.call(uri, method, request)
        return refused.value.code(), refused.value.details() or ""

    async def notified(self) -> None:
        for verb in ("confirm", "notify"):
            await self.run(AN, verb, self.finding, "--note", "looked at")

    async def signed(self, who: Signer, action: Action, **said: Any) -> pb.SignedStatement:
        found = await Casework(self.engine).detail(self.finding)
        assert found is not None
        position = found.case.steps[-1].position + 1
        data, signature = who.state(action, position, found.head, finding=self.finding, **said)
        return pb.SignedStatement(statement=data, signature=signature)

    async def leaves(self) -> list[dict[str, Any]]:
        wanted = text("SELECT content FROM ledger_leaves WHERE kind = 'finding' ORDER BY log_index")
        async with self.engine.connect() as connection:
            return [json.loads(row.content)["step"] for row in await connection.execute(wanted)]


@pytest.fixture
async def world(engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path, engine)
    server = await made.begin()
    try:
        yield made
    finally:
        await server.stop(None)


async def test_an_operator_answers_its_own_finding_and_keeps_the_proof(world: World) -> None:
    await world.notified()
    (listed,) = json.loads(await world.run(OWN, "list", "--json"))["findings"]
    assert (listed["finding"], listed["state"], listed["turn"]) == (world.finding, "notified", "a")
    shown = await world.run(OWN, "show", world.finding)
    assert "lachan://so/person/an" in shown
    cited = ("--order", "17/2026/QĐ-MẪU", "--authority", "Tòa Mẫu", "--note", "theo lệnh của tòa")
    told = json.loads(await world.run(OWN, "answer", world.finding, *cited, "--json"))
    assert (told["state"], told["steps"][-1]["person"]) == ("answered", "lachan://a/person/khanh")
    step = (await world.leaves())[-1]
    assert step["order"] == {"authority": "Tòa Mẫu", "number": "17/2026/QĐ-MẪU"}
    # What stands in the ledger is what was signed, to the byte; what is kept shows that it was taken.
    (path,) = (world.folder_of(OWN) / "statements").iterdir()
    kept = statement.parse_kept(path.read_bytes())
    assert kept.statement == step["signed"]["statement"]
    statement.check(bytes.fromhex(step["signed"]["key"]), kept.statement.encode(), bytes.fromhex(kept.signature))
    receipt = statement.check_receipt(
        VerifyKey.from_raw(world.authority.receipt_key.public.raw),
        kept.receipt.encode(),
        bytes.fromhex(kept.receipt_signature),
        kept.statement.encode(),
    )
    async with world.engine.connect() as connection:
        own = text("SELECT log_index FROM finding_steps WHERE position = 3")
        assert (await connection.execute(own)).scalar_one() == receipt.leaf
    await world.run(BINH, "withdraw", world.finding, "--note", "another order")
    assert (await world.leaves())[-1]["person"] == "lachan://so/person/binh"


async def test_another_operator_sees_and_answers_nothing_of_it(world: World) -> None:
    await world.notified()
    assert json.loads(await world.run(OTHER, "list", "--all", "--json"))["findings"] == []
    number = bytes.fromhex(world.finding)
    # Told apart from a finding that is not there by nothing.
    for wanted in (number, bytes(16)):
        code, said = await world.refusal(OTHER, "GetFinding", pb.GetFindingRequest(finding_id=wanted))
        assert (code, said) == (grpc.StatusCode.NOT_FOUND, f"there is no finding {wanted.hex()}")
    signed = await world.signed(OTHER, Action.ANSWER)
    code, _ = await world.refusal(OTHER, "AnswerFinding", pb.AnswerFindingRequest(signed=signed))
    assert code is grpc.StatusCode.NOT_FOUND
    # With what the operator's own person signed, stolen on the way.
    stolen = await world.signed(OWN, Action.ANSWER)
    code, said = await world.refusal(OTHER, "AnswerFinding", pb.AnswerFindingRequest(signed=stolen))
    assert (code, "lachan://b/person/lam calls" in said) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    for uri in ("a/node/edge-1", "so/probe/p1"):
        code, _ = await world.refusal(uri, "ListFindings", pb.ListFindingsRequest())
        assert code is grpc.StatusCode.PERMISSION_DENIED
    assert [one["state"] for one in await world.leaves()] == ["open", "confirmed", "notified"]


async def test_the_authority_cannot_answer_for_an_operator(world: World) -> None:
    await world.notified()
    for who, expected in ((AN, "for a, not for lachan://so/person/an"), (POLICE, "for a, not for")):
        signed = await world.signed(who, Action.ANSWER)
        code, said = await world.refusal(who, "AnswerFinding", pb.AnswerFindingRequest(signed=signed))
        assert (code, expected in said) == (grpc.StatusCode.PERMISSION_DENIED, True)
    # In the operator's name, by its own key; with the operator's words changed; with a certificate that it made itself.
    data, _ = OWN.state(Action.ANSWER, 3, "00" * 32, finding=world.finding)
    _, forged = AN.state(Action.ANSWER, 3, "00" * 32, finding=world.finding)
    signed = pb.SignedStatement(statement=data, signature=forged)
    assert (await world.refusal(AN, "AnswerFinding", pb.AnswerFindingRequest(signed=signed)))[0] is (
        grpc.StatusCode.INVALID_ARGUMENT
    )
    theirs = await world.signed(OWN, Action.ANSWER, order=("17", "Tòa"))
    swapped = pb.SignedStatement(statement=theirs.statement.replace(b'"17"', b'"71"'), signature=theirs.signature)
    code, said = await world.refusal(OWN, "AnswerFinding", pb.AnswerFindingRequest(signed=swapped))
    assert (code, "signature" in said) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    for name in ("nobody", "khanh"):
        out = world.folder / "tls" / f"minted-{name}"
        pki.issue(world.folder / "ca", out, f"lachan://a/person/{name}", world.at, dns=[], addresses=[], days=1)
        code, _ = await world.refusal(f"minted-{name}", "ListFindings", pb.ListFindingsRequest())
        assert code is grpc.StatusCode.PERMISSION_DENIED
    assert world.refused == [Objection.UNKNOWN, Objection.NOT_ISSUED]
    assert len(await world.leaves()) == 3


async def test_an_answer_on_paper_is_marked_and_is_not_the_operators_own(world: World) -> None:
    await world.notified()
    assert "is for inspection" in await world.run(POLICE, "answer", world.finding, "--paper", fails=True)
    told = await world.run(AN, "answer", world.finding, "--paper", "--note", "made up")
    assert "answered (on paper)" in told
    assert (await world.leaves())[-1]["paper"] is True
    early = await world.run(BINH, "uphold", world.finding, "--note", "heard", fails=True)
    assert "may still answer itself" in early
    await world.run(OWN, "answer", world.finding, "--note", "that was not us")
    again = await world.run(AN, "answer", world.finding, "--paper", "--note", "and again", fails=True)
    assert again.startswith("FAILED_PRECONDITION: the finding is answered")
    assert "uphold" not in [one["state"] for one in await world.leaves()]


async def test_the_same_person_is_the_same_under_every_spelling(world: World) -> None:
    await world.notified()
    await world.run(OWN, "answer", world.finding, "--note", "no")
    upheld = await world.run(AN, "uphold", world.finding, "--note", "yes", fails=True)
    assert "whoever confirmed a finding does not uphold it" in upheld
    found = await Casework(world.engine).detail(world.finding)
    assert found is not None
    for spelling in ("lachan://so/person/AN", "lachan://SO/person/an", "lachan://so/person/a\\u200bn", "Trần An"):
        made = (await world.signed(AN, Action.UPHOLD)).statement.replace(b"lachan://so/person/an", spelling.encode())
        from lachan.signing import STATEMENT

        signed = pb.SignedStatement(statement=made, signature=AN.key.sign(STATEMENT, made))
        code, _ = await world.refusal(AN, "TakeStep", pb.TakeStepRequest(signed=signed))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
    done = json.loads(await world.run(BINH, "uphold", world.finding, "--note", "yes", "--json"))
    assert done["state"] == State.UPHELD


async def test_what_was_signed_is_taken_once_and_by_its_own_way(world: World) -> None:
    await world.notified()
    signed = await world.signed(OWN, Action.ANSWER)
    code, said = await world.refusal(OWN, "TakeStep", pb.TakeStepRequest(signed=signed))
    assert (code, "AnswerFinding" in said) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    await world.call("a/person/khanh", "AnswerFinding", pb.AnswerFindingRequest(signed=signed))
    code, _ = await world.refusal(OWN, "AnswerFinding", pb.AnswerFindingRequest(signed=signed))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    for data in (b"", b"{}", signed.statement + b" ", b"x" * 70_000):
        broken = pb.SignedStatement(statement=data, signature=signed.signature)
        code, _ = await world.refusal(OWN, "AnswerFinding", pb.AnswerFindingRequest(signed=broken))
        assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_operator_is_shown_nothing_that_leads_to_a_probe(world: World, url: URL) -> None:
    del url
    found = await world.call(
        "a/person/khanh", "GetFinding", pb.GetFindingRequest(finding_id=bytes.fromhex(world.finding))
    )
    assert found.evidence
    assert {one.reference for one in found.evidence if not one.kind.endswith("report")} <= {""}
    assert all(len(one.day) == 10 for one in found.evidence)
    whole = found.SerializeToString()
    async with world.engine.connect() as connection:
        cited = (await connection.execute(text("SELECT evidence FROM findings"))).scalar_one()
    for one in cited:
        for name in ("reference", "probe", "detail"):
            if one[name] and not one["kind"].endswith("report"):
                assert one[name].encode() not in whole
