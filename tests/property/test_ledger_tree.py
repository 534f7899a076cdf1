"""Proofs of trees of any size hold, and hold for nothing else; held against RFC 9162's own recursion."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lachan.ledger import tree
from tests.support.ledger import forest

WOODS = forest(130)
SIZES = st.integers(1, WOODS.size)


def as_written(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\1" + as_written(leaves[:split]) + as_written(leaves[split:])).digest()


def flipped(data: bytes, bit: int) -> bytes:
    bit %= len(data) * 8
    return (int.from_bytes(data, "big") ^ (1 << bit)).to_bytes(len(data), "big")


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=8), max_size=70))
def test_a_frontier_has_the_root_of_the_whole(leaves: list[bytes]) -> None:
    growing = tree.Frontier()
    for leaf in leaves:
        growing.append(tree.leaf_hash(leaf))
    assert growing.root == as_written(leaves)


@settings(max_examples=100)
@given(SIZES, st.integers(0), st.integers(0), st.integers(0))
def test_an_inclusion_holds_for_its_leaf_place_and_tree_alone(size: int, index: int, bit: int, other: int) -> None:
    index %= size
    leaf, root, proof = tree.leaf_hash(WOODS.commitments[index]), WOODS.root(size), WOODS.inclusion(index, size)
    tree.verify_inclusion(leaf, index, size, proof, root)
    wrong = [
        (flipped(leaf, bit), index, size, proof, root),
        (leaf, index, size, proof, flipped(root, bit)),
        (leaf, index, size, [*proof, bytes(32)], root),
    ]
    if proof:
        at = other % len(proof)
        wrong.append((leaf, index, size, [*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]], root))
        wrong.append((leaf, index, size, proof[:-1], root))
    if other % size != index:
        wrong.append((leaf, other % size, size, proof, root))
    for one in wrong:
        with pytest.raises(tree.ProofError):
            tree.verify_inclusion(*one)


@settings(max_examples=100)
@given(SIZES, st.integers(0), st.integers(0), st.integers(0))
def test_a_consistency_holds_for_its_two_trees_alone(new: int, old: int, bit: int, other: int) -> None:
    old %= new + 1
    roots, proof = (WOODS.root(old), WOODS.root(new)), WOODS.consistency(old, new)
    tree.verify_consistency(old, new, *roots, proof)
    wrong = [
        (old, new, flipped(roots[0], bit), roots[1], proof),
        (old, new, *roots, [*proof, bytes(32)]),
    ]
    if old:  # of the empty tree every tree is a continuation
        wrong.append((old, new, roots[0], flipped(roots[1], bit), proof))
    if proof:
        at = other % len(proof)
        wrong.append((old, new, *roots, [*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]]))
        wrong.append((old, new, *roots, proof[1:]))
    if other % new not in (old, 0):
        wrong.append((other % new, new, *roots, proof))
    for one in wrong:
        with pytest.raises(tree.ProofError):
            tree.verify_consistency(*one)


@settings(max_examples=40)
@given(SIZES, st.integers(0))
def test_a_rewritten_leaf_breaks_with_every_tree_before(size: int, index: int) -> None:
    index %= size
    rewritten = forest(0)
    for at, commitment in enumerate(WOODS.commitments):
        rewritten.add(commitment + b"!" if at == index else commitment)
    if size < WOODS.size:
        with pytest.raises(tree.ProofError):
            tree.verify_consistency(size, WOODS.size, WOODS.root(size), rewritten.root(), rewritten.consistency(size))
