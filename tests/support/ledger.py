"""A small ledger in memory, for tests: every complete subtree it ever had."""

from __future__ import annotations

from compliance_api.ledger import note, policy, tree
from compliance_api.ledger.checkpoint import Checkpoint
from compliance_api.ledger.note import Note, NoteKey, SignatureKind
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
    """A log and three witnesses with fresh keys, and the policy that asks for two of them."""

    def __init__(self) -> None:
        self.log = SigningKey.generate()
        self.witnesses = {f"w{number}": SigningKey.generate() for number in (1, 2, 3)}
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
