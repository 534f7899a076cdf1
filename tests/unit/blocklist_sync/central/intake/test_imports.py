from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake import imports
from blocklist_sync.central.intake.formats import Format, Refusal
from blocklist_sync.central.intake.imports import Terms, Wanted
from blocklist_sync.central.runs import Runs
from tests.support.published import published_lists

MANDATE = Order("12/QĐ", True)
TREE = Kind(Scope.SUBTREE, False, Category.GAMBLING, MANDATE)
ALONE = TREE._replace(scope=Scope.EXACT)
ZONE = """@ SOA localhost. root.localhost. 1 2 3 4 5
*.both.example CNAME .
alone.example CNAME .
both.example CNAME .
*.below.example CNAME .
*.below.example CNAME .
ok.both.example CNAME rpz-passthru.
"""
ROWS = """name,order,category,mandate
a.example,12/QĐ,gambling,mandated
a.example,34/QĐ,scam,
b.example,,scam,
c.example,34/QĐ,,
d.example,34/QĐ,csam,profile-only
e.example,34/QĐ,csam,
"""
TERMS = Terms(Category.GAMBLING, "12/QĐ", True)


def take(
    tmp_path: Path, *texts: str, terms: Terms = TERMS, screen: object = None
) -> tuple[list[tuple[str, Kind]], list[str], Wanted]:
    refused: list[Refusal] = []
    with Runs(3) as runs:
        wanted = Wanted(terms, refused.append, runs, screen)  # type: ignore[arg-type]  # a function or None
        for number, text in enumerate(texts):
            path = tmp_path / f"source{number}"
            path.write_text(text, "utf-8")
            wanted.read(path)
        found = [tuple(held) for held in wanted]
    return found, [f"{Path(r.file).name}:{r.line}: {r.reason}" for r in refused], wanted


def test_files_give_sorted_entries_each_once(tmp_path: Path) -> None:
    found, refused, wanted = take(
        tmp_path,
        "b.example\na.example\nA.example.\n192.0.2.1\n",
        "0.0.0.0 c.example\n0.0.0.0 a.example\n",
        "||d.example^\n@@||www.d.example^\n",
    )
    lifted = TREE._replace(exception=True)
    assert found == [(f"{c}.example", TREE) for c in "abcd"] + [("www.d.example", lifted)]
    assert refused == ["source0:4: an address, not a name"]
    assert (wanted.counts.names, wanted.counts.entries, wanted.counts.refused) == (7, 5, 1)
    assert wanted.orders == [MANDATE]


def test_a_zone_says_how_far_each_rule_reaches(tmp_path: Path) -> None:
    found, refused, _ = take(tmp_path, ZONE)
    assert found == [
        ("alone.example", ALONE),
        ("both.example", TREE),
        ("ok.both.example", ALONE._replace(exception=True)),
    ]
    assert refused == ["source0:5: below the name but not the name itself, which no entry says (and 1 lines more)"]


def test_a_wildcard_beside_an_exception_of_its_name_is_a_subtree_with_a_hole(tmp_path: Path) -> None:
    zone = "@ SOA a. b. 1 2 3 4 5\n*.hole.example CNAME .\nhole.example CNAME rpz-passthru.\n"
    found, refused, _ = take(tmp_path, zone)
    assert found == [("hole.example", TREE), ("hole.example", ALONE._replace(exception=True))]
    assert refused == []


def test_exact_terms_hold_where_the_format_does_not_say(tmp_path: Path) -> None:
    exact = Terms(Category.GAMBLING, "12/QĐ", True, Scope.EXACT)
    assert take(tmp_path, "a.example\n", terms=exact)[0] == [("a.example", ALONE)]
    # dnsmasq does say: its lines reach what is below.
    found, _, _ = take(tmp_path, "a.example\n", "address=/a.example/\naddress=/b.example/\n", terms=exact)
    assert found == [("a.example", TREE), ("b.example", TREE)]


