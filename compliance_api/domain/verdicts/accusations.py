"""Findings that the course of bad days brings.

Holds always: nothing here accuses by itself. Only a family whose e-value reaches the law's threshold brings findings;
what is told apart below (one transport or all, a list that is late or frozen, names never listed or taken out) says
what an accusation is about, and adds no further chance of accusing an honest operator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from compliance_api.domain.findings.finding import Evidence, EvidenceKind, Finding, FindingKind, cite
from compliance_api.domain.observations.timing import seconds_between, summed
from compliance_api.domain.statistics.eprocess import FAMILIES, UNIT
from compliance_api.domain.statistics.parameters import Family
from compliance_api.domain.verdicts.case import Case
from compliance_api.domain.verdicts.course import ReleaseSeen, Step

OF_FAMILY: Mapping[Family, tuple[FindingKind, ...]] = {
    Family.FILTERING: (FindingKind.UNDER_BLOCKING, FindingKind.TRANSPORT_GAP),
    Family.OVER_BLOCKING: (FindingKind.OVER_BLOCKING, FindingKind.SLOW_UNBLOCK),
    Family.STALE_LIST: (FindingKind.STALE_LIST, FindingKind.SLOW_BLOCK),
    Family.UNENROLLED: (FindingKind.UNENROLLED_RESOLVER,),
}
"""What an accusation in each family may be about."""
# Strata that exclude each other, between which filtering may differ.
_ALTERNATIVES = (("udp", "tcp", "dot", "doh"), ("a", "aaaa", "https"), ("v4", "v6"), ("do", "plain"))
_SCATTERED = "scattered:"


def quote_day(step: Step) -> Evidence:
    """A counted day as evidence."""
    counted = step.counted
    return Evidence(EvidenceKind.TALLY, step.day.start, counted.digest, detail=f"{step.day.name} v{counted.version}")


def _sums(steps: Sequence[Step], *names: str) -> dict[str, int]:
    return {name: sum(step.counted.counts.get(name, 0) for step in steps) for name in names}


def _finding(case: Case, kind: FindingKind, family: Family, bad: Sequence[Step], counts: dict[str, int]) -> Finding:
    evidence = [one for step in bad for one in step.counted.evidence.get(family, ())]
    days = [quote_day(step) for step in bad]
    return Finding(
        kind,
        min([step.day.start for step in bad] + [one.at for one in evidence]),
        {**counts, "days_bad": len(bad), **e_values(case, family)},
        (*cite(evidence), *cite(days)),
        case.clause(kind, case.course.steps[-1].day.start),
    )


def e_values(case: Case, family: Family) -> dict[str, int]:
    """Where the operator stands in a family, and what it took to accuse by the law of the last day."""
    last = case.course.steps[-1]
    value = last.standing.values[FAMILIES.index(family)]
    return {"e_value": value // UNIT, "e_value_needed": last.counted.process.accusation}


def _mostly(bad: Sequence[Step], reason: str) -> bool:
    """Whether that was a reason on at least every second bad day."""
    return 2 * sum(reason in step.counted.reasons for step in bad) >= len(bad)


def _gap(bad: Sequence[Step], enough: int) -> dict[str, int] | None:
    """Where filtering differs: counts of what leaks and of what does not; None where it does not differ."""
    for names in _ALTERNATIVES:
        asked = {name: sum(step.counted.strata.get(name, (0, 0))[0] for step in bad) for name in names}
        missed = {name: sum(step.counted.strata.get(name, (0, 0))[1] for step in bad) for name in names}
        leaky = [name for name in names if asked[name] and _mostly(bad, _SCATTERED + name)]
        tight = [
            name
            for name in names
            if asked[name] >= enough and not any(_SCATTERED + name in step.counted.reasons for step in bad)
        ]
        # A leak that is only rarer somewhere is no difference in kind.
        tight = [
            name for name in tight if all(2 * missed[name] * asked[one] <= missed[one] * asked[name] for one in leaky)
        ]
        if leaky and tight:
            counts: dict[str, int] = {}
            for name in (*leaky, *tight):
                counts |= {f"{name}_missed": missed[name], f"{name}_asked": asked[name]}
            return counts
    return None


def under_blocking(case: Case) -> Iterator[Finding]:
    """Listed names that are not blocked, on more days than an honest operator has; and where they are."""
    bad = case.course.run(Family.FILTERING)
    counts = _sums(bad, "missed", "names", "evaded", "one_address")
    told = {"names_missed": counts["missed"], "names_asked": counts["names"]}
    told |= {"names_failed": counts["evaded"]} if counts["evaded"] else {}
    # Told to whoever confirms the finding: it may be a block page that nobody has declared.
    told |= {"names_at_one_address": counts["one_address"]} if 2 * counts["one_address"] > counts["missed"] else {}
    yield _finding(case, FindingKind.UNDER_BLOCKING, Family.FILTERING, bad, told)
    gap = _gap(bad, case.law.burden.bad.minimum_names)
    if gap is not None:
        yield _finding(case, FindingKind.TRANSPORT_GAP, Family.FILTERING, bad, gap)


def over_blocking(case: Case) -> Iterator[Finding]:
    """Names that were never listed, or were taken out in time, and are blocked."""
    bad = case.course.run(Family.OVER_BLOCKING)
    counts = _sums(bad, "over_blocked", "unlisted", "still_blocked", "released")
    late = _mostly(bad, "released")
    if not late or _mostly(bad, "over_blocked"):
        told = {"controls_blocked": counts["over_blocked"], "controls_asked": counts["unlisted"]}
        yield _finding(case, FindingKind.OVER_BLOCKING, Family.OVER_BLOCKING, bad, told)
    if late:
        told = {"names_still_blocked": counts["still_blocked"], "names_released": counts["released"]}
        last = [
            one.last_old.since(one.published_at)["at_least"]
            for one in summed(timing for step in bad for timing in step.counted.timings)
            if one.removed and one.last_old is not None
        ]
        told |= {"seconds_at_least": max(last)} if last else {}
        yield _finding(case, FindingKind.SLOW_UNBLOCK, Family.OVER_BLOCKING, bad, told)


def slow_releases(steps: Sequence[Step], least: int) -> list[tuple[ReleaseSeen, datetime, datetime | None]]:
    """Releases with so many names confirmed missed after their deadline: last missed, and blocked from then on.

    The second is None where no block was seen since.
    """
    seen: dict[int, list[ReleaseSeen]] = {}
    for step in steps:
        for release in step.counted.releases:
            seen.setdefault(release.serial, []).append(release)
    found = []
    for _, days in sorted(seen.items()):
        missed = [one.last_missed_at for one in days if one.last_missed_at is not None]
        if max(one.missed for one in days) < least or not missed:
            continue
        last = max(missed)
        blocked = [one.first_blocked_at for one in days if one.first_blocked_at and one.first_blocked_at > last]
        found.append((days[0], last, min(blocked, default=None)))
    return found


def slow_block(case: Case) -> Iterator[Finding]:
    """Releases that took effect, and too late: said only where names of the last week are missed on too many days."""
    bad = case.course.run(Family.STALE_LIST)
    law = case.law_at(case.course.steps[-1].day.start)
    late = [
        (release, last, blocked)
        for release, last, blocked in slow_releases(case.course.steps, law.burden.bad.aged.least)
        if blocked is not None
    ]
    if late:
        longest = max(seconds_between(release.published_at, last, last)["at_least"] for release, last, _ in late)
        counts = {"releases_late": len(late), "seconds_at_least": longest}
        yield _finding(case, FindingKind.SLOW_BLOCK, Family.STALE_LIST, bad, counts)


def unenrolled(case: Case) -> Iterator[Finding]:
    """Lines that are handed resolvers which nobody enrolled, or that meet such at enrolled addresses."""
    bad = case.course.run(Family.UNENROLLED)
    counts = _sums(bad, "foreign", "handed", "astray", "direct")
    told: dict[str, int] = {}
    if counts["foreign"] or not counts["astray"]:
        told |= {"lines_elsewhere": counts["foreign"], "lines_asked": counts["handed"]}
    if counts["astray"]:
        told |= {"lines_astray": counts["astray"], "lines_shown": counts["direct"]}
    yield _finding(case, FindingKind.UNENROLLED_RESOLVER, Family.UNENROLLED, bad, told)


def found(case: Case) -> Iterator[Finding]:
    """Every finding of the families that are accused now, but `stale_list`, which reports may admit as well."""
    accused = case.course.accused()
    if Family.FILTERING in accused:
        yield from under_blocking(case)
    if Family.OVER_BLOCKING in accused:
        yield from over_blocking(case)
    if Family.STALE_LIST in accused:
        yield from slow_block(case)
    if Family.UNENROLLED in accused:
        yield from unenrolled(case)
