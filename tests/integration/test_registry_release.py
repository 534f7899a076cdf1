"""From an order in the registry to a signed, published release, and back to the order."""

from __future__ import annotations

import time
from pathlib import Path

from blocklist_sync.central.release.candidate import ReleaseFolder
from lachan import postgres
from tests.support.list_authority import Keys, ListAuthority
from tests.support.registry import ORDER
from tests.support.registry_office import Office, order_arguments


def test_a_name_leads_from_its_order_to_the_release_and_back(tmp_path: Path) -> None:
    office = Office(tmp_path)
    authority = ListAuthority(tmp_path / "authority")
    approvers = [office.colleagues[name].signer for name in ("first", "second", "third")]
    authority.keys = Keys({**authority.keys.of_role, "list": approvers})
    authority.documents = authority.founding()
    # Root and targets are there before anything is listed: they say whose approvals count.
    metadata = authority.repository / "metadata"
    metadata.mkdir(parents=True)
    assert authority.documents.targets is not None
    (metadata / "1.targets.json").write_bytes(authority.documents.targets.to_bytes())
    office.configure(release="authority/release", repository="authority/repository")
    with postgres.embedded(tmp_path / "db"):
        office.start()
        try:
            office.found()
            office.run(*order_arguments(ORDER), person="editor")
            names = ("propose", "bad.example", "worse.example")
            proposing = (*names, "--order", ORDER.number, "--category", "gambling", "--reason", "x")
            identifier = office.told(*proposing, person="editor")["id"]
            office.run("approve", identifier, "--yes", person="second")

            fetching = ("log", "--out", authority.log.folder, "--repository", authority.repository)
            assert office.told(*fetching, person="first")["steps"] == 5
            released = authority.build(now=int(time.time()) + 1)
            assert released.entries == 2
            authority.publish()

            (event,) = office.told("explain", "bad.example", person="editor")["history"]
            assert event["proposal"]["serial"] == 1
            stages = {stage["stage"]: stage["done_at"] for stage in event["proposal"]["stages"]}
            assert stages["publish"] == event["proposal"]["published_at"] > 0
            assert stages["review"] == 0
            both = office.told("explain", "www.bad.example", "--release", authority.release.folder, person="editor")
            assert [rule["order"] for rule in both["rules"]] == [ORDER.number]
            assert [one["proposal"]["id"] for one in both["history"]] == [identifier]

            revoking = ("revoke", "bad.example", "--order", ORDER.number, "--reason", "Appeal upheld")
            revoked = office.told(*revoking, person="editor")["id"]
            office.run("approve", revoked, "--yes", person="first")
            assert office.told(*fetching, person="first")["new"] == 1
            assert authority.build(now=int(time.time()) + 1).entries == 1
            authority.publish()
            assert [row.serial for row in ReleaseFolder(authority.release.folder).published()] == [1, 2]
            history = office.told("explain", "bad.example", person="editor")["history"]
            assert [(one["change"], one["proposal"]["serial"]) for one in history] == [("add", 1), ("remove", 2)]
        finally:
            assert office.stop() == 0
