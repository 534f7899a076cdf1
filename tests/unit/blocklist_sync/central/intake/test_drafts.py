from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.diff import Held
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake.drafts import Outcome, Request, draw_up
from blocklist_sync.central.intake.formats import Refusal
from blocklist_sync.central.intake.imports import Terms
from blocklist_sync.central.log import changes
from blocklist_sync.central.rails import rails
from blocklist_sync.central.rails.rails import RailError, RailSettings
from blocklist_sync.central.runs import Runs
from lachan import config

ORDER = Order("12/QĐ", True)
TREE = Kind(Scope.SUBTREE, False, Category.GAMBLING, ORDER)
TERMS = Terms(Category.GAMBLING, "12/QĐ", True)
GUARD = rails.prepare(
    config.parse(
        """
shipped_names: false
never_block:
  - {id: state, why: a name of the state, trees: [state.example]}
  - {id: service, why: used daily, names: [service.example], severity: second-approver}
""",
        RailSettings,
    )
)


class Place:
    """A list in force, and a folder for drafts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.list: set[tuple[str, Kind]] = set()
        self.refused: list[Refusal] = []

    def held(self, _: Runs) -> Iterator[Held]:
        return (Held(*entry) for entry in sorted(self.list))

    def take(self, text: str, *, write: bool = True, terms: Terms = TERMS, **options: bool) -> Outcome:
        path = self.folder / "source"
        path.write_text(text, "utf-8")
        request = Request([path], terms, **options)
        out = self.folder / "drafts" if write else None
        return draw_up(request, self.held, GUARD, self.refused.append, out)

    def land(self, outcome: Outcome) -> None:
        for draft in outcome.drafts:
            with draft.changes.open("rb") as file:
                reader = changes.Reader(file, "draft")
                for change in reader:
                    entry = (change.name, reader.kinds[change.kind])
                    (self.list.add if change.added else self.list.discard)(entry)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_draft_is_ready_for_a_proposal(place: Place) -> None:
    outcome = place.take("b.example\na.example\nservice.example\n192.0.2.1\n")
    [draft] = outcome.drafts
    head = json.loads(draft.path.read_text())
    assert draft.changes.read_text().splitlines()[2:] == ["a.example\t0\t+", "b.example\t0\t+", "service.example\t0\t+"]
    assert head["changes_sha256"] == changes.check(draft.changes).digest.hex()
    assert draft.changes == place.folder / "drafts" / head["changes"]
    assert (head["order"], head["added"], head["removed"]) == ({"number": "12/QĐ", "mandated": 1}, 3, 0)
    assert head["rails"] == [{"rail": "never-block-service", "detail": "used daily: service.example"}]
    assert head["refused_lines"] == len(place.refused) == 1
    assert stat.S_IMODE(draft.path.stat().st_mode) == stat.S_IMODE(draft.changes.stat().st_mode) == 0o600
    # The same again is the same draft.
    again = place.take("a.example\nb.example\nservice.example\n")
    assert again.drafts[0].changes == draft.changes
    assert sorted(path.suffix for path in draft.path.parent.iterdir()) == [".changes", ".json"]


def test_what_has_landed_is_drafted_no_more(place: Place) -> None:
    place.land(place.take("a.example\nb.example\n"))
    assert place.list == {("a.example", TREE), ("b.example", TREE)}
    again = place.take("a.example\nb.example\n", replace=True)
    assert (again.drafts, again.diff.unchanged, again.state.entries) == ([], 2, 2)
    place.land(place.take("b.example\nc.example\n"))
    assert len(place.list) == 3
    outcome = place.take("b.example\nc.example\n", replace=True)
    assert (outcome.diff.removed, outcome.drafts[0].summary.removed) == (1, 1)
    place.land(outcome)
    assert place.list == {("b.example", TREE), ("c.example", TREE)}


def test_each_order_has_its_own_draft(place: Place) -> None:
    rows = "name,order,category,mandate\na.example,12/QĐ,gambling,mandated\nservice.example,34/QĐ,scam,\n"
    outcome = place.take(rows, terms=Terms())
    assert [draft.order for draft in outcome.drafts] == [ORDER, Order("34/QĐ", False)]
    assert [[finding.rail for finding in draft.findings] for draft in outcome.drafts] == [[], ["never-block-service"]]
    for draft in outcome.drafts:
        assert changes.check(draft.changes).adding == {
            kind for kind in draft.summary.kinds if kind.order == draft.order
        }
    place.land(outcome)
    # Mandated otherwise now: what goes stands in the draft of what comes.
    outcome = place.take(rows.replace("scam,", "scam,mandated"), terms=Terms(), replace=True)
    [draft] = outcome.drafts
    assert (draft.order, draft.summary.added, draft.summary.removed) == (Order("34/QĐ", True), 1, 1)
    assert outcome.diff.changed == 1


def test_a_rail_that_refuses_leaves_nothing_behind(place: Place) -> None:
    with pytest.raises(RailError, match=r"never-block-state \(refuse\): a name of the state: a\.state\.example"):
        place.take("a.example\na.state.example\n")
    assert not (place.folder / "drafts").exists()
    # To compare is free.
    outcome = place.take("a.example\na.state.example\n", write=False)
    assert [finding.rail for finding in outcome.findings] == ["never-block-state"]
    # Its lines may be left out instead.
    outcome = place.take("a.example\na.state.example\n", leave_out=True)
    assert (outcome.drafts[0].summary.added, outcome.lines.refused) == (1, 1)
    assert place.refused[-1].line == 2
    assert place.refused[-1].reason == "a name of the state"


def test_an_empty_source_is_no_empty_list(place: Place) -> None:
    place.land(place.take("a.example\n"))
    with pytest.raises(CentralError, match="no name was accepted"):
        place.take("# nothing\n", replace=True)
    with pytest.raises(CentralError, match="No such file"):
        draw_up(Request([place.folder / "none"], TERMS), place.held, GUARD, print)


def test_progress_is_told(place: Place) -> None:
    told: dict[str, list[int]] = {}

    class Watched:
        def stage(self, name: str, total: int | None) -> object:
            told[name] = [total or 0, 0]

            def passed(units: int) -> None:
                told[name][1] += units

            return passed

    (place.folder / "source").write_text("a.example\nb.example\n")
    request = Request([place.folder / "source"], TERMS)
    draw_up(request, place.held, GUARD, print, place.folder / "drafts", Watched())  # type: ignore[arg-type]
    assert told == {"reading": [20, 20], "comparing": [2, 2], "rails": [2, 2], "writing": [2, 2]}
