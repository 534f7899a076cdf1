"""The registry's verbs as processes: from an order to the log, and what is told of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from blocklist_sync.artifact import names
from blocklist_sync.central.log import approvals, changes
from tests.support.registry_office import Office


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    made = Office(tmp_path_factory.mktemp("office"))
    made.configure()
    made.start()
    try:
        made.found()
        yield made
    finally:
        status = made.stop()
    assert status == 0
    written = made.log.read_text()
    assert "bad.example" not in written, "no name of the list is logged"
    assert "127.0.0.1" not in written
    assert '"caller": "lachan://so-test/person/editor"' in written


def test_from_an_order_to_the_log_and_back(office: Office, tmp_path: Path) -> None:
    scan = tmp_path / "scan.pdf"
    scan.write_bytes(b"%PDF-1.7 synthetic " * 100_000)
    order = ("order", "add", "12/QĐ", "--date", "2026-09-01", "--issuer", "Sở Mẫu", "--legal-basis", "Điều 1")
    order = (*order, "--jurisdiction", "mau", "--mandated", "--scan", scan)
    assert office.told(*order, person="editor") == office.told(*order, person="editor")
    assert "says otherwise" in office.run(*order, "--urgent", person="editor", status=1)
    scanned = office.told("order", "scan", "12/QĐ", "--out", tmp_path / "back", person="first")
    assert scanned == {"file": str(tmp_path / "back"), "bytes": scan.stat().st_size}
    assert (tmp_path / "back").read_bytes() == scan.read_bytes()
    assert "12/QĐ" in office.run("order", "list", person="first")

    proposing = ("propose", "www.Bad.example", "worse.example", "--order", "12/QĐ", "--category", "gambling")
    proposed = office.told(*proposing, "--reason", "As ordered", person="editor")
    identifier = proposed["id"]
    assert (proposed["state"], proposed["header"]["added"], proposed["approvals"]) == ("proposed", 2, [])
    assert [stage["stage"] for stage in proposed["stages"]] == ["propose", "approve"]
    assert office.told("overdue", person="first")["overdue"] == []

    assert "nobody approves" in office.run("approve", identifier, "--yes", person="editor", status=1)
    assert "nobody is shown what is approved" in office.run("approve", identifier, "--json", person="first", status=1)
    assert "only who proposed" in office.run("withdraw", identifier, "--reason", "x", person="first", status=1)
    shown = office.run("approve", identifier, "--yes", person="first")
    assert "www.bad.example" in shown
    assert "already" in office.run("reject", identifier, "--reason", "late", person="second", status=1)
    approved = office.told("proposals", "show", identifier, person="second")
    assert approved["decision"]["outcome"] == "approved"
    assert approved["decision"]["log_index"] == 5
    assert [one["approver"] for one in approved["approvals"]] == ["first"]
    assert [stage["stage"] for stage in approved["stages"]] == ["propose", "approve", "sign"]

    told = office.told("explain", "deep.www.bad.example", person="third")
    (event,) = told["history"]
    assert (event["name"], event["change"], event["category"]) == ("www.bad.example", "add", "gambling")
    assert (event["order"]["issuer"], event["proposal"]["id"]) == ("Sở Mẫu", identifier)
    assert "www.bad.example" in office.run("explain", "WWW.bad.example.", person="third")
    assert office.told("explain", "innocent.example", person="third")["history"] == []

    unblock = ("order", "add", "13/QĐ", "--date", "2026-09-02", "--issuer", "Toà Mẫu", "--legal-basis", "Điều 2")
    office.run(*unblock, "--jurisdiction", "mau", "--mandated", "--unblock", person="editor")
    assert "one of them" in office.run(
        *unblock, "--jurisdiction", "mau", "--mandated", "--unblock", "--urgent", person="editor", status=1
    )
    platform = (*proposing[:1], "youtube.com", *proposing[3:], "--reason", "As ordered")
    assert "override it" in office.run(*platform, person="editor", status=1)
    state = (*proposing[:1], "portal.gov.vn", *proposing[3:], "--reason", "As ordered")
    assert "override it" not in office.run(*state, person="editor", status=1)
    revoking = ("revoke", "www.bad.example", "--order", "13/QĐ", "--reason", "Appeal upheld")
    revoked = office.told(*revoking, person="editor")
    assert (revoked["header"]["added"], revoked["header"]["removed"]) == (0, 1)
    office.run("approve", revoked["id"], "--yes", person="second")
    assert "no entry stands" in office.run(*revoking, person="editor", status=1)
    history = office.told("explain", "www.bad.example", person="editor")["history"]
    assert [one["change"] for one in history] == ["add", "remove"]
    assert [one["entry_order"] for one in history] == ["12/QĐ", "12/QĐ"]
    assert [one["order"]["number"] for one in history] == ["12/QĐ", "13/QĐ"]

    log = office.told("log", "--out", tmp_path / "log", "--repository", office.folder / "repository", person="third")
    assert (log["steps"], log["new"], log["decisions"], log["in_effect"]) == (6, 6, 2, 2)
    for step in list(approvals.read(tmp_path / "log" / "steps.jsonl"))[4:]:
        digest = json.loads(step)["header"]["changes_sha256"]
        assert changes.check(tmp_path / "log" / "changes" / f"{digest}.changes").digest.hex() == digest
    again = ("log", "--out", tmp_path / "log", "--approver", office.colleagues["first"].public)
    assert "no delegated approver" in office.run(*again, person="third", status=1)

    # Whoever has the log needs nothing of the server's to see what a file would change.
    (tmp_path / "source").write_text("worse.example\nnew.example\n")
    terms = ("--order", "12/QĐ", "--category", "gambling", "--mandated", "--log", tmp_path / "log")
    approvers = [
        part for name in ("first", "second", "third") for part in ("--approver", office.colleagues[name].public)
    ]
    told = office.told("diff", tmp_path / "source", *terms, *approvers, person="editor")["diff"]
    assert (told["in_force"], told["added"], told["unchanged"]) == (1, 1, 1)
    assert "whose keys" in office.run("diff", tmp_path / "source", *terms, person="editor", status=1)
    both = (*terms, "--release", office.folder / "release")
    assert "one of them" in office.run("diff", tmp_path / "source", *both, person="editor", status=1)

    due = office.told("due", "--within", "400d", person="editor")["due"]
    assert [(one["proposal"], one["order"], one["late"]) for one in due] == [(identifier, "12/QĐ", False)]
    assert office.told("due", person="editor")["due"] == []
    office.run("review", identifier, "--again-after", "10d", "--reason", "Still harmful", person="editor")
    assert [one["reviews"] for one in office.told("due", person="editor")["due"]] == [1]
    office.run("review", identifier, "--closed", "--reason", "Nothing stands", person="editor")
    assert office.told("due", "--within", "900d", person="editor")["due"] == []


def test_what_comes_at_a_later_day_is_taken_out_with_it(office: Office) -> None:
    order = ("order", "add", "16/QĐ", "--date", "2026-09-03", "--issuer", "Sở Mẫu", "--legal-basis", "Điều 1")
    office.run(*order, "--jurisdiction", "mau", "--profile-only", person="editor")
    later = ("--effective-from", "2097-01-01", "--review-after", "1d")
    base = ("--order", "16/QĐ", "--reason", "As ordered")
    assert "header.review_by" in office.run(
        "propose", "later.example", *base, "--category", "scam", *later, person="editor", status=1
    )
    day = datetime.fromtimestamp(time.time() + 86_400, UTC).isoformat()
    adding = ("propose", "later.example", *base, "--category", "scam", "--effective-from", day)
    added = office.told(*adding, person="editor")
    office.run("approve", added["id"], "--yes", person="first")
    # Taken out at once, it would come tomorrow all the same.
    early = ("--effective-from", "2026-01-01")
    assert "an entry comes at" in office.run("revoke", "later.example", *base, *early, person="editor", status=1)
    removed = office.told("revoke", "later.example", *base, person="editor")
    assert removed["header"]["effective_from"] == added["header"]["effective_from"]
    office.run("approve", removed["id"], "--yes", person="first")
    assert "no entry stands" in office.run("revoke", "later.example", *base, person="editor", status=1)


def test_a_name_that_is_a_public_suffix_by_now_is_explained_and_taken_out(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = ("order", "add", "17/QĐ", "--date", "2026-09-03", "--issuer", "Sở Mẫu", "--legal-basis", "Điều 1")
    office.run(*order, "--jurisdiction", "mau", "--profile-only", person="editor")
    base = ("--order", "17/QĐ", "--reason", "As ordered")
    added = office.told("propose", "hosting.example", *base, "--category", "scam", person="editor")
    office.run("approve", added["id"], "--yes", person="first")
    # This machine's list of suffixes is newer than the one it was proposed under.
    monkeypatch.setattr(names._suffixes(), "is_public", lambda name: name == "hosting.example")
    again = ("propose", "hosting.example", *base, "--category", "scam")
    assert "public suffix" in office.run(*again, person="editor", status=1)
    (event,) = office.told("explain", "hosting.example", person="editor")["history"]
    assert event["proposal"]["id"] == added["id"]
    removed = office.told("revoke", "hosting.example", *base, person="editor")
    assert (removed["header"]["added"], removed["header"]["removed"]) == (0, 1)
    # The registry itself answers of what is one.
    assert office.told("explain", "co.uk", person="editor")["history"] == []


def test_proposals_end_and_are_listed(office: Office, tmp_path: Path) -> None:
    order = ("order", "add", "14/QĐ", "--date", "2026-09-03", "--issuer", "Sở Mẫu", "--legal-basis", "Điều 1")
    office.run(*order, "--jurisdiction", "mau", "--profile-only", person="editor")
    base = ("--order", "14/QĐ", "--category", "scam", "--reason", "As ordered")
    rejected = office.told("propose", "r.example", *base, person="editor")["id"]
    office.run("reject", rejected, "--reason", "Not what the order says", person="second")
    withdrawn = office.told("propose", "w.example", *base, person="editor")["id"]
    office.run("withdraw", withdrawn, "--reason", "Mistaken", person="editor")
    careful = ("--override", "top-sites=in the list of a thousand", "--exact", "--except")
    two = office.told("propose", "two.example", *base, *careful, person="editor")
    assert two["approvals_needed"] == 2
    # Whoever lets a name pass has the time of unblocking, whatever the order's own.
    assert [(one["stage"], one["due_at"] - one["since"]) for one in two["stages"]][1] == ("approve", 12 * 3600)
    assert office.told("approve", two["id"], "--yes", person="second")["state"] == "proposed"
    assert "approved it already" in office.run("approve", two["id"], "--yes", person="second", status=1)
    assert office.told("approve", two["id"], "--yes", person="third")["state"] == "approved"
    listed = office.told("proposals", "list", "--order", "14/QĐ", person="first")["proposals"]
    assert [(one["id"], one["state"]) for one in listed] == [
        (two["id"], "approved"),
        (withdrawn, "withdrawn"),
        (rejected, "rejected"),
    ]
    assert withdrawn in office.run("proposals", "list", "--state", "withdrawn", person="first")
    fetched = office.told("proposals", "changes", two["id"], "--out", tmp_path / "changes", person="first")
    assert fetched["file"] == str(tmp_path / "changes")
    assert b"exact\texcept\tscam\tprofile-only" in (tmp_path / "changes").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("propose", "co.uk", "--order", "1", "--category", "scam", "--reason", "x"), "public suffix"),
        (("propose", "a.example", "--order", "none", "--category", "scam", "--reason", "x"), "no order none"),
        (("propose", "a.example", "--order", "1", "--reason", "x"), "--category"),
        (("propose", "--order", "1", "--reason", "x"), "one of them"),
        (("approve", "nothing", "--yes"), "id: a UUID"),
        (("explain", "uk"), "a single label"),
        (("people", "retire", "nobody"), "not enrolled"),
        (("people", "retire", "editor"), "nobody signs their own"),
        (("review", "x", "--reason", "y"), "one of them"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(office: Office, arguments: tuple[str, ...], message: str) -> None:
    assert message in office.run(*arguments, person="editor", status=1)


def test_everybody_is_listed_and_can_retire(office: Office) -> None:
    people = office.told("people", "list", person="editor")["people"]
    assert [(one["id"], one["roles"]) for one in people] == [
        ("editor", ["editor"]),
        ("first", ["approver", "editor"]),
        ("second", ["approver"]),
        ("third", ["approver", "custodian"]),
    ]
    office.run("people", "retire", "third", person="first")
    assert "third is not enrolled" in office.run("proposals", "list", person="third", status=1)


def test_what_an_import_drafts_is_proposed_within_the_rails(office: Office, tmp_path: Path) -> None:
    order = ("order", "add", "15/QĐ", "--date", "2026-09-04", "--issuer", "Sở Mẫu", "--legal-basis", "Điều 1")
    office.run(*order, "--jurisdiction", "mau", "--profile-only", person="editor")
    source = tmp_path / "list.txt"
    source.write_text("youtube.com\nimported.example\n")
    importing = ("import", source, "--order", "15/QĐ", "--category", "scam", "--release", office.folder / "release")
    importing = (*importing, "--out", tmp_path / "drafts", "--submit", office.colleagues["editor"].config)
    assert "give --reason" in office.run(*importing, person="editor", status=1)
    reasoned = (*importing, "--reason", "As ordered")
    # Nobody is there to be asked, so nothing is proposed unless it was said before.
    assert "give --yes" in office.run(*reasoned, person="editor", status=1)
    (proposed,) = office.told(*reasoned, "--yes", person="editor")["proposals"]
    assert (proposed["header"]["added"], proposed["approvals_needed"]) == (2, 2)
    assert [one["rail"] for one in proposed["header"]["rails"]] == ["never-block-platforms"]
    # Nobody has decided yet, and the same file proposes nothing twice; nor once it is approved and in no release yet.
    again = office.told(*reasoned, "--yes", person="editor")
    assert (again["proposals"], len(again["waiting"])) == ([], 1)
    assert f"15/QĐ: refused by the registry: {proposed['id']} (proposed)" in again["waiting"][0]
    for person in ("first", "second"):
        office.run("approve", proposed["id"], "--yes", person=person)
    assert f"{proposed['id']} (approved)" in office.told(*reasoned, "--yes", person="editor")["waiting"][0]
    # The registry holds every proposal against the rails itself.
    proposing = ("--order", "15/QĐ", "--category", "scam", "--reason", "As ordered")
    assert "never-block-platforms" in office.run("propose", "youtube.com", *proposing, person="editor", status=1)
    said = office.run("propose", "a.gov.vn", *proposing, "--override", "x=y", person="editor", status=1)
    assert "never-block-government: a name of the state: a.gov.vn" in said
