"""Which category a hit belongs to, and how it was answered: found in the list that this node holds, by fingerprint.

Holds always: nothing is guessed: a name that the list does not have, now or right before, is unknown and said to be.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from blocklist_sync.artifact import snapshot
from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.categories import Action, Category
from blocklist_sync.artifact.policy import PolicyBundle
from blocklist_sync.artifact.rules import Match, Scope, decide
from blocklist_sync.edge.activate import Activation
from lachan import durable
from lachan.compliance.v1 import report_pb2 as pb
from resolver.rpzlog.hits import Done, Hit

MANDATED = "mandated"

Cell = tuple[int, int]
"""Category and action, as reports number them."""


@dataclass(frozen=True)
class List:
    """A release to look names up in."""

    rules: Snapshot
    bundle: PolicyBundle

    @classmethod
    def of(cls, activation: Activation) -> List:
        """The release that the sync put in force; read whole, so that it stays when the files go.

        Raises:
            durable.FileError, blocklist_sync.artifact.errors.SnapshotError: Its snapshot cannot be used.
        """
        path: Path = activation.snapshot
        return cls(snapshot.verify(durable.read(path, snapshot.MAX_BYTES)), activation.policy)

    def won(self, hit: Hit, profile: str) -> Match | None:
        """The rule by which the name that was hit is blocked; None where there is none."""
        matches: Sequence[Match] = self.rules.lookup(hit.name)
        if hit.below:
            matches = [one for one in matches if one.owner != hit.name or one.rule.scope is Scope.SUBTREE]
        wanted = frozenset() if profile == MANDATED else self.bundle.categories(profile)
        return decide(matches, wanted)

    def fingerprints(self) -> Sequence[int]:
        """Of the names that the list has rules for, in no order."""
        return array("Q", self.rules.fingerprints())


_ACTIONS = {Done.NXDOMAIN: pb.ACTION_NXDOMAIN, Done.NODATA: pb.ACTION_NODATA, Done.SHADOW: pb.ACTION_SHADOW}


def _action(hit: Hit, category: Category, bundle: PolicyBundle) -> int:
    if hit.done is Done.DATA:
        # An address or an alias: the log does not say which, the policy bundle does.
        return pb.ACTION_NULL_IP if bundle.action(category) is Action.NULL_IP else pb.ACTION_SINKHOLE
    # No answer at all is an action of the operator's, which reports have no word for.
    return _ACTIONS.get(hit.done, pb.ACTION_UNSPECIFIED)


class Judged(NamedTuple):
    """What a hit counts as."""

    cell: Cell
    fingerprint: int
    """Of the listed name whose rule it was."""


def judge(hit: Hit, lists: Sequence[List], profile: str) -> Judged | None:
    """What a hit counts as, by the first of these releases that has its name; None where none has."""
    for one in lists:
        won = one.won(hit, profile)
        if won is not None:
            category = won.rule.category
            cell = int(category), int(_action(hit, category, one.bundle))
            return Judged(cell, one.rules.fingerprint(won.owner))
    return None
