"""A node's report as it came in: read, bounded, and held against the node's key.

Holds always: `read` either gives a claim whose every field is within its bounds, or names every field that is not; a
signature that does not hold makes evidence, not an error; the bytes are kept exactly as they came.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.message import DecodeError

from compliance_api.domain.chain import Link
from compliance_api.domain.organisation import Node
from compliance_api.errors import InvalidRequestError, NotPermittedError, Violation
from lachan.compliance.v1 import report_pb2 as pb
from lachan.signing import REPORT, SigningError, VerifyKey
from lachan.tls import Identity

MAX_REPORT_BYTES = 1 << 16
MAX_CELLS = 2000
MAX_OVERRIDES = 256
MAX_SUSPENSIONS = 16
MAX_OVERRIDE_SECONDS = 72 * 3600
"""Of a suspension too."""
MAX_WINDOW_SECONDS = 86_400
EPOCH_BYTES = 16
DIGEST_BYTES = 32
MAX_SIGNATURE_BYTES = 128
# PostgreSQL's bigint; a counter that would pass it is nonsense.
MAX_COUNT = (1 << 63) - 1
# 2100-01-01: beyond any clock that is merely wrong.
MAX_TIME = 4_102_444_800
MAX_RCODE = 4095
UNMEASURED = (
    "queries",
    "drops",
    "overridden",
    "upstream_failures",
    "overrides",
    "allowed",
    "operator_blocked",
    "suspensions",
)
"""What a node that reads another resolver's log of hits cannot know."""
_PROFILE = re.compile(r"[a-z0-9_-]{1,32}")


@dataclass(frozen=True)
class Claim:
    """A report within its bounds; `flaw` says why its signature does not hold, and is empty where it does."""

    link: Link
    flaw: str
    list_serial: int
    list_activated_at: datetime
    queries: int
    queries_measured: bool
    """False: the node reads another resolver's log of hits, and `queries` says nothing."""
    blocked: int
    enforcing: bool
    report: bytes
    signature: bytes
    key_id: bytes


class _Checker:
    def __init__(self, place: str) -> None:
        self._place = place
        self.violations: list[Violation] = []

    def wants(self, field: str, holds: bool, rule: str) -> None:
        if not holds:
            self.violations.append(Violation(f"{self._place}.{field}", rule))

    def time(self, field: str, value: int) -> None:
        self.wants(field, 0 <= value < MAX_TIME, "seconds since 1970, before 2100")

    def count(self, field: str, value: int) -> None:
        self.wants(field, value <= MAX_COUNT, f"at most {MAX_COUNT}")

    def size(self, field: str, value: bytes, *sizes: int) -> None:
        self.wants(field, len(value) in sizes, f"{' or '.join(map(str, sizes))} bytes")


def _check_cells(check: _Checker, report: pb.Report) -> None:
    cells = len(report.queries) + len(report.blocked) + len(report.drops)
    check.wants("report.queries", cells <= MAX_CELLS, f"at most {MAX_CELLS} counts in all")
    if cells > MAX_CELLS:
        return
    for index, query in enumerate(report.queries):
        place = f"report.queries[{index}]"
        check.wants(f"{place}.transport", query.transport in pb.Transport.values(), "unknown")
        check.wants(f"{place}.profile", bool(_PROFILE.fullmatch(query.profile)), "1 to 32 of [a-z0-9_-]")
        check.wants(f"{place}.rcode", query.rcode <= MAX_RCODE, f"at most {MAX_RCODE}")
    for index, block in enumerate(report.blocked):
        place = f"report.blocked[{index}]"
        check.wants(f"{place}.category", block.category in pb.Category.values(), "unknown")
        check.wants(f"{place}.action", block.action in pb.Action.values(), "unknown")
    for index, drop in enumerate(report.drops):
        check.wants(f"report.drops[{index}].reason", drop.reason in pb.DropReason.values(), "unknown")
    check.count("report.queries", sum(query.count for query in report.queries))
    check.count("report.blocked", sum(block.count for block in report.blocked))
    check.count("report.drops", sum(drop.count for drop in report.drops))


def _check_overrides(check: _Checker, report: pb.Report) -> None:
    check.wants("report.overrides", len(report.overrides) <= MAX_OVERRIDES, f"at most {MAX_OVERRIDES}")
    for index, one in enumerate(report.overrides[:MAX_OVERRIDES]):
        place = f"report.overrides[{index}]"
        check.wants(f"{place}.category", one.category in pb.Category.values(), "unknown")
        check.wants(f"{place}.reason", one.reason in pb.OverrideReason.values(), "unknown")
        _check_span(check, place, one)


def _check_suspensions(check: _Checker, report: pb.Report) -> None:
    check.wants("report.suspensions", len(report.suspensions) <= MAX_SUSPENSIONS, f"at most {MAX_SUSPENSIONS}")
    for index, one in enumerate(report.suspensions[:MAX_SUSPENSIONS]):
        place = f"report.suspensions[{index}]"
        check.count(f"{place}.serial", one.serial)
        check.size(f"{place}.records_digest", one.records_digest, DIGEST_BYTES)
        check.wants(f"{place}.reason", one.reason in pb.OverrideReason.values(), "unknown")
        _check_span(check, place, one)


