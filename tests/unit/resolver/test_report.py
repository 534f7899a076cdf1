from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocklist_sync.artifact.categories import Category
from lachan import signing
from lachan.compliance.v1 import report_pb2 as pb
from lachan.signing import SigningKey
from lachan.spool import Limits, Spool, SpoolFullError
from resolver.counters import WindowCounts
from resolver.overrides import Told
from resolver.report import ClockState, Head, ListState, Reporter, ReportError, counted

NOON = 1_750_000_200
EPOCH, OTHER = b"\x01" * 16, b"\x02" * 16
KEY = SigningKey.generate()
LIST = ListState(serial=7, records_digest=b"\x07" * 32, activated_at=NOON - 50, checked_at=NOON, releases_refused=2)
CLOCK = ClockState(synchronised=True, max_error_us=1500, stepped_ms=3)


OVERRIDE = Told(1 << 63, 6, int(Category.SCAM), True, 6, NOON, NOON + 60)


def window(start: int, seconds: int = 300) -> WindowCounts:
    return WindowCounts(
        window_start=start,
        window_seconds=seconds,
        queries={(2, "school", 0): 5, (1, "default", 3): 9, (1, "default", 0): start % 97 + 1, (1, "idle", 0): 0},
        blocked={(3, 1): 4, (1, 2): 6, (0, 1): 7, (0, 5): 1},
        drops={2: 1},
        overridden=1,
        upstream_failures=2,
        allowed=3,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    spool = Spool(path)
    yield spool
    spool.close()


def reporter(spool: Spool) -> Reporter:
    return Reporter(spool, KEY, "isp-a", "edge-1", entropy=lambda count: b"\xee" * count)


def write(spool: Spool, start: int, epoch: bytes = EPOCH, now: float | None = None) -> pb.Report:
    item = reporter(spool).write(
        window(start), epoch, LIST, CLOCK, now or start + 302, enforcing=True, overrides=[OVERRIDE]
    )
    return report_of(item.payload)


def report_of(payload: bytes) -> pb.Report:
    signed = pb.SignedReport.FromString(payload)
    KEY.public.verify(signing.REPORT, signed.report, signed.signature)
    assert signed.key_id == KEY.public.key_id
    return pb.Report.FromString(signed.report)


def test_a_report_says_everything(spool: Spool) -> None:
    report = write(spool, NOON)
    assert (report.organisation, report.node) == ("isp-a", "edge-1")
    assert (report.boot_epoch, report.previous_boot_epoch, report.sequence) == (EPOCH, b"", 1)
    assert (report.previous_digest, report.spool_lost, report.windows_lost) == (b"", False, 0)
    assert (report.window_start, report.window_seconds) == (NOON, 300)
    assert [(cell.transport, cell.profile, cell.rcode, cell.count) for cell in report.queries] == [
        (1, "default", 0, NOON % 97 + 1),
        (1, "default", 3, 9),
        (2, "filtered", 0, 5),
    ]
    assert [(cell.category, cell.action, cell.count) for cell in report.blocked] == [(1, 2, 6), (3, 1, 4)]
    assert [(cell.reason, cell.count) for cell in report.drops] == [(2, 1)]
    assert (report.overridden, report.upstream_failures, report.enforcing) == (1, 2, True)
    assert (report.allowed, report.operator_blocked) == (3, 8)
    [lifted] = report.overrides
    assert (lifted.fingerprint, lifted.entry, lifted.category, lifted.subtree) == (1 << 63, 6, pb.CATEGORY_SCAM, True)
    assert (lifted.reason, lifted.created_at, lifted.ends_at) == (pb.OVERRIDE_REASON_COURT_ORDER, NOON, NOON + 60)
    assert (report.list.serial, report.list.records_digest, report.list.releases_refused) == (7, b"\x07" * 32, 2)
    assert (report.list.activated_at, report.list.checked_at) == (NOON - 50, NOON)
    assert (report.clock.synchronised, report.clock.max_error_us, report.clock.stepped_ms) == (True, 1500, 3)


def test_equal_counts_make_equal_bytes() -> None:
    counts = window(NOON)
    shuffled = replace(
        counts,
        queries=dict(reversed(counts.queries.items())),
        blocked=dict(reversed(counts.blocked.items())),
        drops=dict(reversed(counts.drops.items())),
    )
    assert counted(counts).SerializeToString(deterministic=True) == counted(shuffled).SerializeToString(
        deterministic=True
    )


def test_each_report_names_the_one_before_it(spool: Spool) -> None:
    for start in range(NOON, NOON + 1500, 300):
        write(spool, start)
    signed = [pb.SignedReport.FromString(item.payload) for item in spool.batch(10, 1 << 20)]
    reports = [pb.Report.FromString(item.report) for item in signed]
    assert [report.sequence for report in reports] == [1, 2, 3, 4, 5]
    assert [report.previous_digest for report in reports[1:]] == [
        hashlib.sha256(item.report).digest() for item in signed[:-1]
    ]


def test_the_chain_goes_on_across_boots(spool: Spool) -> None:
    write(spool, NOON)
    last = hashlib.sha256(pb.SignedReport.FromString(spool.batch(1, 1)[0].payload).report).digest()
    first = write(spool, NOON + 900, OTHER)
    assert (first.boot_epoch, first.previous_boot_epoch, first.sequence) == (OTHER, EPOCH, 1)
    assert (first.previous_digest, first.windows_lost) == (last, 2)
    second = write(spool, NOON + 1200, OTHER)
    assert (second.boot_epoch, second.previous_boot_epoch, second.sequence) == (OTHER, EPOCH, 2)


def test_what_was_told_is_never_told_again(spool: Spool) -> None:
    write(spool, NOON)
    with pytest.raises(ReportError, match="told already"):
        write(spool, NOON)
    assert reporter(spool).due(NOON + 302, NOON, 300) == ()


def test_a_restart_finds_what_is_still_due(path: Path) -> None:
    spool = Spool(path)
    write(spool, NOON)
    spool.close()
    spool = Spool(path)
    assert reporter(spool).due(NOON + 1000, NOON, 300) == (NOON + 300, NOON + 600)
    spool.close()


def test_windows_that_nobody_folded_are_counted(spool: Spool) -> None:
    write(spool, NOON)
    days_later = NOON + 300 * 10_000
    due = reporter(spool).due(days_later, NOON, 300)
    assert len(due) == 62
    assert write(spool, due[0]).windows_lost == 10_000 - 64
    assert write(spool, due[1]).windows_lost == 0


def test_a_full_spool_keeps_the_window_due(path: Path) -> None:
    spool = Spool(path, Limits(items=1))
    write(spool, NOON)
    with pytest.raises(SpoolFullError):
        write(spool, NOON + 300)
    assert reporter(spool).due(NOON + 602, NOON, 300) == (NOON + 300,)
    assert reporter(spool).head() == Head(
        EPOCH, EPOCH, b"", 1, hashlib.sha256(pb.SignedReport.FromString(spool.batch(1, 1)[0].payload).report).digest(),
        ((NOON, NOON + 300),),
    )  # fmt: skip
    spool.close()


def test_a_lost_spool_is_declared_once_under_an_epoch_of_its_own(path: Path) -> None:
    spool = Spool(path)
    write(spool, NOON)
    spool.close()
    path.write_bytes(b"rot" * 5000)
    spool = Spool(path)
    node = reporter(spool)
    # Nobody knows what was told of the windows that closed before the loss was seen.
    assert node.due(NOON + 700, NOON, 300) == ()
    assert node.due(NOON + 902, NOON, 300) == (NOON + 600,)
    item = node.write(window(NOON + 600), EPOCH, LIST, CLOCK, NOON + 902, enforcing=True)
    report = report_of(item.payload)
    assert (report.spool_lost, report.previous_digest, report.sequence) == (True, b"", 1)
    assert (report.boot_epoch, report.previous_boot_epoch) == (b"\xee" * 16, EPOCH)
    assert report.windows_lost == 0
    following = write(spool, NOON + 900)
    assert (following.spool_lost, following.sequence) == (False, 2)
    assert (following.boot_epoch, following.previous_boot_epoch) == (b"\xee" * 16, EPOCH)
    after_boot = write(spool, NOON + 1200, OTHER)
    assert (after_boot.boot_epoch, after_boot.previous_boot_epoch, after_boot.sequence) == (OTHER, b"\xee" * 16, 1)
    spool.close()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"window_start": NOON + 1}, "no window"),
        ({"window_seconds": 0}, "no window"),
        ({"queries": {(1, "Not A Profile", 0): 1}}, "profile"),
        ({"queries": {(1, "default", 0): 1 << 64}}, "window"),
        ({"overridden": -1}, "window"),
    ],
)
def test_what_fits_into_no_report_is_refused(spool: Spool, change: dict[str, object], reason: str) -> None:
    counts = replace(window(NOON), **change)  # type: ignore[arg-type] # wrong on purpose
    with pytest.raises(ReportError, match=reason):
        reporter(spool).write(counts, EPOCH, LIST, CLOCK, NOON + 302, enforcing=True)
    with pytest.raises(ReportError):
        reporter(spool).write(window(NOON), b"short", LIST, CLOCK, NOON + 302, enforcing=True)
    assert spool.stats().items == 0


