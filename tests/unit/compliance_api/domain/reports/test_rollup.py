from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from compliance_api.domain.reports.record import ReleaseRecord
from compliance_api.domain.reports.rollup import CATEGORIES, COLUMNS, Facts, day_of, hour_of, hours_of, total
from lachan.compliance.v1 import report_pb2 as pb

HOUR = datetime(2026, 3, 1, 9, tzinfo=UTC)


def facts(number: int, **changes: object) -> Facts:
    start = HOUR + timedelta(minutes=5 * number)
    one = Facts(start, 300, start + timedelta(seconds=310), number, 5, True, 100, (1, 0, 0, 2, 0, 0, 0, 3), 4, 1)
    return replace(one, **changes)  # type: ignore[arg-type]  # names of fields


def test_every_category_has_a_sum_of_its_own_in_the_order_of_the_contract() -> None:
    names = [name.removeprefix("CATEGORY_").lower() for name in pb.Category.keys()[1:]]
    assert list(CATEGORIES) == names
    assert [f"blocked_{name}" for name in names] == [name for name in COLUMNS if name.startswith("blocked_")]


def test_windows_add_up() -> None:
    found = total([facts(0), facts(1, queries=None, enforcing=False)], [])
    assert (found.windows, found.seconds, found.unmeasured, found.not_enforcing) == (2, 600, 1, 1)
    assert (found.queries, found.drops, found.upstream_failures) == (100, 8, 2)
    assert (found.blocked_csam, found.blocked_gambling, found.blocked_scam) == (2, 4, 6)
    assert found.delay_seconds == 10


def test_a_window_counts_once_by_the_report_that_was_first() -> None:
    found = total([facts(0, log_index=9, queries=1), facts(0, log_index=3), facts(0, log_index=5, queries=2)], [])
    assert (found.windows, found.queries) == (1, 100)


def test_the_list_lags_from_the_first_newer_release_on() -> None:
    releases = [
        ReleaseRecord(4, HOUR - timedelta(days=9), False),
        ReleaseRecord(6, HOUR - timedelta(minutes=50), False),
        ReleaseRecord(7, HOUR, False),
    ]
    found = total([facts(0), facts(1, list_serial=7)], releases)
    assert (found.list_serial, found.list_lag_seconds) == (5, 55 * 60)
    assert total([facts(1, list_serial=7)], releases).list_lag_seconds == 0


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), min_size=1), st.randoms())
def test_the_order_of_reports_does_not_matter(pairs: list[tuple[int, int]], shuffle: object) -> None:
    reports = [facts(number, log_index=place, queries=place + extra) for place, (number, extra) in enumerate(pairs)]
    mixed = list(reports)
    shuffle.shuffle(mixed)  # type: ignore[attr-defined]  # a random.Random
    assert total(reports, []) == total(mixed, [])


def test_hours_and_legal_days() -> None:
    assert hour_of(HOUR + timedelta(minutes=59)) == HOUR
    assert day_of(datetime(2026, 3, 1, 16, 59, tzinfo=UTC)) == date(2026, 3, 1)
    assert day_of(datetime(2026, 3, 1, 17, 0, tzinfo=UTC)) == date(2026, 3, 2)
    assert hours_of(date(2026, 3, 2)) == (datetime(2026, 3, 1, 17, tzinfo=UTC), datetime(2026, 3, 2, 17, tzinfo=UTC))
