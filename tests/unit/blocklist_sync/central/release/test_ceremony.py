from __future__ import annotations

import copy
import re
from datetime import UTC, datetime

import pytest
from tuf.api.metadata import Metadata, Root, Targets

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release import ceremony
from blocklist_sync.central.release.ceremony import Holders, describe, expiry, lacking_root, merge, replace, sign
from blocklist_sync.central.release.repository import approvers, missing, retired, role_keys
from tests.support.ledger import Parties
from tests.support.list_authority import first_keys, person

EXPIRES = datetime(2030, 1, 1, tzinfo=UTC)
KEYS = first_keys()


def root() -> Metadata[Root]:
    return ceremony.first_root({role: KEYS.holders(role) for role in ceremony.ROOT_ROLES}, EXPIRES)


def targets() -> Metadata[Targets]:
    return ceremony.first_targets(KEYS.holders("list"), EXPIRES)


def test_a_document_is_complete_at_the_threshold() -> None:
    document = root()
    first, second, _ = KEYS.of_role["root"]
    assert lacking_root(document, None) == ["root: 0 of 2 signatures; 2 more from: root-1, root-2, root-3"]
    sign(document, first, "root", [document.signed])
    assert lacking_root(document, None) == ["root: 1 of 2 signatures; 1 more from: root-2, root-3"]
    with pytest.raises(CentralError, match="root-1 has signed this already"):
        sign(document, first, "root", [document.signed])
    with pytest.raises(CentralError, match="targets-1: not one of the holders of root"):
        sign(document, KEYS.of_role["targets"][0], "root", [document.signed])
    sign(document, second, "root", [document.signed])
    assert lacking_root(document, None) == []


def test_one_key_is_one_holder() -> None:
    twice = person("root-1")
    twice.public_key.keyid = "ab" * 32
    with pytest.raises(CentralError, match="root: a key is named twice"):
        Holders([KEYS.of_role["root"][0].public_key, twice.public_key], 2).check("root")
    with pytest.raises(CentralError, match="root: root-1: one person, one key"):
        Holders([one.public_key for one in (KEYS.of_role["root"][0], person("root-1", 7))], 2).check("root")
    with pytest.raises(CentralError, match="1 keys and a threshold of 2"):
        Holders([twice.public_key], 2).check("root")
    with pytest.raises(CentralError, match="threshold of 0"):
        Holders([twice.public_key], 0).check("root")
    with pytest.raises(CentralError, match="timestamp: no keys"):
        ceremony.first_root({role: KEYS.holders(role) for role in ("root", "targets", "snapshot")}, EXPIRES)


def test_a_rotated_root_needs_the_old_and_the_new_holders() -> None:
    held = root().signed
    new = person("root-new")
    holders = replace(held, "root", [new.public_key], ["root-1", "root-2"], 0)
    document = ceremony.next_root(held, {"root": holders}, EXPIRES)
    assert (document.signed.version, len(document.signed.roles["root"].keyids)) == (2, 2)
    sign(document, new, "root", [document.signed, held])
    sign(document, KEYS.of_role["root"][2], "root", [document.signed, held])
    assert lacking_root(document, held) == [
        "root: 1 of 2 signatures; 1 more from: root-1, root-2 (holders of version 1)"
    ]
    sign(document, KEYS.of_role["root"][0], "root", [document.signed, held])
    assert lacking_root(document, held) == []
    # The one before is not touched.
    assert held.version == 1


def test_holders_are_named_by_person_or_by_key() -> None:
    held = root().signed
    keyid = KEYS.of_role["root"][0].public_key.keyid
    assert len(replace(held, "root", [], [keyid], 0).keys) == 2
    assert replace(held, "root", [], [], 3).threshold == 3
    with pytest.raises(CentralError, match="root: no key of nobody"):
        replace(held, "root", [], ["nobody"], 0)
    with pytest.raises(CentralError, match="1 keys and a threshold of 2"):
        replace(held, "root", [], ["root-1", "root-2"], 0)


