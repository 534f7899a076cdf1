"""An hour's counts per listed name, committed to by one root, and opened name by name.

The tree is RFC 9162's (2.1.1) over 2^depth buckets. A rule stands in the bucket that the first `depth` bits of its
fingerprint name, as 40 bytes: fingerprint and SHA-256 over salt, fingerprint and count. Every rule of the list stands
there, counted or not, so that a bucket tells which rules the list has and nothing about their counts.

Holds always: for one root a fingerprint has one place, so that nobody can commit to two counts of a name and choose
between them later; what was not opened cannot be guessed, for each count has a salt of its own.
"""

from __future__ import annotations

import hashlib
import hmac
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lachan.errors import LachanError
from lachan.ledger.tree import leaf_hash, node_hash

BEYOND = 0
"""The fingerprint under which hits stand that could not be told apart by name."""
ENTRY_BYTES = 40
SALT_BYTES = 16
HASH_BYTES = 32
KEY_BYTES = 32
BUCKET_RULES = 8
"""Rules a bucket on average."""
MAX_BUCKET_RULES = 256
MAX_DEPTH = 24
MAX_COUNT = (1 << 64) - 1

_DOMAIN = b"lachan/rule-count/v1\0"


class RuleCountError(LachanError):
    """What was opened is not what was committed to."""


@dataclass(frozen=True)
class Opened:
    """A rule's count and what its seal was made of."""

    fingerprint: int
    count: int
    salt: bytes


@dataclass(frozen=True)
class Bucket:
    """A bucket with its way to the root."""

    position: int
    entries: bytes
    path: tuple[bytes, ...]


def seal(salt: bytes, fingerprint: int, count: int) -> bytes:
    """What stands in a bucket for a count."""
    return hashlib.sha256(_DOMAIN + salt + fingerprint.to_bytes(8, "big") + count.to_bytes(8, "big")).digest()


