"""What a line shows of its way in one session holds for its others."""

from __future__ import annotations

from dataclasses import replace

from compliance_api.domain.observations.observation import Path, Sighting
from compliance_api.domain.observations.ways import lines, spread
from compliance_api.domain.parties.organisation import Transport
from tests.support.cases import sighting


def went(way: Path, eye: int = 1, **changes: object) -> Sighting:
    return replace(sighting("n.example", 5, eye=eye, **changes), path=way)


def test_a_line_that_once_reached_the_node_reaches_it() -> None:
    seen = [went(Path.UNKNOWN), went(Path.ELSEWHERE), went(Path.VERIFIED), went(Path.UNKNOWN, 2)]
    assert [one.path for one in spread(seen)] == [Path.VERIFIED] * 3 + [Path.UNKNOWN]


def test_a_line_that_was_seen_elsewhere_is_there_in_its_other_sessions() -> None:
    assert [one.path for one in spread([went(Path.UNKNOWN), went(Path.ELSEWHERE)])] == [Path.ELSEWHERE] * 2


def test_another_transport_node_or_family_may_go_another_way() -> None:
    seen = [
        went(Path.ELSEWHERE),
        went(Path.VERIFIED, transport=Transport.DOT),
        went(Path.UNKNOWN, node="edge-9"),
        went(Path.UNKNOWN, family=6),
    ]
    assert [one.path for one in spread(seen)] == [Path.ELSEWHERE, Path.VERIFIED, Path.UNKNOWN, Path.UNKNOWN]


def test_lines_are_counted_by_what_they_showed() -> None:
    seen = [
        went(Path.ELSEWHERE),
        went(Path.VERIFIED, transport=Transport.DOT),
        went(Path.VERIFIED, 2),
        went(Path.UNKNOWN, 3),
    ]
    assert (lines(seen).asked, lines(seen).elsewhere) == (2, 1)
