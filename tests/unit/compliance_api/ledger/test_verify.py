"""Who cheats with a pack, and by which name the verifier calls it.

The cheat may hold the log's key and write every file of the pack; what they lack is a quorum of the witnesses' keys
and the checkpoint that others have pinned.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from compliance_api.ledger import outcome as outcomes
from compliance_api.ledger import pack, verify
from compliance_api.ledger.outcome import Flaw, Outcome
from compliance_api.ledger.verify import TOLERANCE_S
from lachan.ledger.errors import LedgerError
from lachan.ledger.leaf import Kind
from lachan.ledger.note import Note
from tests.support.ledger import NOON, ORIGIN, Book, Parties

PARTIES = Parties()
LATER = NOON + 86_400
PINNED, HEAD = 8, 20
LEAVES = [2, *range(9, 15)]
LAW = 2


def book_of(law_at: int = LAW, parties: Parties = PARTIES) -> Book:
    made = Book(parties)
    for number in range(HEAD):
        if number == law_at:
            made.enter(Kind.LAW, b'{"deadline_hours":24}')
        else:
            made.enter(Kind.OBSERVATION, b'{"name":"bad%d.example","answer":"not_blocked"}' % number)
    return made


BOOK = book_of()
FILES = BOOK.files(LEAVES, [PINNED, HEAD])


def judged(tmp_path: Path, files: dict[str, bytes], pinned: Note | None = None) -> Outcome:
    pack.write(tmp_path, files.items())
    return verify.verify(tmp_path, PARTIES.policy, pinned or BOOK.head(PINNED), LATER)


def named(outcome: Outcome) -> list[tuple[Flaw, str]]:
    assert not outcome.holds
    return [(one.flaw, one.place) for one in outcome.problems]


def test_an_honest_pack_holds(tmp_path: Path) -> None:
    outcome = judged(tmp_path, FILES)
    assert outcome.problems == []
    assert outcome.holds
    assert (outcome.origin, outcome.opened, outcome.hidden) == (ORIGIN, len(LEAVES), 0)
    assert outcome.head is not None
    assert outcome.head.checkpoint.size == HEAD


def test_an_honest_pack_holds_with_nothing_pinned(tmp_path: Path) -> None:
    pack.write(tmp_path, FILES.items())
    assert verify.verify(tmp_path, PARTIES.policy, None, LATER).holds


def test_it_holds_when_contents_are_erased(tmp_path: Path) -> None:
    outcome = judged(tmp_path, BOOK.files(LEAVES, [PINNED, HEAD], erased=[9, 12]))
    assert outcome.holds
    assert (outcome.opened, outcome.hidden) == (len(LEAVES) - 2, 2)


def test_an_edited_row_is_named(tmp_path: Path) -> None:
    content = FILES[pack.content_name(10)].replace(b"not_blocked", b"blocked")
    outcome = judged(tmp_path, {**FILES, pack.content_name(10): content})
    assert named(outcome) == [(Flaw.EDITED, pack.leaf_name(10))]
    assert outcome.opened == len(LEAVES) - 1


def test_an_edited_row_with_a_new_commitment_is_named(tmp_path: Path) -> None:
    opening = replace(BOOK.openings[10], content=b'{"answer":"blocked"}')
    leaf = pack.Leaf.of(opening.commitment, BOOK.woods.inclusion(10), opening)
    files = {**FILES, pack.leaf_name(10): leaf.encode(), pack.content_name(10): opening.content}
    assert named(judged(tmp_path, files)) == [(Flaw.NOT_INCLUDED, pack.leaf_name(10))]


def test_a_row_edited_in_the_ledger_itself_is_named(tmp_path: Path) -> None:
    other = book_of()
    other.woods, other.openings = Book(PARTIES).woods, []
    for number, opening in enumerate(BOOK.openings):
        other.enter(opening.kind, b'{"answer":"blocked"}' if number == 3 else opening.content)
    # The pinned checkpoint is as it was; the new head's tree is another one.
    files = other.files(LEAVES, [PINNED, HEAD]) | {pack.checkpoint_name(PINNED): FILES[pack.checkpoint_name(PINNED)]}
    assert named(judged(tmp_path, files)) == [(Flaw.REWRITTEN, pack.consistency_name(PINNED, HEAD))]


def test_a_dropped_observation_is_named(tmp_path: Path) -> None:
    files = {name: data for name, data in FILES.items() if name not in (pack.leaf_name(11), pack.content_name(11))}
    assert named(judged(tmp_path, files)) == [(Flaw.DROPPED, pack.leaf_name(11))]


def test_an_observation_that_moved_up_to_hide_a_gap_is_named(tmp_path: Path) -> None:
    files = {**FILES}
    for name in (pack.leaf_name, pack.content_name):
        files[name(11)] = files[name(12)]
    assert named(judged(tmp_path, files)) == [(Flaw.NOT_INCLUDED, pack.leaf_name(11))]


def test_a_backdated_law_is_named(tmp_path: Path) -> None:
    other = Book(PARTIES)
    for number, opening in enumerate(BOOK.openings):
        law = number == 12
        other.enter(Kind.LAW if law else opening.kind, opening.content, NOON - 86_400 if law else None)
    files = other.files([LAW, *range(9, 15)], [PINNED, HEAD])
    assert named(judged(tmp_path, files, other.head(PINNED)))[0] == (Flaw.BACKDATED, pack.leaf_name(12))


def test_a_law_backdated_within_the_tolerance_stands_behind_what_came_before(tmp_path: Path) -> None:
    other = Book(PARTIES)
    for number, opening in enumerate(BOOK.openings):
        other.enter(opening.kind, opening.content, NOON + 60 * 9 if number == 12 else None)
    outcome = judged(tmp_path, other.files(LEAVES, [PINNED, HEAD]), other.head(PINNED))
    assert named(outcome) == [(Flaw.BACKDATED, pack.leaf_name(12))]
    assert "120 s before a leaf in front of it" in str(outcome.problems[0])


def test_one_witness_who_lies_with_the_log_makes_no_room_for_a_backdated_law(tmp_path: Path) -> None:
    other = Book(PARTIES)
    for number, opening in enumerate(BOOK.openings):
        other.enter(opening.kind, opening.content, NOON - 86_400 if number == 9 else None)
    lying = PARTIES.head(PINNED, other.woods.root(PINNED), {"w1": NOON - 2 * 86_400, "w2": NOON + 60 * PINNED})
    files = other.files([9], [PINNED, HEAD]) | {pack.checkpoint_name(PINNED): lying.encode()}
    assert named(judged(tmp_path, files, lying)) == [(Flaw.BACKDATED, pack.leaf_name(9))]


def test_a_leaf_from_the_future_is_named(tmp_path: Path) -> None:
    other = Book(PARTIES)
    for number, opening in enumerate(BOOK.openings):
        late = NOON + 60 * HEAD + TOLERANCE_S if number == HEAD - 1 else None
        other.enter(opening.kind, opening.content, late)
    outcome = judged(tmp_path, other.files([HEAD - 1], [PINNED, HEAD]), other.head(PINNED))
    assert named(outcome) == [(Flaw.POSTDATED, pack.leaf_name(HEAD - 1))]


def test_a_split_view_is_named(tmp_path: Path) -> None:
    # A quorum of witnesses was won over, or their keys taken; what remains is the checkpoint that somebody kept.
    other = book_of(law_at=0)
    outcome = judged(tmp_path, other.files(LEAVES, [PINNED, HEAD]))
    assert named(outcome) == [(Flaw.SPLIT_VIEW, pack.checkpoint_name(PINNED))]


def test_a_pack_that_goes_around_the_pinned_checkpoint_is_named(tmp_path: Path) -> None:
    assert named(judged(tmp_path, BOOK.files(LEAVES, [5, HEAD]))) == [(Flaw.UNPINNED, "pinned")]


def test_a_pinned_checkpoint_is_not_believed_unseen(tmp_path: Path) -> None:
    assert named(judged(tmp_path, FILES, Parties().head(PINNED, BOOK.woods.root(PINNED), {}))) == [
        (Flaw.CHECKPOINT, "pinned")
    ]


def test_the_key_of_the_log_alone_makes_no_head(tmp_path: Path) -> None:
    signed = PARTIES.head(HEAD, BOOK.woods.root(), {"w3": LATER}).encode()
    outcome = judged(tmp_path, {**FILES, pack.checkpoint_name(HEAD): signed})
    assert named(outcome)[0] == (Flaw.CHECKPOINT, pack.checkpoint_name(HEAD))
    assert "cosigned by w3, which is not 2 of w1, w2, w3" in str(outcome.problems[0])


def test_keys_of_others_make_nothing(tmp_path: Path) -> None:
    forged = book_of(parties=Parties()).files(LEAVES, [PINNED, HEAD])
    flaws = {flaw for flaw, _ in named(judged(tmp_path, forged))}
    assert flaws == {Flaw.CHECKPOINT, Flaw.UNPINNED}


def test_a_checkpoint_of_another_log_or_size_is_named(tmp_path: Path) -> None:
    files = {**FILES, pack.checkpoint_name(7): BOOK.head(6).encode()}
    assert (Flaw.CHECKPOINT, pack.checkpoint_name(7)) in named(judged(tmp_path / "size", files))
    contents = FILES[pack.CONTENTS].replace(ORIGIN.encode(), b"log.example/other")
    outcome = judged(tmp_path / "log", {**FILES, pack.CONTENTS: contents})
    assert (Flaw.CHECKPOINT, pack.checkpoint_name(HEAD)) in named(outcome)


@pytest.mark.parametrize(
    ("name", "data", "flaw"),
    [
        (pack.checkpoint_name(HEAD), None, Flaw.NOT_INCLUDED),
        (pack.consistency_name(PINNED, HEAD), None, Flaw.FILE),
        (pack.consistency_name(PINNED, HEAD), b"AAAA\n", Flaw.FILE),
        (pack.content_name(9), None, Flaw.FILE),
        (pack.leaf_name(9), b"{}\n", Flaw.FILE),
        (pack.leaf_name(99), b"{}\n", Flaw.FILE),
        (pack.CONTENTS, None, Flaw.FILE),
        (pack.CONTENTS, b"[]", Flaw.FILE),
        (pack.checkpoint_name(9), b"none", Flaw.CHECKPOINT),
    ],
)
def test_what_is_missing_or_no_such_file_is_named(tmp_path: Path, name: str, data: bytes | None, flaw: Flaw) -> None:
    files = {**FILES, name: data or b""}
    if data is None:
        del files[name]
    assert flaw in [one for one, _ in named(judged(tmp_path, files))]


def test_no_checkpoint_at_all_is_named(tmp_path: Path) -> None:
    files = {name: data for name, data in FILES.items() if not name.startswith(pack.CHECKPOINTS)}
    assert named(judged(tmp_path, files))[0] == (Flaw.CHECKPOINT, pack.CHECKPOINTS)


def test_the_content_of_a_hidden_leaf_is_named(tmp_path: Path) -> None:
    files = BOOK.files(LEAVES, [PINNED, HEAD], erased=[9]) | {pack.content_name(9): b"{}"}
    assert named(judged(tmp_path, files)) == [(Flaw.FILE, pack.content_name(9))]


def test_two_leaves_of_a_kind_that_change_places_are_named(tmp_path: Path) -> None:
    first, second = LEAVES[1], LEAVES[2]
    swapped = dict(FILES)
    for of in (pack.leaf_name, pack.content_name):
        swapped |= {of(first): FILES[of(second)], of(second): FILES[of(first)]}
    places = [(Flaw.NOT_INCLUDED, pack.leaf_name(one)) for one in (first, second)]
    assert named(judged(tmp_path / "leaves", swapped)) == places
    # Their contents alone, as the salts are the leaves' own.
    swapped = FILES | {of(first): FILES[of(second)], of(second): FILES[of(first)]}
    places = [(Flaw.EDITED, pack.leaf_name(one)) for one in (first, second)]
    assert named(judged(tmp_path / "contents", swapped)) == places


def test_a_leaf_behind_the_last_head_is_named(tmp_path: Path) -> None:
    longer = book_of()
    longer.enter(Kind.LAW, b"{}")
    longer.enter(Kind.LAW, b"{}")
    files = longer.files([*LEAVES, HEAD], [PINNED, HEAD + 2])
    files[pack.checkpoint_name(HEAD)] = BOOK.files(LEAVES, [PINNED, HEAD])[pack.checkpoint_name(HEAD)]
    files[pack.consistency_name(PINNED, HEAD)] = FILES[pack.consistency_name(PINNED, HEAD)]
    del files[pack.checkpoint_name(HEAD + 2)]
    assert (Flaw.NOT_INCLUDED, pack.leaf_name(HEAD)) in named(judged(tmp_path, files))


@pytest.mark.parametrize("name", ["finding.json", "challenges.json", "vantages.json", "read-me.txt"])
def test_what_a_pack_of_evidence_says_is_nothing_without_what_it_holds(tmp_path: Path, name: str) -> None:
    """Real leaves, an index that fits, and a finding that somebody made up: it held, as nothing was looked at."""
    accused = judged(tmp_path, FILES | {name: b'{"finding":"00","operator":"a","kind":"under_blocking"}'})
    assert named(accused) == [(Flaw.FILE, "evidence.json")]


def test_a_file_that_no_pack_has_is_named(tmp_path: Path) -> None:
    for number, name in enumerate(("verdict.pdf", "ledgers/x", "finding.jso")):
        found = named(judged(tmp_path / str(number), FILES | {name: b"guilty"}))
        assert (Flaw.FILE, name) in found


def test_a_pack_about_no_finding_says_so(tmp_path: Path) -> None:
    assert judged(tmp_path, FILES).unproven == "it is about no finding: nothing but its leaves is verified"


def test_a_file_that_is_not_as_indexed_is_named(tmp_path: Path) -> None:
    judged(tmp_path, {**FILES, "report.txt": b"as it was"})
    (tmp_path / "report.txt").write_bytes(b"as it is")
    (tmp_path / "more.txt").write_bytes(b"")
    (tmp_path / pack.content_name(9)).unlink()
    outcome = verify.verify(tmp_path, PARTIES.policy, None, LATER)
    assert named(outcome)[:3] == [
        (Flaw.FILE, pack.content_name(9)),
        (Flaw.FILE, "more.txt"),
        (Flaw.FILE, "report.txt"),
    ]


def test_a_verifier_needs_nothing_but_itself_and_the_keys(tmp_path: Path) -> None:
    pack.write(tmp_path / "pack", FILES.items())
    (tmp_path / "keys").write_text(PARTIES.policy_text)
    root, place = Path(verify.__file__).parents[2], tmp_path / "verifier"
    own = ["compliance_api/__init__.py", "compliance_api/errors.py"]
    shared = [f"lachan/{name}.py" for name in ("__init__", "durable", "errors", "signing")]
    ledger = [str(path.relative_to(root)) for one in root.glob("*/ledger") for path in one.glob("*.py")]
    for name in (*own, *shared, *ledger):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, place / name)
    program = (
        "from pathlib import Path; from compliance_api.ledger import verify; print(verify.__file__); "
        f"print(verify.verify_files(Path('pack'), Path('keys'), None, {LATER}).holds)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.splitlines() == [str(place / "compliance_api" / "ledger" / "verify.py"), "True"]


def test_the_number_of_problems_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "MAX_PROBLEMS", 3)
    (tmp_path / "empty").mkdir()
    files = {name: data for name, data in FILES.items() if not name.startswith(pack.LEAVES)}
    assert len(judged(tmp_path, files).problems) == 3


def test_keys_and_pinned_checkpoint_come_from_files(tmp_path: Path) -> None:
    pack.write(tmp_path / "pack", FILES.items())
    keys, pinned = tmp_path / "keys.txt", tmp_path / "pinned"
    keys.write_text(PARTIES.policy_text)
    pinned.write_bytes(BOOK.head(PINNED).encode())
    assert verify.verify_files(tmp_path / "pack", keys, pinned, LATER).holds
    assert verify.verify_files(tmp_path / "pack", keys, None, LATER).holds
    pinned.write_bytes(b"")
    with pytest.raises(LedgerError, match=r"pinned: line 1: "):
        verify.verify_files(tmp_path / "pack", keys, pinned, LATER)
    keys.write_text("")
    with pytest.raises(LedgerError, match=r"keys\.txt: no quorum"):
        verify.verify_files(tmp_path / "pack", keys, None, LATER)
