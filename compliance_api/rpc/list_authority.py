"""The list authority as compliance sees it: a client of its SampleService."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

import grpc
import grpc.aio

from compliance_api.domain.sampling import ListedName, Release
from compliance_api.errors import BusyError
from lachan.blocklist.v1 import sample_service_pb2 as pb
from lachan.blocklist.v1.sample_service_pb2_grpc import SampleServiceStub

CALL_SECONDS = 20.0
MAX_NAME_BYTES = 253
# 2100-01-01.
MAX_TIME = 4_102_444_800
MAX_ORDER_CHARACTERS = 200


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
    """What `compliance_api.usecases.sample` asks for."""

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

    async def names(self, count: int, seed: bytes, added_after: int) -> tuple[int, list[ListedName]]:
        """The current serial and names that bind everybody, of releases after `added_after`.

        Raises:
            BusyError: The list authority cannot be reached.
        """
        request = pb.SampleNamesRequest(count=count, seed=seed, added_after_serial=added_after)
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
            )
            for one in answer.names[:count]
            if one.mandated and _is_name(one.name) and 0 <= one.added_at < MAX_TIME
        ]
