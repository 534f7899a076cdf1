from __future__ import annotations

from pathlib import Path

import idna
import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.diff import Change, Held
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.log.proposals import Rail, check_identifier, check_prose
from blocklist_sync.central.rails import rails
from blocklist_sync.central.rails.neverblock import Severity
from blocklist_sync.central.rails.rails import Finding, Rails, RailSettings
from blocklist_sync.central.rails.screening import check
from blocklist_sync.central.rails.survey import State, Survey
from lachan import config

ORDER, OTHER = Order("12/QĐ", True), Order("34/QĐ", True)
TREE = Kind(Scope.SUBTREE, False, Category.GAMBLING, ORDER)
ALONE, LIFTED = TREE._replace(scope=Scope.EXACT), TREE._replace(exception=True)

TEXT = """
shipped_names: false
change: {at_least: 3}
removal: {at_least: 2}
halved: {at_least: 2}
parent: {listed_below: 2}
never_block:
  - {id: state, why: a name of the state, trees: [state.example]}
  - {id: service, why: used daily, names: [service.example], severity: second-approver}
"""


def ready(text: str = TEXT, top: str = "", folder: Path | None = None) -> Rails:
    if folder is not None:
        (folder / "top.csv").write_text(top)
        text += f"top_sites: {{file: {folder / 'top.csv'}, listed_below: 2}}\n"
    return rails.prepare(config.parse(text, RailSettings))


def surveyed(*held: tuple[str, Kind]) -> State:
    survey = Survey()
    list(survey.watch([Held(*one) for one in sorted(held)]))
    return survey.state()


def come(*names: str, kind: Kind = TREE) -> list[Change]:
    return [Change(name, kind, True) for name in sorted(names)]


def go(*names: str, kind: Kind = TREE) -> list[Change]:
    return [Change(name, kind, False) for name in sorted(names)]


def brief(findings: list[Finding]) -> list[tuple[str, str, int]]:
    return [(finding.rail, finding.severity.value, finding.count) for finding in findings]


def test_names_that_must_not_be_blocked() -> None:
    changes = come("a.state.example", "b.state.example", "fine.example", "service.example", "below.service.example")
    findings = check(changes, State(), ready())
    assert brief(findings) == [("never-block-state", "refuse", 2), ("never-block-service", "second-approver", 1)]
    assert findings[0].detail == "a name of the state: a.state.example, b.state.example"
    assert [rails.refused(findings), rails.overridable(findings)] == [findings[:1], findings[1:]]
    # What lifts a block, or goes, hurts nobody.
    assert check(come("a.state.example", kind=LIFTED) + go("b.state.example"), State(), ready()) == []


def test_a_public_suffix() -> None:
    assert brief(check(come("com.vn", "a.com.vn"), State(), ready())) == [("public-suffix", "refuse", 1)]


def test_a_lookalike_is_for_review() -> None:
    [finding] = check(come(idna.encode("sеrvice.example").decode()), State(), ready())
    assert (finding.rail, finding.severity) == ("confusable", Severity.REVIEW)
    assert finding.names[0].endswith(" (service.example)")


def test_shares_of_the_list() -> None:
    state = surveyed(*((f"n{i}.example", TREE._replace(order=OTHER)) for i in range(20)))
    assert check(come("a.example", "b.example"), state, ready()) == []
    [finding] = check(come("a.example", "b.example", "c.example"), state, ready())
    assert (finding.rail, finding.why) == ("change", "3 entries come or go, more than 10 % of the 20 in force")
    two = go("n1.example", "n2.example", kind=TREE._replace(order=OTHER))
    assert brief(check(two, state, ready())) == [("removal", "second-approver", 2)]
    # An empty list has nothing to lose.
    assert check(come(*(f"n{i}.example" for i in range(500))), State(), ready()) == []


