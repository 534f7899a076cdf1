from __future__ import annotations

from random import Random

import pytest

from compliance_api.probe.assignment import Endpoint
from compliance_api.probe.measure import MAX_DURATION_US, MAX_KEPT_BYTES, asker, evidence
from compliance_api.probe.settings import MeasureSettings
from lachan.asking import Outcome, Transport
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.exchange import Exchange
from tests.support.nameserver import nameserver


def ended(outcome: Outcome, response: bytes = b"", duration: float = 0.25) -> Exchange:
    return Exchange(outcome, Transport.UDP, b"query", response, None, 2, duration)


@pytest.mark.parametrize(
    ("outcome", "wanted"),
    [
        (Outcome.ANSWERED, pb.OUTCOME_ANSWERED),
        (Outcome.TIMEOUT, pb.OUTCOME_TIMEOUT),
        (Outcome.UNREACHABLE, pb.OUTCOME_UNREACHABLE),
        (Outcome.MALFORMED, pb.OUTCOME_MALFORMED),
    ],
)
def test_every_end_is_told(outcome: Outcome, wanted: pb.Outcome) -> None:
    told = evidence(ended(outcome, b"response"))
    assert (told.outcome, told.query, told.response, told.tries) == (wanted, b"query", b"response", 2)
    assert told.duration_us == 250_000


def test_an_answer_too_large_to_keep_is_no_answer() -> None:
    told = evidence(ended(Outcome.ANSWERED, bytes(MAX_KEPT_BYTES + 1), duration=1e9))
    assert told.outcome == pb.OUTCOME_MALFORMED
    assert len(told.response) == MAX_KEPT_BYTES
    assert told.duration_us == MAX_DURATION_US


async def test_it_asks_like_any_client_would() -> None:
    async with nameserver() as server:
        ask = asker(MeasureSettings(timeout=0.05, tries=1), Random(1))
        told = await ask(Endpoint("127.0.0.1", server.port), "bad.example", 28, False)
        ((_, query, _),) = server.queries
    assert told.outcome == pb.OUTCOME_TIMEOUT
    assert told.query == query
    # RD alone among the flags, one question, one OPT, nothing else.
    assert query[2:12] == bytes.fromhex("0100 0001 0000 0000 0001")
    assert query[12:29] == b"\x03bad\x07example\x00\x00\x1c\x00\x01"
