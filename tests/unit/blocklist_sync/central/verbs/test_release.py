"""The whole road by its commands: keys, ceremony, proposals, build, signatures, publishing, rotation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from blocklist_sync.central.cli import app
from blocklist_sync.central.errors import CentralError
from tests.support.ledger import Parties

SECRET = "a long passphrase"
REFUSED = "co.uk"


class Office:
    """Commands as their users type them, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "secret").write_text(SECRET + "\n")
        self.server_keys = ["snapshot", "timestamp"]

    def __call__(self, *arguments: object) -> str:
        words = [str(self.folder / str(a)[1:]) if str(a).startswith("@") else str(a) for a in arguments]
        result = CliRunner().invoke(app, words, catch_exceptions=True)
        if result.exception is not None:
            raise result.exception
        return str(result.stdout)

    def json(self, *arguments: object) -> Any:
        return json.loads(self(*arguments, "--json"))

    def key(self, person: str) -> None:
        self("keys", "new", "--person", person, "--out", f"@{person}.pem", "--passphrase-file", "@secret")

    def holders(self, option: str, *people: str) -> list[str]:
        return [part for person in people for part in (option, f"@{person}.pub.json")]

    def signed_by(self, person: str) -> list[str]:
        return ["--key", f"@{person}.pem", "--passphrase-file", "@secret"]

    def sign(self, person: str, *more: str) -> str:
        return self(
            *("sign", "--root", "@ceremony/1.root.json", "--repository", "@repository", "--log", "@log"),
            *("--memory", f"@memory-{person}", "--document", "@release/list.json", "--policy", "@release/policy.json"),
            *(*self.signed_by(person), "--yes", *more),
        )

    def publish(self, *files: str) -> Any:
        online = [part for name in self.server_keys for part in ("--online-key", f"@{name}.pem")]
        folders = ("--release", "@release", "--repository", "@repository")
        return self.json("publish", *files, *folders, *online, "--passphrase-file", "@secret")

    def build(self, *more: str) -> Any:
        return self.json("build", "--log", "@log", "--release", "@release", "--repository", "@repository", *more)

    def propose(self, name: str, *more: str) -> Any:
        (self.folder / "names").write_text(f"{name}\n{REFUSED}\n")
        log = ("--log", "@log", "--targets", "@ceremony/1.targets.json")
        asked = ("trial", "propose", *log, "--person", "editor", *self.signed_by("editor"))
        return self.json(*asked, "--category", "gambling", "--order", "12/QĐ", "--mandated", *more, "@names")

    def approve(self, *more: str, by: str = "an", targets: str = "@ceremony/1.targets.json") -> str:
        return self(
            "trial", "approve", "--log", "@log", "--targets", targets, "--person", by, *self.signed_by(by), *more
        )


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """An authority after its ceremony: three custodians, three approvers, an editor; nothing is published yet."""
    office = Office(tmp_path_factory.mktemp("office"))
    custodians, approvers = ("mai", "nam", "oanh"), ("an", "binh", "chi")
    for person in (*custodians, *approvers, "editor", "snapshot", "timestamp"):
        office.key(person)
    office(
        *("root", "init", "--out", "@ceremony", *office.holders("--root-key", *custodians)),
        *(*office.holders("--targets-key", *custodians), "--snapshot-key", "@snapshot.pub.json"),
        *("--timestamp-key", "@timestamp.pub.json"),
    )
    office("targets", "init", "--out", "@ceremony", *office.holders("--list-key", *approvers))
    for person, lacks in (("mai", "1 of 2"), ("oanh", "complete")):
        assert lacks in office("root", "sign", "@ceremony/1.root.json", *office.signed_by(person))
        against = ("--root", "@ceremony/1.root.json")
        told = office.json("targets", "sign", "@ceremony/1.targets.json", *against, *office.signed_by(person))
        assert told["complete"] is (lacks == "complete")
        assert lacks in "; ".join([*told["missing"], "complete"])
    for person, role, witness in (("an", "approver", "binh"), ("binh", "approver", "an"), ("editor", "editor", "an")):
        office(
            *("trial", "enrol", "--log", "@log", "--targets", "@ceremony/1.targets.json", "--id", person),
            *("--name", person.title(), "--role", role, "--public", f"@{person}.pub.json"),
            *("--person", witness, *office.signed_by(witness)),
        )
    return office


