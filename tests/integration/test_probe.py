"""A real probe process against a real service over mutual TLS and real resolvers on loopback."""

from __future__ import annotations

import itertools
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from compliance_api.probe.cli import app
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.message import NXDOMAIN, parse
from lachan.signing import OBSERVATION
from tests.support.nameserver import NameServer, nameserver
from tests.support.probe_service import Desk, issue, serving
from tests.support.probing import DEADLINE, Place, assignment, framed, reply, until


def names_asked(server: NameServer) -> list[str]:
    questions = [parse(query).question for _, query, _ in server.queries]
    return [question.qname for question in questions if question]


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_nothing_is_lost_or_doubled_while_service_and_probe_come_and_go(tmp_path: Path) -> None:
    count = 60
    ca = tmp_path / "ca"
    service_files = issue(ca, tmp_path / "service", "lachan://authority/service/compliance")
    (tmp_path / "probe").mkdir()
    place = Place(tmp_path / "probe", ca)
    desk = Desk()

    def filtering(query: bytes) -> Iterable[bytes]:
        return reply(query, blocked=lambda name: name.startswith("listed"))

    def clean(query: bytes) -> Iterable[bytes]:
        return framed(reply(query, blocked=lambda _: False))

    async with nameserver(udp=filtering) as one, nameserver(udp=filtering) as two, nameserver(tcp=clean) as reference:
        desk.work.extend(
            assignment(number, server.port, reference.port, count, spread=3) for number, server in ((1, one), (2, two))
        )
        port = free_port()
        async with serving(desk, service_files, port), place.running(port, signal.SIGKILL):
            await until(lambda: len(desk.stored) >= 10)
        # Both are gone. The probe comes back alone, and carries on.
        seen = len(reference.queries)
        async with place.running(port, signal.SIGKILL):
            await until(lambda: len(reference.queries) >= seen + 20)
        async with place.running(port, signal.SIGTERM):
            await until(lambda: len(set(names_asked(one))) == len(set(names_asked(two))) == count)
            async with serving(desk, service_files, port):
                await until(lambda: len(desk.stored) >= 2 * count)
                # The service offers work done before once more, and then something new: only that is done.
                desk.work.append(assignment(1, one.port, reference.port, count, spread=0))
                desk.work.append(assignment(3, one.port, reference.port, 2, spread=0))
                await until(lambda: len(desk.stored) >= 2 * count + 2)

    observations = list(desk.observations())
    answered = Counter((observation.assignment_id[0], observation.index) for observation in observations)
    wanted = {(number, index) for number in (1, 2) for index in range(count)} | {(3, 0), (3, 1)}
    assert set(answered) == wanted
    assert set(answered.values()) == {1}

    for item in desk.stored:
        signed = pb.SignedObservation.FromString(item)
        assert signed.key_id == place.key.public.key_id
        place.key.public.verify(OBSERVATION, signed.observation, signed.signature)
    on_the_wire = {query for server in (one, two, reference) for _, query, _ in server.queries}
    for observation in observations:
        listed = observation.index < (count if observation.assignment_id[0] < 3 else 2) // 2
        assert observation.resolver.outcome == observation.reference.outcome == pb.OUTCOME_ANSWERED
        assert {observation.resolver.query, observation.reference.query} <= on_the_wire
        assert parse(observation.resolver.response).rcode == (NXDOMAIN if listed else 0)
        assert parse(observation.reference.response).answers[0].data == "203.0.113.9"
        assert abs(observation.asked_at_us / 1e6 - time.time()) < 2 * DEADLINE


def asked(desk: Desk) -> Iterator[tuple[str, float]]:
    """When each exchange about a name began, in seconds, by the clock of the probe."""
    for observation in desk.observations():
        began = observation.asked_at_us / 1e6
        question = parse(observation.resolver.query).question
        assert question is not None
        yield question.qname, began
        yield question.qname, began + observation.reference.asked_after_us / 1e6


