"""The e-process over days: how much the days so far speak against an operator.

Holds always: under any honest course of a legal year (each day bad in a family with at most `honest` chance, given
all that was before) the expected value never exceeds 1 on any day, so that the chance that it *ever* reaches
`accusation` is at most 1/`accusation` (Ville's inequality), however often one looks. Values are whole units of
10^-12, rounded down: a rounded value is never more than the true one. A day without evidence changes nothing but that
cheating may begin on it.

Each family's value is the average, over the days of the year on which cheating could have begun, of the likelihood
ratios since then (Bernoulli days, `cheating` against `honest`); the operator's is the average of the families'.
Averages of e-processes are e-processes under any dependence: Vovk & Wang, Annals of Statistics 49 (2021) 1736-1754;
Ville, Étude critique de la notion de collectif (1939); Ramdas, Grünwald, Vovk & Shafer, Statistical Science 38 (2023)
576-601; for the sum over beginnings, Shin, Ramdas & Rinaldo, E-detectors, NEJSDS 2 (2024) 229-260. Without the
average over beginnings, each honest day would have to be paid back before a cheat that begins late is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from compliance_api.domain.statistics.parameters import Family, ProcessRule

UNIT = 10**12
FAMILIES = tuple(Family)


@lru_cache(maxsize=64)
def ratios(rule: ProcessRule) -> tuple[Fraction, Fraction]:
    """The likelihood ratios of a bad and of a good day, exact in the decimals the law is written in."""
    honest, cheating = (Fraction(Decimal(repr(value))) for value in (rule.honest, rule.cheating))
    return cheating / honest, (1 - cheating) / (1 - honest)


def step(value: int, bad: bool | None, rule: ProcessRule) -> int:
    """One family's value after a day: M' = (M + 1/horizon) L.

    Args:
        value: Before the day, in units; 0 on the first day of a legal year.
        bad: Whether the day was bad; None where it is not known.
        rule: The law's.
    """
    begun = value + UNIT // rule.horizon
    if bad is None:
        return begun
    ratio = ratios(rule)[0 if bad else 1]
    return begun * ratio.numerator // ratio.denominator


@dataclass(frozen=True)
class Standing:
    """Where an operator stands after a day."""

    # Each family's value, in units.
    values: tuple[int, ...] = (0,) * len(FAMILIES)
    days: int = 0

    def after(self, day: Mapping[Family, bool | None], rule: ProcessRule) -> Standing:
        """The standing a day later.

        Raises:
            ValueError: The legal year is over; the next one begins with a new standing.
        """
        if self.days >= rule.horizon:
            raise ValueError(f"a standing ends after {rule.horizon} days")
        values = (step(value, day.get(family), rule) for value, family in zip(self.values, FAMILIES, strict=True))
        return Standing(tuple(values), self.days + 1)

    @property
    def value(self) -> int:
        """The operator's e-value, in units, rounded down."""
        return sum(self.values) // len(FAMILIES)

    def accused(self, rule: ProcessRule) -> tuple[Family, ...]:
        """What the operator is accused of; nothing while the e-value is below the threshold."""
        needed = rule.accusation * UNIT
        if self.value < needed:
            return ()
        return tuple(family for family, value in zip(FAMILIES, self.values, strict=True) if value >= needed)
