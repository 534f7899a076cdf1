"""A node's report as it came in: read, bounded, and held against the node's key.

Holds always: `read` either gives a claim whose every field is within its bounds, or names every field that is not; a
signature that does not hold makes evidence, not an error; the bytes are kept exactly as they came.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from google.protobuf.message import DecodeError

from compliance_api.domain.parties.organisation import Node
from compliance_api.domain.reports.chain import Link
from compliance_api.errors import InvalidRequestError, NotPermittedError, Violation
from compliance_api.usecases.reports.exact import RULE, is_exact
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


# Looked up once for each cell of each report, so they are sets from the start.
_TRANSPORTS = frozenset(pb.Transport.values())
_CATEGORIES = frozenset(pb.Category.values())
_ACTIONS = frozenset(pb.Action.values())
_DROP_REASONS = frozenset(pb.DropReason.values())
_OVERRIDE_REASONS = frozenset(pb.OverrideReason.values())
_HIT_LOG_FORMS = frozenset(pb.HitLogForm.values()) - {pb.HIT_LOG_FORM_UNSPECIFIED}


class _Checker:
    """Collects what breaks a rule; the names of places are made for those alone."""

    def __init__(self, place: str) -> None:
        self._place = place
        self.violations: list[Violation] = []

    def refuse(self, field: str, rule: str) -> None:
        self.violations.append(Violation(f"{self._place}.report.{field}", rule))

    def wants(self, field: str, holds: bool, rule: str) -> None:
        if not holds:
            self.refuse(field, rule)

    def time(self, field: str, value: int) -> None:
        if not 0 <= value < MAX_TIME:
            self.refuse(field, "seconds since 1970, before 2100")

    def count(self, field: str, value: int) -> None:
        if value > MAX_COUNT:
            self.refuse(field, f"at most {MAX_COUNT}")

    def size(self, field: str, value: bytes, *sizes: int) -> None:
        if len(value) not in sizes:
            self.refuse(field, f"{' or '.join(map(str, sizes))} bytes")


@dataclass(frozen=True)
class _Sums:
    """What the counts of a report add up to."""

    queries: int
    blocked: int
    """Answers that blocked; in shadow mode nothing was."""


def _check_queries(check: _Checker, report: pb.Report) -> int:
    total, profiles = 0, set()
    for index, query in enumerate(report.queries):
        total += query.count
        if query.transport not in _TRANSPORTS:
            check.refuse(f"queries[{index}].transport", "unknown")
        if query.rcode > MAX_RCODE:
            check.refuse(f"queries[{index}].rcode", f"at most {MAX_RCODE}")
        profile = query.profile
        if profile not in profiles:
            if _PROFILE.fullmatch(profile):
                profiles.add(profile)
            else:
                check.refuse(f"queries[{index}].profile", "1 to 32 of [a-z0-9_-]")
    check.count("queries", total)
    return total


def _check_blocked(check: _Checker, report: pb.Report) -> int:
    total = answered = 0
    for index, block in enumerate(report.blocked):
        count, action = block.count, block.action
        total += count
        if action != pb.ACTION_SHADOW:
            answered += count
        if block.category not in _CATEGORIES:
            check.refuse(f"blocked[{index}].category", "unknown")
        if action not in _ACTIONS:
            check.refuse(f"blocked[{index}].action", "unknown")
    check.count("blocked", total)
    return answered


def _check_drops(check: _Checker, report: pb.Report) -> None:
    total = 0
    for index, drop in enumerate(report.drops):
        total += drop.count
        if drop.reason not in _DROP_REASONS:
            check.refuse(f"drops[{index}].reason", "unknown")
    check.count("drops", total)


def _check_cells(check: _Checker, report: pb.Report) -> _Sums:
    if len(report.queries) + len(report.blocked) + len(report.drops) > MAX_CELLS:
        check.refuse("queries", f"at most {MAX_CELLS} counts in all")
        return _Sums(0, 0)
    _check_drops(check, report)
    return _Sums(_check_queries(check, report), _check_blocked(check, report))


def _check_overrides(check: _Checker, report: pb.Report) -> None:
    check.wants("overrides", len(report.overrides) <= MAX_OVERRIDES, f"at most {MAX_OVERRIDES}")
    for index, one in enumerate(report.overrides[:MAX_OVERRIDES]):
        place = f"overrides[{index}]"
        check.wants(f"{place}.category", one.category in _CATEGORIES, "unknown")
        check.wants(f"{place}.reason", one.reason in _OVERRIDE_REASONS, "unknown")
        _check_span(check, place, one)


def _check_suspensions(check: _Checker, report: pb.Report) -> None:
    check.wants("suspensions", len(report.suspensions) <= MAX_SUSPENSIONS, f"at most {MAX_SUSPENSIONS}")
    for index, one in enumerate(report.suspensions[:MAX_SUSPENSIONS]):
        place = f"suspensions[{index}]"
        check.count(f"{place}.serial", one.serial)
        check.size(f"{place}.records_digest", one.records_digest, DIGEST_BYTES)
        check.wants(f"{place}.reason", one.reason in _OVERRIDE_REASONS, "unknown")
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
    check.wants("hit_log.form", told.form in _HIT_LOG_FORMS, "unknown")
    for field in ("unknown", "malformed", "late", "gaps"):
        check.count(f"hit_log.{field}", getattr(told, field))
    check.time("hit_log.serial_asked_at", told.serial_asked_at)
    for field in UNMEASURED:
        check.wants(field, not getattr(report, field), "not measured by a node with a hit_log")


def _check(check: _Checker, report: pb.Report) -> _Sums:
    """Holds every field against its bounds, each looked at once."""
    check.size("boot_epoch", report.boot_epoch, EPOCH_BYTES)
    check.size("previous_boot_epoch", report.previous_boot_epoch, 0, EPOCH_BYTES)
    check.wants("sequence", 1 <= report.sequence <= MAX_COUNT, "at least 1")
    check.size("previous_digest", report.previous_digest, 0, DIGEST_BYTES)
    seconds, start, listed = report.window_seconds, report.window_start, report.list
    check.wants("window_seconds", 1 <= seconds <= MAX_WINDOW_SECONDS, f"1 to {MAX_WINDOW_SECONDS}")
    check.time("window_start", start)
    check.wants("window_start", not seconds or start % seconds == 0, "not on the windows' grid")
    check.count("windows_lost", report.windows_lost)
    check.count("list.serial", listed.serial)
    check.size("list.records_digest", listed.records_digest, DIGEST_BYTES if listed.serial else 0)
    check.time("list.activated_at", listed.activated_at)
    check.time("list.checked_at", listed.checked_at)
    check.count("overridden", report.overridden)
    check.count("upstream_failures", report.upstream_failures)
    check.count("allowed", report.allowed)
    check.count("operator_blocked", report.operator_blocked)
    if report.overrides:
        _check_overrides(check, report)
    if report.suspensions:
        _check_suspensions(check, report)
    if report.HasField("hit_log"):
        _check_hit_log(check, report)
    if report.HasField("rule_commitment"):
        check.size("rule_commitment.root", report.rule_commitment.root, DIGEST_BYTES)
        check.time("rule_commitment.hour", report.rule_commitment.hour)
    return _check_cells(check, report)


def _flaw(signed: pb.SignedReport, key: VerifyKey) -> str:
    if signed.key_id != key.key_id:
        return "signed with another key than the node's"
    try:
        key.verify(REPORT, signed.report, signed.signature)
    except SigningError as error:
        return str(error)
    return ""


@lru_cache(maxsize=1 << 14)
def _verify_key(raw: bytes) -> VerifyKey:
    return VerifyKey.from_raw(raw)


def _check_sizes(place: str, signed: pb.SignedReport) -> None:
    """Holds the parts of what came against their sizes, before anything is read."""
    wrong = []
    if not 0 < len(signed.report) <= MAX_REPORT_BYTES:
        wrong.append(Violation(f"{place}.report", f"1 to {MAX_REPORT_BYTES} bytes"))
    if len(signed.signature) > MAX_SIGNATURE_BYTES:
        wrong.append(Violation(f"{place}.signature", f"at most {MAX_SIGNATURE_BYTES} bytes"))
    if len(signed.key_id) > DIGEST_BYTES:
        wrong.append(Violation(f"{place}.key_id", f"at most {DIGEST_BYTES} bytes"))
    if wrong:
        raise InvalidRequestError(wrong)


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
    _check_sizes(place, signed)
    data = signed.report
    try:
        report = pb.Report.FromString(data)
    except DecodeError as error:
        raise InvalidRequestError([Violation(f"{place}.report", "not a serialised Report")]) from error
    if (report.organisation, report.node) != (caller.organisation, caller.name):
        raise NotPermittedError(f"{place}: {caller} may not report for another node")
    if not is_exact(report, data):
        raise InvalidRequestError([Violation(f"{place}.report", RULE)])
    check = _Checker(place)
    sums = _check(check, report)
    if check.violations:
        raise InvalidRequestError(check.violations)
    return Claim(
        link=Link(
            report.boot_epoch,
            report.previous_boot_epoch,
            report.sequence,
            hashlib.sha256(data).digest(),
            report.previous_digest,
            report.spool_lost,
            datetime.fromtimestamp(report.window_start, UTC),
            report.window_seconds,
        ),
        flaw=_flaw(signed, _verify_key(node.key)),
        list_serial=report.list.serial,
        list_activated_at=datetime.fromtimestamp(report.list.activated_at, UTC),
        queries=sums.queries,
        queries_measured=not report.HasField("hit_log"),
        blocked=sums.blocked,
        enforcing=report.enforcing,
        report=data,
        signature=signed.signature,
        key_id=signed.key_id,
    )
