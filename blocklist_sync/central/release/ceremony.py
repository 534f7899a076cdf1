"""The offline roles: documents that are written unsigned, passed from holder to holder, and complete at the threshold.

`root` names the keys of every role; the top-level `targets` delegate the list to its approvers, and pin whom edges
believe about the authority's ledger. A rotation is the next version of one of the two.

Holds always: nothing is signed that its holder was not shown (`describe`); a signature is added only where it counts,
once, over bytes that it does not change; a role never has a key or a person twice, nor fewer keys than its threshold.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from securesystemslib.signer import Key, Signer
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Root, Snapshot, Targets, Timestamp

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import keys as log_keys
from blocklist_sync.central.release.holder import person_of
from blocklist_sync.central.release.repository import LIST_PATHS, LIST_ROLE, RETIRED, missing, retired, role_keys
from lachan.ledger import policy
from lachan.ledger.note import NoteError
from lachan.ledger.policy import PINNED

ROOT_ROLES = (Root.type, Targets.type, Snapshot.type, Timestamp.type)
ROLES = (*ROOT_ROLES, LIST_ROLE)
MAX_LIFETIME_SECONDS = 2 * 366 * 86_400.0


@dataclass(frozen=True)
class Holders:
    """Who may sign for a role, and how many of them must."""

    keys: Sequence[Key]
    threshold: int

    def check(self, role: str) -> None:
        """Holds the set against the rules.

        Raises:
            CentralError: A key or a person is there twice, or there are fewer keys than the threshold asks for.
        """
        if len({str(key.keyval) for key in self.keys}) != len(self.keys):
            # One key under two ids would count as two people.
            raise CentralError(f"{role}: a key is named twice")
        if twice := [person for person, keys in Counter(map(person_of, self.keys)).items() if keys > 1]:
            # So many keys must be so many people.
            raise CentralError(f"{role}: {', '.join(sorted(twice))}: one person, one key")
        if not 1 <= self.threshold <= len(self.keys):
            raise CentralError(f"{role}: {len(self.keys)} keys and a threshold of {self.threshold}")


def expiry(now: int, lifetime: float) -> datetime:
    """When a signature made now ends.

    Raises:
        CentralError: The lifetime is none.
    """
    if not 1 <= lifetime <= MAX_LIFETIME_SECONDS:
        raise CentralError(f"a lifetime is 1 second to {MAX_LIFETIME_SECONDS / 86_400:g} days")
    return datetime.fromtimestamp(now, UTC).replace(microsecond=0) + timedelta(seconds=int(lifetime))


def first_root(holders: Mapping[str, Holders], expires: datetime) -> Metadata[Root]:
    """The root that edges are enrolled with, unsigned.

    Raises:
        CentralError: A role is missing, or its holders cannot be used.
    """
    root = Root(expires=expires, consistent_snapshot=True)
    for role in ROOT_ROLES:
        if role not in holders:
            raise CentralError(f"{role}: no keys are named")
        _assign(root, role, holders[role])
    return Metadata(root)


def first_targets(holders: Holders, expires: datetime, ledger: bytes = b"") -> Metadata[Targets]:
    """The top-level targets, unsigned: who the list's approvers are, and whom to believe about the ledger.

    Args:
        holders: The approvers.
        expires: When the document ends.
        ledger: A C2SP tlog-policy that every edge holds the authority's ledger to; none if empty.

    Raises:
        CentralError: The approvers cannot be used, or the policy is none.
    """
    return Metadata(_pin(_delegate(Targets(expires=expires), holders), ledger))


def next_root(held: Root, changed: Mapping[str, Holders], expires: datetime) -> Metadata[Root]:
    """The next root, unsigned: other holders for some roles, or only a later end.

    Raises:
        CentralError: The holders cannot be used.
    """
    root = deepcopy(held)
    root.version += 1
    root.expires = expires
    for role, holders in changed.items():
        for key in role_keys(root, role)[0]:
            root.revoke_key(key.keyid, role)
        _assign(root, role, holders)
    return Metadata(root)


def next_targets(
    held: Targets, approvers: Holders | None, log_length: int, expires: datetime, ledger: bytes = b""
) -> Metadata[Targets]:
    """The next top-level targets, unsigned; a key that leaves is kept among the retired, never to sign again.

    Args:
        held: The targets before.
        approvers: Who may sign the list from now on; None leaves them as they are.
        log_length: The steps of the log up to which a key that leaves counts.
        expires: When the document ends.
        ledger: Whom to believe about the ledger from now on; empty leaves that as it is.

    Raises:
        CentralError: The approvers cannot be used, or one of them was retired before; or the policy is none.
    """
    targets = _pin(deepcopy(held), ledger)
    targets.version += 1
    targets.expires = expires
    if approvers is None:
        return Metadata(targets)
    before = role_keys(held, LIST_ROLE)[0]
    gone = {key.keyid: (key, until) for key, until in retired(held)}
    if again := [person_of(key) for key in approvers.keys if key.keyid in gone]:
        raise CentralError(f"{LIST_ROLE}: retired keys never return: {', '.join(again)}")
    staying = {key.keyid for key in approvers.keys}
    gone |= {key.keyid: (key, log_length) for key in before if key.keyid not in staying}
    if gone:
        targets.unrecognized_fields[RETIRED] = {
            keyid: {"key": key.to_dict(), "until": until} for keyid, (key, until) in sorted(gone.items())
        }
    return Metadata(_delegate(targets, approvers))


def replace(held: Root | Targets, role: str, add: Iterable[Key], remove: Iterable[str], threshold: int) -> Holders:
    """A role's holders with some added and some removed.

    Args:
        held: What delegates to the role now.
        role: The role.
        add: Keys that come.
        remove: Keys that go, each by its person or its key id.
        threshold: How many must sign from now on; 0 leaves it as it is.

    Raises:
        CentralError: Nobody of that name is there.
    """
    keys, before = role_keys(held, role)
    for name in remove:
        staying = [key for key in keys if name not in {key.keyid, person_of(key)}]
        if len(staying) == len(keys):
            raise CentralError(f"{role}: no key of {name}")
        keys = staying
    holders = Holders([*keys, *add], threshold or before)
    holders.check(role)
    return holders


def _assign(root: Root, role: str, holders: Holders) -> None:
    holders.check(role)
    for key in holders.keys:
        root.add_key(key, role)
    root.roles[role].threshold = holders.threshold


def _pin(targets: Targets, ledger: bytes) -> Targets:
    if ledger:
        targets.unrecognized_fields[PINNED] = pinned_policy(ledger).decode()
    return targets


def pinned_policy(data: bytes) -> bytes:
    """A policy that may be pinned.

    Raises:
        CentralError: It is none, too long, or asks for no witness; the line is named.
    """
    try:
        return policy.pinned(data.decode(errors="replace"))
    except NoteError as error:
        raise CentralError(f"ledger policy: {error}") from error


def ledger_policy(targets: Targets) -> bytes:
    """The policy that targets pin; empty where they pin none.

    Raises:
        CentralError: What they pin is none.
    """
    try:
        return policy.pinned(targets.unrecognized_fields.get(PINNED))
    except NoteError as error:
        raise CentralError(f"targets: {PINNED}: {error}") from error


def _witnesses(targets: Targets) -> str:
    """Whom targets pin, in a line."""
    data = ledger_policy(targets)
    if not data:
        return "nobody"
    found = policy.parse(data)
    logs = ", ".join(one.name for one in found.logs)
    return f"{logs}; {found.asked()}; SHA-256 {hashlib.sha256(data).hexdigest()[:16]}"


def _delegate(targets: Targets, holders: Holders) -> Targets:
    holders.check(LIST_ROLE)
    for key in holders.keys:
        # Whoever signs the list approves what is in it, and the log has to know the key.
        log_keys.raw(key)
    ids = [key.keyid for key in holders.keys]
    role = DelegatedRole(LIST_ROLE, ids, holders.threshold, terminating=True, paths=list(LIST_PATHS))
    targets.delegations = Delegations({key.keyid: key for key in holders.keys}, {LIST_ROLE: role})
    return targets


def sign(document: Metadata[Any], signer: Signer, role: str, delegators: Sequence[Root | Targets]) -> None:
    """Adds one signature to a document.

    Args:
        document: What is signed.
        signer: Whose signature it is.
        role: The role that the document is of.
        delegators: What names the role's keys, now or once the document is published.

    Raises:
        CentralError: The signature would not count, stands there already, or cannot be made.
    """
    keyid = signer.public_key.keyid
    if not any(keyid in {key.keyid for key in role_keys(delegator, role)[0]} for delegator in delegators):
        raise CentralError(f"{person_of(signer.public_key)}: not one of the holders of {role}")
    if keyid in document.signatures:
        raise CentralError(f"{person_of(signer.public_key)} has signed this already")
    try:
        document.sign(signer, append=True)
    except UnsignedMetadataError as error:
        raise CentralError(f"{person_of(signer.public_key)}: the signer failed: {error}") from error


def merge(documents: Sequence[Metadata[Any]], source: str) -> Metadata[Any]:
    """One document with the signatures of all its copies.

    Raises:
        CentralError: They are not copies of one document.
    """
    whole = documents[0]
    for copy in documents[1:]:
        if copy.signed_bytes != whole.signed_bytes:
            raise CentralError(f"{source}: not copies of one document")
        whole.signatures.update(copy.signatures)
    return whole


def lacking_root(document: Metadata[Root], held: Root | None) -> list[str]:
    """What a root still lacks: signatures of its own holders, and of those of the root before it."""
    found = []
    if lacks := missing(document.signed, Root.type, document):
        found.append(lacks)
    if held is not None and (lacks := missing(held, Root.type, document)):
        found.append(f"{lacks} (holders of version {held.version})")
    return found


def describe(document: Metadata[Any], before: Root | Targets | None) -> list[tuple[str, str, str]]:
    """What a document says of each role, and what it said before: role, before, now."""
    signed = document.signed
    roles = ROOT_ROLES if isinstance(signed, Root) else (LIST_ROLE,)
    rows = [("version", str(before.version) if before else "", str(signed.version))]
    rows.append(("expires", f"{before.expires:%Y-%m-%d}" if before else "", f"{signed.expires:%Y-%m-%d}"))
    rows += [(role, _told(before, role) if before else "", _told(signed, role)) for role in roles]
    if isinstance(signed, Targets):
        rows.append(("ledger", _witnesses(before) if isinstance(before, Targets) else "", _witnesses(signed)))
    if isinstance(signed, Targets) and (left := _retired(signed)):
        rows.append(("retired", _retired(before), left))
    return rows


def _retired(signed: Root | Targets | None) -> str:
    """The keys that sign no more, and up to which step of the log what they approved counts."""
    found = retired(signed) if isinstance(signed, Targets) else []
    return ", ".join(sorted(f"{person_of(key)} ({key.keyid[:8]}) until step {until}" for key, until in found))


def _told(delegator: Root | Targets, role: str) -> str:
    keys, threshold = role_keys(delegator, role)
    people = ", ".join(sorted(f"{person_of(key)} ({key.keyid[:8]})" for key in keys))
    return f"{threshold} of {len(keys)}: {people}"
