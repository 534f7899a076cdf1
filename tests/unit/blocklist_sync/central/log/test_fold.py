from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import changes, fold, rows
from blocklist_sync.central.log.approvals import Decision, Log
from blocklist_sync.central.log.fold import State, continues
from blocklist_sync.central.log.rows import StateReader
from tests.support.registry import FIRST, GAMBLING, NOW, approval, proposal, text

EXACT = GAMBLING._replace(scope=Scope.EXACT)
EXCEPT = GAMBLING._replace(exception=True)
SCAM = Kind(Scope.SUBTREE, False, Category.SCAM, Order("12/QĐ", mandated=True))
KINDS = (GAMBLING, EXACT, EXCEPT, SCAM)

Lines = list[tuple[str, Kind, bool]]


class Texts:
    """Decisions and the changes behind them, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.decisions: list[Decision] = []

    def decide(self, lines: Lines, effect: int = NOW + 60) -> None:
        data = text(*lines)
        asked = proposal(data, number=len(self.decisions) + 1)
        self.text_of(asked.changes_sha256).write_bytes(data)
        step = len(self.decisions) + 5
        self.decisions.append(Decision(step, asked, (approval(asked, FIRST),), NOW, effect))

    def text_of(self, digest: str) -> Path:
        return self.folder / f"{digest}.changes"

    def log(self, head: bytes = b"h" * 32) -> Log:
        return Log(len(self.decisions) + 4, head, (), tuple(self.decisions))

    def fold(self, as_of: int = NOW + 10_000, base: State | None = None, name: str = "state") -> State:
        return fold.fold(self.log(), as_of, lambda d: self.text_of(d.proposal.changes_sha256), self.folder / name, base)


@pytest.fixture
def texts(tmp_path: Path) -> Texts:
    return Texts(tmp_path)


def held(state: State) -> dict[tuple[str, Kind], int]:
    with state.path.open(encoding="utf-8", newline="\n") as file:
        reader = StateReader(file, state.path)
        return {(name, reader.kinds[kind]): step for name, kind, step in reader}


def test_what_is_there_is_not_added_again_and_what_is_not_is_not_missed(texts: Texts) -> None:
    texts.decide([("a.example", GAMBLING, True), ("b.example", GAMBLING, True)])
    texts.decide([("a.example", GAMBLING, True), ("b.example", GAMBLING, False), ("c.example", SCAM, False)])
    state = texts.fold()
    # It is as old as the decision that first brought it.
    assert held(state) == {("a.example", GAMBLING): 5}
    assert (state.entries, state.kinds, state.counts) == (1, (GAMBLING, SCAM), (1, 0))


def test_decisions_count_from_their_moment_on_and_in_its_order(texts: Texts) -> None:
    texts.decide([("a.example", GAMBLING, True)], effect=NOW + 500)
    texts.decide([("a.example", GAMBLING, False)], effect=NOW + 100)
    assert held(texts.fold(NOW + 100)) == {}
    assert held(texts.fold(NOW + 499)) == {}
    assert held(texts.fold(NOW + 500)) == {("a.example", GAMBLING): 5}


def test_another_text_than_was_approved_is_refused(texts: Texts) -> None:
    texts.decide([("a.example", GAMBLING, True)])
    path = texts.text_of(texts.decisions[0].proposal.changes_sha256)
    path.write_bytes(text(("b.example", GAMBLING, True)))
    with pytest.raises(CentralError, match="the changes of step 5: changes_sha256"):
        texts.fold()
    assert not (texts.folder / "state").exists()
    path.unlink()
    with pytest.raises(CentralError, match="No such file"):
        texts.fold()


def test_many_small_texts_need_few_open_files(texts: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        texts.decide([(f"n{number % 7}.example", KINDS[number % 4], number % 3 != 0)], effect=NOW + number)
    whole = texts.fold().path.read_bytes()
    monkeypatch.setattr(fold, "FAN_IN", 3)
    assert texts.fold(name="spilled").path.read_bytes() == whole


@pytest.mark.parametrize("seed", range(12))
def test_a_fold_is_what_a_plain_reading_says(texts: Texts, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng = random.Random(seed)
    if seed % 2:
        # Names that go on from block to block, and changes that are more than a block.
        monkeypatch.setattr(changes, "BLOCK_BYTES", 40)
        monkeypatch.setattr(rows, "BLOCK_CHARACTERS", 40)
        monkeypatch.setattr(fold, "LINES_AT_ONCE", 1)
    plain: dict[tuple[str, Kind], int] = {}
    for step in range(5, 25):
        picked = {(f"n{rng.randrange(12)}.example", rng.choice(KINDS)) for _ in range(6)}
        lines = [(*one, rng.random() < 0.6) for one in picked]
        texts.decide(lines, effect=NOW + step)
        for name, kind, added in lines:
            if added:
                plain.setdefault((name, kind), step)
            else:
                plain.pop((name, kind), None)
    state = texts.fold()
    assert held(state) == plain
    # Gone on from anywhere, the bytes are the same.
    middle = rng.randrange(6, 24)
    early = Texts(texts.folder)
    early.decisions = texts.decisions[: middle - 4]
    base = early.fold(NOW + middle, name="base")
    assert continues(base, texts.log(), NOW + 10_000)
    assert texts.fold(base=base, name="again").path.read_bytes() == state.path.read_bytes()


def test_a_state_is_not_gone_on_from_where_something_came_in_before_its_end(texts: Texts) -> None:
    texts.decide([("a.example", GAMBLING, True)], effect=NOW + 100)
    base = texts.fold(NOW + 200)
    assert continues(base, texts.log(), NOW + 200)
    assert not continues(base, texts.log(), NOW + 199)
    texts.decide([("a.example", GAMBLING, False)], effect=NOW + 150)
    assert not continues(base, texts.log(), NOW + 300)
    texts.decisions.pop()
    texts.decide([("a.example", GAMBLING, False)], effect=NOW + 201)
    assert continues(base, texts.log(), NOW + 300)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[1:], "not 'lachan-entries 1'"),
        (lambda data: data.replace(b"gambling", b"gamblinx"), ":2: malformed"),
        (lambda data: data + b"x.example\n", "malformed"),
        (lambda data: data + b"x.example\tone\t1\n", "malformed"),
    ],
)
def test_a_damaged_state_is_named(texts: Texts, damage: Callable[[bytes], bytes], message: str) -> None:
    texts.decide([("a.example", GAMBLING, True)])
    state = texts.fold()
    state.path.write_bytes(damage(state.path.read_bytes()))
    with pytest.raises(CentralError, match=message):
        held(state)


def test_a_reader_that_was_not_read_to_its_end_vouches_for_nothing(texts: Texts) -> None:
    path = texts.folder / "text"
    path.write_bytes(text(("a.example", GAMBLING, True)))
    with path.open("rb") as file:
        reader = changes.Reader(file, "text")
        with pytest.raises(CentralError, match="not read to its end"):
            reader.close()
