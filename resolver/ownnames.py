"""The operator's own names: what they allow, what they block, and where private addresses are right.

Holds always: a name allowed here lifts nothing that is mandated, wherever it stands; every name is in the list's own
canonical form; files of names are read with the configuration and belong to it, so that all workers have the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lachan.config import ConfigError, ConfigPath, Problem, Settings
from lachan.labels import wire_name
from resolver._hot.own import EXACT, SUBTREE
from resolver.schedule import ActionName
from resolver.values import spelled

FILE_MAX_BYTES = 1 << 20
FILES_MAX = 16
ALLOWED_MAX = 2000
BLOCKED_MAX = 15_000
PRIVATE_MAX = 1000
SHIELDED = ("school",)

Scope = Literal["exact", "subtree"]
REACHES = {"exact": EXACT, "subtree": SUBTREE}


def _name(text: str) -> str:
    if not text.isascii():
        # Only here: a worker reads names in A-labels, and needs no tables for others.
        from blocklist_sync.artifact.names import NameRefusedError, canonical

        try:
            return canonical(text)
        except NameRefusedError as error:
            raise ValueError(str(error)) from error
    return spelled(text, "the root is everybody's")


DomainName = Annotated[str, Field(max_length=1024), AfterValidator(_name)]
Reason = Annotated[str, Field(min_length=3, max_length=200)]


class AllowedName(Settings):
    """A name that the operator lets pass, whatever is not mandated."""

    name: DomainName
    scope: Scope = "subtree"
    reason: Reason


class BlockedName(Settings):
    """A name that the operator blocks on their own account."""

    name: DomainName
    scope: Scope = "subtree"
    action: ActionName = "nxdomain"


class BlockFile(Settings):
    """A file of names to block: one a line, `#` begins a comment."""

    path: ConfigPath
    scope: Scope = "subtree"
    action: ActionName = "nxdomain"


class OwnSettings(Settings):
    """Names of the operator's own."""

    allow: tuple[AllowedName, ...] = Field(default=(), max_length=ALLOWED_MAX)
    block: tuple[BlockedName, ...] = Field(default=(), max_length=BLOCKED_MAX)
    block_files: tuple[BlockFile, ...] = Field(default=(), max_length=FILES_MAX)

    @model_validator(mode="after")
    def _of_one_mind(self) -> Self:
        for what, names in (
            ("allow", [one.name for one in self.allow]),
            ("block", [one.name for one in self.block]),
        ):
            twice = sorted({name for name, count in _counted(names) if count > 1})
            if twice:
                raise ValueError(f"{what}: {', '.join(twice[:10])}: a name stands once")
        both = sorted({one.name for one in self.allow} & {one.name for one in self.block})
        if both:
            raise ValueError(f"{', '.join(both[:10])}: both allowed and blocked")
        return self


class Rebinding(Settings):
    """Against names of the public DNS that lead into the network of whoever asks."""

    profiles: tuple[Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")], ...] | None = Field(
        default=None,
        max_length=8,
        description="whose clients see no private address of a public name; without it, school's",
    )
    allow: tuple[DomainName, ...] = Field(
        default=(), max_length=PRIVATE_MAX, description="names, with all below, that may have private addresses"
    )

    def shields(self, profile: str) -> bool:
        """Whether a profile's clients are protected."""
        return profile in (SHIELDED if self.profiles is None else self.profiles)


def _counted(names: Iterable[str]) -> Iterator[tuple[str, int]]:
    return ((name, len(list(group))) for name, group in itertools.groupby(sorted(names)))


def read_files(own: OwnSettings, source: str) -> OwnSettings:
    """The same with the files' names among its own; a name that stands in both is what the configuration says.

    Raises:
        ConfigError: With every file that cannot be read, and every line that is no name.
    """
    problems: list[Problem] = []
    found = {one.name: one for one in own.block}
    for index, file in enumerate(own.block_files):
        place = f"own.block_files.{index}"
        try:
            lines = _lines(file.path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            problems.append(Problem(place, f"{file.path}: {reason}"))
            continue
        for number, text in lines:
            try:
                name = _name(text)
            except ValueError as error:
                problems.append(Problem(place, f"{file.path}:{number}: {error}"))
                continue
            found.setdefault(name, BlockedName.model_construct(name=name, scope=file.scope, action=file.action))
    if len(found) > BLOCKED_MAX:
        problems.append(Problem("own", f"{len(found)} blocked names; {BLOCKED_MAX} are the most"))
    if problems:
        raise ConfigError(source, problems)
    return own.model_copy(update={"block": tuple(found.values()), "block_files": ()})


def _lines(path: Path) -> list[tuple[int, str]]:
    with path.open("rb") as file:
        data = file.read(FILE_MAX_BYTES + 1)
    if len(data) > FILE_MAX_BYTES:
        raise ValueError(f"larger than {FILE_MAX_BYTES} bytes")
    texts = (line.partition("#")[0].strip() for line in data.decode().splitlines())
    return [(number, text) for number, text in enumerate(texts, 1) if text]


def check(own: OwnSettings, source: str) -> None:
    """Holds names against what a list may carry: no public suffix, no address.

    Raises:
        ConfigError: With every name that is none.
    """
    if not own.allow and not own.block:
        return
    # Only here: the public suffixes take megabytes, and no worker needs them.
    from blocklist_sync.artifact.names import NameRefusedError, canonical

    problems = []
    for place, names in (
        ("allow", [one.name for one in own.allow]),
        ("block", [one.name for one in own.block]),
    ):
        for index, name in enumerate(names):
            try:
                if canonical(name) != name:
                    problems.append(Problem(f"own.{place}.{index}", f"{name}: not in its canonical form"))
            except NameRefusedError as error:
                problems.append(Problem(f"own.{place}.{index}", str(error)))
    if problems:
        raise ConfigError(source, problems)


def table(
    own: OwnSettings, private: Iterable[str], overrides: Iterable[tuple[str, str]], actions: dict[str, int]
) -> list[tuple[bytes, str, int, int]]:
    """What the compiled table is made of.

    Args:
        own: What is allowed and blocked.
        private: Names below which private addresses are right.
        overrides: Name and scope of each emergency override in force.
        actions: Numbers of actions by their words.
    """
    return [
        *((wire_name(name), "override", REACHES[scope], 0) for name, scope in overrides),
        *((wire_name(one.name), "allow", REACHES[one.scope], 0) for one in own.allow),
        *((wire_name(one.name), "block", REACHES[one.scope], actions[one.action]) for one in own.block),
        *((wire_name(name), "private", SUBTREE, 0) for name in private),
    ]