async def test_listed_names_come_first_in_an_order_of_their_own_and_never_two_at_once(tmp_path: Path) -> None:
    count = 40
    ca = tmp_path / "ca"
    service_files = issue(ca, tmp_path / "service", "lachan://authority/service/compliance")
    (tmp_path / "probe").mkdir()
    place = Place(tmp_path / "probe", ca)
    desk = Desk()

    def note(query: bytes) -> Iterable[bytes]:
        return reply(query, blocked=lambda _: False)

    async with (
        nameserver(udp=note, tcp=lambda query: framed(note(query))) as resolver,
        serving(desk, service_files) as port,
    ):
        # Resolver and reference are one server here, so that it sees everything that leaves the line.
        desk.work.extend(assignment(number, resolver.port, resolver.port, count, spread=1) for number in (1, 2))
        async with place.running(port, signal.SIGTERM):
            await until(lambda: len(desk.stored) == 2 * count)
        udp = [
            question.qname
            for transport, query, _ in resolver.queries
            if transport == "udp" and (question := parse(query).question)
        ]

    first = [observation for observation in desk.observations() if observation.assignment_id[0] == 1]
    first.sort(key=lambda observation: observation.asked_at_us)
    indexes = [observation.index for observation in first]
    assert indexes != sorted(indexes)
    # A name whose turn was taken by the other assignment may come a little late; the two halves stay apart.
    assert sum(index < count // 2 for index in indexes[: count // 2]) >= count // 2 - 2
    assert len(udp) == 2 * count
    # By the probe's own clock: how soon a packet is looked at here says nothing of when it left.
    for (name, earlier), (other, later) in itertools.pairwise(sorted(asked(desk))):
        assert name != other or later - earlier >= 0.019


async def test_one_refused_observation_holds_up_none_of_the_others(tmp_path: Path) -> None:
    ca = tmp_path / "ca"
    service_files = issue(ca, tmp_path / "service", "lachan://authority/service/compliance")
    (tmp_path / "probe").mkdir()
    place = Place(tmp_path / "probe", ca)
    desk = Desk(unwanted={5})

    def clean(query: bytes) -> Iterable[bytes]:
        return reply(query, blocked=lambda _: False)

    async with (
        nameserver(udp=clean, tcp=lambda query: framed(clean(query))) as server,
        serving(desk, service_files) as port,
    ):
        desk.work.append(assignment(1, server.port, server.port, 12, spread=0))
        # Broken work is not carried out, and does not stop the probe.
        desk.work.appendleft(pb.Assignment(assignment_id=b"short"))
        async with place.running(port, signal.SIGTERM):
            await until(lambda: len(desk.stored) == 11)
    assert {observation.index for observation in desk.observations()} == set(range(12)) - {5}


async def test_a_silent_and_a_closed_resolver_are_told_apart(tmp_path: Path) -> None:
    ca = tmp_path / "ca"
    service_files = issue(ca, tmp_path / "service", "lachan://authority/service/compliance")
    (tmp_path / "probe").mkdir()
    place = Place(tmp_path / "probe", ca)
    desk = Desk()
    async with nameserver() as silent, serving(desk, service_files) as port:
        desk.work.append(assignment(1, silent.port, free_port(), 2, spread=0))
        async with place.running(port, signal.SIGTERM):
            await until(lambda: len(desk.stored) == 2)
        assert len(silent.queries) == 6
    for observation in desk.observations():
        assert observation.resolver.outcome == pb.OUTCOME_TIMEOUT
        assert observation.resolver.tries == 3
        assert not observation.resolver.response
        assert observation.reference.outcome == pb.OUTCOME_UNREACHABLE


def test_the_verbs(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    place = Place(tmp_path, tmp_path / "ca")
    config = str(place.configure(1))
    runner = CliRunner()
    checked = runner.invoke(app, ["validate", "--config", config])
    assert checked.exit_code == 0, checked.output
    assert place.key.public.key_id.hex() in checked.output
    enrolled = runner.invoke(app, ["enroll", "--config", config])
    assert "BEGIN PUBLIC KEY" in enrolled.output
    assert f"key id: {place.key.public.key_id.hex()}" in enrolled.output
    (tmp_path / "signing.pem").unlink()
    assert runner.invoke(app, ["enroll", "--config", config]).output != enrolled.output
    assert (tmp_path / "signing.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("uri", ["lachan://operator-a/node/edge-1", "lachan://authority/service/compliance"])
def test_only_a_probe_may_run_as_one(tmp_path: Path, uri: str) -> None:
    from typer.testing import CliRunner

    place = Place(tmp_path, tmp_path / "ca")
    for file in (tmp_path / "tls").iterdir():
        file.unlink()
    issue(tmp_path / "ca", tmp_path / "tls", uri)
    result = CliRunner().invoke(app, ["validate", "--config", str(place.configure(1))])
    assert result.exit_code != 0
    assert "is not a probe" in str(result.exception)
