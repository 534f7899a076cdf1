"""The list authority as compliance sees it: a client of its SampleService."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime

import grpc
import grpc.aio

from compliance_api.domain.drawing.sampling import ListedName, Release
from compliance_api.domain.observations.removal import Removal, Standing
from compliance_api.errors import BusyError
from compliance_api.usecases.ledger.cite import Cited
from lachan.blocklist.v1 import sample_service_pb2 as pb
from lachan.blocklist.v1.sample_service_pb2_grpc import SampleServiceStub
from lachan.ledger.leaf import Kind

CALL_SECONDS = 20.0
MAX_NAME_BYTES = 253
# 2100-01-01.
MAX_TIME = 4_102_444_800
MAX_ORDER_CHARACTERS = 200
MAX_TEXT = 1000
MAX_SIGNATURES = 16
# ECDSA's over P-256 are DER of at most 72.
MAX_SIGNATURE_BYTES = 72
PAGE = 500
NAMES = 1000
MAX_TOKEN = 300
# One that keeps no registry, or a release that does not tell of it.
_NO_REGISTRY = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED)


def _is_name(name: str) -> bool:
    labels = name.split(".")
    if not (name.isascii() and len(name) <= MAX_NAME_BYTES and all(1 <= len(label) <= 63 for label in labels)):
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return True
    return False


class SampleClient:
    """What `compliance_api.usecases.probing.sample` asks for."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = SampleServiceStub(channel)

    async def releases(self, limit: int) -> list[Release]:
        """The newest releases, newest first.

        Raises:
            BusyError: The list authority cannot be reached.
        """
        try:
            answer = await self._stub.ListReleases(pb.ListReleasesRequest(limit=limit), timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise BusyError(f"the list authority does not answer: {error.code().name}") from error
        return [
            Release(
                one.serial,
                one.records_digest[:32],
                datetime.fromtimestamp(one.published_at, UTC),
                one.entries,
                one.urgent,
            )
            for one in answer.releases[:limit]
            if 0 <= one.published_at < MAX_TIME
        ]

    async def orders(self, token: str) -> tuple[list[Cited], str]:
        """Orders, and the token of the next page, empty on the last one.

        Raises:
            BusyError: The list authority cannot be reached.
        """
        request = pb.SampleServiceListOrdersRequest(page_size=PAGE, page_token=token)
        try:
            answer = await self._stub.ListOrders(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() in _NO_REGISTRY:
                return [], ""
            raise BusyError(f"the list authority does not answer: {error.code().name}") from error
        shown = [one for one in answer.orders[:PAGE] if 0 < len(one.number) <= MAX_ORDER_CHARACTERS]
        return [
            Cited(
                Kind.ORDER,
                f"order/{one.number}",
                {
                    "number": one.number,
                    "date": one.date[:MAX_TEXT],
                    "issuer": one.issuer[:MAX_TEXT],
                    "legal_basis": one.legal_basis[:MAX_TEXT],
                    "urgent": one.urgent,
                    "jurisdiction": one.jurisdiction[:MAX_TEXT],
                    "mandated": one.mandated,
                    "registered_at": one.registered_at,
                },
            )
            for one in shown
        ], answer.next_page_token[:MAX_ORDER_CHARACTERS]

    async def approvals(self, after: int) -> tuple[list[Cited], int]:
        """What was approved after a step of its log, and the last step among them.

        Raises:
            BusyError: The list authority cannot be reached.
        """
        request = pb.ListApprovalsRequest(page_size=PAGE, after_step=after)
        try:
            answer = await self._stub.ListApprovals(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() in _NO_REGISTRY:
                return [], after
            raise BusyError(f"the list authority does not answer: {error.code().name}") from error
        shown = answer.approvals[:PAGE]
        return [
            Cited(
                Kind.APPROVAL,
                f"approval/{one.step}",
                {
                    "step": one.step,
                    "proposal_digest": one.proposal_digest[:32].hex(),
                    "order": one.order[:MAX_ORDER_CHARACTERS],
                    "effect_at": one.effect_at,
                    "decided_at": one.decided_at,
                    "signatures": [
                        {
                            "key_id": each.key_id[:32].hex(),
                            "signature": each.signature[:MAX_SIGNATURE_BYTES].hex(),
                            "signed_at": each.signed_at,
                        }
                        for each in one.signatures[:MAX_SIGNATURES]
                    ],
                },
            )
            for one in shown
        ], max([after, *(one.step for one in shown)])

    async def removed(self, after: int, token: str) -> tuple[int, list[Removal], str]:
        """The current serial, a page of what later releases than `after` took out, and the next page's token.

        Raises:
            BusyError: The list authority cannot be reached.
        """
        request = pb.ListRemovedRequest(after_serial=after, page_size=NAMES, page_token=token)
        try:
            answer = await self._stub.ListRemoved(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise BusyError(f"the list authority does not answer: {error.code().name}") from error
        shown = [one for one in answer.names[:NAMES] if _is_name(one.name) and 0 <= one.removed_at < MAX_TIME]
        return (
            answer.serial,
            [
                Removal(
                    one.name,
                    one.removed_serial,
                    datetime.fromtimestamp(one.removed_at, UTC),
                    one.added_serial,
                    one.category,
                    one.order[:MAX_ORDER_CHARACTERS],
                    not one.listed,
                    one.control,
                )
                for one in shown
            ],
            answer.next_page_token[:MAX_TOKEN],
        )

    async def standing(self, names: Sequence[str]) -> tuple[int, list[Standing]]:
        """The current serial, and what that release says of names, 1000 at most.

        Raises:
            BusyError: The list authority cannot be reached, or does not answer for each.
        """
        try:
            answer = await self._stub.AreListed(pb.AreListedRequest(names=names), timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise BusyError(f"the list authority does not answer: {error.code().name}") from error
        if len(answer.statuses) != len(names):
            raise BusyError(f"the list authority answers for {len(answer.statuses)} of {len(names)} names")
        return answer.serial, [
            Standing(
                one.listed,
                one.binding,
                datetime.fromtimestamp(one.added_at, UTC) if 0 < one.added_at < MAX_TIME else None,
                one.rpz_unfit,
            )
            for one in answer.statuses
        ]

    async def names(
        self, count: int, seed: bytes, added_after: int, *, controls_only: bool = False
    ) -> tuple[int, list[ListedName]]:
        """The current serial and names that bind everybody, of releases after `added_after`.

        Args:
            count: How many.
            seed: Whoever knows it can repeat the draw.
            added_after: A serial.
            controls_only: Only the authority's own names.

        Raises:
            BusyError: The list authority cannot be reached.
        """
        request = pb.SampleNamesRequest(
            count=count, seed=seed, added_after_serial=added_after, controls_only=controls_only
        )
        try:
            answer = await self._stub.SampleNames(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise BusyError(f"the list authority does not answer: {error.code().name}") from error
        return answer.serial, [
            ListedName(
                one.name,
                one.category,
                one.order[:MAX_ORDER_CHARACTERS],
                one.added_serial,
                datetime.fromtimestamp(one.added_at, UTC),
                one.fingerprint,
                one.parent if _is_name(one.parent) else "",
                control=one.control,
                unfit=one.rpz_unfit,
            )
            for one in answer.names[:count]
            if one.mandated and _is_name(one.name) and 0 <= one.added_at < MAX_TIME
        ]
