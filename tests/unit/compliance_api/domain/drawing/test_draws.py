"""Draws from a seed."""

from __future__ import annotations

from collections import Counter

from compliance_api.domain.drawing.draws import Draws, derived

SEED = bytes(range(32))


def seeds(count: int) -> list[bytes]:
    return [derived(SEED, str(number)) for number in range(count)]


def test_a_draw_is_repeated_from_its_seed_on_every_machine() -> None:
    draws = Draws(SEED)
    # Written down once: a change of these numbers makes every draw of the past unrepeatable.
    assert [draws.below(1000) for _ in range(4)] == [551, 60, 260, 146]
    assert Draws(SEED).sample("abcdefgh", 3) == Draws(SEED).sample("abcdefgh", 3)
    assert derived(SEED, "a", "b") != derived(SEED, "ab")
    assert derived(SEED, "a") != derived(bytes(32), "a")


def test_a_sample_holds_no_member_twice_and_at_most_all() -> None:
    assert sorted(Draws(SEED).sample(range(10), 99)) == list(range(10))
    assert len(set(Draws(SEED).sample(range(100), 30))) == 30
    assert Draws(SEED).sample([], 3) == []


def test_every_member_is_as_likely_as_another() -> None:
    times = 3000
    seen = Counter(one for seed in seeds(times) for one in Draws(seed).sample(range(12), 4))
    # A third of the draws each; five standard deviations.
    spread = 5 * (times / 3 * 2 / 3) ** 0.5
    assert all(abs(seen[member] - times / 3) < spread for member in range(12))
    chosen = Counter(Draws(seed).choice("abc") for seed in seeds(times))
    assert all(abs(chosen[one] - times / 3) < spread for one in "abc")


def test_even_draws_are_uniform_and_represent_each_part_to_within_one() -> None:
    members = [("few", n) for n in range(7)] + [("many", n) for n in range(33)]
    times = 4000
    seen: Counter[tuple[str, int]] = Counter()
    for seed in seeds(times):
        drawn = Draws(seed).evenly(members, 10)
        assert len(set(drawn)) == 10
        few = sum(kind == "few" for kind, _ in drawn)
        assert 1 <= few <= 2  # 7 of 40 is 1.75 of 10
        seen.update(drawn)
    spread = 5 * (times / 4 * 3 / 4) ** 0.5
    assert all(abs(seen[one] - times / 4) < spread for one in members)
    assert Draws(SEED).evenly(members, 99) == members
    assert Draws(SEED).evenly(members, 0) == []
