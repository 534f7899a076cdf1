from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from compliance_api.domain.observations.observation import Arm, Path, Result, Shape
from compliance_api.domain.observations.shapes import DEFAULT
from compliance_api.domain.parties.organisation import (
    Endpoint,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Probe,
    Registry,
    Transport,
)
from compliance_api.errors import InvalidRequestError, NotPermittedError
from compliance_api.usecases.probing.assignment import Assignment, Question
from compliance_api.usecases.probing.observe import MAX_OBSERVATIONS, Issued, Limits, Observe, Observed
from compliance_api.usecases.probing.stamp import Stamper
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.line import Line
from lachan.signing import OBSERVATION, SigningKey
from lachan.tls import Identity, Role
from tests.support.cases import NOW
from tests.support.compliance import packets

KEY = SigningKey.generate()
SERVICE = SigningKey.generate()
STAMPER = Stamper(SERVICE, lambda: NOW + timedelta(seconds=5), os.urandom)
ID = b"i" * 16
NAME = Label("x", "x")
CALLER = Identity("so", Role.PROBE, "p1")
PROBE = Probe("p1", KEY.public.raw, "v", "n", "so", Line.CONSUMER)
NODE = Node("e1", b"", (), frozenset({"hcm"}))
ISSUED = Issued(
    Assignment("a", ID, b"r" * 16, "so", "p1", NOW, NOW + timedelta(minutes=1), (0, 1)),
    "e1",
    Endpoint("192.0.2.1", 53, Transport.UDP),
    (Question("listed.example", 1, Arm.LISTED, 3, "OR-1", 1, NOW), Question("control.example", 1, Arm.CONTROL)),
)


class Store:
    def __init__(self, issued: Issued = ISSUED) -> None:
        self.one = issued
        self.kept: dict[tuple[bytes, int], bytes] = {}
        self.added: list[Observed] = []

    async def issued(self, probe: Identity, assignments: Sequence[bytes]) -> Mapping[bytes, Issued]:
        return {ID: self.one} if probe == CALLER and ID in assignments else {}

    async def digests(self, issued: Sequence[Issued]) -> Mapping[tuple[bytes, int], bytes]:
        return self.kept if issued else {}

    async def add(self, new: Sequence[Observed]) -> None:
        self.added += new
        self.kept |= {(one.issued.assignment.assignment_id, one.index): one.digest for one in new}


def observe(store: Store, now: datetime = NOW + timedelta(seconds=30), nodes: tuple[Node, ...] = (NODE,)) -> Observe:
    registry = Registry(
        (),
        (
            Organisation("so", OrganisationKind.AUTHORITY, NAME, frozenset(), probes=(PROBE,)),
            Organisation("a", OrganisationKind.OPERATOR, NAME, frozenset({"hcm"}), nodes),
        ),
    )
    return Observe(registry, DEFAULT, store, STAMPER, Limits(5, 3600), lambda: now)


def sign(observation: pb.Observation, key: SigningKey = KEY) -> pb.SignedObservation:
    data = observation.SerializeToString()
    return pb.SignedObservation(observation=data, signature=key.sign(OBSERVATION, data), key_id=KEY.public.key_id)


def seen(index: int = 0, *, blocked: bool = True, after: float = 10, **changes: Any) -> pb.Observation:
    qname = ISSUED.questions[index].qname if index < 2 else "x.example"
    query, response = packets(qname, 1, blocked=blocked)
    _, alive = packets(qname, 1, blocked=False)
    values: dict[str, Any] = {
        "assignment_id": ID,
        "index": index,
        "asked_at_us": int((NOW + timedelta(seconds=after)).timestamp() * 1_000_000),
        "resolver": pb.Exchange(outcome=1, query=query, response=response, tries=1),
        "reference": pb.Exchange(outcome=1, query=query, response=alive, tries=1),
        "second_reference": pb.Exchange(outcome=1, query=query, response=alive, tries=1),
    }
    return pb.Observation(**{**values, **changes})


async def refused(batch: list[pb.SignedObservation], *, issued: Issued = ISSUED, **how: Any) -> list[str]:
    store = Store(issued)
    with pytest.raises(InvalidRequestError) as error:
        await observe(store, **how).submit(CALLER, batch)
    assert store.added == []
    return [one.field for one in error.value.violations]


async def test_what_is_seen_is_stored_once_with_what_it_says() -> None:
    store = Store()
    batch = [sign(seen()), sign(seen(1, blocked=False)), sign(seen())]
    new = await observe(store).submit(CALLER, batch)
    assert [(one.seen.result, one.seen.shape) for one in new] == [
        (Result.BLOCKED, Shape.EDE),
        (Result.NOT_BLOCKED, Shape.ANSWER),
    ]
    assert new[0].observation == batch[0].observation
    assert await observe(store).submit(CALLER, batch) == []
    assert len(store.added) == 2


