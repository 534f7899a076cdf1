"""RegistryService: the gRPC face of the registry, over mutual TLS.

Holds always: whoever calls is the enrolled person that the certificate names, or, before the first people are enrolled,
the approver who signs; how a call runs and ends is the matter of `calls`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from blocklist_sync.artifact.names import NameRefusedError, spelled
from blocklist_sync.central.log.approvals import MAX_STEPS, Person
from blocklist_sync.central.registry import messages
from blocklist_sync.central.registry.book import Book
from blocklist_sync.central.registry.calls import MAX_UPLOADS, download, unary, upload, weighing
from blocklist_sync.central.registry.desk import CLOCK_SECONDS, Clock, Desk
from blocklist_sync.central.registry.errors import InvalidRequestError, NotPermittedError
from blocklist_sync.central.registry.history import History
from blocklist_sync.central.registry.orders import OrderStore
from blocklist_sync.central.registry.record import STATES, Record
from blocklist_sync.central.registry.releases import Releases
from blocklist_sync.central.registry.signatures import SignatureDesk, check_signer
from blocklist_sync.central.registry.spool import MAX_SCAN_BYTES, Spool
from lachan import channel, log
from lachan.blocklist.v1 import registry_service_pb2 as pb
from lachan.blocklist.v1.registry_service_pb2_grpc import RegistryServiceServicer
from lachan.status import Context
from lachan.tls import Identity

PIECE_BYTES = 1 << 20

_log = log.get()


class RegistryService(RegistryServiceServicer):
    """The registry to its people."""

    def __init__(
        self,
        book: Book,
        desk: Desk,
        orders: OrderStore,
        history: History,
        releases: Releases,
        signatures: SignatureDesk,
        clock: Clock,
        caller: Callable[[Context], Identity] = channel.caller,
    ) -> None:
        self._book = book
        self._desk = desk
        self._orders = orders
        self._history = history
        self._releases = releases
        self._signatures = signatures
        self._clock = clock
        self._caller = caller
        self.uploads = asyncio.Semaphore(MAX_UPLOADS)

    @upload
    async def RegisterOrder(  # noqa: N802  named by the contract
        self, request_iterator: AsyncIterator[pb.RegisterOrderRequest], context: Context
    ) -> pb.RegisterOrderResponse:
        """Registers a legal order."""
        person = await self._person(context)
        if not {"editor", "approver"} & set(person.roles):
            raise NotPermittedError(f"{person.id} is neither editor nor approver")
        first = await anext(request_iterator, None)
        if first is None or first.WhichOneof("part") != "order":
            raise InvalidRequestError([("order", "the order comes first")])
        order = messages.order_of(first.order)
        scan = bytearray()
        async for part in request_iterator:
            scan += part.scan
            if part.WhichOneof("part") != "scan" or len(scan) > MAX_SCAN_BYTES:
                raise InvalidRequestError([("scan", f"at most {MAX_SCAN_BYTES} bytes, after the order")])
        held = await self._orders.add(order, bytes(scan), person.id, self._clock())
        _log.info("order registered", person=person.id, order=order.number)
        return pb.RegisterOrderResponse(order=messages.registered_message(held))

    @unary
    async def ListOrders(  # noqa: N802  named by the contract
        self, request: pb.ListOrdersRequest, context: Context
    ) -> pb.ListOrdersResponse:
        """Orders by number."""
        await self._person(context)
        if request.number:
            found = [await self._orders.get(messages.plain(request.number, "number"))]
            return pb.ListOrdersResponse(orders=map(messages.registered_message, found))
        size = messages.page_size(request.page_size)
        page = await self._orders.page(messages.plain(request.page_token, "page_token"), size)
        token = page[-1].order.number if len(page) == size else ""
        return pb.ListOrdersResponse(orders=map(messages.registered_message, page), next_page_token=token)

    @download
    async def DownloadScan(  # noqa: N802  named by the contract
        self, request: pb.DownloadScanRequest, context: Context
    ) -> AsyncIterator[pb.DownloadScanResponse]:
        """An order's scan."""
        await self._person(context)
        scan = await self._orders.scan(messages.plain(request.number, "number"))
        for at in range(0, len(scan), PIECE_BYTES):
            yield pb.DownloadScanResponse(data=scan[at : at + PIECE_BYTES])

    @upload
    async def SubmitProposal(  # noqa: N802  named by the contract
        self, request_iterator: AsyncIterator[pb.SubmitProposalRequest], context: Context
    ) -> pb.SubmitProposalResponse:
        """Takes a proposal with its changes."""
        person = await self._person(context)
        first = await anext(request_iterator, None)
        if first is None or first.WhichOneof("part") != "header":
            raise InvalidRequestError([("header", "the header comes first")])
        signature = first.header.signature
        proposal = await self._desk.check(first.header.header, signature, person)
        spool = Spool()
        try:
            async for part in request_iterator:
                if part.WhichOneof("part") != "changes" or len(part.changes) > PIECE_BYTES:
                    raise InvalidRequestError([("changes", f"pieces of at most {PIECE_BYTES} bytes")])
                await asyncio.to_thread(spool.feed, part.changes)
            summary = spool.finish()
            published = await self._published()
            newest = published[-1] if published else None
            held, new = await self._desk.submit(proposal, signature, person, spool, summary, newest)
        finally:
            spool.close()
        _log.info(
            "proposal taken", person=person.id, proposal=proposal.id, new=new, lines=summary.added + summary.removed
        )
        return pb.SubmitProposalResponse(proposal=await self._tell(held))

    @unary
    async def ListProposals(  # noqa: N802  named by the contract
        self, request: pb.ListProposalsRequest, context: Context
    ) -> pb.ListProposalsResponse:
        """Proposals, newest first."""
        await self._person(context)
        if request.state and request.state not in STATES:
            raise InvalidRequestError([("state", f"one of {', '.join(STATES)}, or empty")])
        size = messages.page_size(request.page_size)
        before = messages.token_numbers(request.page_token, 1)
        order_number = messages.plain(request.order_number, "order_number")
        page = await self._desk.page(before[0] if before else None, size, request.state, order_number)
        token = str(page[-1].number) if len(page) == size else ""
        return pb.ListProposalsResponse(proposals=map(messages.record_message, page), next_page_token=token)

    @unary
    async def GetProposal(  # noqa: N802  named by the contract
        self, request: pb.GetProposalRequest, context: Context
    ) -> pb.GetProposalResponse:
        """One proposal."""
        await self._person(context)
        return pb.GetProposalResponse(proposal=await self._tell(await self._desk.get(request.id)))

    @download
    async def DownloadChanges(  # noqa: N802  named by the contract
        self, request: pb.DownloadChangesRequest, context: Context
    ) -> AsyncIterator[pb.DownloadChangesResponse]:
        """The text of a proposal's changes."""
        await self._person(context)
        held = await self._desk.get(request.id)
        async for deflated in self._pieces(held.proposal.id):
            yield pb.DownloadChangesResponse(deflated=deflated)

    @weighing
    async def ApproveProposal(  # noqa: N802  named by the contract
        self, request: pb.ApproveProposalRequest, context: Context
    ) -> pb.ApproveProposalResponse:
        """Adds the caller's approval."""
        person = await self._person(context)
        held = await self._desk.approve(request.id, person, request.decided_at, request.signature)
        _log.info("proposal approved", person=person.id, proposal=request.id, state=held.state)
        return pb.ApproveProposalResponse(proposal=await self._tell(held))

    @unary
    async def CloseProposal(  # noqa: N802  named by the contract
        self, request: pb.CloseProposalRequest, context: Context
    ) -> pb.CloseProposalResponse:
        """Rejects or withdraws a proposal."""
        person = await self._person(context)
        held = await self._desk.close(request.id, person, request.outcome, request.reason)
        _log.info("proposal closed", person=person.id, proposal=request.id, state=held.state)
        return pb.CloseProposalResponse(proposal=await self._tell(held))

    @unary
    async def AdmitPerson(  # noqa: N802  named by the contract
        self, request: pb.AdmitPersonRequest, context: Context
    ) -> pb.AdmitPersonResponse:
        """Enrols or retires somebody."""
        witness = self._book.identifier(self._caller(context))
        if not await self._book.founding():
            await self._person(context)
        admission, signed = messages.admission_of(request, witness)
        now = self._clock()
        if not 0 < admission.decided_at <= now.timestamp() + CLOCK_SECONDS:
            raise InvalidRequestError([("decided_at", "ahead of the registry's clock")])
        index = await self._book.admit(admission, signed, now)
        _log.info("person admitted", person=witness, change=request.change, who=request.person.id, step=index)
        return pb.AdmitPersonResponse(log_index=index)

    @unary
    async def ListPeople(  # noqa: N802  named by the contract
        self, request: pb.ListPeopleRequest, context: Context
    ) -> pb.ListPeopleResponse:
        """Everybody who is enrolled."""
        del request
        await self._person(context)
        people = await self._book.people()
        return pb.ListPeopleResponse(people=[messages.person_message(people[one]) for one in sorted(people)])

    @download
    async def StreamLog(  # noqa: N802  named by the contract
        self, request: pb.StreamLogRequest, context: Context
    ) -> AsyncIterator[pb.StreamLogResponse]:
        """The approvals log."""
        await self._person(context)
        async for step in self._book.steps(min(request.after, MAX_STEPS)):
            yield pb.StreamLogResponse(step=pb.StreamLogResponse.Step(index=step.index, step=step.step))
            if request.with_changes and (identifier := await self._desk.decided_by(step.index)):
                async for deflated in self._pieces(identifier):
                    yield pb.StreamLogResponse(deflated=deflated)

    @unary
    async def ExplainName(  # noqa: N802  named by the contract
        self, request: pb.ExplainNameRequest, context: Context
    ) -> pb.ExplainNameResponse:
        """A name's whole history."""
        person = await self._person(context)
        try:
            if spelled(request.name) != request.name:
                raise InvalidRequestError([("name", "not in canonical form")])
        except NameRefusedError as error:
            raise InvalidRequestError([("name", str(error.reason))]) from error
        events, truncated = await self._history.explain(request.name, await self._published())
        _log.info("name explained", person=person.id, events=len(events))
        return pb.ExplainNameResponse(events=map(messages.event_message, events), truncated=truncated)

    @unary
    async def ListDueReviews(  # noqa: N802  named by the contract
        self, request: pb.ListDueReviewsRequest, context: Context
    ) -> pb.ListDueReviewsResponse:
        """What is due for review."""
        await self._person(context)
        size = messages.page_size(request.page_size)
        after = messages.token_numbers(request.page_token, 2)
        behind = (after[0], after[1]) if after else None
        page = await self._history.due(request.by, behind, size, await self._published())
        token = f"{page[-1].next_review_by}:{page[-1].number}" if len(page) == size else ""
        reviews = [
            pb.DueReview(proposal=messages.record_message(one), review_by=one.next_review_by, reviews=one.reviews)
            for one in page
        ]
        return pb.ListDueReviewsResponse(reviews=reviews, next_page_token=token)

    @unary
    async def RecordReview(  # noqa: N802  named by the contract
        self, request: pb.RecordReviewRequest, context: Context
    ) -> pb.RecordReviewResponse:
        """Notes a review."""
        person = await self._person(context)
        held = await self._desk.review(request.id, person, request.next_review_by, request.reason)
        _log.info("entries reviewed", person=person.id, proposal=request.id, next_review_by=request.next_review_by)
        return pb.RecordReviewResponse(reviews=held.reviews)

    @unary
    async def ListOverdue(  # noqa: N802  named by the contract
        self, request: pb.ListOverdueRequest, context: Context
    ) -> pb.ListOverdueResponse:
        """What is late."""
        del request
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

    @unary
    async def GetCandidate(  # noqa: N802  named by the contract
        self, request: pb.GetCandidateRequest, context: Context
    ) -> pb.GetCandidateResponse:
        """What waits for signatures."""
        del request
        check_signer(await self._person(context))
        held = await asyncio.to_thread(self._signatures.candidate)
        return pb.GetCandidateResponse(document=held.document, policy=held.policy)

    @unary
    async def GetFingerprintSeed(  # noqa: N802  named by the contract
        self, request: pb.GetFingerprintSeedRequest, context: Context
    ) -> pb.GetFingerprintSeedResponse:
        """The seed."""
        del request
        person = await self._person(context)
        check_signer(person)
        seed = await asyncio.to_thread(self._signatures.seed)
        _log.info("fingerprint seed given", person=person.id)
        return pb.GetFingerprintSeedResponse(seed=seed)

    @unary
    async def SubmitSignature(  # noqa: N802  named by the contract
        self, request: pb.SubmitSignatureRequest, context: Context
    ) -> pb.SubmitSignatureResponse:
        """Takes a signature."""
        person = await self._person(context)
        check_signer(person)
        count, threshold = await self._signatures.take(person, request.signed_sha256, request.keyid, request.signature)
        _log.info("candidate signed", person=person.id, signatures=count, threshold=threshold)
        return pb.SubmitSignatureResponse(signatures=count, threshold=threshold)

    async def _person(self, context: Context) -> Person:
        return await self._book.person(self._caller(context))

    async def _published(self) -> Any:
        return await asyncio.to_thread(self._releases)

    async def _tell(self, held: Record) -> pb.Proposal:
        return messages.told_message(await self._history.told(held, await self._published()))

    async def _pieces(self, identifier: str) -> AsyncIterator[bytes]:
        position = 0
        while (deflated := await self._desk.chunk(identifier, position)) is not None:
            yield deflated
            position += 1