def test_rows_say_their_own_order_and_category(tmp_path: Path) -> None:
    found, refused, wanted = take(tmp_path, ROWS, terms=Terms())
    offer = Order("34/QĐ", False)
    assert found == [
        ("a.example", TREE),
        ("a.example", Kind(Scope.SUBTREE, False, Category.SCAM, offer)),
        ("e.example", Kind(Scope.SUBTREE, False, Category.CSAM, Order("34/QĐ", True))),
    ]
    assert refused == [
        "source0:4: no order, neither on the line nor for the import",
        "source0:5: no category, neither on the line nor for the import",
        "source0:6: csam is mandated for everybody, whatever the order says",
    ]
    assert wanted.orders == [MANDATE, offer, Order("34/QĐ", True)]
    # An import of one order takes no other's rows.
    _, refused, _ = take(tmp_path, ROWS, terms=Terms(Category.SCAM, "12/QĐ"))
    assert "source0:3: of another order than this import" in refused


def test_what_is_in_force_belongs_by_order_and_category(tmp_path: Path) -> None:
    scam, other = TREE._replace(category=Category.SCAM), TREE._replace(order=Order("34/QĐ", True))
    _, _, one = take(tmp_path, "a.example\n")
    assert [one.belongs(kind) for kind in (TREE, ALONE, scam, other)] == [True, True, False, False]
    _, _, rows = take(tmp_path, "name,order,category\na.example,12/QĐ,gambling\n", terms=Terms())
    assert [rows.belongs(kind) for kind in (TREE, scam, other)] == [True, True, False]


def test_a_screened_name_is_refused_at_its_line(tmp_path: Path) -> None:
    asked: list[tuple[str, bool]] = []

    def screen(name: str, subtree: bool) -> str | None:
        asked.append((name, subtree))
        return "ours" if name == "b.example" else None

    found, refused, _ = take(tmp_path, "||a.example^\n||b.example^\n@@||c.example^\n", screen=screen)
    assert [name for name, _ in found] == ["a.example", "c.example"]
    assert refused == ["source0:2: ours"]
    assert asked == [("a.example", True), ("b.example", True)]


def test_orders_and_reasons_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "MAX_REASONS", 2)
    _, _, wanted = take(tmp_path, "co.uk\na b\n192.0.2.1\n..\n")
    assert list(wanted.counts.reasons) == [
        "a public suffix: everybody under it would be blocked",
        "more than a name on the line",
        "other reasons",
    ]
    monkeypatch.setattr(imports, "MAX_ORDERS", 2)
    rows = "name,order\n" + "".join(f"a.example,{n}\n" for n in range(3))
    with pytest.raises(CentralError, match="source0: more than 2 orders"):
        take(tmp_path, rows, terms=Terms(Category.SCAM, form=Format.CSV))


def test_of_published_lists_every_refused_line_is_explained() -> None:
    explained = {
        "an address, not a name": ipaddress.ip_address,
        # One publisher cuts `www.` out of the middle of names, and writes what is left.
        "a single label": lambda text: "." not in text and text.endswith(("com", "net", "top", "vip")),
    }
    taken: dict[str, set[str]] = {}
    for path in published_lists():
        refused: list[Refusal] = []
        with Runs() as runs:
            wanted = Wanted(TERMS, refused.append, runs)
            wanted.read(path)
            names = [held.name for held in wanted]
        lines = path.read_text("utf-8").splitlines()
        for refusal in refused:
            assert refusal.text in lines[refusal.line - 1]
            assert explained[refusal.reason](refusal.text), refusal
        # Whatever is no comment was taken over or refused.
        said = sum(bool(line.strip()) and line.strip()[0] not in "#!" for line in lines)
        assert wanted.counts.names + wanted.counts.refused == said, path.name
        assert len(refused) * 1000 < said
        taken[path.name] = set(names)
    # The same list in two formats is the same list.
    assert taken["gambling.hosts"] == taken["gambling.domains.txt"]
    assert len(taken["gambling.hosts"]) > 60_000