def _check_span(check: _Checker, place: str, one: pb.Override | pb.Suspension) -> None:
    check.time(f"{place}.created_at", one.created_at)
    check.time(f"{place}.ends_at", one.ends_at)
    check.wants(
        f"{place}.ends_at",
        0 <= one.ends_at - one.created_at <= MAX_OVERRIDE_SECONDS,
        f"up to {MAX_OVERRIDE_SECONDS} seconds after created_at",
    )


def _check_hit_log(check: _Checker, report: pb.Report) -> None:
    """A node that reads another resolver's log cannot know more than hits: whatever else it told would be invented."""
    told = report.hit_log
    check.wants("report.hit_log.form", told.form in pb.HitLogForm.values() and told.form != 0, "unknown")
    for field in ("unknown", "malformed", "late", "gaps"):
        check.count(f"report.hit_log.{field}", getattr(told, field))
    check.time("report.hit_log.serial_asked_at", told.serial_asked_at)
    for field in UNMEASURED:
        check.wants(f"report.{field}", not getattr(report, field), "not measured by a node with a hit_log")
    check.wants(
        "report.rule_commitment", not report.HasField("rule_commitment"), "not measured by a node with a hit_log"
    )


def _check(check: _Checker, report: pb.Report) -> None:
    check.size("report.boot_epoch", report.boot_epoch, EPOCH_BYTES)
    check.size("report.previous_boot_epoch", report.previous_boot_epoch, 0, EPOCH_BYTES)
    check.wants("report.sequence", 1 <= report.sequence <= MAX_COUNT, "at least 1")
    check.size("report.previous_digest", report.previous_digest, 0, DIGEST_BYTES)
    seconds = report.window_seconds
    check.wants("report.window_seconds", 1 <= seconds <= MAX_WINDOW_SECONDS, f"1 to {MAX_WINDOW_SECONDS}")
    check.time("report.window_start", report.window_start)
    check.wants("report.window_start", not seconds or report.window_start % seconds == 0, "not on the windows' grid")
    check.count("report.windows_lost", report.windows_lost)
    check.count("report.list.serial", report.list.serial)
    check.size("report.list.records_digest", report.list.records_digest, DIGEST_BYTES if report.list.serial else 0)
    check.time("report.list.activated_at", report.list.activated_at)
    check.time("report.list.checked_at", report.list.checked_at)
    check.count("report.overridden", report.overridden)
    check.count("report.upstream_failures", report.upstream_failures)
    check.count("report.allowed", report.allowed)
    check.count("report.operator_blocked", report.operator_blocked)
    _check_overrides(check, report)
    _check_suspensions(check, report)
    if report.HasField("hit_log"):
        _check_hit_log(check, report)
    if report.HasField("rule_commitment"):
        check.size("report.rule_commitment.root", report.rule_commitment.root, DIGEST_BYTES)
        check.time("report.rule_commitment.hour", report.rule_commitment.hour)
    _check_cells(check, report)


def _flaw(signed: pb.SignedReport, key: VerifyKey) -> str:
    if signed.key_id != key.key_id:
        return "signed with another key than the node's"
    try:
        key.verify(REPORT, signed.report, signed.signature)
    except SigningError as error:
        return str(error)
    return ""


def _answered(report: pb.Report) -> int:
    """Answers that blocked; in shadow mode nothing was."""
    return sum(block.count for block in report.blocked if block.action != pb.ACTION_SHADOW)


def read(place: str, signed: pb.SignedReport, caller: Identity, node: Node) -> Claim:
    """The claim in `signed`.

    Args:
        place: What to call it in an error: `reports[3]`.
        signed: As it came.
        caller: The node that sent it, by its certificate.
        node: The same node in the registry.

    Raises:
        NotPermittedError: It speaks for another node.
        InvalidRequestError: With every field that is out of bounds.
    """
    check = _Checker(place)
    check.wants("report", 0 < len(signed.report) <= MAX_REPORT_BYTES, f"1 to {MAX_REPORT_BYTES} bytes")
    check.wants("signature", len(signed.signature) <= MAX_SIGNATURE_BYTES, f"at most {MAX_SIGNATURE_BYTES} bytes")
    check.wants("key_id", len(signed.key_id) <= DIGEST_BYTES, f"at most {DIGEST_BYTES} bytes")
    if check.violations:
        raise InvalidRequestError(check.violations)
    report = pb.Report()
    try:
        report.ParseFromString(signed.report)
    except DecodeError as error:
        raise InvalidRequestError([Violation(f"{place}.report", "not a serialised Report")]) from error
    if (report.organisation, report.node) != (caller.organisation, caller.name):
        raise NotPermittedError(f"{place}: {caller} may not report for another node")
    _check(check, report)
    if check.violations:
        raise InvalidRequestError(check.violations)
    return Claim(
        link=Link(
            report.boot_epoch,
            report.previous_boot_epoch,
            report.sequence,
            hashlib.sha256(signed.report).digest(),
            report.previous_digest,
            report.spool_lost,
            datetime.fromtimestamp(report.window_start, UTC),
            report.window_seconds,
        ),
        flaw=_flaw(signed, VerifyKey.from_raw(node.key)),
        list_serial=report.list.serial,
        list_activated_at=datetime.fromtimestamp(report.list.activated_at, UTC),
        queries=sum(query.count for query in report.queries),
        queries_measured=not report.HasField("hit_log"),
        blocked=_answered(report),
        enforcing=report.enforcing,
        report=signed.report,
        signature=signed.signature,
        key_id=signed.key_id,
    )
