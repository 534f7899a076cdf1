"""What the verdict's statistics find in a small simulated world: the direction, with a margin.

`make simulate` states the figures on a world a hundred times as large.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from compliance_api.domain.verdicts.verdict import Outcome
from tests.simulate import between, cheats, honest, openness
from tests.simulate.cheats import CHEATS, Cheat, Detection
from tests.simulate.composed.conduct import HONEST, unfiltered
from tests.simulate.composed.judging import Operator
from tests.simulate.parts import Results
from tests.simulate.shared import Cores
from tests.simulate.world import Law, Measuring, World, defaults, measuring

WORLD = World()
LAW = defaults()


def generator() -> np.random.Generator:
    """The same draw for every test, whichever are run."""
    return np.random.default_rng(2026)


@pytest.fixture(scope="module")
def place() -> Measuring:
    return measuring(WORLD, generator())


def accused(place: Measuring, law: Law, years: int) -> int:
    found = honest.Found()
    honest.years(generator(), place, law, years, found)
    assert found.years == years
    return found.accused


def test_honest_operators_are_not_accused(place: Measuring) -> None:
    assert accused(place, LAW, 50) == 0


def test_a_law_that_accuses_too_soon_shows(place: Measuring) -> None:
    hasty = replace(LAW, process=replace(LAW.process, honest=0.001, accusation=20))
    assert accused(place, hasty, 30) > 0


@pytest.mark.parametrize("name", CHEATS)
def test_every_cheat_is_found_within_a_week(name: str, place: Measuring) -> None:
    found = cheats.detect(CHEATS[name], generator(), place, LAW, 20)
    assert found.detected >= 0.9
    assert found.median_days is not None
    assert found.median_days <= cheats.WITHIN


def test_nodes_that_open_what_they_can_are_not_accused_and_those_that_refuse_are() -> None:
    found = openness.honest(generator(), WORLD, 300)
    assert found.accused == 0
    assert 0.01 < found.closed_days / found.days < 0.03
    # Where a single bad day is enough, the outages show.
    hasty = replace(openness.RULE, honest=0.0001, accusation=20)
    assert openness.honest(generator(), WORLD, 30, hasty).accused > 0
    refused = openness.detect(generator(), WORLD, 1.0, 1, 50)
    assert refused.detected >= 0.9
    assert openness.detect(generator(), WORLD, 0.0, 1, 50).detected == 0


def test_no_cheat_at_all_is_not_found(place: Measuring) -> None:
    assert cheats.detect(Cheat(), generator(), place, LAW, 20).detected == 0
    assert cheats.detect(Cheat(counted=cheats.scaled(1.0)), generator(), place, LAW, 20).detected == 0


def test_a_filter_for_recognised_probes_alone_is_found_by_the_others_alone(place: Measuring) -> None:
    found = [cheats.detect(Cheat(unrecognised=count), generator(), place, LAW, 15).detected for count in (0, 3, 12, 30)]
    assert found[:2] == [0, 0]
    assert min(found[2:]) >= 0.9


def test_the_same_seed_gives_the_same_result(place: Measuring) -> None:
    one, other = (cheats.detect(CHEATS["names_unfiltered_2_percent"], generator(), place, LAW, 10) for _ in range(2))
    assert one == other


def test_a_piece_of_work_is_the_same_whoever_does_it_and_a_lost_one_is_told() -> None:
    with Cores(5, 2) as cores:
        lost = cores.call(json.loads, "no document")
        one, other = (cores.draw("same", openness.detect, WORLD, 0.5, 1, 5) for _ in range(2))
        assert one.result() == other.result()
        with pytest.raises(json.JSONDecodeError):
            lost.result()


def test_what_is_demanded_decides_whether_the_simulation_ends_well() -> None:
    found = {"udp_only": Detection(1000, 0.99, 5.25)}
    assert Results(10_000, 4, found, []).missed() == []
    assert len(Results(10_000, 5, found, []).missed()) == 1
    assert len(Results(10_000, 0, {"udp_only": Detection(1000, 0.989, 5.25)}, []).missed()) == 1
    assert json.loads(Results(10_000, 1, found, []).document()) == {
        "honest_years": 10_000,
        "accused": 1,
        "cheats": {"udp_only": {"detected": 0.99, "median_days": 5.25}},
    }


def test_a_stranger_on_one_network_accuses_nobody_and_one_on_every_second_line_does(place: Measuring) -> None:
    def found(share: float, spread: tuple[int, int]) -> between.Between | None:
        return between.intercepted(generator(), place, LAW, share, spread, 2)

    one, every = found(1 / 3, (1, 0)), found(0.5, (0, 0))
    assert one is not None
    assert every is not None
    assert (one.bad, one.accused) == (0.0, (0.0,) * 4)
    # A day or four accuse nobody either.
    assert (every.bad, every.accused) == (1.0, (0.0, 0.0, 1.0, 1.0))
    assert found(0.5, (1, 0)) is None


def test_the_composed_system_calls_an_honest_operator_compliant_and_a_cheat_s_day_bad() -> None:
    """From the draw of names to the verdict, by the service's own functions."""
    world = World(lines=8, handed=8)
    # A day before a legal year ends, which a name taken out of the list and a challenge live to see.
    honestly = Operator(world, HONEST, 3, 1, before_new_year=1).run()
    assert [one.outcome for one in honestly.verdicts] == [Outcome.COMPLIANT]
    cheating = Operator(world, unfiltered(0.05), 3, 1).run()
    # One bad day accuses nobody.
    assert [one.outcome for one in cheating.verdicts] == [Outcome.NOT_ENOUGH_EVIDENCE]
    assert cheating.counted[0].reasons[0] == "missed"
