from __future__ import annotations

from dataclasses import replace

import pytest

from compliance_api.domain.observations.observation import (
    Answer,
    Arm,
    ConfirmationRule,
    Exchange,
    Outcome,
    Path,
    Result,
    Shape,
    Sighting,
    classify,
    confirmed,
    settle,
)
from compliance_api.domain.observations.shapes import ShapeText
from tests.support.cases import NOW, control, law, sighting

SHAPES = ShapeText.model_validate(
    {
        "version": "v1",
        "effective_from": NOW,
        "pages": [
            {"addresses": ["192.0.2.48/28"], "names": ["page.example"]},
            {"operators": ["b"], "addresses": ["192.0.2.99"]},
        ],
    }
).shapes("a")
NONE: frozenset[int] = frozenset()


def answer(
    *addresses: str, rcode: int = 0, records: int | None = None, ede: int = 0, tc: bool = False, alias: str = ""
) -> Exchange:
    errors = frozenset({ede} - {0})
    found = Answer(
        rcode, tc, len(addresses) if records is None else records, addresses, errors, (alias,) if alias else ()
    )
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
        (answer("192.0.2.99"), Result.NOT_BLOCKED, Shape.ANSWER),
        (answer("198.51.100.7", alias="page.example"), Result.BLOCKED, Shape.FORGED_CNAME),
        (answer(rcode=3, alias="x1.page.example"), Result.BLOCKED, Shape.FORGED_CNAME),
        (answer("198.51.100.7", alias="mypage.example"), Result.NOT_BLOCKED, Shape.ANSWER),
        (answer(rcode=2), Result.INCONCLUSIVE, Shape.FAILURE),
        (answer(tc=True), Result.INCONCLUSIVE, Shape.TRUNCATED),
        (Exchange(Outcome.TIMEOUT, 3, None), Result.INCONCLUSIVE, Shape.TIMEOUT),
        (Exchange(Outcome.TIMEOUT, 2, None), Result.INCONCLUSIVE, Shape.FEW_TRIES),
        (Exchange(Outcome.UNREACHABLE, 1, None), Result.INCONCLUSIVE, Shape.UNREACHABLE),
        (Exchange(Outcome.MALFORMED, 1, None), Result.INCONCLUSIVE, Shape.MALFORMED),
    ],
)
def test_each_answer_has_its_shape(resolver: Exchange, result: Result, shape: Shape) -> None:
    seen = classify(resolver, [ALIVE, ALIVE], SHAPES)
    assert (seen.result, seen.shape) == (result, shape)


@pytest.mark.parametrize(
    "reference",
    [
        answer(rcode=3),
        answer(),
        answer("0.0.0.0"),
        answer("192.0.2.53"),
        answer("198.51.100.7", alias="page.example"),
        Exchange(Outcome.TIMEOUT, 3, None),
        replace(ALIVE, after=600.1),
    ],
)
def test_a_dead_name_proves_nothing(reference: Exchange) -> None:
    # One of the two is enough to doubt that it is alive.
    for references in ([reference, ALIVE], [ALIVE, reference], [ALIVE]):
        seen = classify(answer(rcode=3), references, SHAPES)
        assert (seen.result, seen.reference_alive) == (Result.INCONCLUSIVE, False)
        assert classify(answer("198.51.100.7"), references, SHAPES).result is Result.INCONCLUSIVE


def test_what_a_block_is_is_said_by_the_text() -> None:
    narrower = replace(SHAPES, blocking=frozenset({Shape.NXDOMAIN}), references=1, reference_within=700.0, tries=1)
    late = replace(ALIVE, after=600.1)
    assert classify(answer(rcode=3), [late], narrower).result is Result.BLOCKED
    assert classify(answer(), [late], narrower).result is Result.INCONCLUSIVE
    assert classify(Exchange(Outcome.TIMEOUT, 1, None), [late], narrower).shape is Shape.TIMEOUT


def test_failure_is_no_block_even_where_controls_are_answered() -> None:
    failed = [silent("x.example", Shape.FAILURE), silent("c.example", Shape.FAILURE, Arm.CONTROL)]
    assert settle([*failed, control(1, 1)])[:2] == failed


def test_what_cannot_be_reached_is_never_an_answer() -> None:
    gone = [silent("x.example", Shape.UNREACHABLE), silent("c.example", Shape.UNREACHABLE, Arm.CONTROL)]
    assert settle([*gone, control(1, 1)])[:2] == gone


def silent(qname: str, shape: Shape, arm: Arm = Arm.LISTED) -> Sighting:
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


def test_half_of_the_path_verified_points_confirm_where_they_are_most_of_those_that_asked() -> None:
    rule = ConfirmationRule(3, 1, 1, 0, 0.5)

    def point(number: int, way: Path, *, blocked: bool) -> Sighting:
        return replace(sighting("n.example", number, eye=number, blocked=blocked), path=way)

    missed = [point(number, Path.UNKNOWN, blocked=False) for number in range(6)]
    own = [point(number, Path.VERIFIED, blocked=True) for number in range(10, 14)]
    # Four verified ones of ten are not believed against six: the node chose for whom it signs.
    assert confirmed(missed, rule, own)
    # Where most are verified, the six are as likely intercepted as not.
    more = [*own, *(point(number, Path.VERIFIED, blocked=True) for number in range(20, 23))]
    assert not confirmed(missed, rule, more)
    # Half of the verified ones have seen it as well.
    seen = [*missed, *(point(number, Path.VERIFIED, blocked=False) for number in range(30, 37))]
    assert confirmed(seen, rule, more)
    assert not confirmed(seen[:-1], rule, more)
    # Two verified ones are too few to decide anything, though they are all that saw a block.
    assert confirmed(missed[:3], rule, own[:2])
