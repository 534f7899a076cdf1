"""Rows of evidence as the service stores them, made from made-up cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from compliance_api.domain.observations.observation import Sighting
from tests.support.cases import report


def seen(number: int, one: Sighting, received: datetime) -> dict[str, Any]:
    """An observation as it is stored."""
    place = one.assignment.split("-")
    return {
        "operator_id": "a", "assignment_id": f"{one.assignment:>16}".encode()[-16:], "question": number,
        "asked_at": one.asked_at, "received_at": received, "node": one.node, "probe_organisation": "so",
        "probe": f"p{place[0]}", "vantage_point": one.vantage_point, "access_network": one.access_network,
        "custodian": one.custodian, "endpoint": "x", "qname": one.qname, "qtype": one.qtype, "arm": one.arm,
        "category": 3, "order_reference": "x", "added_serial": one.added_serial, "added_at": one.added_at,
        "result": one.result, "shape": one.shape, "reference_alive": True, "digest": b"d", "observation": b"o",
        "signature": b"s", "key_id": b"k",
    }  # fmt: skip


def claimed(minute: int, received: datetime, **changes: Any) -> dict[str, Any]:
    """A report as it is stored."""
    one = replace(report(minute), **changes)
    return {
        "operator_id": "a", "node": one.node, "boot_epoch": bytes(16), "sequence": one.sequence,
        "digest": bytes.fromhex(one.digest), "log_index": 1000 + one.sequence, "accepted_at": received,
        "relation": one.relation, "window_start": one.window_start, "window_seconds": 60, "list_serial": 2,
        "list_activated_at": one.list_activated_at, "queries": 10_000, "blocked": one.blocked, "enforcing": True,
        "report": b"r", "signature": b"s", "key_id": b"k",
    }  # fmt: skip
