"""Counters of other nodes, found among many."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from compliance_api.domain.challenges.copied import LAGS, copied
from compliance_api.domain.statistics.parameters import CopyRule

START = datetime(2026, 6, 1, tzinfo=UTC)
WINDOWS = 288


def days(nodes: int) -> tuple[dict[tuple[str, str], list[int | None]], dict[tuple[str, str], list[int | None]]]:
    """Two days of honest nodes that share the course of the day, not the chance."""
    rng = np.random.default_rng(3)
    course = 300 * (1.3 + np.sin(np.linspace(0, 4 * np.pi, 2 * WINDOWS)))
    series = {("a", f"e{n}"): rng.poisson(course * (1 + n)).tolist() for n in range(nodes)}
    return (
        {node: list(one[WINDOWS:]) for node, one in series.items()},
        {node: list(one[:WINDOWS]) for node, one in series.items()},
    )


def test_honest_neighbours_are_never_taken_for_copies() -> None:
    today, before = days(8)
    assert copied(today, before, START, CopyRule()) == []
    assert copied({}, {}, START, CopyRule()) == []


def test_a_copy_is_found_at_each_lag_also_scaled_and_with_windows_missing() -> None:
    today, before = days(4)
    whole = before["a", "e1"] + today["a", "e1"]
    for lag in LAGS:
        lie: list[int | None] = [None if one is None else 2 * one for one in whole[WINDOWS - lag : 2 * WINDOWS - lag]]
        lie[5] = lie[77] = None
        found = copied({**today, ("b", "liar"): lie}, {**before, ("b", "liar"): before["a", "e2"]}, START, CopyRule())
        pairs = {(one.operator, one.node, one.other_operator, one.other_node, one.lag) for one in found}
        if lag:
            # The later one is the liar.
            assert pairs == {("a", "e1", "b", "liar", lag)}
        else:
            assert pairs == {("a", "e1", "b", "liar", 0)}
        assert found[0].windows == WINDOWS - 2


def test_too_few_windows_say_nothing() -> None:
    today, before = days(2)
    same: list[int | None] = [one if number < 100 else None for number, one in enumerate(today["a", "e1"])]
    assert copied({**today, ("b", "few"): same}, before, START, CopyRule()) == []
