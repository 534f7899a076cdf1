"""The policy bundle: which profile asks for which categories, and how each category is answered.

It travels as a signed target beside the list. Holds always: categories and actions come from the closed sets; a profile
`default` exists; a bundle with anything unknown in it is refused whole, with every problem and its path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from blocklist_sync.artifact.categories import ACTION_OF_LABEL, ALWAYS_MANDATED, CATEGORY_OF_LABEL, Action, Category
from blocklist_sync.artifact.errors import ArtifactError

VERSION = 1
DEFAULT_PROFILE = "default"
MAX_BYTES = 64 << 10
MAX_PROFILES = 64
MAX_PROBLEMS = 50

_PROFILE = re.compile(r"[a-z0-9_-]{1,32}")

Value = TypeVar("Value")


class PolicyError(ArtifactError):
    """A policy bundle cannot be used; `problems` holds a path and a message for each reason found."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        self.problems = problems[:MAX_PROBLEMS]
        super().__init__("policy: " + "; ".join(f"{path}: {message}" for path, message in self.problems))


@dataclass(frozen=True)
class PolicyBundle:
    """What the signed bundle says; what is mandated is in force for every profile and stands in none of them.

    Where `actions` leaves a category out, whoever runs an edge may choose; NXDOMAIN otherwise.
    """

    profiles: Mapping[str, frozenset[Category]]
    actions: Mapping[Category, Action]

    def action(self, category: Category) -> Action:
        """How a category is answered where the edge says nothing of its own."""
        return self.actions.get(category, Action.NXDOMAIN)

    def categories(self, profile: str) -> frozenset[Category]:
        """What a profile asks for; an unknown one asks for what the default does."""
        return self.profiles.get(profile, self.profiles[DEFAULT_PROFILE])

    def encode(self) -> bytes:
        """The bundle as JSON: one bundle, one text."""
        document = {
            "version": VERSION,
            "profiles": {name: [c.label for c in sorted(wanted)] for name, wanted in sorted(self.profiles.items())},
            "actions": {category.label: self.actions[category].label for category in sorted(self.actions)},
        }
        return (json.dumps(document, indent=2) + "\n").encode()


def default() -> PolicyBundle:
    """The bundle a list starts with: schools ask for everything, everybody else for what is mandated.

    How the rest is answered is left to the edges.
    """
    school = (
        Category.PORNOGRAPHY,
        Category.GAMBLING,
        Category.VIOLENCE,
        Category.DRUGS,
        Category.SELF_HARM,
        Category.SCAM,
    )
    return PolicyBundle(
        MappingProxyType({DEFAULT_PROFILE: frozenset(), "school": frozenset(school)}),
        MappingProxyType(dict.fromkeys(ALWAYS_MANDATED, Action.NXDOMAIN)),
    )


class _Reader:
    """Takes a document apart and collects what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[tuple[str, str]] = []

    def complain(self, path: str, message: str) -> None:
        self.problems.append((path, message))

    def mapping(self, value: Any, path: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self.complain(path, "a mapping is expected")
        return {}

    def of_set(self, value: Any, known: Mapping[str, Value], what: str, path: str) -> Value | None:
        found = known.get(value) if isinstance(value, str) else None
        if found is None:
            self.complain(path, f"{value!r:.60} is no {what}; there are {', '.join(known)}")
        return found

    def profiles(self, value: Any) -> dict[str, frozenset[Category]]:
        profiles = {}
        for name, wanted in self.mapping(value, "profiles").items():
            path = f"profiles.{name:.40}"
            if not _PROFILE.fullmatch(name):
                self.complain(path, "a profile's name is 1 to 32 of a-z, 0-9, _ and -")
            if not isinstance(wanted, list) or len(wanted) > len(Category):
                self.complain(path, "a list of categories is expected")
                continue
            found = [self.of_set(c, CATEGORY_OF_LABEL, "category", f"{path}.{i}") for i, c in enumerate(wanted)]
            profiles[name] = frozenset(category for category in found if category is not None)
        if DEFAULT_PROFILE not in profiles:
            self.complain("profiles", f"there is no profile {DEFAULT_PROFILE!r}")
        if len(profiles) > MAX_PROFILES:
            self.complain("profiles", f"more than {MAX_PROFILES}")
        return profiles

    def actions(self, value: Any) -> dict[Category, Action]:
        actions = {}
        for name, wanted in self.mapping(value, "actions").items():
            category = self.of_set(name, CATEGORY_OF_LABEL, "category", f"actions.{name:.40}")
            action = self.of_set(wanted, ACTION_OF_LABEL, "action", f"actions.{name:.40}")
            if category is not None and action is not None:
                actions[category] = action
        return actions


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key is given twice")
    return document


def _load(data: bytes) -> Any:
    try:
        return json.loads(data.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise PolicyError([("", f"not JSON: {error}")]) from error


def parse(data: bytes) -> PolicyBundle:
    """The bundle in `data`.

    Raises:
        PolicyError: With every problem found.
    """
    if len(data) > MAX_BYTES:
        raise PolicyError([("", f"larger than {MAX_BYTES} bytes")])
    reader = _Reader()
    document = reader.mapping(_load(data), "")
    for key in document.keys() - {"version", "profiles", "actions"}:
        reader.complain(f"{key:.40}", "unknown")
    version = document.get("version")
    if type(version) is not int or version != VERSION:
        reader.complain("version", f"{version!r:.40}; this reads version {VERSION}")
    profiles = reader.profiles(document.get("profiles"))
    actions = reader.actions(document.get("actions", {}))
    if reader.problems:
        raise PolicyError(reader.problems)
    return PolicyBundle(MappingProxyType(profiles), MappingProxyType(actions))
