"""The registry as a person's machine sees it.

Holds always: what comes from the server is believed for nothing that a signature covers: whoever signs verifies the
log and the changes themselves; texts are bounded when inflated; a refusal names the field that is wrong.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import grpc.aio

# It carries no types, and no stubs for it are locked.
from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status  # type: ignore[import-untyped]

from blocklist_sync.central import canonical
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import approvals
from blocklist_sync.central.log.changes import BLOCK_BYTES, MAX_TEXT_BYTES
from blocklist_sync.central.registry.errors import ConflictError
from blocklist_sync.central.registry.spool import MAX_SCAN_BYTES, inflate
from lachan import channel, durable, tls
from lachan.blocklist.v1 import registry_service_pb2 as pb
from lachan.blocklist.v1.registry_service_pb2_grpc import RegistryServiceStub
from lachan.config import ConfigPath, HostPort, Settings
from lachan.tls import Role, TlsFiles

if TYPE_CHECKING:
    from lachan.blocklist.v1.registry_service_pb2_grpc import RegistryServiceAsyncStub

CALL_SECONDS = 30.0
TRANSFER_SECONDS = 900.0
CONNECT_SECONDS = 15.0
PIECE_BYTES = 1 << 18
BUSY_ATTEMPTS = 30
BUSY_SECONDS = 0.5

T = TypeVar("T")


class PersonSettings(Settings):
    """Where the registry is, who asks, and with what they sign."""

    registry: HostPort
    tls: TlsFiles
    key: ConfigPath | None = None
    """The private key's file, encrypted."""
    signer: str | None = None
    """Any securesystemslib signer (`hsm:…`) in its place; `public` is its public half then."""
    public: ConfigPath | None = None
    passphrase_file: ConfigPath | None = None


