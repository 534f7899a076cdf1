"""What no real connection shows in time; the rest is in tests/integration/test_blocklist_push.py."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from blocklist_sync.central.serving.admission import Admission
from blocklist_sync.central.serving.announcing import ReleaseService
from blocklist_sync.central.serving.bulletin import Announcement, Bulletin
from blocklist_sync.central.serving.settings import PushSettings
from lachan import channel
from lachan.blocklist.v1 import release_service_pb2 as pb
from lachan.tls import TlsFiles
from tests.support import foreign
from tests.support.wait import until

FILES = TlsFiles(ca=Path("a"), certificate=Path("b"), key=Path("c"))
NODE = foreign.root("ours").leaf("lachan://isp-a/node/n1")


class EndedError(Exception):
    pass


class Context:
    """An edge that takes `room` messages, and then nothing."""

    def __init__(self, room: int) -> None:
        self.taken: list[pb.WatchReleasesResponse] = []
        self._room = room
        self.code: grpc.StatusCode | None = None

    async def write(self, message: pb.WatchReleasesResponse) -> None:
        if len(self.taken) == self._room:
            await asyncio.Event().wait()
        self.taken.append(message)

    async def abort(self, code: grpc.StatusCode, detail: str) -> None:
        self.code = code
        raise EndedError(detail)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReleaseService:
    def peer(_: Any) -> tuple[bytes, bytes]:
        return NODE.pem, b""

    monkeypatch.setattr(channel, "peer", peer)
    settings = PushSettings(listen="127.0.0.1:0", tls=FILES, heartbeat=0.05, write_timeout=0.1)
    return ReleaseService(Bulletin(tmp_path), settings, Admission(None, None))


async def test_one_who_takes_nothing_is_dropped(service: ReleaseService) -> None:
    context: Any = Context(room=2)
    with pytest.raises(EndedError, match="slow"):
        await service.WatchReleases(pb.WatchReleasesRequest(), context)
    assert (context.code, service.dropped["slow"], service.streams) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 1, 0)


async def test_what_is_offered_is_repeated_and_there_is_no_queue_of_it(service: ReleaseService) -> None:
    context: Any = Context(room=1000)
    stream = asyncio.create_task(service.WatchReleases(pb.WatchReleasesRequest(), context))
    await until(lambda: len(context.taken) >= 2)
    assert [message.serial for message in context.taken[:2]] == [0, 0]
    for serial in (1, 2, 3):
        service._bulletin.current = Announcement(serial, bytes(32), urgent=True)
        for listener in tuple(service._bulletin._listeners):
            listener()
    await until(lambda: context.taken[-1].serial == 3)
    assert 1 not in [message.serial for message in context.taken]
    service.close()
    with pytest.raises(EndedError, match="closing"):
        await stream
    assert context.code is grpc.StatusCode.UNAVAILABLE
    with pytest.raises(EndedError):
        await service.WatchReleases(pb.WatchReleasesRequest(), Context(room=1))  # type: ignore[arg-type]