def publishes_a_first_list(office: Office) -> None:
    asked = office.propose("bad.example")
    assert (asked["added"], asked["refused"]) == (1, 1)
    # Nobody decides alone.
    with pytest.raises(CentralError, match="editor is no enrolled approver"):
        office.approve(asked["id"], by="editor")
    assert "step 4 of the log" in office.approve()
    first = ("@ceremony/1.root.json", "@ceremony/1.targets.json")
    with pytest.raises(CentralError, match="who the approvers are"):
        office.build()
    office("found", *first, "--repository", "@repository")
    with pytest.raises(CentralError, match="was founded already"):
        office("found", *first, "--repository", "@repository")
    built = office.build()
    assert (built["serial"], built["difference"]["first"]["added"]) == (1, ["bad.example"])
    shown = office.sign("an")
    assert "bad.example" in shown
    assert "signed: 1 of 2" in shown
    with pytest.raises(CentralError, match="list: 1 of 2 signatures; 1 more from: binh, chi"):
        office.publish()
    told = json.loads(office.sign("chi", "--json"))
    assert (told["signatures"], told["threshold"], told["complete"]) == (2, 2, True)
    assert office.publish()["serial"] == 1
    found = office.json("verify", "--root", "@ceremony/1.root.json", "--repository", "@repository", "--log", "@log")
    assert (found["serial"], found["gambling"], found["expired"]) == (1, 1, "")
    assert found["public_statement"] == "holds"
    # Run again, it renews.
    assert not office.publish()["new"]


def publishes_a_second_and_goes_back(office: Office) -> None:
    office.propose("worse.example")
    office.approve()
    assert office.build()["serial"] == 2
    office.sign("an")
    # A ceremony that is under way stops no renewal; whoever names its document is told what it lacks.
    stamp = json.loads((office.folder / "repository" / "metadata" / "timestamp.json").read_bytes())["signed"]["version"]
    renewed = office.publish()
    assert (renewed["serial"], renewed["new"]) == (1, False)
    assert "list: 1 of 2 signatures; 1 more from: binh, chi" in renewed["waiting"]
    after = json.loads((office.folder / "repository" / "metadata" / "timestamp.json").read_bytes())["signed"]["version"]
    assert after == stamp + 1
    with pytest.raises(CentralError, match="list: 1 of 2 signatures; 1 more from: binh, chi"):
        office.publish("@release/list.json")
    office.sign("binh")
    published = office.publish()
    assert (published["serial"], published["waiting"]) == (2, "")
    own = "never_block: [{id: own, why: ours, names: [bad.example], severity: refuse}]"
    (office.folder / "rails.yaml").write_text(own)
    # Nothing stands in the way of what was published once, not even what it lists.
    rolled = office.json(
        "rollback",
        "1",
        "--log",
        "@log",
        "--release",
        "@release",
        "--repository",
        "@repository",
        "--urgent",
        "--rails",
        "@rails.yaml",
    )
    assert (rolled["serial"], rolled["rollback"], rolled["difference"]["removed"]) == (3, 1, 1)
    assert "! ROLL-BACK" in office.sign("an")
    # What is published counts, until what was built is.
    explained = office.json("explain", "worse.example", "--release", "@release")
    assert (explained["serial"], [rule["owner"] for rule in explained["rules"]]) == (2, ["worse.example"])
    explained = office.json("explain", "worse.example", "--release", "@release", "--candidate")
    assert (explained["serial"], explained["rules"]) == (3, [])


def replaces_an_online_key_while_a_list_waits(office: Office) -> None:
    office.key("clock")
    rotating = ("rotate", "timestamp", "--repository", "@repository", "--out", "@clock")
    office(*rotating, "--add", "@clock.pub.json", "--remove", "timestamp")
    for person in ("mai", "nam"):
        office("root", "sign", "@clock/2.root.json", "--root", "@ceremony/1.root.json", *office.signed_by(person))
    # Old and new, so that edges can follow.
    office.server_keys.append("clock")
    told = office.publish("@clock/2.root.json")
    assert (told["serial"], told["new"]) == (2, False)
    assert "list: 1 of 2 signatures; 1 more from: binh, chi" in told["waiting"]
    office.server_keys.remove("timestamp")
    assert not office.publish()["new"]
    found = office.json("verify", "--root", "@ceremony/1.root.json", "--repository", "@repository", "--log", "@log")
    assert (found["serial"], found["expired"]) == (2, "")