def depth_for(rules: int) -> int:
    """The depth of a tree of so many rules."""
    return min(MAX_DEPTH, max(0, (rules - 1) // BUCKET_RULES).bit_length())


def place(fingerprint: int, depth: int) -> int:
    """The bucket in which a rule stands."""
    return fingerprint >> (64 - depth)


class Counted:
    """An hour's counts, as the node keeps them."""

    def __init__(self, key: bytes, counts: Mapping[int, int], rules: Sequence[int]) -> None:
        """Arranges them.

        Args:
            key: 32 bytes from the system's random source, for this hour alone; salts are drawn from it.
            counts: Hits by fingerprint; a rule that is not here has none.
            rules: Fingerprints of the list's rules, sorted, none twice.
        """
        self._key = key
        self._counts = counts
        known = array("Q", rules)
        for one in sorted({BEYOND, *counts}):
            place_of = bisect_left(known, one)
            if place_of == len(known) or known[place_of] != one:
                known.insert(place_of, one)
        self._rules = known
        self.depth = depth_for(len(known))

    def _salt(self, name: bytes) -> bytes:
        # Inputs of one length under a secret key: a plain hash is a random function here.
        return hashlib.sha256(self._key + name).digest()[:SALT_BYTES]

    def _buckets(self) -> Iterator[bytes]:
        shift, sha256, key, counts = 64 - self.depth, hashlib.sha256, self._key, self._counts
        position, entries = 0, bytearray()
        for fingerprint in self._rules:
            while fingerprint >> shift != position:
                yield bytes(entries)
                position, entries = position + 1, bytearray()
            name = fingerprint.to_bytes(8, "big")
            count = counts.get(fingerprint, 0).to_bytes(8, "big")
            entries += name
            entries += sha256(_DOMAIN + sha256(key + name).digest()[:SALT_BYTES] + name + count).digest()
        yield bytes(entries)
        for _ in range(position + 1, 1 << self.depth):
            yield b""

    def root(self) -> bytes:
        """The root, 32 bytes. Takes one to three seconds a million rules."""
        level = [leaf_hash(bucket) for bucket in self._buckets()]
        while len(level) > 1:
            level = [node_hash(a, b) for a, b in zip(level[::2], level[1::2], strict=True)]
        return level[0]

    def open(self, fingerprints: Sequence[int]) -> tuple[list[Bucket], list[Opened]]:
        """The buckets of some rules, and the counts of those that stand in them. As long as `root`."""
        wanted = {place(fingerprint, self.depth) for fingerprint in fingerprints}
        found: dict[int, bytes] = {}
        level = []
        for position, bucket in enumerate(self._buckets()):
            if position in wanted:
                found[position] = bucket
            level.append(leaf_hash(bucket))
        paths: dict[int, list[bytes]] = {position: [] for position in found}
        for height in range(self.depth):
            for position, path in paths.items():
                path.append(level[position >> height ^ 1])
            level = [node_hash(a, b) for a, b in zip(level[::2], level[1::2], strict=True)]
        buckets = [Bucket(position, found[position], tuple(paths[position])) for position in sorted(found)]
        standing = {fingerprint for bucket in buckets for fingerprint, _ in entries_of(bucket.entries)}
        opened = [
            Opened(one, self._counts.get(one, 0), self._salt(one.to_bytes(8, "big")))
            for one in sorted(set(fingerprints) & standing)
        ]
        return buckets, opened


def entries_of(bucket: bytes) -> list[tuple[int, bytes]]:
    """Fingerprints and seals in a bucket.

    Raises:
        RuleCountError: It is none, or too large.
    """
    if len(bucket) % ENTRY_BYTES or len(bucket) > MAX_BUCKET_RULES * ENTRY_BYTES:
        raise RuleCountError(f"a bucket of {len(bucket)} bytes")
    return [
        (int.from_bytes(bucket[at : at + 8], "big"), bucket[at + 8 : at + ENTRY_BYTES])
        for at in range(0, len(bucket), ENTRY_BYTES)
    ]


def _check_path(bucket: Bucket, root: bytes) -> None:
    depth = len(bucket.path)
    if depth > MAX_DEPTH or not 0 <= bucket.position < 1 << depth:
        raise RuleCountError(f"bucket {bucket.position}: no place in a tree of depth {depth}")
    if any(len(one) != HASH_BYTES for one in bucket.path):
        raise RuleCountError(f"bucket {bucket.position}: a hash has {HASH_BYTES} bytes")
    value = leaf_hash(bucket.entries)
    for height, sibling in enumerate(bucket.path):
        value = node_hash(sibling, value) if bucket.position >> height & 1 else node_hash(value, sibling)
    if not hmac.compare_digest(value, root):
        raise RuleCountError(f"bucket {bucket.position}: does not lead to the root that was committed to")


def verify(
    root: bytes, asked: Sequence[int], buckets: Sequence[Bucket], opened: Sequence[Opened]
) -> dict[int, int | None]:
    """The committed counts of the rules that were asked; None for a rule that the committed list does not have.

    Args:
        root: What the node committed to.
        asked: Fingerprints.
        buckets: As the node opened them.
        opened: Counts and salts, likewise.

    Raises:
        RuleCountError: A rule that was asked is not opened, or something is not what was committed to.
    """
    seals: dict[int, bytes] = {}
    covered: set[tuple[int, int]] = set()
    for bucket in buckets:
        entries = entries_of(bucket.entries)
        _check_path(bucket, root)
        depth = len(bucket.path)
        covered.add((depth, bucket.position))
        for fingerprint, sealed in entries:
            if place(fingerprint, depth) != bucket.position:
                raise RuleCountError(f"rule {fingerprint:016x} stands in a bucket that is not its own")
            if seals.setdefault(fingerprint, sealed) != sealed or len(entries) != len({one for one, _ in entries}):
                raise RuleCountError(f"rule {fingerprint:016x} stands there twice")
    depths = {depth for depth, _ in covered}
    counts = {one.fingerprint: one for one in opened}
    found: dict[int, int | None] = {}
    for fingerprint in asked:
        if not any((depth, place(fingerprint, depth)) in covered for depth in depths):
            raise RuleCountError(f"the bucket of rule {fingerprint:016x} is not opened")
        if fingerprint not in seals:
            found[fingerprint] = None
            continue
        one = counts.get(fingerprint)
        if one is None:
            raise RuleCountError(f"the count of rule {fingerprint:016x} is not opened")
        if len(one.salt) != SALT_BYTES or not 0 <= one.count <= MAX_COUNT:
            raise RuleCountError(f"rule {fingerprint:016x}: its salt or count is out of bounds")
        if not hmac.compare_digest(seal(one.salt, fingerprint, one.count), seals[fingerprint]):
            raise RuleCountError(f"rule {fingerprint:016x}: {one.count} is not what was committed to")
        found[fingerprint] = one.count
    return found