def test_an_order_that_loses_its_entries() -> None:
    state = surveyed(
        *((f"n{i}.example", TREE) for i in range(4)),
        *((f"m{i}.example", TREE._replace(order=OTHER)) for i in range(99)),
    )
    names = [f"n{i}.example" for i in range(4)]
    assert "all 4 entries of 12/QĐ go" in [f.why for f in check(go(*names), state, ready())]
    found = check(go(*names[:3]), state, ready())
    assert ("halved", "3 of 4 entries of 12/QĐ go, more than 50 %") in [(f.rail, f.why) for f in found]
    # What goes and comes back otherwise is no loss.
    assert not [
        f for f in check(go(*names) + come(*names, kind=ALONE), state, ready()) if f.rail in {"emptied", "halved"}
    ]


def test_a_name_above_many_listed_ones() -> None:
    state = surveyed(("a.host.example", TREE), ("b.host.example", TREE))
    assert check(come("host.example"), state, ready()) == []
    # Those that come count as well, wherever they stand among the changes.
    [finding] = check(come("host.example", "z.host.example"), state, ready())
    assert (finding.rail, finding.names) == ("parent", ("host.example (3)",))
    assert check(come("host.example", kind=ALONE) + come("z.host.example"), state, ready()) == []


def test_names_that_many_people_use(tmp_path: Path) -> None:
    held = ready(top="1,big.example\n2,a.wide.example\n3,b.wide.example\n", folder=tmp_path)
    findings = check(come("big.example", "wide.example", "x.big.example"), State(), held)
    assert brief(findings) == [("too-broad", "second-approver", 1), ("top-sites", "second-approver", 1)]
    assert findings[1].detail == "among the 3 names that most people use: big.example (1)"


@pytest.mark.parametrize("rail", ["public_suffix", "confusable", "parent", "change", "removal", "emptied", "halved"])
def test_a_rail_may_be_off(rail: str) -> None:
    text = TEXT.replace(f"{rail}: {{", f"{rail}: {{enabled: false, ")
    if f"{rail}:" not in text:
        text += f"{rail}: {{enabled: false}}\n"
    state = surveyed(*((f"n{i}.host.example", TREE) for i in range(4)))
    coming = come("com.vn", idna.encode("sеrvice.example").decode(), "host.example", kind=TREE._replace(order=OTHER))
    changes = coming + go(*(f"n{i}.host.example" for i in range(4)))
    on = {finding.rail for finding in check(changes, state, ready())}
    off = {finding.rail for finding in check(changes, state, ready(text))}
    gone = {rail.replace("_", "-")}
    if rail == "emptied":
        assert off == on - gone | {"halved"}
    elif rail == "halved":
        assert off == on
    else:
        assert off == on - gone


def test_the_shipped_names_are_sound() -> None:
    held = rails.load(None)
    changes = come("a.gov.vn", "google.com", "youtube.com")
    assert brief(check(changes, State(), held)) == [
        ("never-block-government", "refuse", 1),
        ("never-block-systems", "refuse", 1),
        ("never-block-platforms", "second-approver", 1),
    ]
    assert rails.screen(held, "a.gov.vn", subtree=False) == "a name of the state"
    assert rails.screen(held, "youtube.com", subtree=True) is None


def test_a_finding_fits_a_proposals_header() -> None:
    names = [f"{'x' * 60}{i}.{'y' * 63}.{'z' * 63}.state.example" for i in range(30)]
    for finding in check(come(*names, "com.vn"), State(), ready()):
        Rail(check_identifier(finding.rail, "rail"), check_prose(finding.detail, "detail"))
        assert len(finding.names) <= rails.SHOWN
    assert "and 20 more" in check(come(*(f"n{i}.state.example" for i in range(30))), State(), ready())[0].detail


def test_a_file_of_rails_is_read_whole_or_not(tmp_path: Path) -> None:
    path = tmp_path / "rails.yaml"
    path.write_text("change: {percent: 0}\ncolour: red\n")
    with pytest.raises(config.ConfigError) as error:
        rails.load(path)
    assert {problem.path for problem in error.value.problems} == {"change.percent", "colour"}
