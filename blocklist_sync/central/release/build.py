"""From the approvals log to a candidate release: records, policy bundle, and the document that approvers sign.

Holds always: a candidate is what the log says at its moment, and nothing else can enter it; built twice from one state
it has the same bytes and the same serial; once its document bears a signature, other content takes another serial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tuf.api.metadata import Metadata, Targets

from blocklist_sync.artifact.policy import PolicyBundle
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import rows
from blocklist_sync.central.log.approvals import Log
from blocklist_sync.central.log.difference import Comparison, Difference
from blocklist_sync.central.log.fold import State
from blocklist_sync.central.log.folder import Checkpoint, LogFolder
from blocklist_sync.central.log.statecache import continued
from blocklist_sync.central.rails.passage import Passage
from blocklist_sync.central.rails.rails import Finding, Rails
from blocklist_sync.central.release import accountability, deltas
from blocklist_sync.central.release.candidate import Candidate, Published, ReleaseFolder, content_digest
from blocklist_sync.central.release.ceremony import expiry
from blocklist_sync.central.release.deltas import MANIFEST_TARGET
from blocklist_sync.central.release.rebuild import Rebuilt, Rules, encode, rebuild, shared
from blocklist_sync.central.release.repository import (
    LIST_ROLE,
    POLICY_TARGET,
    RECORDS_TARGET,
    Contents,
    Repository,
    delegated,
    describe,
    missing,
)

LIST_LIFETIME_SECONDS = 30 * 86_400.0


@dataclass(frozen=True)
class Wish:
    """What is to be built."""

    as_of: int
    """The moment that counts, in seconds since 1970-01-01 UTC."""
    bundle: PolicyBundle | None = None
    """A policy bundle in place of the one that is carried."""
    new_key_epoch: bool = False
    """Draw fingerprint keys of a new epoch: yearly, or after a leak."""
    urgent: bool = False
    rollback: int = 0
    """The serial whose content is to come back."""
    renew: bool = False
    """Have the approvers sign what is published anew, whatever is left of their signature's life."""
    lifetime: float = LIST_LIFETIME_SECONDS
    above: int = 0
    """A serial to stay above: one that a signer's machine remembers, though its signature never came back."""


@dataclass(frozen=True)
class Built:
    """What a build did; `to_sign` is False where what is published needs no signature."""

    candidate: Candidate
    unchanged: bool
    to_sign: bool
    entries: int
    difference: Difference
    findings: tuple[Finding, ...] = ()
    """What rails say of the difference."""


def custom_of(listed: Metadata[Targets]) -> dict[str, Any]:
    """What a list's document says of its records."""
    return dict(listed.signed.targets[RECORDS_TARGET].custom or {})


def checkpoint(contents: Contents | None) -> Checkpoint:
    """How far the log reached when the published list was signed."""
    if contents is None or contents.listed is None:
        return Checkpoint()
    custom = custom_of(contents.listed)
    return Checkpoint(custom["log_length"], bytes.fromhex(custom["log_head"]))


def document(
    version: int, candidate: Candidate, parts: Mapping[str, bytes], rolled: Published | None, expires: datetime
) -> Metadata[Targets]:
    """The list's document, unsigned.

    Args:
        version: Of the document.
        candidate: What it is of.
        parts: Every target's bytes.
        rolled: The release whose content comes back, if it does.
        expires: When the approvers' signatures end.
    """
    custom: dict[str, object] = {
        "serial": candidate.serial,
        "names": candidate.names,
        "records": candidate.records,
        "urgent": candidate.urgent,
        "content": candidate.content_digest,
        "key_epoch": candidate.key_epoch,
        "log_length": candidate.log_length,
        "log_head": candidate.log_head,
        "as_of": candidate.as_of,
    }
    if rolled is not None:
        custom["rollback"] = {"serial": rolled.serial, "log_length": rolled.log_length, "as_of": rolled.as_of}
    targets = {path: describe(path, data, custom if path == RECORDS_TARGET else {}) for path, data in parts.items()}
    return Metadata(Targets(version=version, expires=expires, targets=targets))


def rolled_back(folder: ReleaseFolder, serial: int) -> Published:
    """The published release of a serial.

    Raises:
        CentralError: There is none.
    """
    for row in folder.published():
        if row.serial == serial:
            return row
    raise CentralError(f"serial {serial} was never published here")


def _delegations(contents: Contents | None, offered: Targets | None) -> Targets:
    if offered is not None:
        return offered
    if contents is None or contents.targets is None:
        raise CentralError("nothing is published yet: name the top-level targets that say who the approvers are")
    return contents.targets.signed


