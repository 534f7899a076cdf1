"""Two approvers sign on machines that hold nothing but a root, a key and a certificate; the server collects."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.release.ceremony import Holders, expiry, next_targets
from blocklist_sync.central.release.founding import found
from blocklist_sync.central.release.publish import Documents
from blocklist_sync.central.release.repository import Repository
from lachan import postgres
from tests.support.list_authority import Keys, ListAuthority
from tests.support.registry import ORDER
from tests.support.registry_office import Office, order_arguments


@dataclass
class Desk:
    """The office, the release's files, and where the repository is served."""

    office: Office
    authority: ListAuthority
    url: str

    @property
    def root(self) -> Path:
        return self.authority.repository / "metadata" / "1.root.json"

    def sign(self, person: str, *other: object, status: int = 0) -> str:
        memory = self.office.folder / "machines" / person
        arguments = ("--root", self.root, "--repository", self.url, "--memory", memory, "--yes")
        return self.office.run("sign", *arguments, *other, person=person, status=status)

    def build(self, *names: str) -> None:
        """Has names proposed and approved, and builds the next candidate on the server."""
        office, authority = self.office, self.authority
        asked = ("propose", *names, "--order", ORDER.number, "--category", "gambling", "--reason", "x")
        office.run("approve", office.told(*asked, person="editor")["id"], "--yes", person="second")
        repository = ("--repository", authority.repository)
        office.run("log", "--out", authority.log.folder, *repository, person="first")
        office.run("build", "--log", authority.log.folder, "--release", authority.release.folder, *repository)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    office = Office(tmp_path)
    authority = ListAuthority(tmp_path / "authority")
    approvers = [office.colleagues[name].signer for name in ("first", "second", "third")]
    authority.keys = Keys({**authority.keys.of_role, "list": approvers})
    authority.documents = authority.founding()
    found(authority.repository, authority.documents, int(time.time()))
    office.configure(release="authority/release", repository="authority/repository", log_folder="authority/log")
    with postgres.embedded(tmp_path / "db"):
        office.start()
        try:
            office.found()
            office.run(*order_arguments(ORDER), person="editor")
            yield Desk(office, authority, f"https://localhost:{office.https_port}")
        finally:
            assert office.stop() == 0


def test_from_machines_that_hold_nothing_to_a_published_release(desk: Desk) -> None:
    office, authority = desk.office, desk.authority
    assert "no candidate waits" in desk.sign("first", status=1)
    desk.build("bad.example", "worse.example")
    # Who does not sign is given nothing of it.
    assert "neither approver nor custodian" in desk.sign("editor", status=1)
    assert "signed: 1 of 2" in desk.sign("first")
    with pytest.raises(CentralError, match="1 of 2 signatures; 1 more from"):
        authority.publish(sign=False)
    assert "signed this already" in desk.sign("first", status=1)
    before = int(time.time())
    assert "signed: 2 of 2, complete" in desk.sign("third")
    assert authority.publish(sign=False).release.serial == 1
    # The registry knows when it was signed, apart from when it was published.
    (event,) = office.told("explain", "bad.example", person="editor")["history"]
    stages = {stage["stage"]: stage for stage in event["proposal"]["stages"]}
    assert before <= stages["sign"]["done_at"] <= stages["publish"]["done_at"]
    assert stages["publish"]["since"] == stages["sign"]["done_at"]

    # The next one goes on from what each machine folded and fetched; whoever comes new begins from nothing.
    desk.build("worst.example")
    for person in ("first", "second"):
        desk.sign(person)
    assert authority.publish(sign=False).release.serial == 2
    assert [row.serial for row in ReleaseFolder(authority.release.folder).published()] == [1, 2]
    verified = office.told("verify", "--root", desk.root, "--repository", desk.url, person="third")
    assert (verified["serial"], verified["names"], verified["documents"], verified["expired"]) == (2, 3, 2, "")
    told = desk.office.log.read_text()
    assert told.count("fingerprint seed given") == 4  # once for each machine that signed, and for the one that verified
    assert "bad.example" not in told


def test_a_signature_is_taken_from_its_own_maker_over_these_bytes(desk: Desk) -> None:
    desk.build("bad.example")
    authority, colleagues = desk.authority, desk.office.colleagues
    data = authority.release.document().signed_bytes
    first = colleagues["first"].signer
    good = first.sign(data).signature

    async def submit(person: str, signed: bytes, keyid: str, signature: str) -> tuple[int, int]:
        async with colleagues[person].calling() as client:
            return await client.submit_signature(signed, keyid, signature)

    keyid = first.public_key.keyid
    for person, signed, wanted, signature, message in (
        ("second", data, keyid, good, "not with a key"),
        ("first", data, "0" * 64, good, "not with a key"),
        ("first", data + b" ", keyid, good, "another candidate"),
        ("first", data, keyid, "00" * 64, "does not hold"),
        ("first", data, keyid, "no signature", "does not hold"),
        ("first", data, keyid, "", "signature"),
        ("editor", data, keyid, good, "neither approver nor custodian"),
    ):
        with pytest.raises(CentralError, match=message):
            asyncio.run(submit(person, signed, wanted, signature))
    assert authority.release.document().signatures == {}
    assert asyncio.run(submit("first", data, keyid, good)) == (1, 2)
    # The same again changes nothing.
    assert asyncio.run(submit("first", data, keyid, good)) == (1, 2)


def test_whoever_becomes_an_approver_signs_the_release_that_makes_them_one(desk: Desk, tmp_path: Path) -> None:
    office, authority = desk.office, desk.authority
    fourth = office.colleagues["fourth"] = office._colleague("fourth")
    office.configure_person(fourth, "lachan://so-test/person/fourth")
    words = ("--name", "Fourth", "--unit", "list-unit", "--role", "custodian", "--public", fourth.public)
    office.run("people", "enrol", "fourth", *words, person="first")
    desk.build("bad.example")
    assert "fourth is no approver of the list" in desk.sign("fourth", status=1)

    held = Repository(authority.repository).opened()
    assert held is not None
    assert held.targets is not None
    staying = [office.colleagues[name].signer.public_key for name in ("first", "second")]
    holders = Holders([*staying, fourth.signer.public_key], 2)
    coming = next_targets(held.targets.signed, holders, 100, expiry(int(time.time()), 86_400))
    authority.signed(coming, "targets")
    file = tmp_path / "2.targets.json"
    file.write_bytes(coming.to_bytes())
    folders = ("--release", authority.release.folder, "--repository", authority.repository)
    office.run("build", "--log", authority.log.folder, *folders, "--targets", file)
    assert "1 of 2" in desk.sign("fourth", "--targets", file)
    assert "2 of 2, complete" in desk.sign("first", "--targets", file)
    authority.documents = Documents(None, coming)
    assert authority.publish(sign=False).release.serial == 1
    # Once it is published, it is what is published that counts.
    desk.build("worse.example")
    assert not authority.release.delegating_path.exists()
    assert "third is no approver of the list" in desk.sign("third", status=1)
