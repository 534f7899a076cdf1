"""The reference vectors of Certificate Transparency (RFC 6962's tree is RFC 9162's), and what is refused."""

from __future__ import annotations

import pytest

from lachan.ledger import tree
from lachan.ledger.errors import LedgerError
from tests.support.ledger import Forest, forest

LEAVES = (
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
LEFT_1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
LEFT_2 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
RIGHT_4 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
LEAF_4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
LEFT_6 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
RIGHT_4_5 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"

INCLUSIONS = (
    (0, 1, ()),
    (0, 8, (LEFT_1, LEFT_2, RIGHT_4)),
    (5, 8, (LEAF_4, LEFT_6, ROOTS[4])),
    (2, 3, (ROOTS[2],)),
    (1, 5, (ROOTS[1], LEFT_2, LEAF_4)),
)
CONSISTENCIES = (
    (1, 1, ()),
    (1, 8, (LEFT_1, LEFT_2, RIGHT_4)),
    (6, 8, (RIGHT_4_5, LEFT_6, ROOTS[4])),
    (2, 5, (LEFT_2, LEAF_4)),
)


@pytest.fixture
def reference() -> Forest:
    made = Forest()
    for leaf in LEAVES:
        made.add(bytes.fromhex(leaf))
    return made


def test_the_roots_of_the_reference_leaves(reference: Forest) -> None:
    growing = tree.Frontier()
    assert growing.root.hex() == ROOTS[0]
    for leaf, expected in zip(LEAVES, ROOTS[1:], strict=True):
        growing.append(tree.leaf_hash(bytes.fromhex(leaf)))
        assert growing.root.hex() == expected
    assert [reference.root(size).hex() for size in range(9)] == list(ROOTS)


@pytest.mark.parametrize(("index", "size", "path"), INCLUSIONS)
def test_the_reference_inclusion_proofs(reference: Forest, index: int, size: int, path: tuple[str, ...]) -> None:
    assert [one.hex() for one in reference.inclusion(index, size)] == list(path)
    leaf = tree.leaf_hash(bytes.fromhex(LEAVES[index]))
    tree.verify_inclusion(leaf, index, size, [bytes.fromhex(one) for one in path], bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "new", "path"), CONSISTENCIES)
def test_the_reference_consistency_proofs(reference: Forest, old: int, new: int, path: tuple[str, ...]) -> None:
    assert [one.hex() for one in reference.consistency(old, new)] == list(path)
    roots = bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new])
    tree.verify_consistency(old, new, *roots, [bytes.fromhex(one) for one in path])


def test_a_frontier_goes_on_where_it_was_kept() -> None:
    whole, kept = forest(23), forest(13).frontier
    again = tree.Frontier(kept.size, kept.peaks)
    for commitment in whole.commitments[13:]:
        again.append(tree.leaf_hash(commitment))
    assert (again.size, again.root) == (23, whole.root())


@pytest.mark.parametrize(
    ("size", "peaks"), [(-1, []), (3, [bytes(32)]), (1, [bytes(31)]), (tree.MAX_SIZE + 1, [bytes(32)] * 2)]
)
def test_a_frontier_of_another_tree_is_refused(size: int, peaks: list[bytes]) -> None:
    with pytest.raises(LedgerError, match="peaks cannot be those"):
        tree.Frontier(size, peaks)


def test_what_is_no_hash_or_too_much_is_not_added() -> None:
    with pytest.raises(LedgerError, match="leaf 0 cannot be added"):
        tree.Frontier().append(b"short")
    with pytest.raises(LedgerError, match="cannot be added"):
        tree.Frontier(tree.MAX_SIZE, [bytes(32)]).append(bytes(32))


def test_no_proof_of_what_is_not_there() -> None:
    small = forest(3)
    with pytest.raises(LedgerError, match="no leaf 3 in a tree of 3"):
        small.inclusion(3)
    with pytest.raises(LedgerError, match="no tree of 4 leaves before one of 3"):
        small.consistency(4)


def test_the_longest_proofs_are_within_the_bound() -> None:
    longest = tree.inclusion_proof(lambda *_: bytes(32), 0, tree.MAX_SIZE)
    assert len(longest) == 62
    steps = tree.consistency_proof(lambda *_: bytes(32), tree.MAX_SIZE // 2 - 1, tree.MAX_SIZE)
    assert len(steps) <= tree.MAX_PROOF_HASHES


@pytest.mark.parametrize(
    ("index", "size", "proof", "reason"),
    [
        (0, 1, [bytes(32)], "too long"),
        (0, 2, [], "too short"),
        (0, 2, [bytes(32)], "not in the tree of 2"),
        (0, 2, [bytes(31)], "not 32 bytes"),
        (0, 2, [bytes(32)] * 64, "64 hashes, more than 63"),
        (2, 2, [bytes(32)], "no leaf 2"),
        (-1, 2, [bytes(32)], "no leaf -1"),
        (0, tree.MAX_SIZE + 1, [bytes(32)], "no leaf 0"),
    ],
)
def test_a_false_inclusion_says_why(index: int, size: int, proof: list[bytes], reason: str) -> None:
    with pytest.raises(tree.ProofError, match=reason):
        tree.verify_inclusion(tree.leaf_hash(b"x"), index, size, proof, bytes(32))


@pytest.mark.parametrize(
    ("old", "new", "proof", "reason"),
    [
        (0, 2, [bytes(32)], "nothing to prove"),
        (0, 2, [], "two roots of one tree of 0"),
        (2, 2, [], "two roots of one tree of 2"),
        (3, 2, [], "no tree of 3 leaves before one of 2"),
        (3, 5, [], "is empty"),
        (1, 2, [bytes(32)] * 2, "too long"),
        (3, 5, [bytes(32)] * 3, "does not begin with that of 3"),
        (3, 5, [bytes(32)] * 64, "more than 63"),
    ],
)
def test_a_false_consistency_says_why(old: int, new: int, proof: list[bytes], reason: str) -> None:
    with pytest.raises(tree.ProofError, match=reason):
        tree.verify_consistency(old, new, bytes(32), b"\1" * 32, proof)
