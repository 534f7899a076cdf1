"""Whether a day was bad, and in what.

Holds always: a day with too little evidence is neither bad nor good; no single line, network or custodian makes a day
bad, whatever it says and whoever else errs by chance, and neither do as many lines as interception explains; every
threshold is the law's for what was asked that day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compliance_api.domain.statistics.parameters import CountRule, DayRules, Family
from compliance_api.domain.statistics.tail import exceeded, threshold

# The stratum of everything.
ALL = "all"
# What is looked at on its own: transports, types, and quarters of the legal day. The level of `scattered` is spent on
# each of them once.
FIRST = (ALL, "udp", "tcp", "dot", "doh", "a", "aaaa", "https", "00-06", "06-12", "12-18", "18-24")
# The version of IP, and whether DO was set: what the law grants beside the others is divided among them.
LATER = ("v4", "v6", "do", "plain")
STRATA = (*FIRST, *LATER)


@dataclass(frozen=True)
class Line:
    """A vantage point, as far as its independence goes."""

    network: str
    custodian: str


# For each line of the day, in order: listed names it asked with a settled answer, and those missed among them.
Counts = Sequence[tuple[int, int]]
# Those that one line missed; whatever stands for a name can be put in order.
Names = Collection[Any]


@dataclass(frozen=True)
class DayTally:
    """A legal day of one operator in one jurisdiction, counted."""

    # Distinct fresh live listed names with a settled answer, and confirmed misses among them.
    names: int = 0
    missed: int = 0
    # Distinct ones that failed (SERVFAIL and the like) for confirmed eyes whose controls were answered all along.
    evaded: int = 0
    # Lines whose path was verified, and what each of them saw, by stratum (`STRATA`).
    lines: Sequence[Line] = ()
    seen: Mapping[str, Counts] = field(default_factory=dict)
    # Which names each of them missed, likewise: those counted in `seen`.
    missed_by: Mapping[str, Sequence[Names]] = field(default_factory=dict)
    # Names never listed: controls, parents, siblings; confirmed blocked ones among them.
    unlisted: int = 0
    over_blocked: int = 0
    # Names aged between the deadline and a week, evenly over that time; confirmed misses among them.
    aged: int = 0
    aged_missed: int = 0
    # Lines that used the resolvers handed to them and showed whom they met; those that met one that nobody enrolled,
    # with confirmed eyes.
    handed: int = 0
    foreign: int = 0
    # Names taken out of the list longer ago than unblocking may take; confirmed blocked ones among them.
    released: int = 0
    still_blocked: int = 0
    # Lines that asked enrolled addresses and showed whom they met; those that met somebody whom nobody enrolled, with
    # confirmed eyes.
    direct: int = 0
    astray: int = 0
    # Lines that used the resolvers handed to them, and of which it cannot be told whose those are.
    untold: int = 0
    # Of the confirmed misses, those that were answered with one and the same address, which no reference gave.
    one_address: int = 0


@dataclass(frozen=True)
class Day:
    """What a day was."""

    bad: Mapping[Family, bool | None]
    # What made it bad: `missed`, `evaded`, `open`, `over_blocked`, `released`, `aged`, `foreign`, `astray`,
    # `scattered:STRATUM`.
    reasons: tuple[str, ...]


def faulty_lines(lines: int, rules: DayRules) -> int:
    """As many lines as interception may explain at the law's level."""
    return threshold(lines, CountRule(rules.line_fault_rate, rules.line_fault_level, 1)) - 1


def _independent(lines: Sequence[Line], rules: DayRules) -> bool:
    return (
        len(lines) >= rules.vantage_points
        and len({line.network for line in lines}) >= rules.networks
        and len({line.custodian for line in lines}) >= rules.custodians
    )


def parts(lines: Sequence[Line], rules: DayRules) -> Iterator[list[int]]:
    """The places of all lines, then of those without each custodian, then without each network.

    Whoever keeps many lines could say anything on all of them, and one network may intercept all of its own. So what is
    held against an operator must show in each of these parts; where the law asks for one custodian or network only,
    none of them is left out.
    """
    everybody = list(range(len(lines)))
    yield everybody
    if rules.custodians > 1:
        for custodian in sorted({line.custodian for line in lines}):
            yield [place for place in everybody if lines[place].custodian != custodian]
    if rules.networks > 1:
        for network in sorted({line.network for line in lines}):
            yield [place for place in everybody if lines[place].network != network]


