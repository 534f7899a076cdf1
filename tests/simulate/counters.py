"""Challenges and counters, honest and not, and what the tests of counters say of them.

Holds always: the decision is that of `statistics.slope` and `statistics.copies`; a quicker look in floats only leaves
out what those functions could not accuse.
"""

from __future__ import annotations

import numpy as np

from compliance_api.domain.statistics.copies import likeness
from compliance_api.domain.statistics.parameters import CopyRule, SlopeRule
from compliance_api.domain.statistics.slope import Moments, slope
from tests.simulate.world import Bools, Floats, Ints, World

# As in deploy/examples/law.yaml.
PAIRS = 160
# Days whose challenges are looked at together.
SPAN = 5
WINDOWS = 288
# An entry is asked so many times within an hour; none: a control.
TIMES = np.array([0, 0, 16, 32, 64])
POOL = 200_000


def _others(rng: np.random.Generator, busy: Floats) -> Ints:
    """Others' queries, by operator, day and pair: entries differ, and hours differ by more than chance.

    Entries that control hours show to be asked more than some ten times an hour are not drawn for challenges.
    """
    rate = np.minimum(3.0 * np.exp(rng.standard_normal(POOL)), 10.0) * rng.standard_gamma(1.0, POOL)
    which = rng.integers(0, POOL, (*busy.shape, PAIRS), dtype=np.int32)
    drawn = {factor: rng.poisson(rate * factor) for factor in np.unique(busy).tolist()}
    others = np.empty(which.shape, dtype=np.int64)
    for factor, pool in drawn.items():
        others[busy == factor] = pool[which[busy == factor]]
    return others


def challenges(rng: np.random.Generator, world: World, intercepted: Ints, busy: Floats) -> tuple[Ints, Ints, Ints]:
    """Answered queries, what the node counted of all, and of others' alone: each by operator, day and pair.

    Args:
        rng: Where the draw comes from.
        world: Its noise.
        intercepted: Lines of each operator whose challenges never come to the node, though their path was verified.
        busy: Factor of others' queries, by operator and day.
    """
    answered = TIMES[rng.integers(0, len(TIMES), (*busy.shape, PAIRS), dtype=np.int8)]
    others = _others(rng, busy)
    fate = rng.random(answered.shape, dtype=np.float32)
    away = (intercepted / world.lines)[:, None, None]
    late = away + world.wrong_clocks
    # A wrong clock puts half of a challenge into the next hour; every tenth challenge lost an answer that was counted.
    own = np.where(fate < away, 0, np.where(fate < late, answered // 2, answered))
    own += (fate > 0.9) & (answered > 0)
    return answered, own + others, others


def sums(answered: Ints, counted: Ints) -> Ints:
    """The sums that `slope.Moments` holds, over the last axis, stacked in its order."""
    x, y = answered, counted
    xx, xy, yy = x * x, x * y, y * y
    parts = (np.ones_like(x), x, y, xx, xy, yy, xx * x, xx * y, x * yy, xx * xx, xx * xy, xx * yy)
    return np.stack([part.sum(axis=-1) for part in parts], axis=-1)


def trailing(values: Ints, span: int) -> Ints:
    """Sums over the last `span` days, along axis 1."""
    total = np.cumsum(values, axis=1)
    total[:, span:] -= total[:, :-span].copy()
    return total


def _near(sums_: Floats, rule: SlopeRule) -> Bools:
    """Which sums could be accused, by floats and a wide margin."""
    n, x, y, xx, xy, yy, x3, xxy, xyy, x4, x3y, x2y2 = np.moveaxis(sums_.astype(float), -1, 0)
    n = np.maximum(n, 1)
    mx, my = x / n, y / n
    c20 = np.maximum(xx - n * mx**2, 1e-9)
    c30 = x3 - 3 * mx * xx + 2 * n * mx**3
    c40 = x4 - 4 * mx * x3 + 6 * mx**2 * xx - 3 * n * mx**4
    two = xxy - 2 * mx * xy + mx**2 * y
    three = x3y - 3 * mx * xxy + 3 * mx**2 * xy - mx**3 * y
    beta = (xy - n * mx * my) / c20
    squares = (x2y2 - 2 * mx * xyy + mx**2 * yy - 2 * my * two + my**2 * c20) - 2 * beta * (three - my * c30)
    variance = np.maximum(squares + beta**2 * c40, 0) / c20**2
    off = np.abs(beta - 1)
    near = off > 0.8 * (rule.tolerance + rule.sigmas * np.sqrt(variance))
    return np.asarray(near, dtype=np.bool_)


def accused_by_slope(daily: Ints, rule: SlopeRule, span: int = SPAN) -> Bools:
    """By operator and day, whether the challenges of the last days accuse."""
    lately = trailing(daily, span)
    found = _near(lately, rule)
    for operator, day in np.argwhere(found):
        known = slope(Moments(*(int(one) for one in lately[operator, day])), rule)
        found[operator, day] = known is not None and known.accuses(rule)
    return found


def course(rng: np.random.Generator, count: int) -> Floats:
    """Rates of a day's windows: hours, weather and news, the same for all nodes of a place."""
    hours = 1.2 + np.sin(np.linspace(0, 2 * np.pi, WINDOWS))[None, :]
    news = np.exp(0.3 * np.cumsum(rng.standard_normal((count, WINDOWS)), axis=1) / np.sqrt(WINDOWS))
    return 10 ** rng.uniform(1.5, 4, (count, 1)) * hours * news


def accused_by_likeness(one: Ints, other: Ints, rule: CopyRule) -> Bools:
    """For each pair of series, whether they agree too well."""
    found = np.zeros(len(one), dtype=np.bool_)
    both = (one + other).astype(float)
    share = other.sum(axis=1, keepdims=True) / np.maximum(both.sum(axis=1, keepdims=True), 1)
    spread = np.maximum(both * share * (1 - share), 1e-9)
    dispersion = np.where(both >= rule.least, (other - share * both) ** 2 / spread, 0).sum(axis=1)
    # Noise counts for Poisson's at most, so a larger dispersion is never accused; the margin covers small windows.
    for index in np.flatnonzero(dispersion < 2 * rule.agreement * WINDOWS):
        found[index] = _copied(one[index], other[index], rule)
    return found


def _copied(one: Ints, other: Ints, rule: CopyRule) -> bool:
    known = likeness(one.tolist(), other.tolist(), rule)
    return known is not None and known.accuses(rule)