async def test_another_answer_to_the_same_question_is_refused() -> None:
    store = Store()
    await observe(store).submit(CALLER, [sign(seen())])
    with pytest.raises(InvalidRequestError, match="another observation of this question"):
        await observe(store).submit(CALLER, [sign(seen(blocked=False))])
    assert await refused([sign(seen()), sign(seen(blocked=False))]) == ["observations[1].observation.index"]


async def test_every_objection_is_named() -> None:
    foreign = sign(seen())
    foreign.key_id = b"k" * 32
    large = pb.Exchange(outcome=1, response=b"x" * 5000, tries=99, certificate_sha256=b"short")
    without = seen()
    without.ClearField("resolver")
    batch = [
        pb.SignedObservation(),
        pb.SignedObservation(observation=b"x" * 100_000),
        foreign,
        sign(seen(), SigningKey.generate()),
        sign(seen(resolver=large)),
        sign(seen(asked_at_us=-1)),
        sign(seen(second_reference=large)),
        sign(seen(asked=pb.Endpoint(address="x" * 46, server_name="y" * 254, path="z" * 129))),
        sign(seen(since_begun_us=1 << 60)),
        sign(without),
    ]
    assert await refused(batch) == [
        "observations[0].observation",
        "observations[1].observation",
        "observations[2].key_id",
        "observations[3].signature",
        "observations[4].observation.resolver",
        "observations[4].observation.resolver.tries",
        "observations[4].observation.resolver.certificate_sha256",
        "observations[5].observation.asked_at_us",
        "observations[6].observation.second_reference",
        "observations[6].observation.second_reference.tries",
        "observations[6].observation.second_reference.certificate_sha256",
        "observations[7].observation.asked.address",
        "observations[7].observation.asked.server_name",
        "observations[7].observation.asked.path",
        "observations[8].observation.since_begun_us",
        "observations[9].observation.resolver",
    ]


async def test_only_questions_asked_of_this_probe_in_time_count() -> None:
    batch = [
        sign(seen(assignment_id=b"o" * 16)),
        sign(seen(2)),
        sign(seen(after=-6)),
        sign(seen(after=36)),
    ]
    assert await refused(batch) == [
        "observations[0].observation.assignment_id",
        "observations[1].observation.index",
        "observations[2].observation.asked_at_us",
        "observations[3].observation.asked_at_us",
    ]
    late = NOW + timedelta(hours=2)
    assert await refused([sign(seen(after=66))], now=late) == ["observations[0].observation.asked_at_us"]
    assert await refused([sign(seen())], now=late) == ["observations[0].observation.assignment_id"]


async def test_a_probe_may_hand_in_late_what_it_asked_in_time() -> None:
    assert len(await observe(Store(), NOW + timedelta(minutes=50)).submit(CALLER, [sign(seen())])) == 1


async def test_a_node_that_left_the_registry_is_no_longer_observed() -> None:
    assert await refused([sign(seen())], nodes=()) == ["observations[0].observation.assignment_id"]


async def test_callers_and_calls_are_bounded() -> None:
    for who in (Identity("so", Role.NODE, "p1"), Identity("so", Role.PROBE, "p9")):
        with pytest.raises(NotPermittedError):
            await observe(Store()).submit(who, [sign(seen())])
    assert await refused([]) == ["observations"]
    assert await refused([sign(seen())] * (MAX_OBSERVATIONS + 1)) == ["observations"]


def stamped(at: float, over: bytes = b"", key: SigningKey = SERVICE) -> pb.Stamp:
    """This service's stamp, so many seconds after NOW."""
    (stamp,) = Stamper(key, lambda: NOW + timedelta(seconds=at), os.urandom).take([over] if over else [])
    return stamp


def ended(signed: pb.SignedObservation, at: float) -> pb.SignedObservation:
    signed.ended.CopyFrom(stamped(at, hashlib.sha256(signed.observation).digest()))
    return signed


async def test_stamps_date_what_was_seen_whatever_the_probes_clock_says() -> None:
    wrong = seen(asked_at_us=1, begun=stamped(2), since_begun_us=3_000_001)
    (new,) = await observe(Store()).submit(CALLER, [ended(sign(wrong), 7)])
    assert new.asked_at == NOW + timedelta(seconds=5, microseconds=1)
    assert (new.earliest, new.latest) == (NOW + timedelta(seconds=2), NOW + timedelta(seconds=7))
    # Both stamps are kept: the first in the signed bytes, the second beside them.
    kept = pb.Stamp.FromString(new.ended)
    assert STAMPER.time(kept, hashlib.sha256(new.observation).digest()) == new.latest


