"""How counts become Prometheus' families: the contract's own words for its numbers, and each series once.

Holds always: numbers that have no word share one label, so that labels stay few whatever is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily

from lachan.compliance.v1 import report_pb2 as pb

OTHER = "other"


def words(items: Iterable[tuple[str, int]], prefix: str) -> dict[int, str]:
    """The contract's own words for an enum's numbers, in lower case."""
    return {number: name.removeprefix(prefix).lower() for name, number in items if number}


CATEGORIES = words(pb.Category.items(), "CATEGORY_")
ACTIONS = words(pb.Action.items(), "ACTION_")


def counter(
    name: str, text: str, labels: Sequence[str], cells: Iterable[tuple[tuple[str, ...], int]]
) -> CounterMetricFamily:
    """A family of counters from cells, each the values of its labels and a count."""
    family = CounterMetricFamily(name, text, labels=labels)
    # Numbers that have no name here share one label, and a family must not say one thing twice.
    sums: Counter[tuple[str, ...]] = Counter()
    for values, count in cells:
        sums[values] += count
    for values, count in sorted(sums.items()):
        family.add_metric(values, count)
    return family