def _check_settled(folder: ReleaseFolder, contents: Contents | None) -> None:
    serial = custom_of(contents.listed)["serial"] if contents and contents.listed else 0
    if serial > max((row.serial for row in folder.published()), default=0):
        raise CentralError(f"{folder.folder}: a publishing was interrupted; run publish again first")


def _check_moment(contents: Contents | None, as_of: int, now: int) -> None:
    if as_of > now:
        raise CentralError("a list is built of what is in force, not of what will be")
    if contents and contents.listed and as_of < custom_of(contents.listed)["as_of"]:
        raise CentralError("the published list is of a later moment: nobody would sign this one")


def _folded(folder: ReleaseFolder, source: LogFolder, log: Log, as_of: int, rules: Rules, *, keep: bool) -> Rebuilt:
    """Rebuilds in the folder, from the state there if it is one of this log."""
    base = continued([folder.state], source, log, as_of)
    path = folder.state.path
    rebuilt = rebuild(log, as_of, source.text_of, path if keep else path.with_name("rollback.tsv"), rules, base)
    if keep:
        folder.state.keep(rebuilt.state)
    return rebuilt


def _serial_to_take(folder: ReleaseFolder, before: Candidate | None, above: int) -> int:
    """The next serial: above whatever was published, taken, or signed by somebody."""
    taken = max((row.serial for row in folder.history()), default=0)
    taken = max(taken, above)
    if before is not None and before.serial > taken and folder.document_path.exists():
        taken = before.serial if folder.document().signatures else taken
    return taken + 1


def _dated(
    folder: ReleaseFolder, state: State, serial: int, guarding: Rails | None
) -> tuple[Difference, Sequence[Finding]]:
    """Writes the clear list, each entry with the serial that brought it.

    Returns:
        How it differs from the published one, and what rails find in that, where there are any.

    Raises:
        RailError: A rail refuses.
    """
    published = folder.published_entries_path if folder.published_entries_path.exists() else None
    with ExitStack() as stack:
        comparison = Comparison(published, state.path, stack)
        passage = Passage(guarding, comparison.kinds) if guarding is not None else None
        rows.write(folder.entries_path, comparison.kinds, comparison.blocks(serial, passage))
    return comparison.told, passage.weigh(published, folder.entries_path) if passage is not None else ()


def _due(listed: Metadata[Targets], delegations: Targets, wish: Wish, now: int) -> bool:
    """Whether the approvers have to sign the published list anew."""
    left = (listed.signed.expires - datetime.fromtimestamp(now, UTC)).total_seconds()
    return wish.renew or left < wish.lifetime / 2 or bool(missing(delegations, LIST_ROLE, listed))


def _renewed(listed: Metadata[Targets], expires: datetime) -> Metadata[Targets]:
    """The published document with a later end, to be signed anew."""
    signed = deepcopy(listed.signed)
    signed.version += 1
    signed.expires = expires
    return Metadata(signed)