class RegistryClient:
    """Calls of one person."""

    def __init__(self, calls: grpc.aio.Channel, person: str) -> None:
        self.person = person
        self._stub: RegistryServiceAsyncStub = RegistryServiceStub(calls)

    @property
    def stub(self) -> RegistryServiceAsyncStub:
        """The bare calls."""
        return self._stub

    async def call(self, answer: Awaitable[T]) -> T:
        """A call's answer.

        Raises:
            CentralError: The registry refuses it, or cannot be reached.
        """
        with refusals():
            return await answer

    async def register(self, order: pb.Order, scan: Path | None) -> pb.RegisteredOrder:
        """Registers an order with its scan, if there is one.

        Raises:
            CentralError: The registry refuses it.
            FileError: The scan cannot be read, or is too large.
        """
        data = durable.read(scan, MAX_SCAN_BYTES) if scan else b""
        if data:
            order.scan_sha256 = hashlib.sha256(data).digest()

        async def parts() -> AsyncIterator[pb.RegisterOrderRequest]:
            yield pb.RegisterOrderRequest(order=order)
            for at in range(0, len(data), PIECE_BYTES):
                yield pb.RegisterOrderRequest(scan=data[at : at + PIECE_BYTES])

        answer = await patiently(lambda: self._stub.RegisterOrder(parts(), timeout=TRANSFER_SECONDS))
        return answer.order

    async def submit(self, header: bytes, signature: bytes, changes: Path) -> pb.Proposal:
        """Hands a signed proposal in, with the changes that `changes.check` has read.

        Raises:
            CentralError: The registry refuses it.
        """

        async def parts() -> AsyncIterator[pb.SubmitProposalRequest]:
            yield pb.SubmitProposalRequest(header=pb.SubmitProposalRequest.Header(header=header, signature=signature))
            with changes.open("rb") as file:
                while data := await asyncio.to_thread(file.read, BLOCK_BYTES):
                    yield pb.SubmitProposalRequest(changes=data)

        answer = await patiently(lambda: self._stub.SubmitProposal(parts(), timeout=TRANSFER_SECONDS))
        return answer.proposal

    async def changes(self, identifier: str, path: Path) -> None:
        """Writes the text of a proposal's changes to a file.

        Raises:
            CentralError: The registry refuses it, or the text is longer than any.
        """
        answers = self._stub.DownloadChanges(pb.DownloadChangesRequest(id=identifier), timeout=TRANSFER_SECONDS)
        with refusals():
            durable.write(path, await _collect(answers))

    async def scan(self, number: str, path: Path) -> None:
        """Writes an order's scan to a file.

        Raises:
            CentralError: The registry refuses it, or it is longer than any.
        """
        data = bytearray()
        with refusals():
            request = pb.DownloadScanRequest(number=number)
            async for answer in self._stub.DownloadScan(request, timeout=TRANSFER_SECONDS):
                data += answer.data
                if len(data) > MAX_SCAN_BYTES:
                    raise CentralError(f"the scan of {number} is longer than any")
        durable.write(path, [data])

    async def proposals(self, state: str = "", order: str = "") -> list[pb.Proposal]:
        """Every proposal, newest first."""
        found: list[pb.Proposal] = []
        token = ""
        while True:
            request = pb.ListProposalsRequest(page_token=token, state=state, order_number=order, page_size=500)
            answer = await self.call(self._stub.ListProposals(request, timeout=CALL_SECONDS))
            found += answer.proposals
            token = answer.next_page_token
            if not token:
                return found

    async def orders(self) -> list[pb.RegisteredOrder]:
        """Every order, by number."""
        found: list[pb.RegisteredOrder] = []
        token = ""
        while True:
            request = pb.ListOrdersRequest(page_token=token, page_size=500)
            answer = await self.call(self._stub.ListOrders(request, timeout=CALL_SECONDS))
            found += answer.orders
            token = answer.next_page_token
            if not token:
                return found

    async def order(self, number: str) -> pb.RegisteredOrder:
        """One order.

        Raises:
            CentralError: There is none of that number.
        """
        request = pb.ListOrdersRequest(number=number)
        answer = await self.call(self._stub.ListOrders(request, timeout=CALL_SECONDS))
        return answer.orders[0]

    async def due(self, by: int) -> list[pb.DueReview]:
        """What is due for review by a moment, the first due in front."""
        found: list[pb.DueReview] = []
        token = ""
        while True:
            request = pb.ListDueReviewsRequest(by=by, page_token=token, page_size=500)
            answer = await self.call(self._stub.ListDueReviews(request, timeout=CALL_SECONDS))
            found += answer.reviews
            token = answer.next_page_token
            if not token:
                return found

    async def candidate(self) -> tuple[bytes, bytes]:
        """The document that waits for signatures, and its policy bundle.

        Raises:
            CentralError: Nothing waits, or the registry refuses.
        """
        answer = await self.call(self._stub.GetCandidate(pb.GetCandidateRequest(), timeout=CALL_SECONDS))
        return answer.document, answer.policy

    async def seed(self) -> bytes:
        """What fingerprint keys are drawn from.

        Raises:
            CentralError: The registry refuses.
        """
        answer = await self.call(self._stub.GetFingerprintSeed(pb.GetFingerprintSeedRequest(), timeout=CALL_SECONDS))
        return answer.seed

    async def submit_signature(self, signed: bytes, keyid: str, signature: str) -> tuple[int, int]:
        """Hands in a signature over these bytes; how many there are, and how many are needed.

        Raises:
            CentralError: The registry refuses it, or stays busy.
        """
        digest = hashlib.sha256(signed).digest()
        request = pb.SubmitSignatureRequest(signed_sha256=digest, keyid=keyid, signature=signature)
        answer = await patiently(lambda: self._stub.SubmitSignature(request, timeout=CALL_SECONDS))
        return answer.signatures, answer.threshold

    async def fetch_log(self, folder: Path) -> int:
        """Brings a folder's copy of the log up to date: `steps.jsonl`, and `changes/SHA256.changes` of each proposal.

        What is there is kept and continued; nothing of it is believed: see `verifier.verify_log`.

        Returns:
            How many steps came.

        Raises:
            CentralError: The registry refuses it, or its log is not the one that the folder has the beginning of.
        """
        durable.make_folder(folder / "changes")
        path = folder / "steps.jsonl"
        held = list(approvals.read(path)) if path.exists() else []
        before = len(held)
        request = pb.StreamLogRequest(after=before, with_changes=True)
        with refusals():
            await self._take_log(self._stub.StreamLog(request, timeout=TRANSFER_SECONDS), held, folder / "changes")
        if len(held) > before:
            approvals.write(path, held)
        return len(held) - before

    async def _take_log(self, answers: Any, held: list[bytes], folder: Path) -> None:
        """Adds steps to `held`; a proposal's changes are on the disk before its step counts."""
        step, pieces = b"", _Pieces()

        def finish() -> None:
            if step:
                pieces.store(step, folder)
                held.append(step)

        async for answer in answers:
            if answer.WhichOneof("part") == "deflated":
                pieces.add(answer.deflated)
                continue
            finish()
            step, pieces = answer.step.step, _Pieces()
            if answer.step.index != len(held) + 1:
                raise CentralError(f"the registry's log continues with step {answer.step.index}, not {len(held) + 1}")
        finish()


