"""Which nodes' counters of a day are another node's: every pair is looked at, at three lags.

Holds always: the decision is that of `statistics.copies`; a quick look in floats leaves out only what that could not
accuse; windows that one of the two did not report count for neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from compliance_api.domain.challenges.challenge import CopiedCounters
from compliance_api.domain.statistics.copies import likeness
from compliance_api.domain.statistics.parameters import CopyRule

# In windows: at once, as soon as the other's window is over, and a day later.
LAGS = (0, 1, 288)
# Of the dispersion that accuses, so that rounding leaves nobody out.
MARGIN = 2.0

Node = tuple[str, str]
Series = Mapping[Node, Sequence[int | None]]


def _near(one: npt.NDArray[np.float64], others: npt.NDArray[np.float64], rule: CopyRule) -> npt.NDArray[np.intp]:
    """Rows of `others` that agree with `one` well enough to be looked at; nan where nothing was reported."""
    both = one[None, :] + others
    told = ~np.isnan(both) & (both >= rule.least)
    known = np.where(told, both, 0.0)
    theirs = np.where(told, others, 0.0)
    total = known.sum(axis=1)
    share = theirs.sum(axis=1) / np.maximum(total, 1.0)
    spread = np.maximum(known * (share * (1 - share))[:, None], 1e-9)
    dispersion = np.where(told, (theirs - share[:, None] * known) ** 2 / spread, 0.0).sum(axis=1)
    windows = told.sum(axis=1)
    near = (windows >= rule.windows) & (dispersion <= MARGIN * rule.agreement * windows) & (share > 0) & (share < 1)
    return np.flatnonzero(near)


def copied(today: Series, before: Series, start: datetime, rule: CopyRule) -> list[CopiedCounters]:
    """The pairs whose counters agree too well.

    Args:
        today: By node, the count of each window of the day; None where it was not reported.
        before: Likewise, of the day before; the same windows.
        start: When the day began.
        rule: The law's.
    """
    nodes = sorted(today)
    found: list[CopiedCounters] = []
    if len(nodes) < 2:
        return found
    now = np.array([[np.nan if one is None else one for one in today[node]] for node in nodes], dtype=np.float64)
    size = now.shape[1]
    nothing: Sequence[int | None] = [None] * size
    past = np.array(
        [[np.nan if one is None else one for one in before.get(node, nothing)] for node in nodes], dtype=np.float64
    )
    whole = np.concatenate([past, now], axis=1)
    for lag in LAGS:
        if lag > size:
            continue
        # The other's windows, so much earlier.
        shifted = whole[:, size - lag : 2 * size - lag]
        for index, node in enumerate(nodes):
            for other in _near(now[index], shifted, rule):
                if other == index or (lag == 0 and other < index):
                    continue
                told = [
                    (int(a), int(b))
                    for a, b in zip(now[index], shifted[other], strict=True)
                    if not (np.isnan(a) or np.isnan(b))
                ]
                known = likeness([a for a, _ in told], [b for _, b in told], rule)
                if known is not None and known.accuses(rule):
                    # `node` says what the other said so many windows before: of the pair, its counters are the later.
                    first, later = (nodes[other], node) if lag else (node, nodes[other])
                    found.append(
                        CopiedCounters(
                            first[0],
                            first[1],
                            later[0],
                            later[1],
                            start,
                            lag,
                            known.windows,
                            known.dispersion,
                            known.noise,
                        )
                    )
    return found
