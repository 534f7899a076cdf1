"""Keys that never leave a PKCS 11 token: proposing, approving, signing, publishing by them, beside others by files."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from securesystemslib.signer import Signer

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release import holder
from blocklist_sync.central.release.founding import found
from blocklist_sync.central.release.repository import Repository
from lachan import postgres
from tests.support.list_authority import Keys, ListAuthority
from tests.support.registry import ORDER
from tests.support.registry_office import Colleague, Office, order_arguments
from tests.support.token import PIN, Token


class Holder(Colleague):
    """Somebody whose key is on the token."""

    @property
    def number(self) -> int:
        return {"first": 2, "editor": 3}[self.id]

    @property
    def signer(self) -> Signer:  # type: ignore[override]  # the token is asked each time
        return holder.signer(f"hsm:{self.number}?label=list", PIN.encode, self.public)


class TokenOffice(Office):
    """An office in which two have their keys on a token."""

    def __init__(self, folder: Path, token: Token) -> None:
        self._token = token
        super().__init__(folder)

    def _colleague(self, name: str) -> Colleague:
        if name not in {"first", "editor"}:
            return super()._colleague(name)
        made = Holder(name, self.folder / "people")
        adopt(self, self._token, self._token.draw(made.number), made.public, name)
        return made

    def configure_person(self, colleague: Colleague, uri: str) -> None:
        super().configure_person(colleague, uri)
        if isinstance(colleague, Holder):
            document = json.loads(colleague.config.read_text())
            del document["key"]
            document |= {
                "signer": f"hsm:{colleague.number}?label=list",
                "public": colleague.public.name,
                "passphrase_file": str(self._token.pin),
            }
            colleague.config.write_text(json.dumps(document))


def adopt(office: Office, token: Token, uri: str, out: Path, person: str) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    office.run("keys", "adopt", "--uri", uri, "--out", out, "--person", person, "--passphrase-file", token.pin)


def test_a_release_by_keys_on_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = Token(tmp_path / "token", monkeypatch)
    office = TokenOffice(tmp_path, token)
    online, public = token.draw(4), tmp_path / "online.pub.json"
    adopt(office, token, online, public, "publisher")
    # A key of a curve that the log does not know is found out before anybody counts on it.
    other = tmp_path / "other.pub.json"
    adopt(office, token, token.draw(5, "secp384r1"), other, "other")
    delegating = ("targets", "init", "--list-key", other, "--list-threshold", "1", "--out", tmp_path / "c")
    assert "neither Ed25519 nor ECDSA over P-256" in office.run(*delegating, status=1)

    authority = ListAuthority(tmp_path / "authority")
    approvers = [office.colleagues[name].signer for name in ("first", "second", "third")]
    publisher = [holder.signer(online, PIN.encode, public)]
    changed = {"list": approvers, "snapshot": publisher, "timestamp": publisher}
    authority.keys = Keys({**authority.keys.of_role, **changed})  # type: ignore[dict-item]  # any signer does
    authority.documents = authority.founding()
    found(authority.repository, authority.documents, int(time.time()))
    office.configure(release="authority/release", repository="authority/repository", log_folder="authority/log")
    with postgres.embedded(tmp_path / "db"):
        office.start()
        try:
            office.found()
            office.run(*order_arguments(ORDER), person="editor")
            asked = ("propose", "bad.example", "--order", ORDER.number, "--category", "gambling", "--reason", "x")
            proposed = office.told(*asked, person="editor")
            office.run("approve", proposed["id"], "--yes", person="first")
            log = authority.log.folder
            office.run("log", "--out", log, "--repository", authority.repository, person="second")
            folders = ("--release", authority.release.folder, "--repository", authority.repository)
            office.run("build", "--log", log, *folders)
            root = authority.repository / "metadata" / "1.root.json"
            for person in ("first", "second"):
                memory = tmp_path / "machines" / person
                url = f"https://localhost:{office.https_port}"
                office.run("sign", "--root", root, "--repository", url, "--memory", memory, "--yes", person=person)
            publishing = ("publish", *folders, "--online-key", online, "--passphrase-file", token.pin)
            assert "--public: 1 keys are named by a URI" in office.run(*publishing, status=1)
            office.run(*publishing, "--public", public)
        finally:
            assert office.stop() == 0
    # As any edge does it.
    contents = Repository(authority.repository).verified(root.read_bytes())
    assert contents.listed is not None
    named = contents.root.signed.roles["timestamp"].keyids
    assert [contents.root.signed.keys[one].keytype for one in named] == ["ecdsa"]
    assert approvers[0].public_key.keyid in contents.listed.signatures

    # A token tells nobody with which key it signed: that is found out here, and not by who verifies it later.
    confused = holder.signer("hsm:3?label=list", PIN.encode, public)
    with pytest.raises(CentralError, match="hsm: the signer fails: UnverifiedSignatureError"):
        confused.sign(b"data")
    (tmp_path / "wrong").write_text("not the PIN\n")
    wrong = ("publish", *folders, "--online-key", online, "--public", public, "--passphrase-file", tmp_path / "wrong")
    said = office.run(*wrong, status=1)
    assert "hsm: the signer fails: PinIncorrect" in said
    assert "not the PIN" not in said