class _Pieces:
    """A proposal's changes as they arrive, deflated, so that memory holds a fraction."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def add(self, deflated: bytes) -> None:
        self._pieces.append(deflated)

    def store(self, step: bytes, folder: Path) -> None:
        """Writes them under the digest that the step names, once."""
        document = canonical.parse(step)
        header = document.get("header") if isinstance(document, dict) else None
        if header is None:
            return
        digest = str(header.get("changes_sha256"))
        if not (len(digest) == 64 and digest.isalnum()):
            raise CentralError("a step names no changes")
        if not (folder / f"{digest}.changes").exists():
            durable.write(folder / f"{digest}.changes", _inflated(self._pieces, digest))


def _inflated(pieces: list[bytes], digest: str | None = None) -> Iterator[bytes]:
    """The text of some pieces.

    Raises:
        CentralError: It is longer than any, or another than `digest` names.
    """
    size, found = 0, hashlib.sha256()
    for piece in pieces:
        text = inflate(piece)
        size += len(text)
        if size > MAX_TEXT_BYTES:
            raise CentralError("the changes are longer than any")
        found.update(text)
        yield text
    if digest is not None and found.hexdigest() != digest:
        raise CentralError(f"the registry gave other changes than {digest}")


async def _collect(answers: Any) -> Iterator[bytes]:
    pieces = [answer.deflated async for answer in answers]
    return _inflated(pieces)


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """What a call brings, made again while the registry is busy: the work in hand is a person's.

    Raises:
        ConflictError: It is there already.
        CentralError: It is refused, nobody answers, or the registry stays busy.
    """
    for _ in range(BUSY_ATTEMPTS):
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise _refusal(error) from error
        await asyncio.sleep(BUSY_SECONDS)
    with refusals():
        return await call()


@contextmanager
def refusals() -> Iterator[None]:
    """The one place where gRPC's errors become ours.

    Raises:
        ConflictError: It is there already.
        CentralError: The call was refused, or nobody answered.
    """
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise _refusal(error) from error


def _refusal(error: grpc.aio.AioRpcError) -> CentralError:
    there = error.code() is grpc.StatusCode.ALREADY_EXISTS
    return ConflictError(_reason(error)) if there else CentralError(_reason(error))


def _reason(error: grpc.aio.AioRpcError) -> str:
    if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
        return f"the registry does not answer: {error.details() or error.code().name}"
    try:
        status = rpc_status.from_call(error)
    except ValueError:
        status = None
    fields = []
    for detail in status.details if status is not None else ():
        request = error_details_pb2.BadRequest()
        if detail.Unpack(request):
            fields += [f"{one.field}: {one.description}" for one in request.field_violations]
    return "refused by the registry: " + ("\n".join(fields) or error.details() or error.code().name)


@asynccontextmanager
async def connect(settings: PersonSettings) -> AsyncIterator[RegistryClient]:
    """A client, until the block ends.

    Raises:
        TlsError: The certificate cannot be used.
        CentralError: It is not a person's.
    """
    material = tls.load(settings.tls)
    if material.identity.role is not Role.PERSON:
        raise CentralError(f"{settings.tls.certificate}: {material.identity} is not a person")
    calls = channel.connect(settings.registry, material)
    try:
        await _ready(calls, settings.registry)
        yield RegistryClient(calls, material.identity.name)
    finally:
        await calls.close()


async def _ready(calls: grpc.aio.Channel, target: str) -> None:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await calls.channel_ready()
    except TimeoutError as error:
        raise CentralError(f"{target}: the registry does not answer") from error
