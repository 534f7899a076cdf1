"""What holds of every list, every name and every sequence of bytes."""

from __future__ import annotations

import contextlib
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from blocklist_sync.artifact import _snapshot, names, records, snapshot
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.errors import ArtifactError, RecordsError
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.records import Entry
from blocklist_sync.artifact.rules import Match, Rule, Scope, decide
from tests.support.blocklist import KEY, MANDATE, OFFER, built, release
from tests.support.packing import encode as plainly
from tests.support.packing import wire_labels
from tests.support.siphash import siphash

# Few labels, so that names meet one another's suffixes often.
LISTED = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map(lambda way: ".".join([*way, "example"]))
ORDERS = st.sampled_from([MANDATE, OFFER, Order("56/CV", mandated=True)])
CATEGORIES = st.sampled_from([Category.CSAM, Category.GAMBLING, Category.SCAM])
ENTRIES = st.lists(
    st.builds(Entry, LISTED, st.sampled_from(Scope), st.booleans(), CATEGORIES, ORDERS), max_size=25, unique=True
)


def naive(entries: list[Entry], qname: str, orders: tuple[Order, ...]) -> list[Match]:
    """Every rule a name meets, by comparing strings."""
    found = []
    for listed in entries:
        below = qname.endswith("." + listed.name)
        if qname == listed.name or (below and listed.scope is Scope.SUBTREE):
            shadowed = listed.scope is Scope.SUBTREE and not listed.exception
            rule = Rule(
                listed.scope,
                listed.exception,
                shadowed
                and any(
                    other.exception and other.category is listed.category and other.name.endswith("." + listed.name)
                    for other in entries
                ),
                listed.category,
                listed.mandated,
                orders.index(listed.order),
            )
            found.append(Match(listed.name, listed.name.count(".") + 1, rule))
    return found


@given(ENTRIES, LISTED, st.sets(CATEGORIES))
@settings(max_examples=400)
def test_the_compiled_lookup_finds_what_comparing_strings_finds(
    entries: list[Entry], qname: str, wanted: set[Category]
) -> None:
    opened = snapshot.verify(built(*entries))
    found, expected = opened.lookup(qname), naive(entries, qname, opened.orders)
    assert sorted(map(repr, found)) == sorted(map(repr, expected))
    assert decide(found, wanted) == decide(expected, wanted)


@given(ENTRIES, LISTED, st.sets(CATEGORIES))
@settings(max_examples=200)
def test_a_rule_out_of_force_never_weakens_what_is_mandated(
    entries: list[Entry], qname: str, wanted: set[Category]
) -> None:
    mandated = [listed for listed in entries if listed.mandated]
    verdict = decide(snapshot.Snapshot(built(*mandated)).lookup(qname), set())
    with_all = decide(snapshot.Snapshot(built(*entries)).lookup(qname), wanted)
    assert verdict is None or (with_all is not None and with_all.rule.mandated)


@given(ENTRIES, st.lists(LISTED, max_size=8), st.binary(min_size=16, max_size=16), st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_the_compiled_packer_packs_what_plain_python_packs(
    entries: list[Entry], names_more: list[str], key: bytes, source: Random
) -> None:
    more = [source.choice(entries)._replace(name=name) for name in names_more if entries]
    under = records.FingerprintKey(3, key)
    assert records.encode(iter(entries + more), 2, under) == plainly(entries + more, 2, under)


@given(st.lists(st.binary(max_size=80), max_size=6), st.binary(min_size=16, max_size=16))
@settings(max_examples=300)
def test_the_compiled_hash_is_the_oracles(chunks: list[bytes], key: bytes) -> None:
    assert _snapshot.siphash(key, chunks) == siphash(key, b"".join(chunks))


@given(st.one_of(st.text(max_size=80), st.from_regex(r"[A-Za-z0-9_-]{1,8}(\.[a-zßéđ-]{1,6}){0,3}\.?", fullmatch=True)))
@settings(max_examples=500)
def test_a_canonical_name_is_its_own_canonical_form(text: str) -> None:
    with contextlib.suppress(names.NameRefusedError):
        name = names.canonical(text)
        assert names.canonical(name) == name
        assert names.canonical(name.upper() + ".") == name
        assert len(b"".join(wire_labels(name))) + 1 <= 255


@given(ENTRIES, st.data())
@settings(max_examples=300)
def test_a_mutated_release_is_refused_or_says_something_else(entries: list[Entry], data: st.DataObject) -> None:
    good = records.encode(entries, 1, KEY)
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    # Most mutations are refused; what is accepted is a release of its own, and its snapshot is sound.
    with contextlib.suppress(RecordsError):
        parsed = records.parse(bad)
        assert parsed.digest != release(*entries).digest
        opened = snapshot.verify(snapshot.build(parsed))
        for listed in entries:
            opened.lookup(listed.name)


@given(st.binary(max_size=400))
@settings(max_examples=300)
def test_noise_is_no_release_and_no_snapshot(data: bytes) -> None:
    for read in (records.parse, snapshot.Snapshot, snapshot.verify):
        with contextlib.suppress(ArtifactError):
            read(data)
            raise AssertionError
