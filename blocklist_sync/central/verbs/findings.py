"""What rails found, as it is shown: the same table wherever somebody decides."""

from __future__ import annotations

from collections.abc import Iterable

from blocklist_sync.central.rails.neverblock import Severity
from blocklist_sync.central.rails.rails import Finding
from lachan import terminal
from lachan.blocklist.v1 import registry_service_pb2 as pb


def show_findings(findings: Iterable[Finding]) -> None:
    """What rails found, as a table; nothing where they found nothing."""
    rows = [(finding.rail, finding.severity.value, finding.count, finding.detail) for finding in findings]
    if rows:
        terminal.table("Rails", ("rail", "asks for", "names", "why"), rows)


def told(message: pb.Proposal) -> list[Finding]:
    """What rails found in a proposal, by the registry's word."""
    return [Finding(one.rail, Severity(one.severity), one.why, one.count, tuple(one.names)) for one in message.findings]
