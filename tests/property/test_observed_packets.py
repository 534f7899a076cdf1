"""Whatever a resolver answers, what was observed can be read, judged, published and shown."""

from __future__ import annotations

import ipaddress
import json

from hypothesis import given
from hypothesis import strategies as st

from compliance_api.domain.observations.observation import Arm, Outcome, Result, classify
from compliance_api.domain.observations.shapes import ShapeText
from compliance_api.probe.linecheck import Asked, Purpose, judge
from compliance_api.usecases.probing.ooni import Seen, measurement
from compliance_api.usecases.probing.sighting import exchange
from lachan import asking, message
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.exchange import Exchange
from lachan.message import MessageError
from lachan.reply import Reply, address_record, name_record, record, respond, txt_record
from tests.support.cases import NOW

NAME = "listed.example"
QUERY = message.query(NAME, 1, id=7)
PAGES = ShapeText.model_validate(
    {"version": "v1", "effective_from": NOW, "pages": [{"addresses": ["192.0.2.80"], "names": ["page.example"]}]}
).shapes("a")
ALIVE = respond(QUERY, Reply(answers=(address_record(NAME, 60, "198.51.100.7"),)))

ANSWERS = st.lists(
    st.one_of(
        st.ip_addresses().map(lambda one: address_record(NAME, 60, str(one))),
        st.sampled_from(["page.example", "x.page.example", "www.example", NAME]).map(
            lambda target: name_record(NAME, message.CNAME, 60, target)
        ),
        st.lists(st.binary(max_size=80), min_size=1, max_size=3).map(lambda some: txt_record(NAME, 0, *some)),
        st.tuples(st.integers(1, 300), st.binary(max_size=40)).map(lambda one: record(NAME, one[0], 60, one[1])),
    ),
    max_size=4,
)


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """An answer, with some of its octets changed, cut off or added."""
    errors = tuple(message.ExtendedError(code) for code in draw(st.lists(st.integers(0, 30), max_size=2)))
    try:
        packet = bytearray(respond(QUERY, Reply(draw(st.integers(0, 23)), tuple(draw(ANSWERS)), errors=errors)))
    except MessageError:
        packet = bytearray(ALIVE)
    for _ in range(draw(st.integers(0, 4))):
        packet[draw(st.integers(0, len(packet) - 1))] = draw(st.integers(0, 255))
    return bytes(packet[: draw(st.integers(0, len(packet)))] if draw(st.booleans()) else packet) + draw(
        st.binary(max_size=3)
    )


def raw(response: bytes) -> pb.Exchange:
    return pb.Exchange(outcome=pb.OUTCOME_ANSWERED, query=QUERY, response=response, tries=1)


@given(packets())
def test_any_packet_is_judged_and_published(packet: bytes) -> None:
    seen = exchange(raw(packet), NAME, 1)
    alive = exchange(raw(ALIVE), NAME, 1)
    assert (seen.answer is None) == (seen.outcome is not Outcome.ANSWERED)
    found = classify(seen, [alive, alive], PAGES)
    if seen.answer is None:
        assert found.result is Result.INCONCLUSIVE
    # As a reference, too.
    assert classify(alive, [seen, alive], PAGES).result in {Result.NOT_BLOCKED, Result.INCONCLUSIVE}
    observation = pb.Observation(resolver=raw(packet), reference=raw(packet)).SerializeToString()
    published = measurement(
        Seen(b"i", 0, NOW, "a", "n", "udp://192.0.2.1:53", "udp", NAME, 1, 3, Arm.LISTED, "", "", "", observation), "VN"
    )
    assert published is not None
    json.dumps(published)


@given(packets(), st.sampled_from(Purpose), st.sampled_from(asking.Transport))
def test_any_packet_is_taken_on_a_line(packet: bytes, purpose: Purpose, transport: asking.Transport) -> None:
    try:
        read = message.parse(packet)
    except MessageError:
        read = None
    outcome = asking.Outcome.MALFORMED if read is None else asking.Outcome.ANSWERED
    done = Exchange(outcome, transport, QUERY, packet, read, 1, 0.1)
    result = judge(
        [Asked(purpose, "203.0.113.53", f"abcdefgh.{NAME}", done)], (ipaddress.ip_network("203.0.113.0/24"),)
    )
    assert len(result.checks) == 6
