from __future__ import annotations

from dataclasses import replace

import pytest

from compliance_api.domain.observation import (
    Answer,
    Arm,
    Exchange,
    Outcome,
    Result,
    Shape,
    classify,
    confirmed,
    settle,
)
from tests.support.cases import control, law, sighting

SHAPES = law(blocks={"sinkhole_addresses": ["192.0.2.53"]}).blocks.shapes()
NONE: frozenset[int] = frozenset()


def answer(*addresses: str, rcode: int = 0, records: int | None = None, ede: int = 0, tc: bool = False) -> Exchange:
    errors = frozenset({ede} - {0})
    found = Answer(rcode, tc, len(addresses) if records is None else records, addresses, errors)
    return Exchange(Outcome.ANSWERED, 1, found)


ALIVE = answer("198.51.100.7")


@pytest.mark.parametrize(
    ("resolver", "result", "shape"),
    [
        (answer("198.51.100.7"), Result.NOT_BLOCKED, Shape.ANSWER),
        (answer("198.51.100.7", ede=16), Result.NOT_BLOCKED, Shape.ANSWER),
        (answer("0.0.0.0", "198.51.100.7"), Result.NOT_BLOCKED, Shape.ANSWER),
        (answer(records=1), Result.NOT_BLOCKED, Shape.ANSWER),
        (answer(rcode=3), Result.BLOCKED, Shape.NXDOMAIN),
        (answer(rcode=3, ede=16), Result.BLOCKED, Shape.EDE),
        (answer(rcode=2, ede=17), Result.BLOCKED, Shape.EDE),
        (answer(), Result.BLOCKED, Shape.NODATA),
        (answer("0.0.0.0"), Result.BLOCKED, Shape.NULL_ADDRESS),
        (answer("127.0.0.53"), Result.BLOCKED, Shape.NULL_ADDRESS),
        (answer("::"), Result.BLOCKED, Shape.NULL_ADDRESS),
        (answer("192.0.2.53"), Result.BLOCKED, Shape.SINKHOLE),
        (answer("192.0.2.53", "0.0.0.0"), Result.BLOCKED, Shape.SINKHOLE),
        (answer(rcode=5), Result.INCONCLUSIVE, Shape.REFUSED),
        (answer(rcode=2), Result.INCONCLUSIVE, Shape.FAILURE),
        (answer(tc=True), Result.INCONCLUSIVE, Shape.TRUNCATED),
        (Exchange(Outcome.TIMEOUT, 3, None), Result.INCONCLUSIVE, Shape.TIMEOUT),
        (Exchange(Outcome.TIMEOUT, 2, None), Result.INCONCLUSIVE, Shape.FEW_TRIES),
        (Exchange(Outcome.UNREACHABLE, 1, None), Result.INCONCLUSIVE, Shape.UNREACHABLE),
        (Exchange(Outcome.MALFORMED, 1, None), Result.INCONCLUSIVE, Shape.MALFORMED),
    ],
)
def test_each_answer_has_its_shape(resolver: Exchange, result: Result, shape: Shape) -> None:
    seen = classify(resolver, ALIVE, SHAPES)
    assert (seen.result, seen.shape) == (result, shape)


@pytest.mark.parametrize(
    "reference",
    [answer(rcode=3), answer(), answer("0.0.0.0"), answer("192.0.2.53"), Exchange(Outcome.TIMEOUT, 3, None)],
)
def test_a_dead_name_proves_nothing(reference: Exchange) -> None:
    seen = classify(answer(rcode=3), reference, SHAPES)
    assert (seen.result, seen.reference_alive) == (Result.INCONCLUSIVE, False)
    assert classify(answer("198.51.100.7"), reference, SHAPES).result is Result.INCONCLUSIVE


def silent(qname: str, shape: Shape, arm: Arm = Arm.LISTED) -> object:
    return replace(sighting(qname, 1), result=Result.INCONCLUSIVE, shape=shape, arm=arm)


def test_silence_counts_only_from_a_resolver_that_was_there() -> None:
    lone = [silent("x.example", Shape.TIMEOUT), silent("y.example", Shape.REFUSED)]
    assert settle(lone) == lone
    served = settle([*lone, control(1, 1)])
    assert [one.result for one in served] == [Result.BLOCKED, Result.BLOCKED, Result.NOT_BLOCKED]


def test_a_control_that_met_silence_proves_nothing_but_a_refused_one_was_refused() -> None:
    session = [silent("c1.example", Shape.TIMEOUT, Arm.CONTROL), silent("c2.example", Shape.REFUSED, Arm.CONTROL)]
    assert [one.result for one in settle([*session, control(1, 1)])][:2] == [Result.INCONCLUSIVE, Result.BLOCKED]


def test_a_silence_about_a_dead_name_stays_nothing() -> None:
    dead = replace(silent("x.example", Shape.TIMEOUT), reference_alive=False)
    assert settle([dead, control(1, 1)])[0] == dead


def test_confirmation_needs_every_kind_of_independence() -> None:
    rule = law().confirmation.rule()
    whole = [sighting("x.example", minute, eye=eye) for eye in (1, 2) for minute in (0, 10)]
    assert confirmed(whole, rule)
    assert not confirmed([], rule)
    assert not confirmed(whole[:2], rule)
    assert not confirmed([one for one in whole if one.asked_at == whole[0].asked_at], rule)
    for name in ("vantage_point", "access_network", "custodian"):
        assert not confirmed([replace(one, **{name: "same"}) for one in whole], rule)
