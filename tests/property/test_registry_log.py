"""What holds of every set of changes and of every log, whatever is done to its bytes."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central import canonical
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import changes, proposals, verifier
from blocklist_sync.central.log.approvals import LogError
from blocklist_sync.central.log.changes import Parser
from blocklist_sync.central.log.verifier import verify_log
from tests.support.registry import DELEGATED, EDITOR, FIRST, SECOND, approval, founded, proposal

LABELS = st.from_regex(r"[a-z0-9_](?:[a-z0-9_-]{0,5}[a-z0-9_])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=2, max_size=4).map(".".join)
KINDS = st.builds(
    Kind,
    st.sampled_from(Scope),
    st.booleans(),
    st.sampled_from(Category),
    st.builds(Order, st.sampled_from(["1/QĐ", "2/QĐ", "10"]), st.booleans()),
)
SETS = st.dictionaries(st.tuples(NAMES, KINDS), st.booleans(), max_size=40)


@given(SETS, st.randoms(use_true_random=False), st.integers(1, 9), st.integers(1, 64))
def test_a_set_of_changes_goes_through_its_text(
    wanted: dict[tuple[str, Kind], bool], random: Any, at_once: int, block: int
) -> None:
    lines = [(name, kind, added) for (name, kind), added in wanted.items()]
    data = b"".join(changes.encode(lines, at_once))
    random.shuffle(lines)
    assert b"".join(changes.encode(lines)) == data
    parser = Parser()
    found = [change for at in range(0, len(data), block) for change in parser.feed(data[at : at + block]).changes()]
    assert {(change.name, parser.kinds[change.kind]): change.added for change in found} == wanted
    summary = parser.close()
    assert (summary.added, summary.removed) == (sum(wanted.values()), len(wanted) - sum(wanted.values()))


@given(SETS, st.data())
def test_bytes_that_are_accepted_are_the_one_text(wanted: dict[tuple[str, Kind], bool], data: st.DataObject) -> None:
    text = bytearray(b"".join(changes.encode((name, kind, added) for (name, kind), added in wanted.items())))
    at = data.draw(st.integers(0, len(text) - 1))
    text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    parser = Parser()
    with contextlib.suppress(CentralError):
        found = parser.feed(bytes(text)).changes()
        parser.close()
        again = changes.encode((change.name, parser.kinds[change.kind], change.added) for change in found)
        assert b"".join(again) == bytes(text)


ONE, TWO = proposal(), proposal(number=2)
BOOK = founded().decide(ONE, EDITOR, approval(ONE, FIRST)).decide(TWO, EDITOR, approval(TWO, SECOND))
HEAD = verify_log(BOOK.steps, DELEGATED).head


@settings(max_examples=200)
@given(st.permutations(range(6)), st.integers(0, 6))
def test_a_log_of_other_steps_is_refused_or_a_beginning(order: list[int], length: int) -> None:
    steps = [BOOK.steps[at] for at in order[:length]]
    if steps == BOOK.steps[:length]:
        assert verify_log(steps, DELEGATED).length == length
    else:
        with pytest.raises(LogError):
            verify_log(steps, DELEGATED)


@settings(max_examples=300)
@given(st.integers(0, 5), st.data())
def test_a_changed_byte_shows(step: int, data: st.DataObject) -> None:
    steps = list(BOOK.steps)
    changed = bytearray(steps[step])
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != changed[at]))
    steps[step] = bytes(changed)
    # What no signature covers is the chain: a log of another chain has another head.
    try:
        log = verify_log(steps, DELEGATED)
    except CentralError:
        return
    assert log.head != HEAD


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(found for key, held in inner for found in places(held, (*place, key)))]


@settings(max_examples=300)
@given(st.sampled_from([0, 4]), VALUES, st.data())
def test_whatever_a_step_holds_it_is_taken_or_refused(step: int, value: Any, data: st.DataObject) -> None:
    document = json.loads(BOOK.steps[step])
    *way, last = data.draw(st.sampled_from(places(document)[1:]))
    inside = document
    for key in way:
        inside = inside[key]
    inside[last] = value
    book = verifier.Verifier(DELEGATED)
    for taken in BOOK.steps[:step]:
        book.add(taken)
    with contextlib.suppress(CentralError):
        book.add(json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
        # Only the very same value in the same place leaves the signatures whole.
        assert document == json.loads(BOOK.steps[step])


@given(VALUES)
def test_canonical_json_has_one_form(value: Any) -> None:
    with contextlib.suppress(CentralError):
        data = canonical.encode(value)
        assert canonical.encode(canonical.parse(data)) == data


@given(VALUES)
def test_a_header_is_a_proposal_or_refused(value: Any) -> None:
    with contextlib.suppress(CentralError):
        proposals.build({**ONE.document(), "order": value})
    with contextlib.suppress(CentralError):
        proposals.build(value)
