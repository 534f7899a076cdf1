"""Observations in the form in which OONI publishes measurements, one JSON document a line.

The form is that of OONI's specifications df-000-base, df-002-dnst and df-007-errors (its repository `spec`).

Holds always: names of csam and sexual_exploitation are never exported; nothing tells which line was measured from but
the country and what the authority calls the access network; what is not known here (the network's number, the client's
address) has the value that the format has for it; the packets are there as they were on the wire.
"""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from compliance_api.domain.drawing.sampling import SENSITIVE_CATEGORIES
from compliance_api.domain.observations.observation import Arm
from lachan import message
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.message import Message, MessageError, Record

TEST_NAME = "lachan_dns"
TEST_VERSION = "0.1.0"
DATA_FORMAT = "0.2.0"
SOFTWARE = "lachan-probe"
PUBLISHED = frozenset({Arm.LISTED, Arm.CONTROL, Arm.NEIGHBOUR})

_FAILURES = {
    pb.OUTCOME_TIMEOUT: "generic_timeout_error",
    pb.OUTCOME_UNREACHABLE: "connection_refused",
    pb.OUTCOME_MALFORMED: "unknown_failure: no answer to the question",
}
_RCODES = {
    message.SERVFAIL: "dns_servfail_error",
    message.NXDOMAIN: "dns_nxdomain_error",
    message.REFUSED: "dns_refused_error",
}


@dataclass(frozen=True)
class Seen:
    """A stored observation with what is public about who saw it."""

    assignment: bytes
    index: int
    asked_at: datetime
    operator: str
    access_network: str
    # `udp://192.0.2.1:53`
    endpoint: str
    transport: str
    qname: str
    qtype: int
    category: int
    arm: str
    result: str
    shape: str
    shapes: str
    # A serialised Observation.
    observation: bytes


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _answer(record: Record) -> dict[str, Any]:
    told: dict[str, Any] = {"answer_type": message.type_name(record.rtype), "ttl": record.ttl}
    if record.address is not None:
        address = ipaddress.ip_address(record.address)
        told[f"ipv{address.version}"] = str(address)
    elif record.rtype in {message.CNAME, message.DNAME, message.PTR}:
        told["hostname"] = record.data
    return told


def _failure(raw: pb.Exchange, response: Message | None, qtype: int) -> str | None:
    if raw.outcome != pb.OUTCOME_ANSWERED:
        return _FAILURES.get(raw.outcome, "unknown_failure: not asked")
    if response is None:
        return "unknown_failure: malformed answer"
    if response.rcode != message.NOERROR:
        return _RCODES.get(response.rcode, f"unknown_failure: {message.rcode_name(response.rcode)}")
    if not any(record.rtype == qtype for record in response.answers):
        return "dns_no_answer"
    return None


def _query(seen: Seen, raw: pb.Exchange, engine: str, address: str, tag: str) -> dict[str, Any]:
    try:
        response = message.parse(raw.response) if raw.response else None
    except MessageError:
        response = None
    began = raw.asked_after_us / 1_000_000
    told: dict[str, Any] = {
        "answers": [_answer(record) for record in response.answers] if response else [],
        "engine": engine,
        "failure": _failure(raw, response, seen.qtype),
        "hostname": seen.qname,
        "query_type": message.type_name(seen.qtype),
        "raw_response": base64.b64encode(raw.response).decode(),
        "resolver_address": address,
        "resolver_hostname": None,
        "resolver_port": None,
        "t0": began,
        "t": began + raw.duration_us / 1_000_000,
        "tags": [tag],
    }
    if response is not None:
        told["rcode"] = response.rcode
    return told


def measurement(seen: Seen, country: str) -> dict[str, Any] | None:
    """One observation as a measurement; None where it is not for publication.

    Args:
        seen: The observation.
        country: ISO 3166 code of where the probes are.
    """
    # A nonce says nothing of a name, and something of the probe.
    if seen.category in SENSITIVE_CATEGORIES or seen.arm not in PUBLISHED:
        return None
    one = pb.Observation.FromString(seen.observation)
    address = seen.endpoint.partition("://")[2]
    queries = [_query(seen, one.resolver, seen.transport, address, "resolver")]
    # Where the references are, an observation does not say.
    if one.HasField("reference"):
        queries.append(_query(seen, one.reference, "unknown", "", "reference"))
    if one.HasField("second_reference"):
        queries.append(_query(seen, one.second_reference, "unknown", "", "reference"))
    return {
        "annotations": {"operator": seen.operator, "access_network": seen.access_network, "arm": seen.arm},
        "data_format_version": DATA_FORMAT,
        "id": f"{seen.assignment.hex()}-{seen.index}",
        "input": seen.qname,
        "measurement_start_time": _moment(seen.asked_at),
        "probe_asn": "AS0",
        "probe_cc": country,
        "probe_ip": "127.0.0.1",
        "report_id": "",
        "software_name": SOFTWARE,
        "software_version": version("lachan"),
        "test_helpers": {},
        "test_keys": {
            "queries": queries,
            "result": seen.result,
            "shape": seen.shape,
            "shapes_version": seen.shapes,
        },
        "test_name": TEST_NAME,
        "test_runtime": max(query["t"] for query in queries),
        "test_start_time": _moment(seen.asked_at),
        "test_version": TEST_VERSION,
    }
