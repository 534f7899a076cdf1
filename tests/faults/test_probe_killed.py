"""A probe whose disk fills and that is killed in the middle of what it writes loses nothing and doubles nothing."""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.message import parse
from lachan.reply import Reply, address_record, respond, txt_record
from lachan.signing import OBSERVATION
from tests.support.edge import free_port
from tests.support.nameserver import nameserver
from tests.support.probe_service import Desk, issue, serving
from tests.support.probing import Place, assignment, framed, until

COUNT = 60
FULL_BYTES = 160_000
"""Less than what the observations of one assignment take."""


def long(query: bytes) -> Iterable[bytes]:
    """An answer near the most that is kept of one."""
    question = parse(query).question
    assert question is not None
    filler = (txt_record("filler.example", 60, bytes(250)) for _ in range(13))
    yield respond(query, Reply(answers=(address_record(question.qname, 60, "198.51.100.7"), *filler)))


async def test_a_full_disk_and_kills_in_the_middle_cost_no_observation(tmp_path: Path) -> None:
    ca = tmp_path / "ca"
    files = issue(ca, tmp_path / "service", "lachan://authority/service/compliance")
    (tmp_path / "probe").mkdir()
    place = Place(tmp_path / "probe", ca)
    desk = Desk()
    rng = random.Random(5)

    async with nameserver(udp=long, tcp=lambda query: framed(long(query))) as server:

        def at_rest(since: int) -> bool:
            """Nothing is left to ask, or nothing more can be kept, since the log was so long."""
            said = place.log_text()[since:]
            return "assignment done" in said or "waits for the disk" in said

        desk.work.append(assignment(1, server.port, server.port, COUNT, spread=1))
        port = free_port()
        async with place.running(port, signal.SIGKILL, FULL_BYTES):
            async with serving(desk, files, port):
                await until(lambda: not desk.work)
            # The service is away: what is seen can only be kept, until the disk is full.
            await until(lambda: "waits for the disk" in place.log_text())
        # Killed at times of nobody's choosing, with room again and without.
        for round_bytes in (None, FULL_BYTES):
            wanted, log = len(server.queries) + rng.randrange(2, 30), len(place.log_text())
            async with place.running(port, signal.SIGKILL, round_bytes):
                await until(lambda: len(server.queries) >= wanted or at_rest(log))  # noqa: B023 - awaited here
        assert "waits for the disk" in place.log_text()
        async with serving(desk, files, port), place.running(port, signal.SIGTERM):
            await until(lambda: len(desk.stored) >= COUNT)
    told = Counter(observation.index for observation in desk.observations())
    assert told == dict.fromkeys(range(COUNT), 1)
    for item in desk.stored:
        signed = pb.SignedObservation.FromString(item)
        place.key.public.verify(OBSERVATION, signed.observation, signed.signature)
