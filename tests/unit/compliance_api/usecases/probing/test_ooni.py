from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from compliance_api.domain.observations.observation import Arm
from compliance_api.usecases.probing.ooni import Seen, measurement
from lachan import message
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.reply import Reply, address_record, name_record, record, respond
from tests.support.cases import NOW

NAME = "listed.example"
ALIAS = (name_record(NAME, message.CNAME, 300, "www.example"), address_record("www.example", 60, "198.51.100.7"))


def raw(
    reply: Reply | None, qtype: int = 1, outcome: pb.Outcome.ValueType = pb.OUTCOME_ANSWERED, after: int = 0
) -> pb.Exchange:
    query = message.query(NAME, qtype, id=3)
    response = respond(query, reply) if reply else b""
    return pb.Exchange(
        outcome=outcome, query=query, response=response, tries=1, duration_us=250_000, asked_after_us=after
    )


def seen(resolver: pb.Exchange, qtype: int = 1, **changes: Any) -> Seen:
    observation = pb.Observation(
        resolver=resolver,
        reference=raw(Reply(answers=ALIAS), qtype, after=2_000_000),
        second_reference=raw(None, outcome=pb.OUTCOME_TIMEOUT, after=3_000_000),
    )
    one = Seen(
        b"\xab" * 16, 7, NOW, "a", "net-1", "udp://192.0.2.1:53", "udp", NAME, qtype, 3, Arm.LISTED, "blocked",
        "nxdomain", "v1", observation.SerializeToString(),
    )  # fmt: skip
    return replace(one, **changes)


def test_an_observation_is_a_measurement_with_three_queries() -> None:
    told = measurement(seen(raw(Reply(message.NXDOMAIN))), "VN")
    assert told is not None
    assert json.loads(json.dumps(told)) == told
    # The fields that OONI's base format asks for.
    assert set(told) == {
        "annotations", "data_format_version", "id", "input", "measurement_start_time", "probe_asn", "probe_cc",
        "probe_ip", "report_id", "software_name", "software_version", "test_helpers", "test_keys", "test_name",
        "test_runtime", "test_start_time", "test_version",
    }  # fmt: skip
    assert (told["input"], told["probe_asn"], told["probe_cc"], told["probe_ip"]) == (NAME, "AS0", "VN", "127.0.0.1")
    assert told["measurement_start_time"] == NOW.strftime("%Y-%m-%d %H:%M:%S")
    resolver, first, second = told["test_keys"]["queries"]
    assert resolver["failure"] == "dns_nxdomain_error"
    assert (resolver["engine"], resolver["resolver_address"], resolver["query_type"]) == ("udp", "192.0.2.1:53", "A")
    assert (resolver["t0"], resolver["t"], resolver["rcode"]) == (0.0, 0.25, 3)
    assert message.parse(base64.b64decode(resolver["raw_response"])).rcode == message.NXDOMAIN
    assert first["failure"] is None
    assert first["answers"] == [
        {"answer_type": "CNAME", "ttl": 300, "hostname": "www.example"},
        {"answer_type": "A", "ttl": 60, "ipv4": "198.51.100.7"},
    ]
    assert (first["t0"], first["t"]) == (2.0, 2.25)
    assert (second["failure"], second["answers"], second["raw_response"]) == ("generic_timeout_error", [], "")
    assert told["test_runtime"] == 3.25


@pytest.mark.parametrize(
    ("resolver", "failure"),
    [
        (raw(Reply(message.REFUSED)), "dns_refused_error"),
        (raw(Reply(message.SERVFAIL)), "dns_servfail_error"),
        (raw(Reply(message.NOTIMP)), "unknown_failure: NOTIMP"),
        (raw(Reply()), "dns_no_answer"),
        (raw(None, outcome=pb.OUTCOME_UNREACHABLE), "connection_refused"),
        (raw(None, outcome=pb.OUTCOME_MALFORMED), "unknown_failure: no answer to the question"),
        (raw(None), "unknown_failure: malformed answer"),
        (pb.Exchange(), "unknown_failure: not asked"),
    ],
)
def test_every_failure_has_a_name(resolver: pb.Exchange, failure: str) -> None:
    told = measurement(seen(resolver), "VN")
    assert told is not None
    assert told["test_keys"]["queries"][0]["failure"] == failure


def test_types_that_the_format_has_no_fields_for_are_named() -> None:
    told = measurement(seen(raw(Reply(answers=(record(NAME, 65, 60, b"\0\1\0"),)), 65), 65), "VN")
    assert told is not None
    assert told["test_keys"]["queries"][0]["answers"] == [{"answer_type": "HTTPS", "ttl": 60}]


@pytest.mark.parametrize("changes", [{"category": 1}, {"category": 2}, {"arm": Arm.WHOAMI}, {"arm": Arm.EGRESS}])
def test_what_is_not_for_publication_is_left_out(changes: dict[str, Any]) -> None:
    assert measurement(seen(raw(Reply()), **changes), "VN") is None
