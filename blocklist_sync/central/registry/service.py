"""RegistryService: the gRPC face of the registry, over mutual TLS.

Holds always: whoever calls is the enrolled person that the certificate names, or, before the first people are enrolled,
the approver who signs; every call is logged with its caller and how it ended, never with a name of the list.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

# It carries no types, and no stubs for it are locked.
from google.rpc import code_pb2  # type: ignore[import-untyped]

from blocklist_sync.artifact.names import NameRefusedError, canonical
from blocklist_sync.central.canonical import CanonicalError
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.approvals import MAX_STEPS, Person
from blocklist_sync.central.log.changes import ChangesError
from blocklist_sync.central.rails import rails
from blocklist_sync.central.rails.guard import Guard
from blocklist_sync.central.rails.rails import Finding, RailError
from blocklist_sync.central.registry import messages
from blocklist_sync.central.registry.book import Book
from blocklist_sync.central.registry.desk import CLOCK_SECONDS, Clock, Desk
from blocklist_sync.central.registry.errors import (
    BusyError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    NotPermittedError,
)
from blocklist_sync.central.registry.history import History
from blocklist_sync.central.registry.orders import OrderStore
from blocklist_sync.central.registry.record import STATES, Record
from blocklist_sync.central.registry.releases import Releases
from blocklist_sync.central.registry.spool import MAX_SCAN_BYTES, Spool
from lachan import channel, log, status
from lachan.blocklist.v1 import registry_service_pb2 as pb
from lachan.blocklist.v1.registry_service_pb2_grpc import RegistryServiceServicer
from lachan.status import Context, Refusal

MAX_UPLOADS = 4
UPLOAD_SECONDS = 900.0
IDLE_SECONDS = 60.0
DOWNLOAD_SECONDS = 900.0
PIECE_BYTES = 1 << 20
# What a call's end carries is bounded by gRPC's headers.
MAX_RAILS_TOLD = 6
MAX_RAIL_CHARACTERS = 300

_log = log.get()

T = TypeVar("T")


def _translate(error: Exception) -> Refusal | None:
    """What this service's errors mean to whoever called."""
    text = str(error)
    if isinstance(error, InvalidRequestError):
        return Refusal(code_pb2.INVALID_ARGUMENT, text, error.violations)
    if isinstance(error, ChangesError):
        return Refusal(code_pb2.INVALID_ARGUMENT, text, [(f"changes:{error.line}", error.reason)])
    if isinstance(error, CanonicalError):
        return Refusal(code_pb2.INVALID_ARGUMENT, text, [("header", text)])
    if isinstance(error, RailError):
        shown = [(f"rails.{one.rail}", _told(one)) for one in error.findings[:MAX_RAILS_TOLD]]
        reasons = "; ".join(f"{rail.removeprefix('rails.')}: {detail}" for rail, detail in shown)
        return Refusal(code_pb2.INVALID_ARGUMENT, f"rails stand against it: {reasons}", shown)
    if isinstance(error, NotPermittedError):
        return Refusal(code_pb2.PERMISSION_DENIED, text)
    if isinstance(error, NotFoundError):
        return Refusal(code_pb2.NOT_FOUND, text)
    if isinstance(error, ConflictError):
        return Refusal(code_pb2.ALREADY_EXISTS, text)
    if isinstance(error, BusyError):
        return Refusal(code_pb2.RESOURCE_EXHAUSTED, text, retry=True)
    if isinstance(error, CentralError):
        return Refusal(code_pb2.FAILED_PRECONDITION, text)
    return None


def _told(finding: Finding) -> str:
    """What a rail found, and whether the proposal may go on with two approvers."""
    advice = " (override it, and two people have to approve)" if rails.overridable([finding]) else ""
    return finding.detail[:MAX_RAIL_CHARACTERS] + advice


