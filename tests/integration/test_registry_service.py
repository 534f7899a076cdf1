"""The registry on a real PostgreSQL over real TLS: who may what, what is kept, and what survives a kill."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import approvals as chain
from blocklist_sync.central.log import changes, proposals, verifier
from blocklist_sync.central.log.approvals import ENROL, Admission, Person
from blocklist_sync.central.log.proposals import Order, Proposal, Rail
from blocklist_sync.central.registry import delegated, tables
from blocklist_sync.central.registry.book import Book
from blocklist_sync.central.registry.calls import MAX_UPLOADS
from blocklist_sync.central.registry.client import RegistryClient
from blocklist_sync.central.registry.history import History
from blocklist_sync.central.registry.remains import Remains
from blocklist_sync.central.registry.schema import SCHEMA
from blocklist_sync.central.registry.stages import StagePlans
from blocklist_sync.central.serving.metrics import Metrics
from blocklist_sync.central.serving.rpc import REGISTRY
from blocklist_sync.central.serving.watch import RegistryWatch
from lachan import postgres
from lachan.blocklist.v1 import registry_service_pb2 as pb
from lachan.blocklist.v1 import sample_service_pb2 as samples
from lachan.blocklist.v1.registry_service_pb2_grpc import RegistryServiceStub
from lachan.blocklist.v1.sample_service_pb2_grpc import SampleServiceStub
from tests.support.registry import GAMBLING, ORDER
from tests.support.registry_office import Colleague, Office, order_arguments

DEADLINE = 90.0
# Deadlines of a second, so that everything is late that is not done.
HASTY = {"unit": "hasty-unit", "ordinary": "1s", "urgent": "1s", "unblock": "1s"}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    made = Office(tmp_path_factory.mktemp("office"))
    with postgres.embedded(made.folder / "db"):
        made.configure(plans=[{"propose": HASTY, "approve": HASTY}])
        made.start()
        try:
            made.found()
            register(made, ORDER)
            yield made
        finally:
            made.stop()


@pytest.fixture
async def engine(office: Office) -> AsyncIterator[AsyncEngine]:
    with postgres.embedded(office.folder / "db") as server:
        made = postgres.engine(server.database("registry"), 4, "test")
        yield made
        await made.dispose()


def register(office: Office, order: Order) -> None:
    office.run(*order_arguments(order), person="editor")


def drafted(office: Office, path: Path, *names: str, kind: Kind = GAMBLING, **other: Any) -> tuple[Proposal, bytes]:
    """A proposal of these names, signed by the editor; its changes are in the file."""
    summary = changes.write(path, ((name, kind, True) for name in names))
    now = int(time.time())
    held: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "order": ORDER,
        "effective_from": now,
        "review_by": now + 86_400,
        "reason": "As the order says",
        "proposer": "editor",
        "proposed_at": now,
        "changes_sha256": summary.digest.hex(),
        "added": summary.added,
        "removed": summary.removed,
    }
    made = Proposal(**held | other)
    return made, proposals.sign_proposal(office.colleagues["editor"].signer, made)


async def submit(office: Office, path: Path, *names: str, **other: Any) -> Proposal:
    made, signature = drafted(office, path, *names, **other)
    async with office.colleagues["editor"].calling() as client:
        await client.submit(made.encode(), signature, path)
    return made


async def approve(by: Colleague, made: Proposal, at: int = 0) -> pb.Proposal:
    decided_at = at or int(time.time())
    signature = proposals.sign_approval(by.signer, made, decided_at)
    request = pb.ApproveProposalRequest(id=made.id, decided_at=decided_at, signature=signature)
    async with by.calling() as client:
        return (await client.call(client.stub.ApproveProposal(request, timeout=DEADLINE))).proposal


async def log_of(client: RegistryClient) -> list[bytes]:
    answers = client.stub.StreamLog(pb.StreamLogRequest(), timeout=DEADLINE)
    return [answer.step.step async for answer in answers]


async def test_the_migrations_lead_to_the_tables(engine: AsyncEngine) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), tables.metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    assert await SCHEMA.is_current(engine)


async def test_history_is_never_rewritten(office: Office, engine: AsyncEngine, tmp_path: Path) -> None:
    made = await submit(office, tmp_path / "changes", "kept.example")
    await approve(office.colleagues["first"], made)
    for table in tables.HISTORY:
        for statement in (f"UPDATE {table} SET xmin = xmin", f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):  # noqa: S608
            with pytest.raises(DBAPIError, match=r"never rewritten|system column|cannot assign"):
                async with engine.begin() as connection:
                    await connection.execute(text(statement))
    with pytest.raises(DBAPIError, match="never rewritten: UPDATE on orders"):
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE orders SET issuer = 'another'"))


async def test_two_people_by_the_service_the_database_and_the_log(
    office: Office, engine: AsyncEngine, tmp_path: Path
) -> None:
    first = office.colleagues["first"]
    path = tmp_path / "changes"
    made, _ = drafted(office, path, "own.example", proposer="first")
    signature = proposals.sign_proposal(first.signer, made)
    async with first.calling() as client:
        await client.submit(made.encode(), signature, path)
    # The service.
    with pytest.raises(CentralError, match="nobody approves what they proposed"):
        await approve(first, made)
    # The database, whatever the service does.
    row: dict[str, Any] = {
        "proposal_id": made.id,
        "approver": "first",
        "approver_key": first.key,
        "proposer": "first",
        "proposer_key": first.key,
        "decided_at": 1,
        "signature": b"x",
        "added_at": datetime.now(UTC),
    }
    for changed, constraint in (
        ({"approver_key": bytes(32)}, "two_people"),
        ({"approver": "second"}, "two_keys"),
        ({"approver": "second", "approver_key": bytes(32), "proposer": "editor"}, "fk_approvals"),
    ):
        with pytest.raises(IntegrityError, match=constraint):
            async with engine.begin() as connection:
                await connection.execute(insert(tables.approvals).values(row | changed))
    # And the log, whatever the database says.
    keys = delegated.of(office.folder / "repository")()
    async with first.calling() as client:
        steps = await log_of(client)
    head = chain.hash_step(steps[-1])
    given = chain.Approval(
        "first", made.proposed_at, proposals.sign_approval(first.signer, made, made.proposed_at).hex()
    )
    forged = chain.proposal_step(len(steps) + 1, head, made, signature, [given])
    with pytest.raises(chain.LogError, match="nobody approves what they proposed"):
        verifier.verify_log([*steps, forged], keys)
    # Somebody else may.
    assert (await approve(office.colleagues["second"], made)).state == "approved"


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("lachan://so-test/person/stranger", grpc.StatusCode.PERMISSION_DENIED),
        ("lachan://other/person/editor", grpc.StatusCode.PERMISSION_DENIED),
        ("lachan://so-test/service/compliance", grpc.StatusCode.PERMISSION_DENIED),
        ("lachan://isp-a/node/editor", grpc.StatusCode.PERMISSION_DENIED),
    ],
)
async def test_only_the_enrolled_people_of_the_organisation_are_answered(
    office: Office, uri: str, code: grpc.StatusCode
) -> None:
    calls = office.channel_of(uri)
    stub = RegistryServiceStub(calls)
    for method, request in (
        ("ListProposals", pb.ListProposalsRequest()),
        ("ExplainName", pb.ExplainNameRequest(name="bad.example")),
        ("AdmitPerson", pb.AdmitPersonRequest()),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await getattr(stub, method)(request, timeout=DEADLINE)
        assert refused.value.code() is code, method
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        _ = [answer async for answer in stub.StreamLog(pb.StreamLogRequest(), timeout=DEADLINE)]
    assert refused.value.code() is code
    await calls.close()


async def test_a_proposal_is_held_against_everything_that_is_known(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "changes"
    editor = office.colleagues["editor"]
    other = tmp_path / "other"
    drafted(office, other, "other.example")

    async def refusal(made: Proposal, signature: bytes, sent: Path, who: Colleague = editor) -> str:
        async with who.calling() as client:
            with pytest.raises(CentralError) as caught:
                await client.submit(made.encode(), signature, sent)
        return str(caught.value)

    made, signature = drafted(office, path, "new.example")
    assert "header.changes_sha256: the changes are others" in await refusal(made, signature, other)
    assert "signature: not editor's" in await refusal(made, bytes(64), path)
    assert "in the name of editor" in await refusal(made, signature, path, office.colleagues["first"])
    made, signature = drafted(office, path, "new.example", added=7)
    assert "header.added: the changes hold 1" in await refusal(made, signature, path)
    made, signature = drafted(office, path, "new.example", proposed_at=int(time.time()) + 10_000)
    assert "header.proposed_at" in await refusal(made, signature, path)
    made, signature = drafted(office, path, "new.example", review_by=int(time.time()) * 2)
    assert "header.review_by" in await refusal(made, signature, path)
    unknown = Order(**{**vars(ORDER), "number": "unknown"})
    made, signature = drafted(office, path, "new.example", order=unknown)
    assert "no such order" in await refusal(made, signature, path)
    changed = Order(**{**vars(ORDER), "issuer": "Somebody else"})
    made, signature = drafted(office, path, "new.example", order=changed)
    assert "says otherwise" in await refusal(made, signature, path)
    rails = tuple(Rail(f"rail-{number}", "x" * 2000) for number in range(10, 32))
    made, signature = drafted(office, path, "new.example", rails=rails)
    assert "header: longer than" in await refusal(made, signature, path)
    made, signature = drafted(office, path, "a.example", "b.example")
    path.write_bytes(path.read_bytes().replace(b"b.example", b"a.example"))
    assert "changes:4: lines are not sorted" in await refusal(made, signature, path)
    assert "already" not in await refusal(made, signature, other)


async def test_compliance_learns_of_orders_and_nobody_else(office: Office) -> None:
    calls = office.channel_of("lachan://so-test/service/compliance")
    found = []
    token = ""
    while True:
        request = samples.SampleServiceListOrdersRequest(page_size=1, page_token=token)
        answer = await SampleServiceStub(calls).ListOrders(request, timeout=DEADLINE)
        found += [(one.number, one.issuer, one.mandated) for one in answer.orders]
        token = answer.next_page_token
        if not token:
            break
    assert (ORDER.number, ORDER.issuer, True) in found
    await calls.close()


async def test_compliance_learns_who_approved_what_by_their_keys(office: Office, tmp_path: Path) -> None:
    made = await submit(office, tmp_path / "changes", "approved.example")
    await approve(office.colleagues["first"], made)
    calls = office.channel_of("lachan://so-test/service/compliance")
    request = samples.ListApprovalsRequest(page_size=500)
    told = (await SampleServiceStub(calls).ListApprovals(request, timeout=DEADLINE)).approvals
    assert [one.step for one in told] == sorted({one.step for one in told})
    last = told[-1]
    assert (last.proposal_digest, last.order) == (hashlib.sha256(made.encode()).digest(), ORDER.number)
    (signature,) = last.signatures
    assert signature.key_id == hashlib.sha256(office.colleagues["first"].key).digest()
    assert min(last.decided_at, signature.signed_at) > 0
    request.after_step = last.step
    assert not (await SampleServiceStub(calls).ListApprovals(request, timeout=DEADLINE)).approvals
    await calls.close()
    calls = office.channel_of("lachan://so-test/person/editor")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await SampleServiceStub(calls).ListApprovals(samples.ListApprovalsRequest(), timeout=DEADLINE)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    await calls.close()


async def test_the_same_again_changes_nothing(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "changes"
    made, signature = drafted(office, path, "again.example", rails=(Rail("top-sites", "one"),))
    async with office.colleagues["editor"].calling() as client:
        both = await asyncio.gather(*(client.submit(made.encode(), signature, path) for _ in range(2)))
        assert both[0] == both[1] == await client.submit(made.encode(), signature, path)
        stolen, other = drafted(office, path, "stolen.example", id=made.id)
        with pytest.raises(CentralError, match="another proposal's id"):
            await client.submit(stolen.encode(), other, path)
        before = await log_of(client)
    at = int(time.time())
    assert await approve(office.colleagues["first"], made, at) == await approve(office.colleagues["first"], made, at)
    # Both decide at once: one step, whoever is second finds it decided.
    outcomes = await asyncio.gather(
        approve(office.colleagues["second"], made), approve(office.colleagues["third"], made), return_exceptions=True
    )
    assert sum(isinstance(one, pb.Proposal) for one in outcomes) == 1
    assert sum("approved already" in str(one) for one in outcomes if isinstance(one, CentralError)) == 1
    async with office.colleagues["editor"].calling() as client:
        assert len(await log_of(client)) == len(before) + 1


async def test_an_approval_is_of_the_moment_at_which_it_is_given(office: Office, tmp_path: Path) -> None:
    now = int(time.time())
    made = await submit(office, tmp_path / "changes", "moment.example", proposed_at=now - 4000)
    for at in (now - 3000, now + 3000):
        with pytest.raises(CentralError, match="decided_at: more than 300 s from the registry's clock"):
            await approve(office.colleagues["first"], made, at)
    assert (await approve(office.colleagues["first"], made, now - 60)).decision.decided_at == now - 60


async def test_an_admission_is_held_against_the_log(office: Office) -> None:
    first, second = office.colleagues["first"], office.colleagues["second"]

    async def admit(by: Colleague, person: Person, signer: Colleague) -> str:
        admission = Admission(ENROL, person, int(time.time()))
        witness = chain.sign_admission(signer.signer, by.id, admission)
        request = pb.AdmitPersonRequest(
            change=admission.change,
            person=pb.Person(
                id=person.id, name=person.name, unit=person.unit, roles=person.roles, public_key=person.key
            ),
            decided_at=admission.decided_at,
            witness_key=bytes.fromhex(witness.public_key),
            signature=bytes.fromhex(witness.signature),
        )
        async with by.calling() as client:
            with pytest.raises(CentralError) as caught:
                await client.call(client.stub.AdmitPerson(request, timeout=DEADLINE))
        return str(caught.value)

    stranger = Person("stranger", "S", "unit", ("approver",), "ab" * 32)
    assert "must be delegated" in await admit(first, stranger, first)
    assert "no approver with this key" in await admit(first, stranger, second)
    twin = Person("twin", "T", "unit", ("editor",), office.colleagues["editor"].key.hex())
    assert "was enrolled before" in await admit(first, twin, first)
    assert "no delegated approver's key" in await admit(
        office.colleagues["editor"], stranger, office.colleagues["editor"]
    )


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("ListProposals", pb.ListProposalsRequest(page_size=501), "page_size"),
        ("ListProposals", pb.ListProposalsRequest(state="lost"), "state"),
        ("ListProposals", pb.ListProposalsRequest(order_number="\0"), "order_number"),
        ("ListProposals", pb.ListProposalsRequest(page_token="x"), "page_token"),
        ("ListOrders", pb.ListOrdersRequest(number="x" * 300), "number"),
        ("ListOrders", pb.ListOrdersRequest(page_token="\0"), "page_token"),
        ("GetProposal", pb.GetProposalRequest(id="\0"), "id"),
        ("ExplainName", pb.ExplainNameRequest(name="\0.example"), "name"),
        ("ExplainName", pb.ExplainNameRequest(name="Bad.example"), "name"),
        ("ListDueReviews", pb.ListDueReviewsRequest(page_token="1"), "page_token"),
        ("CloseProposal", pb.CloseProposalRequest(id="x", outcome="approved", reason="x"), "outcome"),
        ("RecordReview", pb.RecordReviewRequest(id="x", next_review_by=-1, reason="x"), "next_review_by"),
        ("RecordReview", pb.RecordReviewRequest(id="x", reason=""), "reason"),
    ],
)
async def test_a_refusal_names_its_field(office: Office, method: str, request_: Any, field: str) -> None:
    async with office.colleagues["editor"].calling() as client:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await getattr(client.stub, method)(request_, timeout=DEADLINE)
        status = rpc_status.from_call(refused.value)
        request = error_details_pb2.BadRequest()
        assert status is not None
        assert status.details[0].Unpack(request)
        assert request.field_violations[0].field == field


async def test_pages_follow_one_another(office: Office, tmp_path: Path) -> None:
    for number in range(3):
        await submit(office, tmp_path / "changes", f"paged{number}.example")
    async with office.colleagues["editor"].calling() as client:
        found: list[str] = []
        token = ""
        while True:
            request = pb.ListProposalsRequest(page_size=2, page_token=token)
            answer = await client.stub.ListProposals(request, timeout=DEADLINE)
            found += [one.id for one in answer.proposals]
            token = answer.next_page_token
            if not token:
                break
        assert found == [one.id for one in await client.proposals()]
        assert len(set(found)) == len(found) >= 3


async def test_a_caller_who_goes_away_leaves_nothing_behind(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "changes"
    made = await submit(office, path, *(f"g{number:05}.example" for number in range(30_000)))
    written = office.log.stat().st_size
    async with office.colleagues["editor"].calling() as client:
        for _ in range(3):
            answers = client.stub.DownloadChanges(pb.DownloadChangesRequest(id=made.id), timeout=DEADLINE)
            async for _ in answers:
                break
            answers.cancel()
        # A stream that nobody reads any more must not hold a connection of the pool, nor an upload its place.
        never = asyncio.Event()

        async def parts() -> AsyncIterator[pb.SubmitProposalRequest]:
            header = pb.SubmitProposalRequest.Header(header=made.encode(), signature=bytes(64))
            yield pb.SubmitProposalRequest(header=header)
            await never.wait()

        signature = proposals.sign_proposal(office.colleagues["editor"].signer, made)
        for _ in range(2 * MAX_UPLOADS):
            call = client.stub.SubmitProposal(parts(), timeout=DEADLINE)
            with pytest.raises(grpc.aio.AioRpcError):
                await call
        assert (await client.submit(made.encode(), signature, path)).id == made.id
        await client.changes(made.id, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == path.read_bytes()
    said = office.log.read_bytes()[written:].decode()
    assert "Traceback" not in said
    assert "a call failed" not in said


async def test_what_is_late_has_a_unit_that_answers_for_it(office: Office, tmp_path: Path, engine: AsyncEngine) -> None:
    late = Order(**{**vars(ORDER), "number": "late", "urgency": "urgent"})
    past = datetime.fromtimestamp(time.time() - 3600, UTC)
    row = {**vars(late), "mandated": True, "scan_sha256": None, "added_by": "editor", "added_at": past}
    async with engine.begin() as connection:
        await connection.execute(insert(tables.orders).values(row))
    async with office.colleagues["editor"].calling() as client:
        answer = await client.stub.ListOverdue(pb.ListOverdueRequest(), timeout=DEADLINE)
        (stage,) = [one for one in answer.stages if one.order_number == "late"]
        assert (stage.proposal_id, stage.stage.name, stage.stage.unit) == ("", "propose", "hasty-unit")
    made = await submit(
        office, tmp_path / "changes", "late.example", order=late, kind=GAMBLING._replace(order=late.basis)
    )
    async with office.colleagues["editor"].calling() as client:
        answer = await client.stub.ListOverdue(pb.ListOverdueRequest(), timeout=DEADLINE)
        assert "late" not in [one.order_number for one in answer.stages if not one.proposal_id]
        held = (await client.stub.GetProposal(pb.GetProposalRequest(id=made.id), timeout=DEADLINE)).proposal
        assert [stage.name for stage in held.stages] == ["propose", "approve"]
        assert held.stages[0].done_at > held.stages[0].due_at
        # Who withdraws decides nothing: the order is carried out by nobody again.
        closing = pb.CloseProposalRequest(id=made.id, outcome="withdrawn", reason="Mistaken")
        await client.call(client.stub.CloseProposal(closing, timeout=DEADLINE))
        answer = await client.stub.ListOverdue(pb.ListOverdueRequest(), timeout=DEADLINE)
        assert "late" in [one.order_number for one in answer.stages if not one.proposal_id]


async def test_metrics_tell_of_calls_and_of_what_is_late(office: Office, engine: AsyncEngine, tmp_path: Path) -> None:
    await submit(office, tmp_path / "changes", "waits.example")
    async with office.colleagues["editor"].calling() as client:
        await client.stub.ListOrders(pb.ListOrdersRequest(), timeout=DEADLINE)
        with pytest.raises(grpc.aio.AioRpcError):
            await client.stub.GetProposal(pb.GetProposalRequest(id=str(uuid.uuid4())), timeout=DEADLINE)
    async with office.colleagues["editor"].calling() as client:
        assert await log_of(client)
    told = await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{office.metrics_port}/metrics")
    with told:
        text_ = told.read().decode()
    for method, code in (("ListOrders", "OK"), ("GetProposal", "NOT_FOUND"), ("StreamLog", "OK")):
        (line,) = [
            one
            for one in text_.splitlines()
            if f'method="{method}"' in one and f'code="{code}"' in one and "_total{" in one and "RegistryService" in one
        ]
        assert float(line.split()[-1]) >= 1
    book = Book(engine, delegated.of(office.folder / "repository"), "so-test")
    plans = StagePlans.model_validate({"plans": [{"propose": HASTY, "approve": HASTY}]})
    metrics = Metrics()
    await RegistryWatch(book, History(engine, plans, Remains(tmp_path / "none")), list, plans).look(
        metrics, int(time.time()) + 60
    )
    shown = metrics.registry.get_sample_value
    assert (shown("lachan_registry_log_steps") or 0) >= 4
    assert (shown("lachan_registry_stages_overdue", {"unit": "hasty-unit", "stage": "approve"}) or 0) >= 1
    assert shown("lachan_registry_stages_overdue", {"unit": "list-custodians", "stage": "publish"}) == 0


async def test_killed_in_the_middle_of_a_long_proposal_nothing_is_half_done(
    office: Office, tmp_path: Path, engine: AsyncEngine
) -> None:
    path = tmp_path / "changes"
    made, signature = drafted(office, path, *(f"n{number:06}.example" for number in range(100_000)))
    data = path.read_bytes()
    table = tables.change_chunks

    def parts(length: int, sent: asyncio.Event, over: asyncio.Event) -> AsyncIterator[pb.SubmitProposalRequest]:
        async def send() -> AsyncIterator[pb.SubmitProposalRequest]:
            header = pb.SubmitProposalRequest.Header(header=made.encode(), signature=signature)
            yield pb.SubmitProposalRequest(header=header)
            for at in range(0, length, 1 << 16):
                yield pb.SubmitProposalRequest(changes=data[at : min(length, at + (1 << 16))])
            sent.set()
            await over.wait()

        return send()

    async def rows() -> int:
        async with engine.connect() as connection:
            chunks = select(func.count()).select_from(table).where(table.c.proposal_id == made.id)
            own = select(func.count()).select_from(tables.proposals).where(tables.proposals.c.id == made.id)
            return int(await connection.scalar(chunks) or 0) + int(await connection.scalar(own) or 0)

    async def killed(length: int, *, ended: bool) -> None:
        """Sends so much of the changes, and kills the service then."""
        sent, over = asyncio.Event(), asyncio.Event()
        if ended:
            over.set()
        async with office.colleagues["editor"].calling() as client:
            call = client.stub.SubmitProposal(parts(length, sent, over), timeout=DEADLINE)
            await asyncio.wait_for(sent.wait(), DEADLINE)
            await asyncio.to_thread(office.kill)
            # It may have been answered just before.
            with contextlib.suppress(grpc.aio.AioRpcError):
                await call
            over.set()
        await asyncio.to_thread(office.start)

    await killed(len(data) // 2, ended=False)
    assert await rows() == 0
    # And again, while it is being checked or written: all of it is there, or nothing.
    pieces = 1 + 1 + -(-100_000 // 8192)
    await killed(len(data), ended=True)
    assert await rows() in {0, pieces}
    async with office.colleagues["editor"].calling() as client:
        taken = await client.submit(made.encode(), signature, path)
        assert taken.state == "proposed"
        await client.changes(made.id, tmp_path / "back")
        answer = await client.stub.ExplainName(pb.ExplainNameRequest(name="n050000.example"), timeout=DEADLINE)
        assert [event.proposal.id for event in answer.events] == [made.id]
    assert (tmp_path / "back").read_bytes() == data
    assert await rows() == pieces


async def test_postgres_comes_back_and_so_does_the_registry(office: Office, tmp_path: Path) -> None:
    made = await submit(office, tmp_path / "changes", "before.example")
    folder = office.folder / "db"
    pid = int((folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
    async with office.colleagues["first"].calling() as client:
        assert len(await log_of(client)) >= 4
    calls = office.channel_of("lachan://so-test/person/first")
    health = health_pb2_grpc.HealthStub(calls)

    async def state() -> int:
        answer = await health.Check(health_pb2.HealthCheckRequest(service=REGISTRY), timeout=DEADLINE)
        return int(answer.status)

    async def until(wanted: int) -> None:
        async with asyncio.timeout(DEADLINE):
            # Nobody signals what happens in another process.
            while await state() != wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    await until(health_pb2.HealthCheckResponse.SERVING)
    # One connection dies, and so PostgreSQL ends all of them, recovers and starts anew.
    victim = await asyncio.to_thread(_backend, pid)
    os.kill(victim, signal.SIGKILL)
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                held = await approve(office.colleagues["second"], made)
                break
            except CentralError as error:
                if "does not answer" not in str(error):
                    raise
                await asyncio.sleep(0.05)
    assert held.state == "approved"
    await until(health_pb2.HealthCheckResponse.SERVING)
    await calls.close()


def _backend(postmaster: int) -> int:
    """A connection of the registry's to this server."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == postmaster and b" registry " in (path / "cmdline").read_bytes():
                    return int(path.name)
    raise AssertionError("no connection")