async def test_without_stamps_the_assignment_and_the_handing_in_are_the_bounds() -> None:
    (new,) = await observe(Store()).submit(CALLER, [sign(seen())])
    assert (new.earliest, new.latest, new.ended) == (NOW, new.received_at, b"")
    # The stamps of a service that has since changed its key say nothing, and are no reason to refuse.
    foreign = SigningKey.generate()
    (new,) = await observe(Store()).submit(CALLER, [sign(seen(begun=stamped(2, key=foreign), since_begun_us=10**7))])
    assert (new.asked_at, new.earliest) == (NOW + timedelta(seconds=10), NOW)


async def test_stamps_that_do_not_hold_are_named() -> None:
    forged = stamped(2)
    forged.time_us += 1
    other = sign(seen(1))
    other.ended.CopyFrom(stamped(7, hashlib.sha256(b"something else").digest()))
    batch = [
        sign(seen(begun=forged)),
        other,
        # Asked after the service saw it, before the assignment was given, and too long after.
        ended(sign(seen(begun=stamped(1), since_begun_us=12_000_001)), 8),
        sign(seen(begun=stamped(-6))),
        sign(seen(begun=stamped(1), since_begun_us=60_000_000)),
    ]
    assert await refused(batch) == [
        "observations[0].observation.begun",
        "observations[1].observation.ended",
        "observations[2].observation.since_begun_us",
        "observations[3].observation.since_begun_us",
        "observations[4].observation.since_begun_us",
    ]


async def test_a_line_says_whom_it_was_handed_out() -> None:
    handed = replace(ISSUED, endpoint=Endpoint("", 53, Transport.UDP))
    (new,) = await observe(Store(handed)).submit(CALLER, [sign(seen(asked=pb.Endpoint(address="2001:DB8::0053")))])
    assert (str(new.endpoint), new.endpoint.family) == ("udp://[2001:db8::53]:53", 6)
    nobody = pb.Exchange(outcome=pb.OUTCOME_UNREACHABLE)
    (new,) = await observe(Store(handed)).submit(CALLER, [sign(seen(resolver=nobody))])
    assert (new.endpoint, new.seen.shape) == (handed.endpoint, Shape.UNREACHABLE)
    batch = [sign(seen()), sign(seen(1, asked=pb.Endpoint(address="resolver.example")))]
    assert await refused(batch, issued=handed) == [
        "observations[0].observation.asked.address",
        "observations[1].observation.asked.address",
    ]
    # Whoever was told whom to ask asks nobody else.
    told = [sign(seen(asked=pb.Endpoint(address="192.0.2.2")))]
    assert await refused(told) == ["observations[0].observation.asked.address"]
    assert len(await observe(Store()).submit(CALLER, [sign(seen(asked=pb.Endpoint(address="192.0.2.1")))])) == 1


async def test_one_reference_is_not_enough() -> None:
    lone = seen()
    lone.ClearField("second_reference")
    (new,) = await observe(Store()).submit(CALLER, [sign(lone)])
    assert (new.seen.result, new.seen.reference_alive, new.shapes) == (Result.INCONCLUSIVE, False, "default-1")


async def test_a_certificate_that_holds_shows_the_way_where_the_transport_has_one() -> None:
    async def way(transport: Transport, *, holds: bool) -> Path:
        one = seen()
        one.resolver.certificate_holds = holds
        encrypted = replace(ISSUED, endpoint=Endpoint("192.0.2.1", 853, transport))
        (new,) = await observe(Store(encrypted)).submit(CALLER, [sign(one)])
        return new.path

    assert await way(Transport.DOT, holds=True) is Path.VERIFIED
    assert await way(Transport.DOH, holds=False) is Path.UNKNOWN
    assert await way(Transport.UDP, holds=True) is Path.UNKNOWN


async def test_an_address_that_no_reference_gave_is_kept() -> None:
    one = seen(blocked=False)
    _, other = packets("listed.example", 1, blocked=False)
    one.resolver.response = other.replace(bytes([192, 0, 2, 1]), bytes([203, 0, 113, 1]))
    (new,) = await observe(Store()).submit(CALLER, [sign(one)])
    assert (new.seen.shape, new.strange) == (Shape.ANSWER, ("203.0.113.1",))
    (same,) = await observe(Store()).submit(CALLER, [sign(seen(blocked=False))])
    assert same.strange == ()
