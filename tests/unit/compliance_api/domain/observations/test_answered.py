"""Which answers count in a challenge, whatever a session showed of its way."""

from __future__ import annotations

from compliance_api.domain.observations.answered import Answered, countable
from compliance_api.domain.observations.observation import Path, Shape


def line(number: int, way: Path = Path.UNKNOWN, shape: Shape = Shape.NXDOMAIN) -> list[Answered]:
    return [Answered(f"bad{name}.example", f"v{number}", way, shape) for name in range(4)]


def total(*lines: list[Answered], explained: int = 2) -> int:
    return sum(countable([one for each in lines for one in each], lambda _: explained).values())


def test_every_answer_counts_where_nothing_speaks_against_it() -> None:
    assert countable([*line(1), *line(2, Path.VERIFIED)], lambda _: 0) == {f"bad{name}.example": 2 for name in range(4)}


def test_a_few_lines_that_somebody_else_answers_are_left_out() -> None:
    assert total(line(1), line(2, Path.ELSEWHERE), line(3, shape=Shape.ANSWER)) == 4


def test_where_more_lines_seem_to_be_than_interception_explains_all_of_them_count() -> None:
    spoilt = [line(number, Path.ELSEWHERE) for number in range(10)]
    assert total(*spoilt) == 40
    assert total(line(1, shape=Shape.ANSWER), explained=0) == 4


def test_a_line_that_reached_the_node_counts_whatever_it_was_told() -> None:
    assert total(line(1, Path.VERIFIED, Shape.ANSWER)) == 4