def replaces_an_approver(office: Office) -> None:
    office.key("dung")
    office(
        "rotate", "list", "--repository", "@repository", "--out", "@two", "--add", "@dung.pub.json", "--remove", "an"
    )
    for person in ("nam", "oanh"):
        against = ("--root", "@ceremony/1.root.json", "--before", "@ceremony/1.targets.json")
        shown = office("targets", "sign", "@two/2.targets.json", *against, *office.signed_by(person))
        # Who signs sees who comes and who goes.
        assert "an (" in shown
        assert "dung (" in shown
    # What stood was signed by An and Bình, and An counts no more: the new holders sign it again, or the next release.
    office.build("--targets", "@two/2.targets.json")
    office.sign("binh", "--targets", "@two/2.targets.json")
    with pytest.raises(CentralError, match="an is no approver"):
        office.sign("an", "--targets", "@two/2.targets.json")
    with pytest.raises(CentralError, match="1 more from: chi, dung"):
        office.publish("@two/2.targets.json")
    office.sign("dung", "--targets", "@two/2.targets.json")
    office.publish("@two/2.targets.json")
    # And what An approves from now on is no decision.
    asked = office.propose("third.example")
    with pytest.raises(CentralError, match="an's key is not delegated"):
        office.approve(asked["id"], targets="@two/2.targets.json")


def replaces_a_witness(office: Office) -> None:
    """After the custodian: the first root still leads to the targets of now."""
    asked = ("targets", "ledger", "--repository", "@repository", "--root", "@ceremony/1.root.json")
    with pytest.raises(CentralError, match="its targets pin no ledger policy"):
        office(*asked)
    (office.folder / "policy").write_text(Parties().policy_text)
    office(
        *("rotate", "targets", "--repository", "@repository", "--out", "@witness", "--ledger-policy", "@policy"),
    )
    document = next((office.folder / "witness").iterdir())
    for person in ("nam", "phuc"):
        beside = ("--root", "@three/3.root.json", "--before", "@three/3.targets.json")
        shown = office("targets", "sign", str(document), *beside, *office.signed_by(person))
        assert "log.example/ledger; 2 of w1, w2, w3; SHA-256 " in " ".join(shown.split())
    office.publish(str(document))
    assert office.json(*asked)["policy"] == (office.folder / "policy").read_text()


def replaces_a_custodian(office: Office) -> None:
    office.key("phuc")
    told = office(
        *("rotate", "targets", "--repository", "@repository", "--out", "@three", "--add", "@phuc.pub.json"),
        *("--remove", "mai"),
    )
    assert "3.root.json" in told
    assert "3.targets.json" in told
    old, new = "@clock/2.root.json", "@three/3.root.json"
    for person in ("nam", "oanh"):
        office("root", "sign", new, "--root", old, *office.signed_by(person))
        beside = ("--before", "@two/2.targets.json")
        office("targets", "sign", "@three/3.targets.json", "--root", old, *beside, *office.signed_by(person))
    with pytest.raises(CentralError, match="mai: not one of the holders of targets"):
        office("targets", "sign", "@three/3.targets.json", "--root", new, *beside, *office.signed_by("mai"))
    office.publish(new, "@three/3.targets.json")
    found = office.json("verify", "--root", old, "--repository", "@repository", "--log", "@log")
    assert found["expired"] == ""


