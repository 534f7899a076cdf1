from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.law.law_history import LawHistory, content, read
from compliance_api.domain.legal_day import Period
from compliance_api.domain.observations.timing import Moment, ReleaseTiming
from compliance_api.domain.statistics.parameters import Family
from compliance_api.domain.verdicts.case import Case, CopyRecord, SlopeRecord
from compliance_api.domain.verdicts.course import ReleaseSeen, follow
from compliance_api.domain.verdicts.period_verdict import PeriodVerdict, cut, decide
from compliance_api.domain.verdicts.verdict import Outcome
from tests.support.cases import NOW, START, counted, course, honest, law
from tests.support.days import LONG_AGO

LAWS = {"law-1": read("law-1", 3, NOW, content(law()))}
DAYS = Period("test", counted(8).day, counted(1).day)


def told(case: Case, wanted: Period = DAYS) -> tuple[PeriodVerdict, dict[str, Any]]:
    reached = decide(case, wanted, LAWS)
    return reached, json.loads(reached.document)


def test_a_document_says_everything_and_no_name() -> None:
    reached, document = told(honest(course=course(Family.FILTERING)))
    assert document["outcome"] == reached.outcome == Outcome.NOT_COMPLIANT
    assert document["law"] == [
        {
            "id": "law-1", "version": 3, "sha256": LAWS["law-1"].digest,
            "known_from": NOW.isoformat(), "backdated": True,
        }
    ]  # fmt: skip
    assert document["rates"]["under_blocking"] == {
        "hits": 36, "asked": 320, "low_millionths": 80048, "high_millionths": 152335,
    }  # fmt: skip
    assert [day["bad"]["filtering"] for day in document["days"]] == [False] * 4 + [True] * 4
    assert set(document["made_with"]) == {"lachan", "domain_sha256", "python", "numpy", "scipy"}
    assert document["coverage"]["list_lag_seconds"] == 0
    assert b"missed.example" not in reached.document


def test_an_accusation_within_the_period_is_its_verdict_whatever_came_after() -> None:
    known = course(Family.FILTERING, good_after=3)
    assert known.accused() == ()
    everything = Period("test", known.steps[0].day, known.steps[-1].day)
    assert cut(known, everything).accused() == (Family.FILTERING,)
    assert told(honest(course=known), everything)[0].outcome is Outcome.NOT_COMPLIANT
    after = Period("test", known.steps[-1].day, known.steps[-1].day)
    assert told(honest(course=known), after)[0].outcome is not Outcome.NOT_COMPLIANT


def test_what_came_after_the_period_is_not_held_against_it() -> None:
    known = course(Family.FILTERING)
    before = Period("test", known.steps[0].day, known.steps[4].day)
    reached, document = told(honest(course=known), before)
    assert reached.outcome is Outcome.COMPLIANT
    assert document["rates"]["under_blocking"]["hits"] == 0


def test_times_to_block_are_intervals_from_publication() -> None:
    published = START - timedelta(hours=2)
    missed, blocked = (published + timedelta(minutes=90, seconds=0.2), published + timedelta(minutes=95, seconds=0.2))
    late = ReleaseSeen(7, published, 9, 2, missed, None)
    then = replace(late, missed=0, last_missed_at=None, first_blocked_at=blocked)
    days = [replace(counted(2), releases=(late,)), replace(counted(1), releases=(then,))]
    _, document = told(honest(course=follow(days)))
    (one,) = document["times_to_block"]
    assert (one["serial"], one["seconds_at_least"], one["seconds_at_most"]) == (7, 5399, 5701)


def test_an_accusation_is_measured_by_the_law_of_its_day_whatever_came_into_force_since() -> None:
    """A month that ends under another law: who was accused before it is told the passage that held then."""
    bad = course(Family.STALE_LIST)
    begins = bad.steps[-1].day.end
    new = law(
        id="law-2", effective_from=begins, burden={"days": {"accusation": 30}},
        citations={"stale_list": {"vi": "Điều 2", "en": "Article 2"}},
    )  # fmt: skip
    old = law(effective_until=begins, citations={"stale_list": {"vi": "Điều 9", "en": "Article 9"}})
    laws = LawHistory((read("law-1", 1, LONG_AGO, content(old)), read("law-2", 1, LONG_AGO, content(new))))
    case = honest(course=bad, law=new, laws=laws.timeline("hcm"))
    reached, _ = told(case, Period("test", bad.steps[0].day, bad.steps[-1].day.after(3)))
    (one,) = reached.verdict.findings
    assert (one.kind, one.clause.law, one.clause.citation.en) == (FindingKind.STALE_LIST, "law-1", "Article 9")
    assert one.counts["e_value_needed"] == 20


def test_every_young_release_is_timed_and_old_counts_keep_their_document() -> None:
    before, document = told(honest(course=course()))
    assert not {"seen_blocking", "seen_unblocking"} & set(document)
    assert "slow_unblocking" not in document["rates"]
    published = START - timedelta(hours=2)
    moment = Moment(published + timedelta(seconds=30), published + timedelta(seconds=31))
    brought = ReleaseTiming(7, published, False, 9, 0, moment, None)
    taken = ReleaseTiming(8, published, True, 0, 4, None, moment)
    days = [*course().steps]
    last = days[-1].counted
    counts = {**last.counts, "released": 20, "still_blocked": 2}
    new = replace(last, timings=(brought, taken), counts=counts)
    after, document = told(honest(course=follow([*(step.counted for step in days[:-1]), new])))
    (one,), (other,) = document.pop("seen_blocking"), document.pop("seen_unblocking")
    assert (one["blocked"], one["first_blocked"], one["last_answered"]) == (9, {"at_least": 29, "at_most": 31}, None)
    assert (other["serial"], other["blocked"], other["last_blocked"]["at_most"]) == (8, 4, 31)
    assert document["rates"].pop("slow_unblocking")["hits"] == 2
    assert before.outcome == after.outcome


def test_counters_that_challenges_refute_or_that_are_anothers_are_a_mismatch() -> None:
    refuted = SlopeRecord(NOW, 40, 0, 600, 0, 120_000, True)
    reached, document = told(honest(course=course(), challenges=refuted))
    assert [one.kind for one in reached.verdict.findings] == [FindingKind.COUNTER_MISMATCH]
    assert reached.verdict.findings[0].counts == {"challenge_pairs": 600, "slope_low": 0, "slope_high": 120_000}
    assert document["claimed_and_observed"]["slope"]["pairs"] == 600
    copied = [CopyRecord("edge-1", "b/edge-9", START, 288)]
    reached, _ = told(honest(course=course(), copies=copied))
    assert reached.verdict.findings[0].counts == {"days_copied": 1}
    unrefuted = replace(refuted, accuses=False)
    assert told(honest(course=course(), challenges=unrefuted))[0].outcome is Outcome.COMPLIANT
