"""From an order in the registry to a signed, published release, and back to the order."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from blocklist_sync.central.registry import releases
from blocklist_sync.central.registry.history import History
from blocklist_sync.central.registry.remains import Remains
from blocklist_sync.central.registry.stages import StagePlans
from blocklist_sync.central.release.candidate import ReleaseFolder
from lachan import postgres
from tests.support.list_authority import Keys, ListAuthority
from tests.support.registry import ORDER
from tests.support.registry_office import Office, order_arguments


def due(office: Office) -> list[str]:
    """Proposals that are due for review before long."""
    return [one["proposal"] for one in office.told("due", "--within", "900d", person="editor")["due"]]


async def late(office: Office, authority: ListAuthority) -> set[tuple[str, str]]:
    """Which stages of which proposals will be late in three years."""
    with postgres.embedded(office.folder / "db") as server:
        engine = postgres.engine(server.database("registry"), 2, "test")
        remains = Remains(authority.release.published_entries_path)
        history = History(engine, StagePlans(), remains)
        found, _ = await history.overdue(int(time.time()) + 1000 * 86_400, releases.of(authority.release)())
        # It is remembered, and says the same.
        again, _ = await history.overdue(int(time.time()) + 1000 * 86_400, releases.of(authority.release)())
        await engine.dispose()
    assert again == found
    return {(one.proposal_id, one.stage.name) for one in found}


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
            alone = ("propose", "other.example", *proposing[3:])
            other = office.told(*alone, person="editor")["id"]
            office.run("approve", other, "--yes", person="first")

            fetching = ("log", "--out", authority.log.folder, "--repository", authority.repository)
            assert office.told(*fetching, person="first")["steps"] == 6
            released = authority.build(now=int(time.time()) + 1)
            assert released.entries == 3
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
            assert authority.build(now=int(time.time()) + 1).entries == 2
            authority.publish()
            assert [row.serial for row in ReleaseFolder(authority.release.folder).published()] == [1, 2]
            history = office.told("explain", "bad.example", person="editor")["history"]
            assert [(one["change"], one["proposal"]["serial"]) for one in history] == [("add", 1), ("remove", 2)]

            # As long as anything of it stands, somebody has to look at it.
            assert due(office) == [identifier, other]
            assert asyncio.run(late(office, authority)) == {(identifier, "review"), (other, "review")}
            rest = ("revoke", "worse.example", "--order", ORDER.number, "--reason", "Appeal upheld")
            office.run("approve", office.told(*rest, person="editor")["id"], "--yes", person="first")
            assert due(office) == [identifier, other]
            office.told(*fetching, person="first")
            assert authority.build(now=int(time.time()) + 1).entries == 1
            authority.publish()
            assert due(office) == [other]
            assert asyncio.run(late(office, authority)) == {(other, "review")}
        finally:
            assert office.stop() == 0
