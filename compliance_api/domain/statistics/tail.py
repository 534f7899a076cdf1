"""How many hits are too many.

Holds always: the threshold grows with what was asked and with the tolerated rate, and nobody exceeds it who was not
asked; an operator whose true rate is the tolerated one meets it with at most the level's probability.
"""

from __future__ import annotations

from functools import lru_cache

from scipy.special import bdtrc

from compliance_api.domain.statistics.parameters import CountRule


@lru_cache(maxsize=65536)
def threshold(asked: int, rule: CountRule) -> int:
    """The smallest count k, at least `rule.least`, with P[Binomial(asked, rate) >= k] <= level.

    The exact one-sided binomial test (Clopper & Pearson, Biometrika 26 (1934) 404; Lehmann & Romano, Testing
    Statistical Hypotheses, 3rd ed., section 3.4). For `asked` below the threshold, the count can never be met.
    """
    count = rule.least
    while count <= asked and float(bdtrc(count - 1, asked, rule.rate)) > rule.level:
        count += 1
    return count


def exceeded(hits: int, asked: int, rule: CountRule) -> bool:
    """Whether so many hits of so many asked are too many."""
    return hits >= threshold(asked, rule)
