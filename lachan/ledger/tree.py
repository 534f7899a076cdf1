"""The Merkle tree of RFC 9162, section 2.1, with SHA-256.

Holds always: a proof that verifies was made for exactly this leaf, index, size and root; proofs are made from the
hashes of *complete* subtrees alone, which never change once written, so that a store of them is only ever added to.

A complete subtree is named by its level and its place on it: `(level, place)` covers the leaves from
`place << level` up to `(place + 1) << level`; level 0 holds the leaves' hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from lachan.ledger.errors import LedgerError

HASH_BYTES = 32
MAX_SIZE = 1 << 62
"""Leaves; it keeps every proof within the 63 hashes that C2SP tlog-witness allows."""
MAX_PROOF_HASHES = 63
EMPTY_ROOT = hashlib.sha256().digest()

Node = tuple[int, int, bytes]
"""Level, place, hash of a complete subtree."""
Nodes = Callable[[int, int], bytes]
"""The hash of the complete subtree at a level and a place."""


class ProofError(LedgerError):
    """A proof does not hold."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf (section 2.1.1)."""
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees side by side (section 2.1.1)."""
    return hashlib.sha256(b"\1" + left + right).digest()


def _joined(peaks: Sequence[bytes]) -> bytes:
    """The root over complete subtrees that get smaller from left to right; of none, the empty tree's."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


class Frontier:
    """All that is needed to add to a tree: the roots of its complete subtrees, at most 62 of them."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """Goes on from a kept frontier, or begins.

        Args:
            size: Leaves so far.
            peaks: One hash for each bit that is set in `size`, the largest subtree first.

        Raises:
            LedgerError: They do not fit one another.
        """
        if not 0 <= size <= MAX_SIZE or len(peaks) != size.bit_count() or any(len(one) != HASH_BYTES for one in peaks):
            raise LedgerError(f"frontier: {len(peaks)} peaks cannot be those of {size} leaves")
        self._size = size
        self._peaks = list(peaks)

    @property
    def size(self) -> int:
        """Leaves so far."""
        return self._size

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """What a new frontier goes on from."""
        return tuple(self._peaks)

    @property
    def root(self) -> bytes:
        """The tree's root hash."""
        return _joined(self._peaks)

    def append(self, leaf: bytes) -> list[Node]:
        """Adds a leaf by its hash; the subtrees that it completed, the leaf itself first, for a store to keep.

        Raises:
            LedgerError: It is no hash, or the tree is full.
        """
        if len(leaf) != HASH_BYTES or self._size >= MAX_SIZE:
            raise LedgerError(f"frontier: leaf {self._size} cannot be added")
        place, level, done = self._size, 0, [(0, self._size, leaf)]
        while place & 1:
            leaf = node_hash(self._peaks.pop(), leaf)
            place >>= 1
            level += 1
            done.append((level, place, leaf))
        self._peaks.append(leaf)
        self._size += 1
        return done


def _range_root(nodes: Nodes, first: int, end: int) -> bytes:
    """The root over the leaves `[first, end)`; `first` is a multiple of a power of two not below `end - first`."""
    peaks = []
    while first < end:
        level = (end - first).bit_length() - 1
        peaks.append(nodes(level, first >> level))
        first += 1 << level
    return _joined(peaks)


def root(nodes: Nodes, size: int) -> bytes:
    """The root of the tree's first `size` leaves (section 2.1.1)."""
    return _range_root(nodes, 0, size)


def _split(length: int) -> int:
    """The largest power of two below `length`, which is at least 2."""
    return 1 << ((length - 1).bit_length() - 1)


def inclusion_proof(nodes: Nodes, index: int, size: int) -> list[bytes]:
    """The path from a leaf to the root (section 2.1.3).

    Raises:
        LedgerError: The tree has no such leaf.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise LedgerError(f"no leaf {index} in a tree of {size}")
    first, end, path = 0, size, []
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            path.append(_range_root(nodes, middle, end))
            end = middle
        else:
            path.append(_range_root(nodes, first, middle))
            first = middle
    return path[::-1]


def consistency_proof(nodes: Nodes, old: int, new: int) -> list[bytes]:
    """What shows that the first `old` of `new` leaves are the old tree (section 2.1.4); empty from 0 and from `new`.

    Raises:
        LedgerError: The old tree is larger.
    """
    if not 0 <= old <= new <= MAX_SIZE:
        raise LedgerError(f"no tree of {old} leaves before one of {new}")
    if old == 0:
        return []
    first, end, path = 0, new, []
    while old < end:
        middle = first + _split(end - first)
        if old <= middle:
            path.append(_range_root(nodes, middle, end))
            end = middle
        else:
            path.append(_range_root(nodes, first, middle))
            first = middle
    if first:
        # Only where the old tree is one whole subtree does the verifier know this hash: it is the old root.
        path.append(_range_root(nodes, first, end))
    return path[::-1]


def _check_proof(proof: Sequence[bytes], *roots: bytes) -> None:
    if len(proof) > MAX_PROOF_HASHES:
        raise ProofError(f"the proof has {len(proof)} hashes, more than {MAX_PROOF_HASHES}")
    if any(len(one) != HASH_BYTES for one in (*proof, *roots)):
        raise ProofError(f"a hash is not {HASH_BYTES} bytes long")


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root_hash: bytes) -> None:
    """Checks that the leaf with this hash stands at `index` of the tree (section 2.1.3).

    Raises:
        ProofError: That is not shown.
    """
    _check_proof(proof, leaf, root_hash)
    if not 0 <= index < size <= MAX_SIZE:
        raise ProofError(f"no leaf {index} in a tree of {size}")
    place, last, found = index, size - 1, leaf
    for one in proof:
        if last == 0:
            raise ProofError(f"the proof is too long for leaf {index} of {size}")
        if place & 1 or place == last:
            found = node_hash(one, found)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, one)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError(f"the proof is too short for leaf {index} of {size}")
    if found != root_hash:
        raise ProofError(f"leaf {index} is not in the tree of {size} with this root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Checks that the tree of `new` leaves begins with that of `old` (section 2.1.4).

    Raises:
        ProofError: That is not shown.
    """
    _check_proof(proof, old_root, new_root)
    if not 0 <= old <= new <= MAX_SIZE:
        raise ProofError(f"no tree of {old} leaves before one of {new}")
    if old in (0, new):
        if proof:
            raise ProofError(f"from {old} to {new} leaves there is nothing to prove, and yet a proof")
        if old_root != (new_root if old else EMPTY_ROOT) or (new == 0 and new_root != EMPTY_ROOT):
            raise ProofError(f"two roots of one tree of {old} leaves")
        return
    # The old root leads the path itself where the old tree is one complete subtree.
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        raise ProofError(f"the proof from {old} to {new} leaves is empty")
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old_found = new_found = path[0]
    for one in path[1:]:
        if last == 0:
            raise ProofError(f"the proof from {old} to {new} leaves is too long")
        if place & 1 or place == last:
            old_found, new_found = node_hash(one, old_found), node_hash(one, new_found)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new_found = node_hash(new_found, one)
        place, last = place >> 1, last >> 1
    if last or old_found != old_root or new_found != new_root:
        raise ProofError(f"the tree of {new} leaves with this root does not begin with that of {old}")
