"""Counts as Prometheus' families."""

from __future__ import annotations

from resolver.families import ACTIONS, CATEGORIES, OTHER, counter


def test_the_contracts_numbers_have_its_words() -> None:
    assert (CATEGORIES[4], ACTIONS[1]) == ("gambling", "nxdomain")
    # What is unspecified is no word.
    assert 0 not in CATEGORIES
    assert 0 not in ACTIONS


def test_numbers_that_share_a_word_are_one_series() -> None:
    family = counter("lachan_x", "Things.", ["what"], [((OTHER,), 2), (("a",), 1), ((OTHER,), 3)])
    assert [(sample.labels["what"], sample.value) for sample in family.samples] == [("a", 1), (OTHER, 5)]