def replaces_a_holder_of_the_root_and_the_snapshot_key(office: Office) -> None:
    rotating = ("--repository", "@repository", "--out", "@four")
    office("rotate", "root", *rotating, "--add", "@phuc.pub.json", "--remove", "oanh")
    for person in ("mai", "nam"):
        told = office("root", "sign", "@four/4.root.json", "--root", "@three/3.root.json", *office.signed_by(person))
    assert "complete" in told
    office.publish("@four/4.root.json")

    office.key("shot")
    office("rotate", "snapshot", *rotating, "--add", "@shot.pub.json", "--remove", "snapshot")
    with pytest.raises(CentralError, match="oanh: not one of the holders of root"):
        office("root", "sign", "@four/5.root.json", "--root", "@four/4.root.json", *office.signed_by("oanh"))
    for person in ("mai", "phuc"):
        office("root", "sign", "@four/5.root.json", "--root", "@four/4.root.json", *office.signed_by(person))
    office.server_keys.append("shot")
    office.publish("@four/5.root.json")
    office.server_keys.remove("snapshot")
    assert not office.publish()["new"]
    found = office.json("verify", "--root", "@ceremony/1.root.json", "--repository", "@repository", "--log", "@log")
    assert found["expired"] == ""


def refuses_what_cannot_be_meant(office: Office) -> None:
    with pytest.raises(CentralError, match="there is a document already"):
        office("targets", "init", "--out", "@ceremony", *office.holders("--list-key", "an", "binh"))
    with pytest.raises(CentralError, match="root: name what version 3 replaces: --root"):
        office("root", "sign", "@three/3.root.json", *office.signed_by("mai"))
    with pytest.raises(CentralError, match="version 3; version 3 replaces 2"):
        office("root", "sign", "@three/3.root.json", "--root", "@three/3.root.json", *office.signed_by("mai"))
    against = ("--root", "@three/3.root.json", *office.signed_by("nam"))
    with pytest.raises(CentralError, match="targets: name what version 3 replaces: --before"):
        office("targets", "sign", "@three/3.targets.json", *against)
    with pytest.raises(CentralError, match="version 1; version 3 replaces 2"):
        office("targets", "sign", "@three/3.targets.json", *against, "--before", "@ceremony/1.targets.json")
    with pytest.raises(CentralError, match="the root that names the holders"):
        office("targets", "sign", "@ceremony/1.targets.json", *office.signed_by("mai"))
    with pytest.raises(CentralError, match="snapshot: name a key"):
        office("rotate", "snapshot", "--repository", "@repository", "--out", "@five")
    with pytest.raises(CentralError, match="--lifetime: a duration"):
        office("rotate", "root", "--repository", "@repository", "--out", "@five", "--lifetime", "9")


def test_the_whole_road_and_every_kind_of_change_to_its_keys(office: Office) -> None:
    # One authority's history: each part goes on from where the one before ends.
    publishes_a_first_list(office)
    publishes_a_second_and_goes_back(office)
    replaces_an_online_key_while_a_list_waits(office)
    replaces_an_approver(office)
    replaces_a_custodian(office)
    replaces_a_witness(office)
    replaces_a_holder_of_the_root_and_the_snapshot_key(office)
    refuses_what_cannot_be_meant(office)
    asks_before_signing(office)


def test_keys_are_shown_and_taken_in(office: Office) -> None:
    shown = office.json("keys", "show", "@an.pub.json")
    assert (shown["person"], shown["type"]) == ("an", "ed25519")
    public = Ed25519PrivateKey.generate().public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (office.folder / "hsm.pem").write_bytes(pem)
    adopted = office.json(
        *("keys", "adopt", "--uri", "hsm:2", "--public", "@hsm.pem", "--out", "@hsm.pub.json", "--person", "quang")
    )
    assert adopted["person"] == "quang"
    assert "quang" in office("keys", "show", "@hsm.pub.json")
    (office.folder / "hsm.pem").write_text("no key")
    with pytest.raises(CentralError, match="not a public key in PEM form"):
        office(
            *("keys", "adopt", "--uri", "hsm:2", "--public", "@hsm.pem", "--out", "@h.pub.json", "--person", "quang")
        )


def asks_before_signing(office: Office) -> None:
    office.build("--renew")
    arguments = [
        str(office.folder / a[1:]) if a.startswith("@") else a
        for a in (
            *("sign", "--root", "@ceremony/1.root.json", "--repository", "@repository", "--log", "@log"),
            *("--memory", "@memory-chi", "--document", "@release/list.json", "--policy", "@release/policy.json"),
            *office.signed_by("chi"),
        )
    ]
    before = (office.folder / "release" / "list.json").read_bytes()
    result = CliRunner().invoke(app, arguments, input="n\n")
    assert "not signed" in str(result.exception)
    assert (office.folder / "release" / "list.json").read_bytes() == before