def build(
    folder: ReleaseFolder,
    source: LogFolder,
    repository: Repository,
    wish: Wish,
    *,
    now: int,
    delegations: Targets | None = None,
    guarding: Rails | None = None,
) -> Built:
    """Builds the next candidate of a release folder, which the caller holds locked.

    Args:
        folder: The release folder.
        source: The log.
        repository: The repository that edges read.
        wish: What is to be built.
        now: Seconds since 1970-01-01 UTC.
        delegations: The top-level targets that will be published with this release; the published ones if None.
        guarding: What rails the way from the published list to the candidate is held against.

    Raises:
        CentralError: The log, or a folder, cannot be used; or a rail refuses.
        FileError: Something cannot be written.
    """
    contents = repository.opened()
    delegations = _delegations(contents, delegations)
    _check_settled(folder, contents)
    _check_moment(contents, wish.as_of, now)
    log = source.verified(delegated(delegations), checkpoint(contents))
    rolled = rolled_back(folder, wish.rollback) if wish.rollback else None
    before, last = folder.candidate(), max(folder.published(), key=lambda row: row.serial, default=None)
    rules = _rules(folder, source, before, last, wish)
    folded = source.cut(log, rolled.log_length) if rolled else log
    rebuilt = _folded(folder, source, folded, rolled.as_of if rolled else wish.as_of, rules, keep=rolled is None)
    if guarding is not None:
        rebuilt, rules = _rekeyed(rebuilt, rules, guarding, last.key_epoch if last else 1)
    bundle = (wish.bundle or folder.policy()).encode()
    content = content_digest(rebuilt.release.data, bundle)
    unchanged = last is not None and last.content_digest == content
    if last is not None and unchanged:
        # The same content is the same release: its serial, its bytes.
        rules = replace(rules, serial=last.serial)
        rebuilt = replace(rebuilt, release=encode(rebuilt.state, rules)[0])
    elif before is not None and _stands(folder, before, content, wish, contents, now):
        told, _ = _dated(folder, rebuilt.state, before.serial, None)
        return Built(before, unchanged=False, to_sign=True, entries=before.records, difference=told)
    # What comes back was published once; nothing may stand in the way of a roll-back.
    told, findings = _dated(folder, rebuilt.state, rules.serial, guarding if rolled is None else None)
    candidate = _candidate(rebuilt, rules, log, content, wish)
    listed = contents.listed if contents else None
    chain = deltas.after(repository.targets, listed.signed.targets if listed else {}, rebuilt.release)
    parts = {RECORDS_TARGET: rebuilt.release.data, POLICY_TARGET: bundle, MANIFEST_TARGET: chain.manifest.encode()}
    expires = expiry(now, wish.lifetime)
    made: Metadata[Targets] | None
    if unchanged and listed is not None:
        made = _renewed(listed, expires) if _due(listed, delegations, wish, now) else None
    else:
        made = document(listed.signed.version + 1 if listed else 1, candidate, parts, rolled, expires)
    accountability.state(folder.entries_path, folder.public, candidate.serial, accountability.secret(folder.folder))
    folder.store(parts, candidate, made)
    return Built(candidate, unchanged, made is not None, rebuilt.state.entries, told, tuple(findings))


def _rules(
    folder: ReleaseFolder, source: LogFolder, before: Candidate | None, last: Published | None, wish: Wish
) -> Rules:
    """What the next candidate is made by; signers follow to the key epoch behind the published one, and no further."""
    published = last.key_epoch if last else 1
    held = max(before.key_epoch if before else 1, published)
    epoch = min(held + wish.new_key_epoch, published + 1)
    return Rules(_serial_to_take(folder, before, wish.above), source.drawn_seed(), epoch)


def _candidate(rebuilt: Rebuilt, rules: Rules, log: Log, content: str, wish: Wish) -> Candidate:
    release = rebuilt.release
    return Candidate(
        serial=rules.serial,
        records_digest=release.digest.hex(),
        content_digest=content,
        key_epoch=rules.epoch,
        key_draw=rebuilt.draw,
        names=release.names,
        records=release.count,
        log_length=log.length,
        log_head=log.head.hex(),
        as_of=wish.as_of,
        urgent=wish.urgent,
        rollback=wish.rollback,
    )


def _rekeyed(rebuilt: Rebuilt, rules: Rules, guarding: Rails, published: int) -> tuple[Rebuilt, Rules]:
    """A release under the next key epoch, where a name that this authority protects would be blocked by chance.

    Signers know the names that are shipped alone; the epoch stands in the document, so they come to the same bytes.

    Args:
        rebuilt: The release.
        rules: What it was made by.
        guarding: The rails, with what the authority has in its settings.
        published: The key epoch of what is published.

    Raises:
        CentralError: Signers would not follow to an epoch beyond the next.
    """
    names = {name for one in guarding.settings.never_block for name in (*one.trees, *one.names)}
    while hurt := shared(rebuilt.state, rebuilt.release, names):
        if rules.epoch > published:
            raise CentralError(f"{', '.join(sorted(hurt))}: collides under two key epochs; build once without it")
        rules = replace(rules, epoch=rules.epoch + 1)
        release, draw = encode(rebuilt.state, rules)
        rebuilt = replace(rebuilt, release=release, draw=draw)
    return rebuilt, rules


def _stands(
    folder: ReleaseFolder, before: Candidate, content: str, wish: Wish, contents: Contents | None, now: int
) -> bool:
    """Whether the candidate that is there says the same, so that signatures under it are not lost."""
    if not folder.document_path.exists():
        return False
    held = folder.document().signed
    version = contents.listed.signed.version if contents and contents.listed else 0
    return (
        before.content_digest == content
        and before.serial > wish.above
        and (before.urgent, before.rollback) == (wish.urgent, wish.rollback)
        and held.version == version + 1
        and not held.is_expired(datetime.fromtimestamp(now, UTC))
    )
