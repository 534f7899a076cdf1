from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from compliance_api.domain.law import LawBook
from compliance_api.domain.observation import Arm, Result, Shape
from compliance_api.domain.organisation import (
    Endpoint,
    Label,
    Line,
    Node,
    Organisation,
    OrganisationKind,
    Probe,
    Registry,
    Transport,
)
from compliance_api.errors import InvalidRequestError, NotPermittedError
from compliance_api.usecases.assignment import Assignment, Question
from compliance_api.usecases.observe import MAX_OBSERVATIONS, Issued, Limits, Observe, Observed
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.signing import OBSERVATION, SigningKey
from lachan.tls import Identity, Role
from tests.support.cases import NOW, law
from tests.support.compliance import packets

KEY = SigningKey.generate()
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
    def __init__(self) -> None:
        self.kept: dict[tuple[bytes, int], bytes] = {}
        self.added: list[Observed] = []

    async def issued(self, probe: Identity, assignments: Sequence[bytes]) -> Mapping[bytes, Issued]:
        return {ID: ISSUED} if probe == CALLER and ID in assignments else {}

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
    return Observe(registry, LawBook(laws=(law(),)), store, Limits(5, 3600), lambda: now)


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
    }
    return pb.Observation(**{**values, **changes})


async def refused(batch: list[pb.SignedObservation], **how: Any) -> list[str]:
    store = Store()
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
    assert await refused([sign(seen()), sign(seen(blocked=False))]) == ["observations[1].index"]


async def test_every_objection_is_named() -> None:
    foreign = sign(seen())
    foreign.key_id = b"k" * 32
    large = pb.Exchange(outcome=1, response=b"x" * 5000, tries=99)
    batch = [
        pb.SignedObservation(),
        pb.SignedObservation(observation=b"x" * 100_000),
        foreign,
        sign(seen(), SigningKey.generate()),
        sign(seen(resolver=large)),
        sign(seen(asked_at_us=-1)),
    ]
    assert await refused(batch) == [
        "observations[0].observation",
        "observations[1].observation",
        "observations[2].key_id",
        "observations[3].signature",
        "observations[4].resolver",
        "observations[4].resolver.tries",
        "observations[5].asked_at_us",
    ]


async def test_only_questions_asked_of_this_probe_in_time_count() -> None:
    batch = [
        sign(seen(assignment_id=b"o" * 16)),
        sign(seen(2)),
        sign(seen(after=-6)),
        sign(seen(after=36)),
    ]
    assert await refused(batch) == [
        "observations[0].assignment_id",
        "observations[1].index",
        "observations[2].asked_at_us",
        "observations[3].asked_at_us",
    ]
    late = NOW + timedelta(hours=2)
    assert await refused([sign(seen(after=66))], now=late) == ["observations[0].asked_at_us"]
    assert await refused([sign(seen())], now=late) == ["observations[0].assignment_id"]


async def test_a_probe_may_hand_in_late_what_it_asked_in_time() -> None:
    assert len(await observe(Store(), NOW + timedelta(minutes=50)).submit(CALLER, [sign(seen())])) == 1


async def test_a_node_that_left_the_registry_is_no_longer_observed() -> None:
    assert await refused([sign(seen())], nodes=()) == ["observations[0].assignment_id"]


async def test_callers_and_calls_are_bounded() -> None:
    for who in (Identity("so", Role.NODE, "p1"), Identity("so", Role.PROBE, "p9")):
        with pytest.raises(NotPermittedError):
            await observe(Store()).submit(who, [sign(seen())])
    assert await refused([]) == ["observations"]
    assert await refused([sign(seen())] * (MAX_OBSERVATIONS + 1)) == ["observations"]
