"""What holds of every name: the longest ones, those in other scripts, those spelled to be taken for others."""

from __future__ import annotations

import unicodedata

import idna
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from blocklist_sync.artifact import snapshot
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.names import (
    MAX_LABEL_BYTES,
    MAX_NAME_BYTES,
    NameRefusedError,
    Reason,
    canonical,
)
from blocklist_sync.artifact.records import Entry
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.log import changes
from blocklist_sync.central.rails.confusables import _ALIKE, skeleton
from blocklist_sync.central.rails.neverblock import NeverBlock, Protected
from blocklist_sync.central.rails.rails import Rails, RailSettings
from blocklist_sync.central.rails.suspects import Suspects
from tests.support.blocklist import MANDATE, built
from tests.support.packing import wire_labels

SUFFIX = ".example"
KIND = Kind(Scope.SUBTREE, False, Category.GAMBLING, MANDATE)


@st.composite
def long_names(draw: st.DrawFn) -> str:
    """A name about as long as any may be, its labels about as long as any may be."""
    left = draw(st.integers(MAX_NAME_BYTES - 6, MAX_NAME_BYTES + 3)) - len(SUFFIX)
    labels = []
    while left > 0:
        size = min(left, draw(st.sampled_from([1, 2, 30, 61, 62, MAX_LABEL_BYTES, MAX_LABEL_BYTES + 1])))
        labels.append(draw(st.sampled_from("abz9")) * size)
        left -= size + 1
    return ".".join(labels) + SUFFIX


@given(long_names())
@settings(max_examples=300)
def test_the_longest_names_go_all_the_way_and_longer_ones_nowhere(name: str) -> None:
    fits = len(name) <= MAX_NAME_BYTES and max(map(len, name.split("."))) <= MAX_LABEL_BYTES
    if not fits:
        with pytest.raises(NameRefusedError) as caught:
            canonical(name)
        assert caught.value.reason is Reason.TOO_LONG
        return
    assert canonical(name.upper() + ".") == name
    # With the root's empty label, what a packet holds (RFC 1035, section 3.1).
    assert len(b"".join(wire_labels(name))) + 1 == len(name) + 2 <= 255
    parser = changes.Parser()
    assert parser.feed(b"".join(changes.encode([(name, KIND, True)]))).names == [name]
    parent = name.partition(".")[2]
    opened = snapshot.verify(built(Entry(name, *KIND), Entry(parent, *KIND)))
    assert sorted(match.owner for match in opened.lookup(name)) == sorted([name, parent])
    assert [match.owner for match in opened.lookup("a" + name[1:-1] + "f")] == []


# Letters that registries take, of scripts whose names meet in one list.
LETTERS = st.sampled_from([*"aeioưđbcdnt", *"àảãáạằẫếệịọốớủừỹ", *"абвгдежзий", *"αβγδεζ", *"աբգդե", *"日本語", *"กขค"])
LABELS = st.lists(LETTERS, min_size=1, max_size=8).map("".join)


def accepted(text: str) -> str:
    try:
        return canonical(text)
    except NameRefusedError:
        # Too long in ASCII, as a rule.
        assume(False)
        raise


@given(st.lists(LABELS, min_size=1, max_size=3))
@settings(max_examples=300)
def test_a_name_is_one_in_whatever_way_its_letters_are_written(labels: list[str]) -> None:
    text = ".".join(labels) + SUFFIX
    name = accepted(text)
    assert name.isascii()
    assert canonical(name) == name
    for written in (
        unicodedata.normalize("NFD", text),
        text.upper(),
        text.title(),
        text.replace(".", "\N{IDEOGRAPHIC FULL STOP}") + ".",
        ".".join(idna.ulabel(label) for label in name.split(".")),
    ):
        # Some letters have no single capital: what that says is refused, or the same.
        try:
            assert canonical(written) == name
        except NameRefusedError:
            assert written != text


ALIKE = {chr(code): plain for code, plain in _ALIKE.items() if isinstance(plain, str) and len(plain) == 1}
SPOOFS = {letter: sorted(one for one, plain in ALIKE.items() if plain == letter) for letter in set(ALIKE.values())}
PLAIN = "bankcopxyseihlmw"
PROTECTED = Protected([NeverBlock(id="bank", why="why", trees=(f"{PLAIN}{SUFFIX}",))])


@given(st.data(), st.sampled_from(["", "www.", "a.b."]))
@settings(max_examples=300)
def test_a_name_spelled_to_be_taken_for_another_is_found(data: st.DataObject, below: str) -> None:
    spelled = ""
    for letter in PLAIN:
        spoof = data.draw(st.sampled_from([letter, letter, *SPOOFS.get(letter, [])]))
        # A mark above or below is no other letter to whoever reads quickly.
        spelled += spoof + data.draw(st.sampled_from(["", "", "", "\N{COMBINING ACUTE ACCENT}"]))
    name = accepted(f"{below}{spelled}{SUFFIX}")
    assume("xn--" in name)
    assert skeleton(name) == skeleton(f"{below}{PLAIN}{SUFFIX}")
    assert PROTECTED.looks_like(name) == f"{PLAIN}{SUFFIX}"
    # No filter ahead of the rails lets it through.
    assert Suspects(Rails(RailSettings(), PROTECTED)).among([name, f"other{SUFFIX}"]) == {name}
    assert PROTECTED.looks_like(f"{below}{PLAIN}{SUFFIX}") is None
