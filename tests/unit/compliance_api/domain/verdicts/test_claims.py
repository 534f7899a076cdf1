from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.law.law_history import LawHistory, content, read
from compliance_api.domain.reports.chain import Relation
from compliance_api.domain.reports.record import NodeRecord, ReleaseRecord, UnverifiedRecord
from compliance_api.domain.reports.window import Absence
from compliance_api.domain.verdicts import claims
from tests.support.cases import NOW, START, honest, law, report


def test_windows_are_owed_only_after_their_deadline() -> None:
    case = honest(reports=[report(minute) for minute in range(55)])
    assert list(claims.missing_reports(case)) == []
    (found,) = claims.missing_reports(honest(reports=[report(minute) for minute in range(53)]))
    assert found.counts == {"windows_missing": 2, "windows_expected": 55}
    assert found.since == START + timedelta(minutes=53)
    assert found.node == "edge-1"


def test_a_second_tells_nothing_of_a_window_and_neither_does_a_report_made_before_it() -> None:
    (found,) = claims.missing_reports(honest(reports=[report(minute, window_seconds=1) for minute in range(60)]))
    assert found.counts["windows_missing"] == 55
    duty = {"window": "1m", "deadline": "5m", "first_within": "10m", "tolerated_missing": 0}
    # All of it handed in an hour and a half before, and by a clock that is ten minutes ahead.
    for early, missing in ((timedelta(minutes=90), 55), (timedelta(minutes=10), 0)):
        told = [report(minute) for minute in range(60)]
        told = [replace(one, received_at=one.received_at - early) for one in told]
        gone = claims.windows_owed(honest(law=law(report=duty), reports=told), honest().nodes[0]).missing
        assert len(gone) == missing


def test_windows_told_twice_under_other_numbers_are_two_words_on_one_thing() -> None:
    """As far as a clock that was set back by an hour does not explain it."""
    once = [report(minute) for minute in range(60)]
    again = [report(minute, sequence=100 + minute, digest=f"{minute + 1000:064x}") for minute in range(20)]
    (found,) = claims.equivocation(honest(reports=[*once, *again]))
    assert (found.counts, found.since) == ({"conflicting_reports": 0, "windows_told_twice": 20}, START)
    assert {f"{0:064x}", f"{1000:064x}"} <= {one.reference for one in found.evidence}
    assert list(claims.equivocation(honest(reports=[*once, *again[:12]]))) == []
    assert list(claims.equivocation(honest(reports=once))) == []


def test_more_losses_declared_than_disks_have_break_the_chain() -> None:
    reports = [report(minute) for minute in range(60)]
    for minute in (10, 20, 30):
        reports[minute] = replace(reports[minute], relation=Relation.DECLARED_LOSS)
    assert list(claims.broken_chain(honest(reports=reports))) == []
    reports[40] = replace(reports[40], relation=Relation.DECLARED_LOSS)
    (found,) = claims.broken_chain(honest(reports=reports))
    assert (found.counts, len(found.evidence)) == ({"breaks": 0, "losses_declared": 4}, 4)


def test_a_hole_quotes_what_stands_on_both_sides() -> None:
    (found,) = claims.missing_reports(honest(reports=[report(minute) for minute in range(55) if minute != 30]))
    assert [one.reference for one in found.evidence] == [f"{29:064x}", f"{31:064x}"]


def test_the_law_may_tolerate_some() -> None:
    duty = {"window": "1m", "deadline": "5m", "first_within": "10m", "tolerated_missing": 0.1}
    case = honest(law=law(report=duty), reports=[report(minute) for minute in range(50)])
    assert list(claims.missing_reports(case)) == []
    assert list(claims.missing_reports(replace(case, reports=case.reports[:49])))


def test_a_node_that_never_reported_has_time_from_its_enrolment() -> None:
    young = honest(nodes=[NodeRecord("edge-1", NOW - timedelta(minutes=9), None)], reports=[])
    assert list(claims.missing_reports(young)) == []
    old = replace(young, nodes=[NodeRecord("edge-1", NOW - timedelta(minutes=40), None)])
    (found,) = claims.missing_reports(old)
    assert found.counts == {"windows_missing": 25, "windows_expected": 25}
    assert found.evidence == ()


def test_a_node_whose_first_report_is_late_owes_what_lies_before_it() -> None:
    """Silent for half an hour after its time was over; then it reports, and begins anew, it thinks."""
    late = [NodeRecord("edge-1", START - timedelta(minutes=5), START + timedelta(minutes=35))]
    case = honest(nodes=late, reports=[report(minute) for minute in range(35, 60)])
    (found,) = claims.missing_reports(case)
    assert (found.since, found.counts["windows_missing"]) == (START + timedelta(minutes=5), 30)
    in_time = [NodeRecord("edge-1", START + timedelta(minutes=30), START + timedelta(minutes=35))]
    assert list(claims.missing_reports(replace(case, nodes=in_time))) == []


