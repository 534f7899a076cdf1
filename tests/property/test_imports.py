"""What holds of every import: it brings the list to what the source says, once, and no rail looks away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.records import Entry
from blocklist_sync.artifact.rules import Match, Rule, Scope, decide
from blocklist_sync.central.diff import Change, Counts, compare
from blocklist_sync.central.entries import Kind, kind_rank
from blocklist_sync.central.intake.formats import Refusal
from blocklist_sync.central.intake.imports import Terms, Wanted
from blocklist_sync.central.log import changes
from blocklist_sync.central.rails.neverblock import NeverBlock, Protected, Severity
from blocklist_sync.central.rails.rails import Rails, RailSettings
from blocklist_sync.central.rails.screening import check
from blocklist_sync.central.rails.survey import Survey
from blocklist_sync.central.runs import Runs
from tests.support.blocklist import MANDATE, OFFER
from tests.support.rpz import owners_of, zone_of

NAMES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map(lambda way: ".".join([*way, "example"]))
KINDS = st.builds(
    Kind,
    st.sampled_from(Scope),
    st.booleans(),
    st.sampled_from([Category.GAMBLING, Category.SCAM]),
    st.sampled_from([MANDATE, OFFER]),
)
Listed = set[tuple[str, Kind]]
LISTS = st.sets(st.tuples(NAMES, KINDS), max_size=20)


def in_order(entries: Listed) -> list[tuple[str, Kind]]:
    return sorted(entries, key=lambda entry: (entry[0], kind_rank(entry[1])))


def difference(held: Listed, wanted: Listed, *, replace: bool) -> tuple[list[Change], Counts]:
    counts = Counts()
    belongs = (lambda kind: kind.order == MANDATE) if replace else None
    return list(compare(in_order(held), in_order(wanted), belongs, counts)), counts


def landed(held: Listed, found: list[Change]) -> Listed:
    after = set(held)
    for name, kind, added in found:
        assert ((name, kind) in after) != added
        (after.add if added else after.remove)((name, kind))
    return after


@given(LISTS, LISTS, st.booleans())
@settings(max_examples=300)
def test_a_difference_brings_one_list_to_the_other(held: Listed, wanted: Listed, replace: bool) -> None:
    found, counts = difference(held, wanted, replace=replace)
    after = landed(held, found)
    theirs = {(name, kind) for name, kind in held if not (replace and kind.order == MANDATE)}
    assert after == wanted | theirs
    # The same again is nothing.
    assert difference(after, wanted, replace=replace)[0] == []
    names, before = {name for name, _ in after}, {name for name, _ in held}
    assert counts.added == len(names - before)
    assert counts.removed == len(before - names)
    touched = {change.name for change in found}
    assert counts.added + counts.removed + counts.changed == len(touched)


@given(LISTS, LISTS)
@settings(max_examples=60)
def test_changes_are_written_as_they_were_found(held: Listed, wanted: Listed) -> None:
    found, _ = difference(held, wanted, replace=True)
    with tempfile.TemporaryDirectory() as folder:
        summary = changes.write(Path(folder) / "changes", found)
        with (Path(folder) / "changes").open("rb") as file:
            reader = changes.Reader(file, "changes")
            read = [Change(name, reader.kinds[number], added) for name, number, added in reader]
    assert read == found
    assert summary.added + summary.removed == len(found)


@given(st.lists(st.tuples(NAMES, st.booleans()), min_size=1, max_size=20), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_the_order_of_lines_says_nothing(rows: list[tuple[str, bool]], random: object) -> None:
    def entries(lines: list[tuple[str, bool]], at_once: int) -> list[tuple[str, Kind]]:
        text = "\n".join(f"{'@@' if lifted else ''}||{name.upper()}^" for name, lifted in lines)
        with tempfile.TemporaryDirectory() as folder, Runs(at_once) as runs:
            (Path(folder) / "source").write_text(text)
            wanted = Wanted(Terms(Category.SCAM, "1", True), print, runs)
            wanted.read(Path(folder) / "source")
            return list(wanted)

    mixed = list(rows)
    random.shuffle(mixed)  # type: ignore[attr-defined]  # a Random
    found = entries(rows, 1000)
    assert found == entries(mixed, 3)
    assert {(name, kind.exception) for name, kind in found} == set(rows)
    assert [name for name, _ in found] == sorted(name for name, _ in found)


SETS = st.lists(
    st.builds(
        NeverBlock,
        id=st.sampled_from(["one", "two"]),
        why=st.just("why"),
        severity=st.sampled_from(Severity),
        trees=st.lists(NAMES, max_size=2).map(tuple),
        names=st.lists(NAMES, max_size=2).map(tuple),
    ),
    max_size=3,
)


@given(SETS, NAMES, st.booleans())
@settings(max_examples=300)
def test_what_a_block_hurts_is_what_comparing_strings_finds(sets: list[NeverBlock], name: str, subtree: bool) -> None:
    def hurts(one: NeverBlock) -> bool:
        return (
            name in one.names
            or any(name == tree or name.endswith(f".{tree}") for tree in one.trees)
            or (subtree and any(other.endswith(f".{name}") for other in (*one.names, *one.trees)))
        )

    found = Protected(sets).set_of(name, subtree)
    assert (found is not None) == any(map(hurts, sets))
    assert found is None or hurts(found)


@given(SETS, LISTS, LISTS, LISTS)
@settings(max_examples=100)
def test_rails_find_no_less_in_more(sets: list[NeverBlock], held: Listed, some: Listed, more: Listed) -> None:
    survey = Survey()
    list(survey.watch(in_order(held)))
    rails = Rails(RailSettings(), Protected(sets))

    def names(entries: Listed) -> set[tuple[str, Severity]]:
        found = check([Change(*entry, True) for entry in in_order(entries)], survey.state(), rails)
        assert found == check([Change(*entry, True) for entry in in_order(entries)], survey.state(), rails)
        return {(finding.rail, finding.severity) for finding in found if finding.rail.startswith("never-block")}

    assert names(some) <= names(some | more)
    # What goes hurts nobody.
    gone = check([Change(*entry, False) for entry in in_order(some)], survey.state(), rails)
    assert not [finding for finding in gone if finding.rail.startswith("never-block")]


ENTRIES = st.lists(
    st.builds(Entry, NAMES, st.sampled_from(Scope), st.booleans(), st.just(Category.GAMBLING), st.just(MANDATE)),
    min_size=1,
    max_size=8,
    unique=True,
)


def blocked(entries: Iterable[Entry], qname: str) -> bool:
    matches = []
    for name, scope, exception, category, _ in entries:
        if qname == name or (scope is Scope.SUBTREE and qname.endswith(f".{name}")):
            rule = Rule(scope, exception, False, category, True, 0)
            matches.append(Match(name, name.count(".") + 1, rule))
    return decide(matches, set()) is not None


@given(ENTRIES, st.lists(NAMES, min_size=1, max_size=20))
@settings(max_examples=150)
def test_a_zone_of_ours_comes_back_as_the_list_it_was_made_of(listed: list[Entry], asked: list[str]) -> None:
    refused: list[Refusal] = []
    with tempfile.TemporaryDirectory() as folder, Runs() as runs:
        text, _, left_out = zone_of(owners_of(listed, frozenset(), Path(folder)))
        assert left_out == []
        (Path(folder) / "zone").write_text(text)
        wanted = Wanted(Terms(Category.GAMBLING, MANDATE.text, True), refused.append, runs)
        wanted.read(Path(folder) / "zone")
        back = [Entry(name, *kind) for name, kind in wanted]
    # The zone tells its serial beside its rules.
    refused = [refusal for refusal in refused if " TXT " not in refusal.text]
    assert not refused or any(one.exception for one in listed)
    for qname in [*asked, *(one.name for one in listed)]:
        # What cannot be said by an entry is refused, and so at most too little is blocked.
        same = blocked(back, qname) == blocked(listed, qname)
        assert same or (refused and not blocked(back, qname)), (text, refused, qname)