class RegistryService(RegistryServiceServicer):
    """The registry to its people."""

    def __init__(
        self,
        book: Book,
        desk: Desk,
        orders: OrderStore,
        history: History,
        releases: Releases,
        guard: Guard,
        clock: Clock,
    ) -> None:
        self._book = book
        self._desk = desk
        self._orders = orders
        self._history = history
        self._releases = releases
        self._guard = guard
        self._clock = clock
        self._uploads = asyncio.Semaphore(MAX_UPLOADS)

    async def RegisterOrder(  # noqa: N802  named by the contract
        self, request_iterator: AsyncIterator[pb.RegisterOrderRequest], context: Context
    ) -> pb.RegisterOrderResponse:
        """Registers a legal order."""
        async with self._called(context, "RegisterOrder", UPLOAD_SECONDS), self._upload():
            person = await self._person(context)
            if not {"editor", "approver"} & set(person.roles):
                raise NotPermittedError(f"{person.id} is neither editor nor approver")
            parts = _within(request_iterator)
            first = await anext(parts, None)
            if first is None or first.WhichOneof("part") != "order":
                raise InvalidRequestError([("order", "the order comes first")])
            order = messages.order_of(first.order)
            scan = bytearray()
            async for part in parts:
                scan += part.scan
                if part.WhichOneof("part") != "scan" or len(scan) > MAX_SCAN_BYTES:
                    raise InvalidRequestError([("scan", f"at most {MAX_SCAN_BYTES} bytes, after the order")])
            held = await self._orders.add(order, bytes(scan), person.id, self._clock())
            _log.info("order registered", person=person.id, order=order.number)
            return pb.RegisterOrderResponse(order=messages.registered_message(held))
        raise AssertionError("the block returns or raises")

    async def ListOrders(  # noqa: N802  named by the contract
        self, request: pb.ListOrdersRequest, context: Context
    ) -> pb.ListOrdersResponse:
        """Orders by number."""

        async def work() -> pb.ListOrdersResponse:
            await self._person(context)
            if request.number:
                found = [await self._orders.get(messages.plain(request.number, "number"))]
                return pb.ListOrdersResponse(orders=map(messages.registered_message, found))
            size = messages.page_size(request.page_size)
            page = await self._orders.page(messages.plain(request.page_token, "page_token"), size)
            token = page[-1].order.number if len(page) == size else ""
            return pb.ListOrdersResponse(orders=map(messages.registered_message, page), next_page_token=token)

        return await self._answer(context, "ListOrders", work())

    async def DownloadScan(  # noqa: N802  named by the contract
        self, request: pb.DownloadScanRequest, context: Context
    ) -> AsyncIterator[pb.DownloadScanResponse]:
        """An order's scan."""
        async with self._called(context, "DownloadScan", DOWNLOAD_SECONDS):
            await self._person(context)
            scan = await self._orders.scan(messages.plain(request.number, "number"))
            for at in range(0, len(scan), PIECE_BYTES):
                yield pb.DownloadScanResponse(data=scan[at : at + PIECE_BYTES])

    async def SubmitProposal(  # noqa: N802  named by the contract
        self, request_iterator: AsyncIterator[pb.SubmitProposalRequest], context: Context
    ) -> pb.SubmitProposalResponse:
        """Takes a proposal with its changes."""
        async with self._called(context, "SubmitProposal", UPLOAD_SECONDS), self._upload():
            person = await self._person(context)
            parts = _within(request_iterator)
            first = await anext(parts, None)
            if first is None or first.WhichOneof("part") != "header":
                raise InvalidRequestError([("header", "the header comes first")])
            signature = first.header.signature
            proposal = await self._desk.check(first.header.header, signature, person)
            spool = Spool()
            try:
                async for part in parts:
                    if part.WhichOneof("part") != "changes" or len(part.changes) > PIECE_BYTES:
                        raise InvalidRequestError([("changes", f"pieces of at most {PIECE_BYTES} bytes")])
                    await asyncio.to_thread(spool.feed, part.changes)
                summary = spool.finish()
                overridden = {rail.rail for rail in proposal.rails}
                await asyncio.to_thread(self._guard.check, spool, overridden)
                held, new = await self._desk.submit(proposal, signature, person, spool, summary)
            finally:
                spool.close()
            _log.info(
                "proposal taken", person=person.id, proposal=proposal.id, new=new, lines=summary.added + summary.removed
            )
            return pb.SubmitProposalResponse(proposal=await self._tell(held))
        raise AssertionError("the block returns or raises")

    async def ListProposals(  # noqa: N802  named by the contract
        self, request: pb.ListProposalsRequest, context: Context
    ) -> pb.ListProposalsResponse:
        """Proposals, newest first."""

        async def work() -> pb.ListProposalsResponse:
            await self._person(context)
            if request.state and request.state not in STATES:
                raise InvalidRequestError([("state", f"one of {', '.join(STATES)}, or empty")])
            size = messages.page_size(request.page_size)
            before = messages.token_numbers(request.page_token, 1)
            order_number = messages.plain(request.order_number, "order_number")
            page = await self._desk.page(before[0] if before else None, size, request.state, order_number)
            token = str(page[-1].number) if len(page) == size else ""
            return pb.ListProposalsResponse(proposals=map(messages.record_message, page), next_page_token=token)

        return await self._answer(context, "ListProposals", work())

    async def GetProposal(  # noqa: N802  named by the contract
        self, request: pb.GetProposalRequest, context: Context
    ) -> pb.GetProposalResponse:
        """One proposal."""

        async def work() -> pb.GetProposalResponse:
            await self._person(context)
            return pb.GetProposalResponse(proposal=await self._tell(await self._desk.get(request.id)))

        return await self._answer(context, "GetProposal", work())

    async def DownloadChanges(  # noqa: N802  named by the contract
        self, request: pb.DownloadChangesRequest, context: Context
    ) -> AsyncIterator[pb.DownloadChangesResponse]:
        """The text of a proposal's changes."""
        async with self._called(context, "DownloadChanges", DOWNLOAD_SECONDS):
            await self._person(context)
            held = await self._desk.get(request.id)
            async for deflated in self._pieces(held.proposal.id):
                yield pb.DownloadChangesResponse(deflated=deflated)

    async def ApproveProposal(  # noqa: N802  named by the contract
        self, request: pb.ApproveProposalRequest, context: Context
    ) -> pb.ApproveProposalResponse:
        """Adds the caller's approval."""

        async def work() -> pb.ApproveProposalResponse:
            person = await self._person(context)
            held = await self._desk.approve(request.id, person, request.decided_at, request.signature)
            _log.info("proposal approved", person=person.id, proposal=request.id, state=held.state)
            return pb.ApproveProposalResponse(proposal=await self._tell(held))

        return await self._answer(context, "ApproveProposal", work())

    async def CloseProposal(  # noqa: N802  named by the contract
        self, request: pb.CloseProposalRequest, context: Context
    ) -> pb.CloseProposalResponse:
        """Rejects or withdraws a proposal."""

        async def work() -> pb.CloseProposalResponse:
            person = await self._person(context)
            held = await self._desk.close(request.id, person, request.outcome, request.reason)
            _log.info("proposal closed", person=person.id, proposal=request.id, state=held.state)
            return pb.CloseProposalResponse(proposal=await self._tell(held))

        return await self._answer(context, "CloseProposal", work())

    async def AdmitPerson(  # noqa: N802  named by the contract
        self, request: pb.AdmitPersonRequest, context: Context
    ) -> pb.AdmitPersonResponse:
        """Enrols or retires somebody."""

        async def work() -> pb.AdmitPersonResponse:
            witness = self._book.identifier(channel.caller(context))
            if not await self._book.founding():
                await self._person(context)
            admission, signed = messages.admission_of(request, witness)
            now = self._clock()
            if not 0 < admission.decided_at <= now.timestamp() + CLOCK_SECONDS:
                raise InvalidRequestError([("decided_at", "ahead of the registry's clock")])
            index = await self._book.admit(admission, signed, now)
            _log.info("person admitted", person=witness, change=request.change, who=request.person.id, step=index)
            return pb.AdmitPersonResponse(log_index=index)

        return await self._answer(context, "AdmitPerson", work())

    async def ListPeople(  # noqa: N802  named by the contract
        self, request: pb.ListPeopleRequest, context: Context
    ) -> pb.ListPeopleResponse:
        """Everybody who is enrolled."""
        del request

        async def work() -> pb.ListPeopleResponse:
            await self._person(context)
            people = await self._book.people()
            return pb.ListPeopleResponse(people=[messages.person_message(people[one]) for one in sorted(people)])

        return await self._answer(context, "ListPeople", work())

    async def StreamLog(  # noqa: N802  named by the contract
        self, request: pb.StreamLogRequest, context: Context
    ) -> AsyncIterator[pb.StreamLogResponse]:
        """The approvals log."""
        async with self._called(context, "StreamLog", DOWNLOAD_SECONDS):
            await self._person(context)
            async for step in self._book.steps(min(request.after, MAX_STEPS)):
                yield pb.StreamLogResponse(step=pb.StreamLogResponse.Step(index=step.index, step=step.step))
                if request.with_changes and (identifier := await self._desk.decided_by(step.index)):
                    async for deflated in self._pieces(identifier):
                        yield pb.StreamLogResponse(deflated=deflated)

    async def ExplainName(  # noqa: N802  named by the contract
        self, request: pb.ExplainNameRequest, context: Context
    ) -> pb.ExplainNameResponse:
        """A name's whole history."""

        async def work() -> pb.ExplainNameResponse:
            person = await self._person(context)
            try:
                if canonical(request.name) != request.name:
                    raise InvalidRequestError([("name", "not in canonical form")])
            except NameRefusedError as error:
                raise InvalidRequestError([("name", str(error.reason))]) from error
            events, truncated = await self._history.explain(request.name, await self._published())
            _log.info("name explained", person=person.id, events=len(events))
            return pb.ExplainNameResponse(events=map(messages.event_message, events), truncated=truncated)

        return await self._answer(context, "ExplainName", work())

    async def ListDueReviews(  # noqa: N802  named by the contract
        self, request: pb.ListDueReviewsRequest, context: Context
    ) -> pb.ListDueReviewsResponse:
        """What is due for review."""

        async def work() -> pb.ListDueReviewsResponse:
            await self._person(context)
            size = messages.page_size(request.page_size)
            after = messages.token_numbers(request.page_token, 2)
            page = await self._history.due(request.by, (after[0], after[1]) if after else None, size)
            token = f"{page[-1].next_review_by}:{page[-1].number}" if len(page) == size else ""
            reviews = [
                pb.DueReview(proposal=messages.record_message(one), review_by=one.next_review_by, reviews=one.reviews)
                for one in page
            ]
            return pb.ListDueReviewsResponse(reviews=reviews, next_page_token=token)

        return await self._answer(context, "ListDueReviews", work())

    async def RecordReview(  # noqa: N802  named by the contract
        self, request: pb.RecordReviewRequest, context: Context
    ) -> pb.RecordReviewResponse:
        """Notes a review."""

        async def work() -> pb.RecordReviewResponse:
            person = await self._person(context)
            held = await self._desk.review(request.id, person, request.next_review_by, request.reason)
            _log.info("entries reviewed", person=person.id, proposal=request.id, next_review_by=request.next_review_by)
            return pb.RecordReviewResponse(reviews=held.reviews)

        return await self._answer(context, "RecordReview", work())

    async def ListOverdue(  # noqa: N802  named by the contract
        self, request: pb.ListOverdueRequest, context: Context
    ) -> pb.ListOverdueResponse:
        """What is late."""
        del request

        async def work() -> pb.ListOverdueResponse:
            await self._person(context)
            late, truncated = await self._history.overdue(int(self._clock().timestamp()), await self._published())
            stages = [
                pb.OverdueStage(
                    order_number=one.order_number,
                    proposal_id=one.proposal_id,
                    stage=messages.stage_message(one.stage),
                )
                for one in late
            ]
            return pb.ListOverdueResponse(stages=stages, truncated=truncated)

        return await self._answer(context, "ListOverdue", work())

    async def _person(self, context: Context) -> Person:
        return await self._book.person(channel.caller(context))

    async def _published(self) -> Any:
        return await asyncio.to_thread(self._releases)

    async def _tell(self, held: Record) -> pb.Proposal:
        return messages.told_message(await self._history.told(held, await self._published()))

    async def _pieces(self, identifier: str) -> AsyncIterator[bytes]:
        position = 0
        while (deflated := await self._desk.chunk(identifier, position)) is not None:
            yield deflated
            position += 1

    async def _answer(self, context: Context, method: str, work: Awaitable[T]) -> T:
        async with self._called(context, method, status.CALL_SECONDS):
            return await work
        raise AssertionError("the block returns or raises")

    @asynccontextmanager
    async def _called(self, context: Context, method: str, seconds: float) -> AsyncIterator[None]:
        """Logs a call, whoever makes it, and turns what it raises into its status."""
        try:
            caller = str(channel.caller(context))
        except Exception as error:  # noqa: BLE001  whatever is wrong with it, it is said below
            caller = type(error).__name__
        async with status.answering(context, _translate, seconds):
            try:
                yield
            except CentralError as error:
                # Only the kind: the text may hold a name.
                _log.warning("registry call refused", method=method, caller=caller, reason=type(error).__name__)
                raise
            _log.info("registry call", method=method, caller=caller)

    @asynccontextmanager
    async def _upload(self) -> AsyncIterator[None]:
        if self._uploads.locked():
            raise BusyError(f"{MAX_UPLOADS} uploads are on their way already")
        async with self._uploads:
            yield


async def _within(requests: AsyncIterator[T]) -> AsyncIterator[T]:
    """The messages of a stream, none of which may be waited for longer than `IDLE_SECONDS`."""
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                message = await anext(requests)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise InvalidRequestError([("part", f"nothing came for {IDLE_SECONDS:.0f} s")]) from error
        yield message
