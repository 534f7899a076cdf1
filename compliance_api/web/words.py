"""What findings, verdicts and observations are called, in plain language.

Holds always: a finding is told from its own counts and from nothing else; a count that no sentence uses is listed by
its name, so that nothing the judge counted is kept from the reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compliance_api.domain.findings.casework import State
from compliance_api.domain.findings.finding import EvidenceKind, FindingKind
from compliance_api.domain.observations.observation import Arm, Result, Shape
from compliance_api.domain.verdicts.verdict import Outcome
from compliance_api.web.tongue import Tongue


def N_(message: str) -> str:  # noqa: N802 - the name that gettext tools look for
    """Marks a text for the catalogue; it is translated where it is shown."""
    return message


VERDICTS: Mapping[Outcome, str] = {
    Outcome.COMPLIANT: N_("Compliant"),
    Outcome.NOT_COMPLIANT: N_("Not compliant"),
    Outcome.NOT_ENOUGH_EVIDENCE: N_("Not enough evidence"),
}

TITLES: Mapping[FindingKind, str] = {
    FindingKind.STALE_LIST: N_("Out-of-date list"),
    FindingKind.MISSING_REPORTS: N_("Missing reports"),
    FindingKind.BROKEN_CHAIN: N_("Broken chain of reports"),
    FindingKind.EQUIVOCATION: N_("Two contradicting reports under one number"),
    FindingKind.BAD_SIGNATURE: N_("Reports whose signature does not hold"),
    FindingKind.UNDER_BLOCKING: N_("Listed names are not blocked"),
    FindingKind.OVER_BLOCKING: N_("Names that are not listed are blocked"),
    FindingKind.TRANSPORT_GAP: N_("Filtering differs between transports"),
    FindingKind.COUNTER_MISMATCH: N_("Reports contradict what was observed"),
    FindingKind.SLOW_BLOCK: N_("Blocking came too late"),
    FindingKind.SLOW_UNBLOCK: N_("Unblocking came too late"),
    FindingKind.UNENROLLED_RESOLVER: N_("A resolver that is not enrolled"),
    FindingKind.LOW_COVERAGE: N_("Too little was seen"),
    FindingKind.UNMEASURABLE: N_("Cannot be measured"),
}

STATES: Mapping[State, str] = {
    State.OPEN: N_("open"),
    State.CONFIRMED: N_("confirmed"),
    State.NOTIFIED: N_("operator notified"),
    State.ANSWERED: N_("answered by the operator"),
    State.REMEDIED: N_("remedied"),
    State.UPHELD: N_("upheld"),
    State.WITHDRAWN: N_("withdrawn"),
    State.CLOSED: N_("closed"),
}

RATES: Mapping[str, str] = {
    "under_blocking": N_("Listed names that were not blocked"),
    "over_blocking": N_("Names not listed that were blocked"),
    "slow_unblocking": N_("Names taken out that were still blocked"),
}

LIFTED: Mapping[str, str] = {
    "unspecified": N_("not said"),
    "other": N_("another reason"),
    "wrongly_listed": N_("wrongly listed"),
    "essential_service": N_("essential service"),
    "technical_fault": N_("technical fault"),
    "authority_request": N_("at the authority's request"),
    "court_order": N_("court order"),
}

EVIDENCE: Mapping[EvidenceKind, str] = {
    EvidenceKind.REPORT: N_("Report"),
    EvidenceKind.UNVERIFIED_REPORT: N_("Report, not verified"),
    EvidenceKind.OBSERVATION: N_("Observation"),
    EvidenceKind.RELEASE: N_("Release"),
    EvidenceKind.TALLY: N_("Counted day"),
    EvidenceKind.OPENING: N_("Opened counts"),
    EvidenceKind.CHALLENGE: N_("Challenge without an answer"),
}

RESULTS: Mapping[Result, str] = {
    Result.BLOCKED: N_("blocked"),
    Result.NOT_BLOCKED: N_("not blocked"),
    Result.INCONCLUSIVE: N_("inconclusive"),
}

ARMS: Mapping[Arm, str] = {
    Arm.LISTED: N_("listed name"),
    Arm.CONTROL: N_("control"),
    Arm.NEIGHBOUR: N_("neighbouring name"),
    Arm.RELEASED: N_("name taken out"),
    Arm.CHALLENGE: N_("challenge"),
    Arm.WHOAMI: N_("who answers"),
    Arm.EGRESS: N_("who asks on"),
}

SHAPES: Mapping[str, str] = {
    Shape.NXDOMAIN: N_("said not to exist (NXDOMAIN)"),
    Shape.NODATA: N_("no record (NODATA)"),
    Shape.NULL_ADDRESS: N_("null address"),
    Shape.SINKHOLE: N_("address of a block page"),
    Shape.FORGED_CNAME: N_("alias to a block page (forged CNAME)"),
    Shape.EDE: N_("declared as filtered (EDE)"),
    Shape.REFUSED: N_("refused"),
    Shape.TIMEOUT: N_("no answer"),
    Shape.ANSWER: N_("a real answer"),
    Shape.REFERENCE_DEAD: N_("the name is dead at the reference"),
    Shape.FEW_TRIES: N_("no answer, too few tries"),
    Shape.FAILURE: N_("resolver failure"),
    Shape.TRUNCATED: N_("truncated answer"),
    Shape.UNREACHABLE: N_("unreachable"),
    Shape.MALFORMED: N_("malformed answer"),
}

STRATA: Mapping[str, str] = {
    "udp": "UDP",
    "tcp": "TCP",
    "dot": "DNS over TLS",
    "doh": "DNS over HTTPS",
    "a": "A",
    "aaaa": "AAAA",
    "https": "HTTPS",
    "v4": "IPv4",
    "v6": "IPv6",
    "do": "DO=1",
    "plain": "DO=0",
}
_GAP = N_("%(stratum)s: %(missed)s of %(asked)s listed names were not blocked.")
_NEEDED = "_needed"
_COVERAGE_NAMES: Mapping[str, str] = {
    "listed_asked": N_("listed names asked"),
    "controls_asked": N_("controls asked"),
    "windows_received": N_("report windows received"),
    "vantage_points": N_("vantage points"),
    "nodes_reporting": N_("nodes reporting"),
    "listed_blocked": N_("listed names last seen blocked"),
    "controls_answered": N_("controls last seen answered"),
    "last_day_good": N_("the last counted day was good"),
    "lines_told": N_("lines whose handed resolver can be told"),
}


@dataclass(frozen=True)
class _Saying:
    """A sentence that needs all of `keys`; it names them, or `named` ones: texts, and keys under other names."""

    keys: tuple[str, ...]
    text: str
    named: Mapping[str, str] = field(default_factory=dict)


_DAYS = _Saying(
    ("days_bad", "e_value", "e_value_needed"),
    N_(
        "Bad days that weigh: %(days_bad)s. An operator that filters would meet evidence of this strength"
        " (%(e_value)s, where %(e_value_needed)s accuses) in fewer than one of %(e_value_needed)s years."
    ),
)

_SAYINGS: Mapping[FindingKind, tuple[_Saying, ...]] = {
    FindingKind.STALE_LIST: (
        _Saying(
            ("recent_names_missed", "recent_names_asked"),
            N_(
                "%(recent_names_missed)s of %(recent_names_asked)s recently listed names were not blocked on the days"
                " counted against the operator."
            ),
        ),
        _DAYS,
        _Saying(
            ("serial_observed", "newer_names_missed", "newer_names_asked", "older_names_blocked"),
            N_(
                "Probes found the list of release %(serial_observed)s in force: %(newer_names_missed)s of the"
                " %(newer_names_asked)s newer names they asked were not blocked, while %(older_names_blocked)s older"
                " names were."
            ),
        ),
        _Saying(
            ("windows_stale", "serial_claimed"),
            N_(
                "The operator's own reports say so: release %(serial_claimed)s was still in force past the deadline,"
                " in %(windows_stale)s report windows."
            ),
        ),
    ),
    FindingKind.MISSING_REPORTS: (
        _Saying(
            ("windows_missing", "windows_expected"),
            N_("%(windows_missing)s of %(windows_expected)s report windows due did not arrive."),
        ),
    ),
    FindingKind.BROKEN_CHAIN: (
        _Saying(("breaks",), N_("Places where a report does not continue the one before it: %(breaks)s.")),
    ),
    FindingKind.EQUIVOCATION: (
        _Saying(
            ("conflicting_reports",),
            N_("Reports signed under a number that another signed report already holds: %(conflicting_reports)s."),
        ),
    ),
    FindingKind.BAD_SIGNATURE: (
        _Saying(
            ("reports",), N_("Reports sent over the node's own connection but not signed by its key: %(reports)s.")
        ),
    ),
    FindingKind.UNDER_BLOCKING: (
        _Saying(
            ("names_missed", "names_asked"),
            N_(
                "%(names_missed)s of %(names_asked)s listed names asked were answered as if they were not listed,"
                " confirmed from independent vantage points."
            ),
        ),
        _Saying(
            ("names_failed",),
            N_("Listed names that failed for the probes while all other names were answered: %(names_failed)s."),
        ),
        _Saying(
            ("names_at_one_address",),
            N_(
                "%(names_at_one_address)s of them were answered with one and the same address, which no reference gave:"
                " perhaps a block page that was never declared."
            ),
        ),
        _DAYS,
    ),
    FindingKind.TRANSPORT_GAP: (
        *(
            _Saying(
                (f"{name}_missed", f"{name}_asked"),
                _GAP,
                {"stratum": shown, "missed": f"{name}_missed", "asked": f"{name}_asked"},
            )
            for name, shown in STRATA.items()
        ),
        _DAYS,
    ),
    FindingKind.SLOW_BLOCK: (
        _Saying(
            ("releases_late", "seconds_at_least"),
            N_(
                "Releases whose names were blocked only after the deadline: %(releases_late)s; the slowest took at"
                " least %(seconds_at_least)s seconds from publication."
            ),
        ),
        _DAYS,
    ),
    FindingKind.SLOW_UNBLOCK: (
        _Saying(
            ("names_still_blocked", "names_released"),
            N_("%(names_still_blocked)s of %(names_released)s names taken out of the list were still blocked."),
        ),
        _DAYS,
    ),
    FindingKind.UNENROLLED_RESOLVER: (
        _Saying(
            ("lines_elsewhere", "lines_asked"),
            N_("%(lines_elsewhere)s of %(lines_asked)s lines were handed a resolver that nobody enrolled."),
        ),
        _Saying(
            ("lines_astray", "lines_shown"),
            N_(
                "On %(lines_astray)s of %(lines_shown)s lines somebody whom nobody enrolled answered at an enrolled"
                " address."
            ),
        ),
        _DAYS,
    ),
    FindingKind.UNMEASURABLE: (
        _Saying(
            ("lines_elsewhere", "lines_asked"),
            N_(
                "On %(lines_elsewhere)s of %(lines_asked)s lines somebody else than the resolver asked gave the"
                " answers."
            ),
        ),
    ),
    FindingKind.OVER_BLOCKING: (
        _Saying(
            ("controls_blocked", "controls_asked"),
            N_("%(controls_blocked)s of %(controls_asked)s names that no order lists were blocked."),
        ),
        _DAYS,
    ),
    FindingKind.COUNTER_MISMATCH: (
        _Saying(
            ("windows_claiming_newer_list", "serial_claimed", "serial_observed"),
            N_(
                "In %(windows_claiming_newer_list)s report windows the operator claimed release %(serial_claimed)s,"
                " while probes found release %(serial_observed)s in force."
            ),
        ),
        _Saying(
            ("windows_counting_too_few", "blocked_claimed", "blocked_received"),
            N_(
                "In %(windows_counting_too_few)s report windows the operator claimed %(blocked_claimed)s blocked"
                " answers in all, while the probes alone received %(blocked_received)s."
            ),
        ),
        _Saying(
            ("challenge_pairs", "slope_low", "slope_high"),
            N_(
                "Counters do not follow the questions that were asked to test them: over %(challenge_pairs)s tests, of"
                " one million questions %(slope_low)s to %(slope_high)s were counted."
            ),
        ),
        _Saying(
            ("hours_opened_untruly",),
            N_(
                "Hours whose counts were opened otherwise than the node had committed to them:"
                " %(hours_opened_untruly)s."
            ),
        ),
        _Saying(
            ("hours_opened_above", "hits_opened", "hits_reported"),
            N_(
                "In %(hours_opened_above)s hours the node opened %(hits_opened)s hits for a few names, and had reported"
                " %(hits_reported)s for all names together."
            ),
        ),
        _Saying(
            ("nodes_not_opening", "hours_not_opened", "hours_challenged", "days_not_opened"),
            N_(
                "%(nodes_not_opening)s nodes did not open what they were asked to: %(hours_not_opened)s of"
                " %(hours_challenged)s challenged hours, on %(days_not_opened)s days."
            ),
        ),
        _Saying(
            ("days_copied",),
            N_("Days on which a node's counters are those of another node: %(days_copied)s."),
        ),
    ),
}


def tell(kind: FindingKind, counts: Mapping[str, int], tongue: Tongue) -> list[str]:
    """A finding's counts in sentences, the most telling first."""
    numbers = {key: tongue.number(value) for key, value in counts.items()}
    # A serial is a name, not an amount: no grouping.
    numbers |= {key: str(value) for key, value in counts.items() if key.startswith("serial_")}
    told: set[str] = set()
    sentences: list[str] = []
    for saying in _SAYINGS.get(kind, ()):
        if all(key in counts for key in saying.keys):
            named = {name: numbers.get(key, key) for name, key in saying.named.items()}
            sentences.append(tongue.gettext(saying.text) % {**numbers, **named})
            told.update(saying.keys)
    for key, name in _COVERAGE_NAMES.items():
        if key in counts and key + _NEEDED in counts:
            sentences.append(
                tongue.gettext("%(name)s: %(have)s, where %(need)s are needed.")
                % {"name": capital(tongue.gettext(name)), "have": numbers[key], "need": numbers[key + _NEEDED]}
            )
            told |= {key, key + _NEEDED}
    sentences += [f"{key.replace('_', ' ')}: {numbers[key]}." for key in counts if key not in told]
    return sentences


def capital(text: str) -> str:
    """A text with its first letter large."""
    return text[:1].upper() + text[1:]


def shape(name: str, tongue: Tongue) -> str:
    """How an observation was blocked, or why nothing can be said; a word not known yet stands as it is."""
    return tongue.gettext(SHAPES[name]) if name in SHAPES else name


def rates(tongue: Tongue) -> dict[str, str]:
    """What the rates of a verdict's document are called."""
    return {name: tongue.gettext(text) for name, text in RATES.items()}
