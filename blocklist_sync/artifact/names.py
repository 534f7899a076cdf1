"""The one canonical form of a listed name.

Holds always: a canonical name is lowercase ASCII in IDNA2008 A-labels, without a trailing dot, two labels or more, each
1 to 63 bytes, at most 253 bytes in all; it is no address and no public suffix, of the ICANN section or the private one,
since listing a hosting provider's suffix would block every tenant. An underscore may stand only in labels below the
domain that a registry hands out: hosting providers give such names to tenants, registries to nobody.
`canonical(canonical(x)) == canonical(x)`.

What may be listed depends on the public suffixes of today: a name that is in force already is asked for by `spelled`,
which says nothing of them, since nobody could take out a name that has become a suffix since.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection
from functools import cache

import idna
from publicsuffixlist import PSLFILE, PublicSuffixList

from blocklist_sync.artifact.errors import ArtifactError

MAX_NAME_BYTES = 253
MAX_LABEL_BYTES = 63
MAX_INPUT_CHARACTERS = 1024
SHOWN_CHARACTERS = 80

# Lowercase letters, digits and inner hyphens, nothing that IDNA has a word in (`ab--c`), a top label that is no number.
_PLAIN = re.compile(
    r"(?:(?![a-z0-9]{2}--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?![a-z0-9]{2}--)[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")
_ADDRESS = re.compile(r"[0-9.]+|.*:.*|\[.*\]")


class Reason(enum.StrEnum):
    """Why a name is refused."""

    EMPTY = "empty name or empty label"
    TOO_LONG = "longer than 253 bytes, or a label longer than 63"
    ADDRESS = "an address, not a name"
    SINGLE_LABEL = "a single label"
    NUMERIC_TOP = "its top label is a number"
    PUBLIC_SUFFIX = "a public suffix: everybody under it would be blocked"
    CHARACTERS = "characters that host names do not have"
    UNDERSCORE = "an underscore in the registered domain"
    IDNA = "not valid under IDNA2008"


class NameRefusedError(ArtifactError):
    """A text is no listable name."""

    def __init__(self, text: str, reason: Reason) -> None:
        self.text = text
        self.reason = reason
        shown = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
        super().__init__(f"{shown!r}: {reason}")


class _Suffixes:
    """The public suffix list with a filter in front: most names are settled by two set look-ups."""

    def __init__(self) -> None:
        self._list = PublicSuffixList()
        self._registries = PublicSuffixList(only_icann=True)
        rules = set()
        parents = set()
        with open(PSLFILE, encoding="utf-8") as file:  # noqa: PTH123  the library gives a plain string
            for line in file:
                rule = line.partition(" ")[0].strip().lower()
                if rule.startswith("*."):
                    parents.add(rule[2:])
                rules.add(rule.removeprefix("*.").removeprefix("!"))
        self._rules = frozenset(rules)
        self._parents = frozenset(parents)

    def is_public(self, name: str) -> bool:
        # Only a rule's own text or a name right under a wildcard can be a suffix; the list writes rules in U-labels.
        if name in self._rules or name.partition(".")[2] in self._parents or "xn--" in name:
            return self._list.is_public(name)
        return False

    def may_be(self, names: Collection[str]) -> set[str]:
        found = set(self._rules.intersection(names))
        found |= {name for name in names if name.partition(".")[2] in self._parents}
        return found

    def registered(self, name: str) -> str | None:
        return self._registries.privatesuffix(name)


@cache
def _suffixes() -> _Suffixes:
    return _Suffixes()


def _labels(text: str) -> list[str]:
    """The labels in A-form; addresses, empty and overlong ones are refused here."""
    name = text.strip()
    if len(name) > MAX_INPUT_CHARACTERS:
        raise NameRefusedError(text, Reason.TOO_LONG)
    try:
        name = idna.uts46_remap(name, std3_rules=False)
    except idna.IDNAError as error:
        raise NameRefusedError(text, Reason.CHARACTERS if text.isascii() else Reason.IDNA) from error
    name = name.removesuffix(".")
    if _ADDRESS.fullmatch(name) and name.strip("."):
        raise NameRefusedError(text, Reason.ADDRESS)
    return [_a_label(label, text) for label in name.split(".")]


def _a_label(label: str, text: str) -> str:
    if not label:
        raise NameRefusedError(text, Reason.EMPTY)
    try:
        # `ab--c` is reserved for IDNA; what is not an A-label of its tables is refused, not guessed at.
        if not label.isascii() or label[2:4] == "--":
            label = idna.alabel(label).decode()
            idna.ulabel(label)
    except (idna.IDNAError, UnicodeError) as error:
        raise NameRefusedError(text, Reason.IDNA) from error
    if len(label) > MAX_LABEL_BYTES:
        raise NameRefusedError(text, Reason.TOO_LONG)
    if not _LABEL.fullmatch(label):
        raise NameRefusedError(text, Reason.CHARACTERS)
    return label


def spelled(text: str) -> str:
    """A name as lists spell it, whatever its case, script or trailing dot, be it a public suffix by now or not.

    Raises:
        NameRefusedError: No list ever carried such a name, with the reason.
    """
    name = text.lower() if text.isascii() else ""
    if len(name) > MAX_NAME_BYTES or not _PLAIN.fullmatch(name):
        labels = _labels(text)
        name = ".".join(labels)
        if len(name) > MAX_NAME_BYTES:
            raise NameRefusedError(text, Reason.TOO_LONG)
        if len(labels) == 1:
            raise NameRefusedError(text, Reason.SINGLE_LABEL)
        if labels[-1].isdigit():
            raise NameRefusedError(text, Reason.NUMERIC_TOP)
    return name


def canonical(text: str) -> str:
    """The canonical form of a name, whatever its case, script or trailing dot.

    Raises:
        NameRefusedError: It is no name that a list can carry, with the reason.
    """
    name = spelled(text)
    suffixes = _suffixes()
    if suffixes.is_public(name):
        raise NameRefusedError(text, Reason.PUBLIC_SUFFIX)
    if "_" in name and "_" in (suffixes.registered(name) or name):
        raise NameRefusedError(text, Reason.UNDERSCORE)
    return name


def is_public_suffix(name: str) -> bool:
    """Whether a name in canonical form is a public suffix by the list of today."""
    return _suffixes().is_public(name)


def possible_suffixes(names: Collection[str]) -> set[str]:
    """Which of many names in canonical form and without A-labels of IDNA `is_public_suffix` has to be asked about."""
    return _suffixes().may_be(names)
