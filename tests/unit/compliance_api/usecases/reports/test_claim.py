from __future__ import annotations

import hashlib
from typing import Any

import pytest

from compliance_api.domain.parties.organisation import Node
from compliance_api.errors import InvalidRequestError, NotPermittedError
from compliance_api.usecases.reports.claim import MAX_CELLS, MAX_REPORT_BYTES, read
from lachan.compliance.v1 import report_pb2 as pb
from lachan.signing import OBSERVATION, REPORT, SigningKey
from lachan.tls import Identity, Role

KEY = SigningKey.generate()
CALLER = Identity("a", Role.NODE, "edge-1")
NODE = Node("edge-1", KEY.public.raw, (), frozenset({"hcm"}))


def report(**changes: Any) -> pb.Report:
    values: dict[str, Any] = {
        "organisation": "a",
        "node": "edge-1",
        "boot_epoch": b"e" * 16,
        "sequence": 1,
        "window_start": 1_700_000_100,
        "window_seconds": 300,
        "list": pb.ListState(serial=4, records_digest=b"d" * 32, activated_at=1_700_000_000),
        "queries": [pb.QueryCount(transport=1, profile="default", rcode=0, count=90)],
        "blocked": [pb.BlockCount(category=1, action=1, count=7), pb.BlockCount(category=1, action=6, count=5)],
        "enforcing": True,
    }
    return pb.Report(**{**values, **changes})


def signed(one: pb.Report, key: SigningKey = KEY, context: bytes = REPORT) -> pb.SignedReport:
    data = one.SerializeToString()
    return pb.SignedReport(report=data, signature=key.sign(context, data), key_id=KEY.public.key_id)


def fields(one: pb.SignedReport) -> list[str]:
    with pytest.raises(InvalidRequestError) as refused:
        read("reports[0]", one, CALLER, NODE)
    return [violation.field.removeprefix("reports[0].") for violation in refused.value.violations]


def test_a_good_report_is_read_whole() -> None:
    one = signed(report())
    claim = read("reports[0]", one, CALLER, NODE)
    assert claim.flaw == ""
    assert claim.link.digest == hashlib.sha256(one.report).digest()
    assert (claim.list_serial, claim.queries, claim.enforcing) == (4, 90, True)
    assert claim.blocked == 7, "what was only counted in shadow mode was not blocked"
    assert claim.report == one.report