def scattered(
    lines: Sequence[Line], counts: Counts, missed: Sequence[Names], rules: DayRules, rule: CountRule | None = None
) -> bool:
    """Whether there are too many misses after the worst lines are set aside, as many as interception may explain.

    A name that several of the lines left missed counts once: one name that an operator leaves open is one miss, however
    many look at it. So hits are no more than the sum of independent ones with the tolerated rate for each question, and
    the exact binomial test keeps its level (the fewer trials with the same mean, the less there is in the tail:
    Hoeffding 1956). It must be met without any one custodian's lines as well, and without any one network's.

    Args:
        lines: Who asked.
        counts: What each of them asked and missed.
        missed: The names that each of them missed.
        rules: The law's.
        rule: When misses are too many; that of `rules` where none is given.
    """
    rule = rule or rules.scattered

    # Everything is compared, so that among equal lines the order in which they came decides nothing.
    def order(place: int) -> tuple[int, int, str, str, list[Any]]:
        line = lines[place]
        return -len(missed[place]), counts[place][0], line.network, line.custodian, sorted(missed[place])

    worst = sorted(range(len(lines)), key=order)
    for part in parts(lines, rules):
        there = frozenset(part)
        left = [place for place in worst if place in there][faulty_lines(len(part), rules) :]
        names = {name for place in left for name in missed[place]}
        if not exceeded(len(names), sum(counts[place][0] for place in left), rule):
            return False
        if len(part) == len(lines) and not _independent([lines[place] for place in left if missed[place]], rules):
            return False
    return True


def opened(lines: Sequence[Line], counts: Counts, rules: DayRules) -> bool:
    """Whether more lines than interception may explain were answered at least every second listed name.

    More of those without any one custodian's as well, and without any one network's.
    """
    through = [asked >= rules.open_asked and 2 * missed >= asked for asked, missed in counts]
    if not _independent([line for line, open_ in zip(lines, through, strict=True) if open_], rules):
        return False
    return all(sum(through[place] for place in part) > faulty_lines(len(part), rules) for part in parts(lines, rules))


def _filtering(tally: DayTally, rules: DayRules) -> tuple[bool | None, list[str]]:
    reasons = []
    if exceeded(tally.missed, tally.names, rules.missed):
        reasons.append("missed")
    if exceeded(tally.evaded, tally.names + tally.evaded, rules.evaded):
        reasons.append("evaded")
    if ALL in tally.seen and opened(tally.lines, tally.seen[ALL], rules):
        reasons.append("open")
    for name, missed in tally.missed_by.items():
        rule = rules.scattered_later if name in LATER else rules.scattered
        if rule is not None and scattered(tally.lines, tally.seen[name], missed, rules, rule):
            reasons.append(f"scattered:{name}")
    if tally.names + tally.evaded < rules.minimum_names:
        return None, []
    return bool(reasons), reasons


def judge_day(tally: DayTally, rules: DayRules) -> Day:
    """Judges a day by the law's rules."""
    filtering, reasons = _filtering(tally, rules)
    bad: dict[Family, bool | None] = dict.fromkeys(Family)
    bad[Family.FILTERING] = filtering
    for family, reason, hits, asked, rule in (
        (Family.OVER_BLOCKING, "over_blocked", tally.over_blocked, tally.unlisted, rules.over_blocked),
        (Family.OVER_BLOCKING, "released", tally.still_blocked, tally.released, rules.released),
        (Family.STALE_LIST, "aged", tally.aged_missed, tally.aged, rules.aged),
    ):
        # Fewer than could ever be too many say nothing.
        if asked >= threshold(asked, rule):
            too_many = exceeded(hits, asked, rule)
            bad[family] = bool(bad[family]) or too_many
            reasons += [reason] if too_many else []
    for reason, foreign, lines in (("foreign", tally.foreign, tally.handed), ("astray", tally.astray, tally.direct)):
        if lines >= rules.vantage_points and (reason == "foreign" or rules.astray):
            too_many = foreign >= rules.foreign_share * lines and foreign > faulty_lines(lines, rules)
            bad[Family.UNENROLLED] = bool(bad[Family.UNENROLLED]) or too_many
            reasons += [reason] if too_many else []
    return Day(bad, tuple(reasons))
