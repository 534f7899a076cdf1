"""How one policy bundle differs from another, in words: whoever signs the list signs its bundle too.

Holds always: two bundles that mean different things differ in at least one line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from blocklist_sync.artifact.categories import Action, Category
from blocklist_sync.artifact.policy import PolicyBundle


def differences(before: PolicyBundle, after: PolicyBundle) -> Iterator[str]:
    """A line for each profile and each category's answer that changes, in order.

    Args:
        before: What is published, or what a list starts with.
        after: What is offered.
    """
    for name in sorted(before.profiles.keys() | after.profiles.keys()):
        old, new = before.profiles.get(name), after.profiles.get(name)
        if old is None or new is None:
            yield f"profile {name} {'goes' if new is None else 'comes'}: {_labels(new or old or ())}"
        elif old != new:
            parts = (("asks for", new - old), ("no longer for", old - new))
            yield f"profile {name} " + ", ".join(f"{what} {_labels(found)}" for what, found in parts if found)
    for category in Category:
        one, other = before.actions.get(category), after.actions.get(category)
        if one != other:
            yield f"{category.label} is answered {_answer(other)}, no longer {_answer(one)}"


def _labels(categories: Collection[Category]) -> str:
    return ", ".join(category.label for category in sorted(categories)) or "nothing beyond what is mandated"


def _answer(action: Action | None) -> str:
    return f"by {action.label}" if action is not None else "as each edge chooses"
