"""A small ledger in memory, for tests: every complete subtree it ever had."""

from __future__ import annotations

from compliance_api.ledger import tree


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
