"""What may leave an edge, held against every message that it may send and against both ends that bound them."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.message import Message

import lachan.blocklist.v1
import lachan.compliance.v1
from compliance_api.domain.parties.organisation import Node
from compliance_api.errors import InvalidRequestError, NotPermittedError
from compliance_api.usecases.reports import claim
from lachan import signing
from lachan.compliance.v1 import challenge_service_pb2, enrolment_service_pb2, report_pb2
from lachan.signing import SigningKey
from lachan.tls import Identity, Role
from resolver import disclosure
from resolver.disclosure import MOST, RULES, DisclosureError, Enclosed, Octets, Papers, Rows, Text, check, name_of

# Services whose methods a node calls; the others' callers are probes, people and the authority's own services.
CALLED = {"AuditService", "ChallengeService", "EnrolmentService", "ReleaseService", "ReportService"}
OTHERS = {"FindingService", "MembershipService", "ProbeService", "RegistryService", "SampleService"}
# Of services that people call as well.
METHODS = {"CredentialService": {"RenewCertificate"}}
FILES: list[FileDescriptor] = [
    importlib.import_module(f"{package.__name__}.{module.name}").DESCRIPTOR
    for package in (lachan.blocklist.v1, lachan.compliance.v1)
    for module in pkgutil.iter_modules(package.__path__)
    if module.name.endswith("_pb2")
]
# Signed before they travel, as bytes within another.
ENCLOSED = {"Report": report_pb2.Report, "Opening": challenge_service_pb2.Opening}
NUMBERS = {
    FieldDescriptor.TYPE_BOOL,
    FieldDescriptor.TYPE_ENUM,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_UINT64,
}
CANARY = "client-192-0-2-177.canary.example"
KEY = SigningKey.generate()
CALLER = Identity("a", Role.NODE, "edge-1")


def roots() -> Iterator[Descriptor]:
    for file in FILES:
        for name, service in file.services_by_name.items():
            assert [name in CALLED, name in OTHERS, name in METHODS].count(True) == 1, f"{name}: does a node call it?"
            wanted = METHODS.get(name, {method.name for method in service.methods} if name in CALLED else set())
            yield from (method.input_type for method in service.methods if method.name in wanted)
    yield from (message.DESCRIPTOR for message in ENCLOSED.values())


def fields() -> dict[str, FieldDescriptor]:
    """Every field of every message that a node may send, however deep."""
    found: dict[str, FieldDescriptor] = {}
    todo = list(roots())
    while todo:
        for field in todo.pop().fields:
            if name_of(field) not in found:
                found[name_of(field)] = field
                if field.message_type is not None:
                    todo.append(field.message_type)
    return found


def test_each_field_is_a_number_or_stands_in_the_rules_with_a_reason() -> None:
    free = {
        name
        for name, field in fields().items()
        if field.message_type is None and field.type not in NUMBERS and name not in RULES
    }
    assert free == set()
    assert all(len(rule.reason) > 10 for rule in RULES.values())


def test_each_rule_and_each_bound_is_of_a_field_that_a_node_may_send() -> None:
    known = fields()
    assert set(RULES) <= set(known)
    assert set(MOST) == {name for name, field in known.items() if field.is_repeated}


def test_no_rule_has_room_for_a_name_or_an_address_that_a_client_chose() -> None:
    for name, rule in RULES.items():
        if isinstance(rule, Text):
            # Of its own certificate, or of its own configuration.
            assert name.split(".")[1] in {"organisation", "node", "profile"}, name
            assert not rule.holds("192.0.2.77")
            assert not rule.holds("2001:db8::77")
            assert not rule.holds(CANARY)
        elif isinstance(rule, Octets):
            # Random, a hash or a signature: what they are made of cannot be read from them.
            assert set(rule.lengths) <= {16, 32, 64}, name
        elif isinstance(rule, Enclosed):
            assert rule.message in ENCLOSED, name
        elif isinstance(rule, Papers):
            assert name.endswith(".csr"), name
        else:
            assert rule.row == 8 + 32, name


def full() -> dict[str, Message]:
    """A good message with every field of text or bytes set, by its name."""
    pb = report_pb2
    report = pb.Report(
        organisation="a",
        node="edge-1",
        boot_epoch=b"e" * 16,
        previous_boot_epoch=b"p" * 16,
        sequence=1,
        previous_digest=b"d" * 32,
        window_start=1_700_000_100,
        window_seconds=300,
        list=pb.ListState(serial=4, records_digest=b"r" * 32, activated_at=1_700_000_000),
        queries=[pb.QueryCount(transport=pb.TRANSPORT_UDP, profile="default", rcode=0, count=90)],
        suspensions=[pb.Suspension(serial=4, records_digest=b"r" * 32, created_at=1, ends_at=2)],
        rule_commitment=pb.RuleCommitment(hour=1_699_999_200, root=b"m" * 32),
        enforcing=True,
    )
    opening = challenge_service_pb2.Opening(
        challenge_id=b"c" * 16,
        organisation="a",
        node="edge-1",
        hour=1_699_999_200,
        buckets=[challenge_service_pb2.OpenedBucket(position=1, entries=b"s" * 80, path=[b"h" * 32])],
        rules=[challenge_service_pb2.OpenedRule(fingerprint=5, count=6, salt=b"s" * 16)],
    )
    return {
        "Report": report,
        "Opening": opening,
        "SignedReport": signed(report),
        "RequestEnrolmentRequest": enrolment_service_pb2.RequestEnrolmentRequest(
            secret=b"s" * 32, csr=b"c" * 900, key=b"k" * 32, signature=b"s" * 64
        ),
        "CollectCertificateRequest": enrolment_service_pb2.CollectCertificateRequest(
            enrolment_id=b"e" * 16, signature=b"s" * 64
        ),
        "RenewCertificateRequest": enrolment_service_pb2.RenewCertificateRequest(csr=b"c" * 900),
        "SignedOpening": challenge_service_pb2.SignedOpening(
            opening=opening.SerializeToString(), signature=b"s" * 64, key_id=b"k" * 32
        ),
    }


def signed(report: report_pb2.Report) -> report_pb2.SignedReport:
    data = report.SerializeToString()
    return report_pb2.SignedReport(report=data, signature=KEY.sign(signing.REPORT, data), key_id=KEY.public.key_id)


def spoilt(message: Message, name: str, value: Any) -> bool:
    """Sets the field that a rule is called by, wherever it stands; False where it stands nowhere."""
    for field, held in message.ListFields():
        if name_of(field) == name:
            if field.is_repeated:
                held[0] = value
            else:
                setattr(message, field.name, value)
            return True
        for one in (held if field.is_repeated else [held]) if field.message_type is not None else []:
            if spoilt(one, name, value):
                return True
    return False


def hostile(name: str) -> Any:
    rule = RULES[name]
    if isinstance(rule, Text):
        return CANARY
    return CANARY.encode() + b"!" * (rule.most if isinstance(rule, Enclosed | Papers) else 0)


def owner(name: str) -> str:
    return next(one for one, message in full().items() if spoilt(message, name, hostile(name)))


def test_what_is_within_the_rules_passes() -> None:
    for message in full().values():
        check(message)


@pytest.mark.parametrize("name", sorted(RULES))
def test_an_edge_refuses_to_tell_what_breaks_a_rule_and_does_not_repeat_it(name: str) -> None:
    message = full()[owner(name)]
    assert spoilt(message, name, hostile(name))
    with pytest.raises(DisclosureError) as refused:
        check(message)
    assert name.split(".")[1] in str(refused.value)
    assert CANARY not in str(refused.value)


def test_an_edge_refuses_a_field_that_the_contract_does_not_know() -> None:
    # Field 1000, of bytes, as a newer or a foreign contract would have it.
    data = full()["Report"].SerializeToString() + b"\xc2\x3e" + bytes([len(CANARY)]) + CANARY.encode()
    report = report_pb2.Report.FromString(data)
    with pytest.raises(DisclosureError, match="its contract does not know"):
        check(report)


def test_an_edge_refuses_too_many_of_anything_and_an_enum_of_no_name() -> None:
    pb = report_pb2
    with pytest.raises(DisclosureError, match=r"Report\.suspensions: more than 16"):
        check(pb.Report(suspensions=[pb.Suspension()] * 17))
    with pytest.raises(DisclosureError, match=r"drops\[0\]\.reason: unknown"):
        check(pb.Report.FromString(pb.Report(drops=[pb.DropCount()]).SerializeToString()[:-1] + b"\x02\x08\x63"))


@pytest.mark.parametrize("name", sorted(name for name in RULES if owner(name) in {"Report", "SignedReport"}))
def test_the_authority_refuses_it_as_well(name: str) -> None:
    report = full()["Report"]
    assert isinstance(report, report_pb2.Report)
    if owner(name) == "Report":
        assert spoilt(report, name, hostile(name))
    one = signed(report)
    if owner(name) == "SignedReport":
        # A signature that does not hold is evidence; it is bounded, and so is what names a key.
        assert spoilt(one, name, hostile(name) * 8)
    node = Node("edge-1", KEY.public.raw, (), frozenset({"hcm"}))
    with pytest.raises((InvalidRequestError, NotPermittedError)) as refused:
        claim.read("reports[0]", one, CALLER, node)
    if not isinstance(refused.value, NotPermittedError):
        assert re.search(rf"\b{name.split('.')[1]}\b", str(refused.value))


def test_the_authority_bounds_what_is_repeated_as_the_edge_does() -> None:
    assert MOST["Report.overrides"] == claim.MAX_OVERRIDES
    assert MOST["Report.suspensions"] == claim.MAX_SUSPENSIONS
    assert MOST["Report.queries"] == claim.MAX_CELLS
    report_rule = disclosure.RULES["SignedReport.report"]
    assert isinstance(report_rule, Enclosed)
    assert report_rule.most == claim.MAX_REPORT_BYTES
    entries = RULES["OpenedBucket.entries"]
    assert isinstance(entries, Rows)