def test_a_head_of_another_form_is_an_error() -> None:
    for data in (b"", b"[]", b'{"ring_epoch": "zz"}'):
        with pytest.raises(ReportError, match="head"):
            Head.decode(data)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("pass"), st.integers(1, 2000)),
            st.tuples(st.just("jump"), st.integers(-(10**5), 10**7)),
            st.tuples(st.just("boot"), st.integers(0, 100)),
            st.tuples(st.just("restart"), st.just(0)),
        ),
        max_size=25,
    )
)
def test_whatever_happens_the_chain_holds_and_nothing_is_told_twice(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, int]]
) -> None:
    path = tmp_path_factory.mktemp("report") / "spool.db"
    spool = Spool(path)
    now, since, boots = NOON + 5, NOON, 1
    for event, value in events:
        if event in {"pass", "jump"}:
            now = max(0, now + value)
        elif event == "boot":
            boots, since = boots + 1, now
        else:
            spool.close()
            spool = Spool(path)
        node = reporter(spool)
        for start in node.due(now, since, 60):
            node.write(window(start, 60), bytes([boots]) * 16, LIST, CLOCK, now, enforcing=True)
    digest, epoch, sequence = b"", b"", 0
    told: set[int] = set()
    for item in spool.batch(100_000, 1 << 30):
        data = pb.SignedReport.FromString(item.payload).report
        report = pb.Report.FromString(data)
        assert report.previous_digest == digest
        if report.boot_epoch == epoch:
            assert report.sequence == sequence + 1
        else:
            assert (report.sequence, report.previous_boot_epoch) == (1, epoch)
        assert report.window_start not in told
        told.add(report.window_start)
        digest, epoch, sequence = hashlib.sha256(data).digest(), report.boot_epoch, report.sequence
    spool.close()