def test_a_clock_that_is_wrong_in_the_first_window_takes_no_time_from_a_node() -> None:
    """Its first report says 1970; it owes windows, and the first list, from when it was known here."""
    young = [NodeRecord("edge-1", START + timedelta(minutes=20), START - timedelta(days=20_000))]
    reports = [report(minute, list_serial=0 if minute < 24 else 2) for minute in range(20, 60)]
    case = honest(nodes=young, reports=reports)
    assert (list(claims.missing_reports(case)), claims.stale_claims(case)) == ([], {})


def test_what_the_law_tolerates_of_a_day_it_tolerates_of_a_part_of_it() -> None:
    """The first hour of a node, with a window lost."""
    duty = {"window": "1m", "deadline": "5m", "first_within": "10m"}
    case = honest(law=law(report=duty, day={"length": "1h"}), reports=[report(minute) for minute in (0, *range(4, 60))])
    assert list(claims.missing_reports(case)) == []
    assert list(claims.missing_reports(replace(case, reports=case.reports[1:])))


def test_a_node_that_was_revoked_owes_what_it_owed_until_then() -> None:
    (node,) = honest().nodes
    gone = replace(node, away=(Absence(START + timedelta(minutes=30)),))
    case = honest(nodes=[gone], reports=[report(minute) for minute in range(30)])
    assert list(claims.missing_reports(case)) == []
    (found,) = claims.missing_reports(replace(case, reports=case.reports[:20]))
    assert found.counts == {"windows_missing": 10, "windows_expected": 30}


def test_broken_links_are_one_finding_a_node() -> None:
    reports = [report(0), report(1, relation=Relation.GAP), report(2), report(3, relation=Relation.WRONG_DIGEST)]
    (found,) = claims.broken_chain(honest(reports=reports))
    assert found.counts == {"breaks": 2}
    assert [one.detail for one in found.evidence] == ["gap", "wrong_digest"]
    for relation in (Relation.DECLARED_LOSS, Relation.LATE, Relation.BACKWARDS, Relation.BEGINS):
        assert list(claims.broken_chain(honest(reports=[report(1, relation=relation)]))) == []


def test_who_contradicts_himself_does_so_when_he_sends_it() -> None:
    """The law is known since the end of the period: what was sent before is nobody's business, whatever it is about."""
    first = report(1)
    second = replace(report(1), digest="f" * 64, relation=Relation.EQUIVOCATION, rival=first.digest)
    laws = LawHistory((read("law-1", 1, NOW, content(law())),)).timeline("hcm")
    for received, kinds in ((NOW, {FindingKind.EQUIVOCATION}), (NOW - timedelta(seconds=1), set())):
        case = honest(reports=[first, replace(second, received_at=received)], laws=laws)
        assert {one.kind for one in claims.equivocation(case)} == kinds


def test_equivocation_quotes_both_reports() -> None:
    first = report(1)
    second = replace(report(1), digest="f" * 64, relation=Relation.EQUIVOCATION, rival=first.digest)
    (found,) = claims.equivocation(honest(reports=[first, second]))
    assert found.kind is FindingKind.EQUIVOCATION
    assert {one.reference for one in found.evidence} == {first.digest, second.digest}


def test_what_the_key_did_not_sign_is_quoted_with_the_reason() -> None:
    (found,) = claims.bad_signature(honest(unverified=[UnverifiedRecord("edge-1", "ab", NOW, "does not hold")]))
    assert (found.counts, found.evidence[0].detail) == ({"reports": 1}, "does not hold")


def test_an_old_list_is_admitted_once_its_time_is_over() -> None:
    published = START + timedelta(minutes=10)
    case = honest(releases=[*honest().releases, ReleaseRecord(3, published, False)])
    stale = claims.stale_claims(case)["edge-1"]
    # Five minutes are allowed, and the window must end after them.
    assert stale[0].window_start == START + timedelta(minutes=15)
    urgent = replace(case, releases=[*honest().releases, ReleaseRecord(3, published, True)])
    assert claims.stale_claims(urgent)["edge-1"][0].window_start == START + timedelta(minutes=11)
    assert claims.stale_claims(honest()) == {}


def test_a_new_node_has_the_same_time_to_get_its_first_list() -> None:
    reports = [report(minute, list_serial=0 if minute < 4 else 2) for minute in range(60)]
    young = honest(nodes=[NodeRecord("edge-1", START, START)], reports=reports)
    assert claims.stale_claims(young) == {}
    assert claims.stale_claims(replace(young, nodes=honest().nodes))["edge-1"][0].list_serial == 0