def test_a_key_that_leaves_the_list_is_kept_with_its_last_step_and_never_returns() -> None:
    held = targets().signed
    new = person("fourth")
    document = ceremony.next_targets(held, replace(held, "list", [new.public_key], ["first"], 0), 17, EXPIRES)
    (one,) = retired(document.signed)
    assert (one[0].keyid, one[1]) == (KEYS.of_role["list"][0].public_key.keyid, 17)
    assert {key.keyid for key in approvers(document.signed)} == {
        one.public_key.keyid for one in (*KEYS.of_role["list"][1:], new)
    }
    again = ceremony.next_targets(document.signed, None, 99, EXPIRES)
    assert retired(again.signed) == retired(document.signed)
    back = replace(again.signed, "list", [one[0]], [], 0)
    with pytest.raises(CentralError, match="retired keys never return"):
        ceremony.next_targets(again.signed, back, 99, EXPIRES)
    assert retired(held) == []


def test_copies_of_one_document_are_merged_and_others_are_not() -> None:
    document = root()
    copies = [copy.deepcopy(document) for _ in range(2)]
    for one, signer in zip(copies, KEYS.of_role["root"], strict=False):
        sign(one, signer, "root", [one.signed])
    assert missing(document.signed, "root", merge(copies, "root")) == ""
    copies[1].signed.version = 2
    with pytest.raises(CentralError, match="not copies of one document"):
        merge(copies, "root")


def test_a_document_is_shown_beside_the_one_before() -> None:
    held = root().signed
    new = person("snapshot-new")
    holders = replace(held, "snapshot", [new.public_key], ["snapshot"], 0)
    rows = {row[0]: row for row in describe(ceremony.next_root(held, {"snapshot": holders}, EXPIRES), held)}
    assert rows["version"][1:] == ("1", "2")
    assert rows["snapshot"][1].startswith("1 of 1: snapshot (")
    assert rows["snapshot"][2].startswith("1 of 1: snapshot-new (")
    assert rows["root"][1] == rows["root"][2]
    assert [row[0] for row in describe(targets(), None)] == ["version", "expires", "list", "ledger"]
    before = targets().signed
    leaving = ceremony.next_targets(
        before, replace(before, "list", [person("fourth").public_key], ["first"], 0), 17, EXPIRES
    )
    told = describe(leaving, before)[-1]
    assert (told[0], told[1]) == ("retired", "")
    assert re.fullmatch(r"first \([0-9a-f]{8}\) until step 17", told[2])


def test_whom_to_believe_about_the_ledger_is_shown_and_stays_until_another_is_pinned() -> None:
    parties = Parties()
    pinned = parties.policy_text.encode()
    document = ceremony.first_targets(KEYS.holders("list"), EXPIRES, pinned)
    assert ceremony.ledger_policy(document.signed) == pinned
    again = ceremony.next_targets(Metadata[Targets].from_bytes(document.to_bytes()).signed, None, 0, EXPIRES)
    assert ceremony.ledger_policy(again.signed) == pinned
    other = pinned.replace(b" 2 ", b" 3 ")
    rotated = ceremony.next_targets(again.signed, None, 0, EXPIRES, other)
    (row,) = (row for row in describe(rotated, again.signed) if row[0] == "ledger")
    assert (row[1].startswith("log.example/ledger; 2 of w1, w2, w3; "), "; 3 of w1" in row[2]) == (True, True)
    assert ceremony.ledger_policy(targets().signed) == b""


@pytest.mark.parametrize("text", [b"trust me", b"quorum none\n", b"#" * 20_000, b"\xff\n"])
def test_what_asks_for_no_witness_is_not_pinned(text: bytes) -> None:
    with pytest.raises(CentralError, match="ledger policy: "):
        ceremony.first_targets(KEYS.holders("list"), EXPIRES, text)


def test_lifetimes_have_bounds() -> None:
    assert expiry(0, 86_400) == datetime(1970, 1, 2, tzinfo=UTC)
    for lifetime in (0, -5, 10_000 * 86_400):
        with pytest.raises(CentralError, match="a lifetime is"):
            expiry(0, lifetime)


def test_nothing_is_delegated_to_roles_that_there_are_not() -> None:
    with pytest.raises(CentralError, match="a role king"):
        role_keys(root().signed, "king")
    with pytest.raises(CentralError, match="a role list"):
        role_keys(Targets(expires=EXPIRES), "list")
