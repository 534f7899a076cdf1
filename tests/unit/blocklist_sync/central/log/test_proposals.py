"""A proposal's header, and the signatures under it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.orders import Order as Basis
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central import canonical
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.log import changes, keys, proposals
from blocklist_sync.central.log.proposals import ProposalError, Rail
from tests.support.registry import EDITOR, FIRST, GAMBLING, NOW, ORDER, proposal, text


def test_a_header_has_one_form() -> None:
    header = proposal(rails=(Rail("never-block", "1 name"),))
    data = header.encode()
    assert data.startswith(b'{"added":1,"changes_sha256":"')
    assert b'"format":"lachan-proposal 1"' in data
    assert '"number":"12/QĐ"'.encode() in data
    assert proposals.parse(data) == header
    assert proposals.parse(data).digest == header.digest
    assert header.approvers_needed == 2
    assert proposal().approvers_needed == 1


def test_a_signature_is_for_one_purpose() -> None:
    header = proposal()
    signature = proposals.sign_proposal(EDITOR.signer, header)
    assert keys.holds(EDITOR.key, proposals.PROPOSAL, header.digest, signature)
    assert not keys.holds(FIRST.key, proposals.PROPOSAL, header.digest, signature)
    assert not keys.holds(EDITOR.key, proposals.APPROVAL, header.digest, signature)
    approved = proposals.sign_approval(FIRST.signer, header, NOW)
    assert keys.holds(FIRST.key, b"lachan/approval/v1\0" + header.digest, NOW.to_bytes(8, "little"), approved)
    assert not keys.holds(FIRST.key, proposals.APPROVAL, proposals.approval_message(header.digest, 1), approved)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "lachan-proposal 2"),
        ("id", "1"),
        ("id", "00000000-0000-0000-0000-00000000000A"),
        ("order", []),
        ("order.number", ""),
        ("order.number", "x" * 129),
        ("order.number", 5),
        ("order.date", "2026-13-01"),
        ("order.date", "20260901"),
        ("order.issuer", "two\nlines"),
        ("order.legal_basis", ""),
        ("order.urgency", "at once"),
        ("order.urgency", []),
        ("order.jurisdiction", "Mẫu"),
        ("order.mandated", 2),
        ("order.mandated", []),
        ("order.scan_sha256", "ab"),
        ("effective_from", 0),
        ("effective_from", "now"),
        ("review_by", NOW),
        ("reason", " x"),
        ("reason", "x" * 2001),
        ("proposer", "Someone"),
        ("proposed_at", -1),
        ("proposed_at", 1 << 40),
        ("changes_sha256", "AB" * 32),
        ("added", -1),
        ("added", 0),
        ("removed", 1 << 25),
        ("rails", {}),
        ("rails", [{"rail": "b", "detail": "x"}, {"rail": "a", "detail": "x"}]),
        ("rails", [{"rail": "a", "detail": "x"}] * 2),
        ("rails", [{"rail": str(n), "detail": "x"} for n in range(10, 43)]),
        ("rails[0].rail", [{"rail": "A", "detail": "x"}]),
        ("rails[0].detail", [{"rail": "a", "detail": 5}]),
        ("rails[0].more", [{"rail": "a", "detail": "x", "more": 1}]),
        ("rails[0]", ["a"]),
    ],
)
def test_a_fault_names_its_field(field: str, value: Any) -> None:
    document = proposal().document() | {"order": vars(ORDER).copy()}
    if field.startswith("order."):
        document["order"][field.partition(".")[2]] = value
    else:
        document[field.partition("[")[0]] = value
    with pytest.raises(ProposalError) as caught:
        proposals.build(document)
    assert caught.value.field == field


def test_fields_are_these_and_no_others() -> None:
    document = proposal().document()
    with pytest.raises(ProposalError, match=r"^more: is unknown"):
        proposals.build(document | {"more": 1})
    del document["reason"]
    with pytest.raises(ProposalError, match=r"^reason: is missing"):
        proposals.build(document)
    with pytest.raises(ProposalError, match=r"^header: an object"):
        proposals.parse(b"[]")
    with pytest.raises(canonical.CanonicalError):
        proposals.parse(proposal().encode() + b"\n")


def test_changes_are_the_ones_proposed() -> None:
    other = Kind(Scope.EXACT, False, Category.SCAM, Basis("old", mandated=False))
    data = text(("a.example", GAMBLING, True), ("b.example", other, False))
    parser = changes.Parser()
    parser.feed(data)
    summary = parser.close()
    header = proposal(data)
    proposals.check_changes(header, summary)
    for field, value in {"changes_sha256": "0" * 64, "added": 2, "removed": 0}.items():
        with pytest.raises(ProposalError, match=f"^{field}"):
            proposals.check_changes(replace(header, **{field: value}), summary)
    with pytest.raises(ProposalError, match="added under '12/QĐ'"):
        proposals.check_changes(replace(header, order=replace(ORDER, mandated=0)), summary)


def test_what_is_always_mandated_cannot_be_offered() -> None:
    offered = replace(ORDER, mandated=0)
    data = text(("a.example", Kind(Scope.SUBTREE, False, Category.CSAM, offered.basis), True))
    parser = changes.Parser()
    parser.feed(data)
    with pytest.raises(ProposalError, match="csam is mandated"):
        proposals.check_changes(proposal(data, order=offered), parser.close())
