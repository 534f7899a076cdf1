"""The list in the clear, as the list authority keeps it. Confidential: it is an index of harmful sites.

A text file: a header line, a line for each kind of entry (scope, exception, category, order, mandate), then one line
for each name: name, kind, and the serial of the release that brought it; sorted, tab-separated.

Here is what a kind of entry is, and its line; rows are the matter of `log.rows`.

Holds always: a kind has one line, and a line that describes none is refused; an order's number that somebody gives has
one form (Unicode's NFC), since Vietnamese letters have several spellings that look the same.
"""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from blocklist_sync.artifact.categories import CATEGORY_OF_LABEL, Category
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.artifact.orders import Order, check_text
from blocklist_sync.artifact.rules import Scope

FORMAT = "lachan-entries 1"
MAX_LINE_BYTES = 1024

_MODES = {"mandated": True, "profile-only": False}
_EFFECTS = {"block": False, "except": True}


class Kind(NamedTuple):
    """What entries have in common but for the name."""

    scope: Scope
    exception: bool
    category: Category
    order: Order


def order_number(text: str) -> str:
    """An order's number as it is registered and compared, however its letters are spelled.

    Raises:
        ArtifactError: It is none.
    """
    return check_text(unicodedata.normalize("NFC", text))


def kind_rank(kind: Kind) -> tuple[Category, Order, bool, str]:
    """Where a kind stands among kinds: the one order in which files number them."""
    return kind.category, kind.order, kind.exception, kind.scope.value


def kind_line(kind: Kind) -> str:
    """The line that describes a kind, without its end; `parse_kind` reads it."""
    effect = "except" if kind.exception else "block"
    mode = "mandated" if kind.order.mandated else "profile-only"
    return f"\t{kind.scope.value}\t{effect}\t{kind.category.label}\t{mode}\t{kind.order.text}"


def parse_kind(line: str) -> Kind:
    """The kind that a line of the file describes.

    Raises:
        ValueError: It describes none.
    """
    _, scope, effect, category, mode, order = line.split("\t")
    try:
        return Kind(
            Scope(scope),
            _EFFECTS[effect],
            CATEGORY_OF_LABEL[category],
            Order(check_text(order), mandated=_MODES[mode]),
        )
    except (KeyError, ArtifactError) as error:
        raise ValueError(str(error)) from error
