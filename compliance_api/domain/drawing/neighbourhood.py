"""Names beside listed ones that nothing on the list reaches: over-blocking shows in them.

Holds always: whatever stands here lies below a name that is no public suffix and that nothing on the list blocks, as
the list authority tells it with each listed name: so a sibling belongs to whoever the listed name belongs to, and to
nobody else; nothing is taken from names of child abuse.
"""

from __future__ import annotations

from collections.abc import Iterable

from compliance_api.domain.drawing.draws import Draws, derived
from compliance_api.domain.drawing.sampling import SENSITIVE_CATEGORIES, ListedName

# Labels that hosts often have. Those that are not there are dead at the references, and prove nothing.
LABELS = ("www", "mail", "m", "static")
PARENTS = 100
"""Looked at for one round: each with all of its siblings."""
MAX_NAME = 253


def candidates(names: Iterable[ListedName], seed: bytes) -> list[str]:
    """Parents of listed names, and siblings of the names, before anybody was asked whether they are listed or alive."""
    listed = {one.qname for one in names}
    parents = sorted({one.parent for one in names if one.parent and one.category not in SENSITIVE_CATEGORIES})
    drawn = Draws(derived(seed, "neighbourhood")).sample(parents, PARENTS)
    siblings = (f"{label}.{parent}" for parent in drawn for label in LABELS)
    return sorted({one for one in (*drawn, *siblings) if one not in listed and len(one) <= MAX_NAME})
