"""SampleService: what compliance may know of the list, over mutual TLS.

Holds always: only the compliance service of an organisation is answered, and every call is logged with its caller;
names come from the release last published, or from the one in force at the moment that is asked for, never from a
candidate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import grpc
import grpc.aio

from blocklist_sync.artifact._snapshot import fingerprint
from blocklist_sync.artifact.names import NameRefusedError, spelled
from blocklist_sync.artifact.snapshot import Snapshot
from blocklist_sync.central.public.enquiry import Enquiries
from blocklist_sync.central.registry.orders import OrderStore
from blocklist_sync.central.release import removals
from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.rpz.zone import has_room_for
from blocklist_sync.central.serving.freed import Controls, Told, page, since, status, told
from blocklist_sync.central.serving.past import Past, in_force
from blocklist_sync.central.serving.sample import Index
from lachan import channel, log
from lachan.blocklist.v1 import sample_service_pb2 as pb
from lachan.blocklist.v1 import sample_service_pb2_grpc as rpc
from lachan.errors import LachanError
from lachan.postgres import FAILURES
from lachan.tls import Identity, TlsError

MAX_COUNT = 1000
MAX_ORDERS = 500
DEFAULT_ORDERS = 100
DEFAULT_REMOVED = 100
MAX_STEP = (1 << 63) - 1
SEED_BYTES = range(16, 33)

Context = grpc.aio.ServicerContext[Any, Any]


class SampleService(rpc.SampleServiceServicer):
    """Serves the release folder's published list."""

    def __init__(
        self,
        folder: ReleaseFolder,
        compliance: Identity,
        orders: OrderStore | None = None,
        past: Past | None = None,
        controls: Iterable[str] = (),
        origins: Iterable[str] = (),
        caller: Callable[[Context], Identity] = channel.caller,
    ) -> None:
        """Answers `compliance` alone."""
        self._folder = folder
        self._compliance = compliance
        self._enquiries = Enquiries(folder)
        self._controls = Controls(controls)
        self._origins = tuple(origins)
        self._caller_of = caller
        self._told: tuple[int, list[Told]] = 0, []
        self._past = past
        self._orders = orders
        self._index: Index | None = None
        self._key = b""
        self._loading = asyncio.Lock()

    async def SampleNames(  # noqa: N802  named by the contract
        self, request: pb.SampleNamesRequest, context: Context
    ) -> pb.SampleNamesResponse:
        """Names in force under the current release."""
        caller = await self._caller(context)
        if not 1 <= request.count <= MAX_COUNT:
            await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, f"count: 1 to {MAX_COUNT}")
        if len(request.seed) not in SEED_BYTES:
            await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "seed: 16 to 32 bytes")
        index, dates = await self._current(context)
        key = self._key
        if request.in_force_at:
            current = index.serial
            index = await self._earlier(context, request.in_force_at)
            # Of earlier keys, nothing is kept that could be told here.
            key = self._key if index.serial == current else b""
        drawn = await asyncio.to_thread(
            index.draw,
            request.count,
            request.seed,
            request.added_after_serial,
            controls_only=request.controls_only,
        )
        log.get().info("names sampled", caller=str(caller), serial=index.serial, names=len(drawn))
        return pb.SampleNamesResponse(
            serial=index.serial,
            names=[
                pb.ListedName(
                    name=d.name,
                    subtree=d.subtree,
                    category=int(d.kind.category),
                    order=d.kind.order.text,
                    added_serial=d.added_serial,
                    added_at=dates.get(d.added_serial, 0),
                    mandated=d.mandated,
                    fingerprint=fingerprint(d.name, key) if key else 0,
                    parent=index.parent(d.name),
                    control=d.name in self._controls,
                    rpz_unfit=self._unfit(d.name),
                )
                for d in drawn
            ],
        )

    async def ListReleases(  # noqa: N802  named by the contract
        self, request: pb.ListReleasesRequest, context: Context
    ) -> pb.ListReleasesResponse:
        """The releases, newest first."""
        caller = await self._caller(context)
        if not 1 <= request.limit <= MAX_COUNT:
            await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, f"limit: 1 to {MAX_COUNT}")
        try:
            published = self._folder.published()
        except LachanError as error:
            log.get().error("release folder unreadable", error=str(error))
            await _refuse(context, grpc.StatusCode.INTERNAL, "the release folder cannot be read")
        shown = published[: -request.limit - 1 : -1]
        log.get().info("releases listed", caller=str(caller), releases=len(shown))
        return pb.ListReleasesResponse(
            releases=[
                pb.Release(
                    serial=row.serial,
                    records_digest=bytes.fromhex(row.records_digest),
                    published_at=row.published_at,
                    entries=row.entries,
                    urgent=row.urgent,
                )
                for row in shown
            ]
        )

    async def ListOrders(  # noqa: N802  named by the contract
        self, request: pb.SampleServiceListOrdersRequest, context: Context
    ) -> pb.SampleServiceListOrdersResponse:
        """The legal orders that entries rest on."""
        caller = await self._caller(context)
        if self._orders is None:
            await _refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "no registry is kept here")
        if request.page_size > MAX_ORDERS:
            await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, f"page_size: at most {MAX_ORDERS}")
        if "\0" in request.page_token:
            await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "page_token: not of a page before")
        size = request.page_size or DEFAULT_ORDERS
        try:
            page = await self._orders.page(request.page_token, size)
        except FAILURES as error:
            log.get().error("orders unreadable", error=type(error).__name__)
            await _refuse(context, grpc.StatusCode.UNAVAILABLE, "the registry's database does not answer")
        log.get().info("orders listed", caller=str(caller), orders=len(page))
        return pb.SampleServiceListOrdersResponse(
            orders=[
                pb.CitedOrder(
                    number=one.order.number,
                    date=one.order.date,
                    issuer=one.order.issuer,
                    legal_basis=one.order.legal_basis,
                    urgent=one.order.urgency == "urgent",
                    jurisdiction=one.order.jurisdiction,
                    mandated=bool(one.order.mandated),
                    registered_at=one.added_at,
                )
                for one in page
            ],
            next_page_token=page[-1].order.number if len(page) == size else "",
        )

    async def ListApprovals(  # noqa: N802  named by the contract
        self, request: pb.ListApprovalsRequest, context: Context
    ) -> pb.ListApprovalsResponse:
        """What was approved, in order."""
        caller = await self._caller(context)
        if self._orders is None:
            await _refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "no registry is kept here")
        if request.page_size > MAX_ORDERS:
            await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, f"page_size: at most {MAX_ORDERS}")
        if request.after_step > MAX_STEP:
            await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, f"after_step: at most {MAX_STEP}")
        try:
            page = await self._orders.approved(request.after_step, request.page_size or DEFAULT_ORDERS)
        except FAILURES as error:
            log.get().error("approvals unreadable", error=type(error).__name__)
            await _refuse(context, grpc.StatusCode.UNAVAILABLE, "the registry's database does not answer")
        log.get().info("approvals listed", caller=str(caller), approvals=len(page))
        return pb.ListApprovalsResponse(
            approvals=[
                pb.CitedApproval(
                    step=one.step,
                    proposal_digest=one.digest,
                    order=one.order,
                    effect_at=one.effect_at,
                    decided_at=one.decided_at,
                    signatures=[
                        pb.ApprovalSignature(key_id=key, signature=signature, signed_at=at)
                        for key, signature, at in one.signatures
                    ],
                )
                for one in page
            ]
        )

    async def ListRemoved(  # noqa: N802  named by the contract
        self, request: pb.ListRemovedRequest, context: Context
    ) -> pb.ListRemovedResponse:
        """Names that do not bind everybody any more, in order."""
        caller = await self._caller(context)
        if request.page_size > MAX_COUNT:
            await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, f"page_size: at most {MAX_COUNT}")
        _, dates = await self._current(context)
        serial, rows = await self._removed(context)
        try:
            shown, token = page(rows, request.after_serial, request.page_token, request.page_size or DEFAULT_REMOVED)
        except ValueError:
            await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "page_token: not of a page before")
        log.get().info("removals listed", caller=str(caller), serial=serial, names=len(shown))
        return pb.ListRemovedResponse(
            serial=serial,
            names=[
                pb.RemovedName(
                    name=one.name,
                    category=int(one.removal.category),
                    order=one.removal.order,
                    added_serial=one.removal.added_serial,
                    removed_serial=one.serial,
                    removed_at=dates[one.serial],
                    control=one.name in self._controls,
                    listed=one.listed,
                )
                for one in shown
                if one.serial in dates
            ],
            next_page_token=token,
        )

    async def AreListed(  # noqa: N802  named by the contract
        self, request: pb.AreListedRequest, context: Context
    ) -> pb.AreListedResponse:
        """What the current release says of names."""
        caller = await self._caller(context)
        if not 1 <= len(request.names) <= MAX_COUNT:
            await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, f"names: 1 to {MAX_COUNT}")
        wrong = next((place for place, name in enumerate(request.names) if not _is_canonical(name)), None)
        if wrong is not None:
            await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, f"names[{wrong}]: not in canonical form")
        index, dates = await self._current(context)
        opened = await self._opened(context)
        found = [status(name, opened.lookup) for name in request.names]
        log.get().info("names looked up", caller=str(caller), serial=opened.serial, names=len(found))
        return pb.AreListedResponse(
            serial=opened.serial,
            statuses=[
                pb.NameStatus(
                    listed=one.listed,
                    binding=one.binding,
                    added_serial=(added := since(one.owners, index.brought)),
                    added_at=dates.get(added, 0),
                    rpz_unfit=self._unfit(name),
                )
                for name, one in zip(request.names, found, strict=True)
            ],
        )

    def _unfit(self, name: str) -> bool:
        return not all(has_room_for(name, origin) for origin in self._origins)

    async def _opened(self, context: Context) -> Snapshot:
        try:
            return await asyncio.to_thread(self._enquiries.current)
        except LachanError as error:
            log.get().error("release folder unreadable", error=str(error))
            await _refuse(context, grpc.StatusCode.INTERNAL, "the release folder cannot be read")

    async def _removed(self, context: Context) -> tuple[int, list[Told]]:
        """The serial of the release last published, and what there is to tell of names taken out up to it."""
        opened = await self._opened(context)
        async with self._loading:
            if self._told[0] != opened.serial:
                try:
                    rows = await asyncio.to_thread(removals.read, self._folder.removals_path)
                except LachanError as error:
                    log.get().error("removals unreadable", error=str(error))
                    await _refuse(context, grpc.StatusCode.INTERNAL, "the release folder cannot be read")
                self._told = opened.serial, await asyncio.to_thread(told, rows, opened.lookup)
            return self._told

    async def _caller(self, context: Context) -> Identity:
        try:
            caller = self._caller_of(context)
        except TlsError as error:
            await _refuse(context, grpc.StatusCode.UNAUTHENTICATED, str(error))
        if caller != self._compliance:
            log.get().warning("caller refused", caller=str(caller))
            await _refuse(context, grpc.StatusCode.PERMISSION_DENIED, "for the compliance service alone")
        return caller

    async def _current(self, context: Context) -> tuple[Index, dict[int, int]]:
        """The index of the release last published, built anew when there is a newer one, and every release's date."""
        async with self._loading:
            try:
                published = self._folder.published()
                if not published:
                    await _refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "nothing is published yet")
                dates = {row.serial: row.published_at for row in published}
                serial = published[-1].serial
                if self._index is None or self._index.serial != serial:
                    path = self._folder.published_entries_path
                    self._index = await asyncio.to_thread(Index, path, serial, dates, self._controls)
                    known, key = self._folder.published_heading()
                    # Between two files of a publication, names have no fingerprint rather than another release's.
                    self._key = key.key if known == serial else b""
            except LachanError as error:
                log.get().error("release folder unreadable", error=str(error))
                await _refuse(context, grpc.StatusCode.INTERNAL, "the release folder cannot be read")
            return self._index, dates

    async def _earlier(self, context: Context, moment: int) -> Index:
        """The index of the release that was in force at a moment, from the log."""
        if self._past is None:
            await _refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "the approvals log is not kept here")
        async with self._loading:
            try:
                published = self._folder.published()
                row = in_force(published, moment)
                if row is None:
                    await _refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "nothing was published yet")
                return await asyncio.to_thread(self._past.index, row, published)
            except LachanError as error:
                log.get().error("an earlier list cannot be folded", error=str(error))
                await _refuse(context, grpc.StatusCode.INTERNAL, "the approvals log cannot be read")


def _is_canonical(name: str) -> bool:
    try:
        return spelled(name) == name
    except NameRefusedError:
        return False


async def _refuse(context: Context, code: grpc.StatusCode, detail: str) -> NoReturn:
    await context.abort(code, detail)
    raise AssertionError("abort raises")
