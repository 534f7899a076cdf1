"""A small ledger in memory, for tests: its tree, its log and witnesses, and packs of it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from compliance_api.ledger import pack
from lachan.ledger import note, policy, tree
from lachan.ledger.checkpoint import Checkpoint
from lachan.ledger.leaf import Kind, Opening
from lachan.ledger.note import Note, NoteKey, SignatureKind
from lachan.signing import SigningKey


class Forest:
    """A tree that can be asked for the proofs of each of its sizes."""

    def __init__(self) -> None:
        self.frontier = tree.Frontier()
        self.kept: dict[tuple[int, int], bytes] = {}
        self.commitments: list[bytes] = []

    @property
    def size(self) -> int:
        return self.frontier.size

    def add(self, commitment: bytes) -> int:
        self.commitments.append(commitment)
        for level, place, digest in self.frontier.append(tree.leaf_hash(commitment)):
            self.kept[level, place] = digest
        return self.size - 1

    def node(self, level: int, place: int) -> bytes:
        return self.kept[level, place]

    def root(self, size: int | None = None) -> bytes:
        return tree.root(self.node, self.size if size is None else size)

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        return tree.inclusion_proof(self.node, index, self.size if size is None else size)

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        return tree.consistency_proof(self.node, old, self.size if new is None else new)


def forest(leaves: int, prefix: bytes = b"leaf ") -> Forest:
    made = Forest()
    for number in range(leaves):
        made.add(prefix + str(number).encode())
    return made


ORIGIN = "log.example/ledger"
NOON = 1_790_000_000
"""A time, in seconds since 1970."""


class Parties:
    """A log and three witnesses, with fresh keys unless given, and the policy that asks for two of them."""

    def __init__(self, log: SigningKey | None = None, witnesses: dict[str, SigningKey] | None = None) -> None:
        self.log = log or SigningKey.generate()
        self.witnesses = witnesses or {f"w{number}": SigningKey.generate() for number in (1, 2, 3)}
        self.log_key = NoteKey(ORIGIN, SignatureKind.ED25519, self.log.public)
        self.policy_text = "\n".join(
            [
                "# Two of three, whoever keeps the log.",
                f"log {self.log_key}",
                *(f"witness {name} {self.witness_key(name)}" for name in self.witnesses),
                "group all-three 2 w1 w2 w3",
                "quorum all-three",
                "",
            ]
        )
        self.policy = policy.parse(self.policy_text.encode())

    def witness_key(self, name: str) -> NoteKey:
        return NoteKey(f"{name}.example/witness", SignatureKind.COSIGNATURE, self.witnesses[name].public)

    def head(self, size: int, root: bytes, times: dict[str, int]) -> Note:
        """A checkpoint, signed, and cosigned by the witnesses at their times."""
        signed = Checkpoint(ORIGIN, size, root).signed(self.log)
        return signed.with_signatures(
            note.cosign(signed.text, f"{name}.example/witness", self.witnesses[name], time)
            for name, time in times.items()
        )


class Book:
    """A ledger with what its leaves say, and a pack of some of them under checkpoints of some sizes."""

    def __init__(self, parties: Parties, start: int = NOON) -> None:
        self.parties = parties
        self.woods = Forest()
        self.openings: list[Opening] = []
        self.start = start

    def enter(self, kind: Kind, content: bytes, entered_at: int | None = None) -> int:
        """A leaf a minute, unless it says another time."""
        at = self.start + 60 * self.woods.size if entered_at is None else entered_at
        salt = hashlib.sha256(f"salt {self.woods.size}".encode()).digest()
        opening = Opening(salt, kind, at, content)
        self.openings.append(opening)
        return self.woods.add(opening.commitment)

    def head(self, size: int) -> Note:
        """The checkpoint of a size, cosigned by two witnesses when its last leaf was entered."""
        at = self.start + 60 * (size - 1)
        return self.parties.head(size, self.woods.root(size), {"w1": at, "w2": at + 1})

    def files(self, leaves: Iterable[int], sizes: Sequence[int], erased: Collection[int] = ()) -> dict[str, bytes]:
        """The files of a pack."""
        packed = {}
        for index in leaves:
            opening = None if index in erased else self.openings[index]
            proof = self.woods.inclusion(index, sizes[-1])
            content = opening.content if opening else None
            packed[index] = pack.Leaf.of(self.woods.commitments[index], proof, opening), content
        steps = {(old, new): self.woods.consistency(old, new) for old, new in pairwise(sizes)}
        return dict(pack.ledger_files(ORIGIN, [self.head(size) for size in sizes], steps, packed))
