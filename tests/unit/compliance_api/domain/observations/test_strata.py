from __future__ import annotations

from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.observations.strata import strata
from compliance_api.domain.parties.organisation import Transport
from tests.support.cases import START, sighting

DAY = LegalDay.of(START, 3600)


def test_names_count_once_in_each_stratum_that_they_were_asked_in() -> None:
    seen = strata(
        DAY,
        [
            sighting("n.example", 1, eye=1, qtype=1),
            sighting("n.example", 2, eye=1, qtype=28, blocked=False),
            sighting("n.example", 20, eye=2, qtype=1, transport=Transport.TCP),
            sighting("m.example", 50, eye=2, qtype=1, blocked=False),
        ],
    )
    assert [line.network for line in seen.lines] == ["net-1", "net-2"]
    assert seen.counts["all"] == [(1, 1), (2, 1)]
    assert seen.counts["a"] == [(1, 0), (2, 1)]
    assert seen.counts["aaaa"] == [(1, 1), (0, 0)]
    assert seen.missed_by["aaaa"] == [frozenset({"n.example"}), frozenset()]
    assert (seen.counts["00-06"], seen.counts["18-24"]) == ([(1, 1), (0, 0)], [(0, 0), (1, 1)])
    assert "dot" not in seen.counts


def test_nothing_seen_is_nothing() -> None:
    assert strata(DAY, []).lines == ()