def test_nothing_is_kept_that_is_beside_the_fields() -> None:
    """A field that nobody knows, with a name that was asked for: refused, whether the signature holds or not."""
    data = report().SerializeToString() + b"\xc2\x3e\x0bkid.example"
    for key in (KEY, SigningKey.generate()):
        one = pb.SignedReport(report=data, signature=key.sign(REPORT, data), key_id=KEY.public.key_id)
        assert fields(one) == ["report"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"boot_epoch": b""}, "report.boot_epoch"),
        ({"previous_boot_epoch": b"x"}, "report.previous_boot_epoch"),
        ({"sequence": 0}, "report.sequence"),
        ({"sequence": 1 << 63}, "report.sequence"),
        ({"previous_digest": b"x"}, "report.previous_digest"),
        ({"window_seconds": 0}, "report.window_seconds"),
        ({"window_seconds": 100_000}, "report.window_seconds"),
        ({"window_start": 1_700_000_101}, "report.window_start"),
        ({"window_start": -300}, "report.window_start"),
        ({"windows_lost": 1 << 63}, "report.windows_lost"),
        ({"allowed": 1 << 63}, "report.allowed"),
        ({"operator_blocked": 1 << 63}, "report.operator_blocked"),
        ({"suspensions": [pb.Suspension(records_digest=bytes(32))] * 17}, "report.suspensions"),
        ({"hit_log": pb.HitLog(), "queries": []}, "report.hit_log.form"),
        ({"hit_log": pb.HitLog(form=1, late=1 << 63), "queries": []}, "report.hit_log.late"),
        ({"hit_log": pb.HitLog(form=1, serial_asked_at=-1), "queries": []}, "report.hit_log.serial_asked_at"),
        ({"suspensions": [pb.Suspension(records_digest=bytes(31))]}, "report.suspensions[0].records_digest"),
        (
            {"suspensions": [pb.Suspension(records_digest=bytes(32), ends_at=259_201)]},
            "report.suspensions[0].ends_at",
        ),
        ({"overrides": [pb.Override()] * 257}, "report.overrides"),
        ({"overrides": [pb.Override(category=99)]}, "report.overrides[0].category"),  # type: ignore[arg-type] # foreign
        ({"overrides": [pb.Override(reason=99)]}, "report.overrides[0].reason"),  # type: ignore[arg-type] # foreign
        ({"overrides": [pb.Override(created_at=-1)]}, "report.overrides[0].created_at"),
        ({"overrides": [pb.Override(created_at=9, ends_at=8)]}, "report.overrides[0].ends_at"),
        ({"overrides": [pb.Override(created_at=9, ends_at=259_210)]}, "report.overrides[0].ends_at"),
        ({"list": pb.ListState(serial=1)}, "report.list.records_digest"),
        ({"list": pb.ListState(serial=0, records_digest=b"x" * 32)}, "report.list.records_digest"),
        ({"list": pb.ListState(activated_at=1 << 40)}, "report.list.activated_at"),
        ({"rule_commitment": pb.RuleCommitment(root=b"short")}, "report.rule_commitment.root"),
        ({"queries": [pb.QueryCount(profile="203.0.113.9", count=1)]}, "report.queries[0].profile"),
        ({"queries": [pb.QueryCount(profile="x", transport=99)]}, "report.queries[0].transport"),
        ({"queries": [pb.QueryCount(profile="x", rcode=5000)]}, "report.queries[0].rcode"),
        ({"queries": [pb.QueryCount(profile="x", count=1 << 62)] * 3}, "report.queries"),
        ({"queries": [pb.QueryCount(profile="x")] * (MAX_CELLS + 1)}, "report.queries"),
        ({"blocked": [pb.BlockCount(category=99)]}, "report.blocked[0].category"),
        ({"blocked": [pb.BlockCount(action=99)]}, "report.blocked[0].action"),
        ({"drops": [pb.DropCount(reason=99)]}, "report.drops[0].reason"),
        ({"upstream_failures": 1 << 63}, "report.upstream_failures"),
    ],
)
def test_a_field_out_of_bounds_is_named(changes: dict[str, Any], field: str) -> None:
    assert field in fields(signed(report(**changes)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("queries", [pb.QueryCount(transport=1, profile="default", count=1)]),
        ("drops", [pb.DropCount(reason=1, count=1)]),
        ("overridden", 1),
        ("upstream_failures", 1),
        ("allowed", 1),
        ("operator_blocked", 1),
    ],
)
def test_a_node_that_reads_a_log_of_hits_tells_nothing_it_cannot_know(field: str, value: object) -> None:
    plain: dict[str, Any] = {"queries": [], "drops": [], "hit_log": pb.HitLog(form=pb.HIT_LOG_FORM_BIND, unknown=2)}
    good = read("r", signed(report(**plain)), CALLER, NODE)
    assert (good.queries, good.queries_measured, good.blocked) == (0, False, 7)
    assert fields(signed(report(**plain | {field: value}))) == [f"report.{field}"]


def test_every_field_out_of_bounds_is_named() -> None:
    found = fields(signed(report(boot_epoch=b"", sequence=0, previous_digest=b"x")))
    assert found == ["report.boot_epoch", "report.sequence", "report.previous_digest"]


def test_what_is_no_report_is_refused() -> None:
    assert fields(pb.SignedReport(report=b"\xff\xff")) == ["report"]
    assert fields(pb.SignedReport()) == ["report"]
    large = pb.SignedReport(report=b"x" * (MAX_REPORT_BYTES + 1), signature=b"x" * 999, key_id=b"x" * 99)
    assert fields(large) == ["report", "signature", "key_id"]


@pytest.mark.parametrize("changes", [{"node": "edge-2"}, {"organisation": "b"}])
def test_nobody_speaks_for_another_node(changes: dict[str, Any]) -> None:
    with pytest.raises(NotPermittedError):
        read("reports[0]", signed(report(**changes)), CALLER, NODE)


def test_a_signature_that_does_not_hold_is_a_flaw_not_an_error() -> None:
    assert read("x", signed(report(), SigningKey.generate()), CALLER, NODE).flaw == "the signature does not hold"
    assert read("x", signed(report(), context=OBSERVATION), CALLER, NODE).flaw == "the signature does not hold"
    foreign = signed(report())
    foreign.key_id = b"x" * 32
    assert "another key" in read("x", foreign, CALLER, NODE).flaw
    empty = signed(report())
    empty.signature = b""
    assert read("x", empty, CALLER, NODE).flaw
