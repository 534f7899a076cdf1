"""What an approver's machine does before it signs a list: everything again, from the log.

The machine trusts a root that it was given by hand, and its own memory: which seed it saw first, and what it has
signed. It believes nothing else; whoever made the candidate may be an enemy.

Holds always: a document is signed only if its records are byte for byte what this machine folded from a log whose every
signature it verified, and which continues the log of the published list; no serial is ever signed twice over other
records or another policy bundle; what would change was shown before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, Targets

from blocklist_sync.artifact import policy
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.approvals import Log
from blocklist_sync.central.log.difference import Difference
from blocklist_sync.central.log.fold import State
from blocklist_sync.central.log.folder import Checkpoint, LogFolder
from blocklist_sync.central.log.statecache import StateCache, continued
from blocklist_sync.central.rails.passage import compared
from blocklist_sync.central.rails.rails import Finding, Rails
from blocklist_sync.central.release import ceremony, deltas, offer, policies
from blocklist_sync.central.release.candidate import content_digest
from blocklist_sync.central.release.ceremony import MAX_LIFETIME_SECONDS
from blocklist_sync.central.release.holder import person_of
from blocklist_sync.central.release.offer import Offer
from blocklist_sync.central.release.rebuild import Rebuilt, Rules, rebuild
from blocklist_sync.central.release.repository import (
    LIST_ROLE,
    POLICY_TARGET,
    Contents,
    Repository,
    approvers,
    delegated,
    missing,
)
from lachan import durable

CLOCK_TOLERANCE_SECONDS = 300
MAX_SERIAL_STEP = 1000
"""How far a serial may jump: one near the end of the numbers would leave no room for the next."""
MAX_MEMORY_BYTES = 16 << 20
REMEMBERED = 1000
"""Serials of which a machine remembers what it signed; one below all of them it signs no more."""


class RefusedError(CentralError):
    """The candidate must not be signed; the message says why."""


@dataclass(frozen=True)
class Examined:
    """A candidate that may be signed, and what it would change."""

    offer: Offer
    published: Offer | None
    difference: Difference
    warnings: tuple[str, ...]
    delegations: Targets
    signed_by: tuple[str, ...]
    threshold: int
    findings: tuple[Finding, ...]
    """What this machine's own rails say of it; whoever signs is one of those who decide."""


class Memory:
    """What this machine remembers from one signing to the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Two, so that the published state is there while the candidate's is made from it.
        self.states = (StateCache(folder / "one.tsv"), StateCache(folder / "other.tsv"))
        self._path = folder / "signer.json"

    def _read(self) -> dict[str, Any]:
        if not self._path.exists():
            return {"seed_sha256": "", "signed": {}}
        try:
            held: dict[str, Any] = json.loads(durable.read(self._path, MAX_MEMORY_BYTES))
            held["seed_sha256"], [int(serial) for serial in held["signed"]]
        except (ValueError, KeyError, TypeError) as error:
            raise CentralError(f"{self._path}: malformed: {error}") from error
        return held

    def check(self, seed: bytes, serial: int, content: str) -> None:
        """Holds a candidate against what was seen and signed before.

        Args:
            seed: What fingerprint keys are drawn from.
            serial: The candidate's.
            content: Its content digest: records and policy bundle.

        Raises:
            RefusedError: The seed is another, or something else was signed under the serial.
        """
        held = self._read()
        if held["seed_sha256"] not in {"", hashlib.sha256(seed).hexdigest()}:
            raise RefusedError("the log comes with another fingerprint seed than before")
        signed = held["signed"]
        if len(signed) >= REMEMBERED and serial < min(map(int, signed)):
            raise RefusedError(f"serial {serial} is older than any that this machine remembers")
        if signed.get(str(serial), content) != content:
            raise RefusedError(f"this machine has signed something else as serial {serial}; build --above {serial}")

    def note(self, seed: bytes, serial: int, content: str) -> None:
        """Notes what is about to be signed."""
        held = self._read()
        held["seed_sha256"] = hashlib.sha256(seed).hexdigest()
        held["signed"][str(serial)] = content
        for old in sorted(held["signed"], key=int)[:-REMEMBERED]:
            del held["signed"][old]
        durable.make_folder(self.folder)
        durable.write(self._path, [json.dumps(held, indent=1).encode()])


@dataclass(frozen=True)
class Sources:
    """Where a signer's machine has everything."""

    root: bytes
    """The root that was given by hand."""
    repository: Repository
    log: LogFolder
    document: Metadata[Targets]
    bundle: bytes
    """The candidate's policy bundle."""
    pending: Metadata[Targets] | None = None
    """Top-level targets that will be published with this release."""


class Examination:
    """One candidate, looked at by one machine."""

    def __init__(self, sources: Sources, memory: Memory, now: int, guarding: Rails | None = None) -> None:
        """Verifies what is published, and who may approve.

        Args:
            sources: Where everything is.
            memory: What this machine remembers.
            now: Seconds since 1970-01-01 UTC.
            guarding: This machine's rails.

        Raises:
            CentralError: The repository does not verify from the trusted root.
        """
        self._sources = sources
        self._memory = memory
        self._now = now
        self._guarding = guarding
        self._contents = _contents(sources)
        self._delegations = _delegated(sources, self._contents)
        listed = self._contents.listed
        self._published = offer.read(listed) if listed is not None else None

    def run(self) -> Examined:
        """Rebuilds the candidate and compares.

        Raises:
            RefusedError: It must not be signed.
            RailError: A rail refuses.
            CentralError: The log does not verify.
        """
        offered = offer.read(self._sources.document)
        self._check_place(offered)
        seed = self._sources.log.seed()
        self._memory.check(seed, offered.serial, offered.content)
        log = self._log(offered)
        published = self._folded(log, self._published, None) if self._published else None
        if published is not None and self._published is not None:
            _compare(published, self._published, "what is published is not what the log says")
        rebuilt = self._folded(log, offered, published.state if published else None)
        _compare(rebuilt, offered, "the candidate is not what the log says")
        self._check_policy(offered, rebuilt)
        self._check_manifest(offered, rebuilt)
        warnings = [*self._brought_back(offered), *self._warnings(offered)]
        before = published.state.path if published else None
        # What comes back was published once; nothing may stand in the way of a roll-back.
        guarding = self._guarding if offered.rollback is None else None
        told, findings = compared(before, rebuilt.state.path, guarding)
        return Examined(
            offered,
            self._published,
            told,
            tuple(warnings),
            self._delegations,
            tuple(sorted(_signed_by(self._sources.document, self._delegations))),
            (self._delegations.delegations.roles or {})[LIST_ROLE].threshold,  # type: ignore[union-attr]  # was read
            tuple(findings),
        )

    def _check_place(self, offered: Offer) -> None:
        """Whether the document is the next one."""
        held = self._contents.listed
        if offered.version != (held.signed.version if held else 0) + 1:
            raise RefusedError(f"version {offered.version} of the list does not follow the published one")
        expires = self._sources.document.signed.expires
        left = (expires - datetime.fromtimestamp(self._now, UTC)).total_seconds()
        if not 0 < left <= MAX_LIFETIME_SECONDS:
            raise RefusedError(f"it would expire at {expires:%Y-%m-%d %H:%M} UTC")
        if offered.as_of > self._now + CLOCK_TOLERANCE_SECONDS:
            raise RefusedError("it is of a moment that has not come")
        before = self._published
        serial = before.serial if before else 0
        same = before is not None and held is not None and held.signed.targets == self._sources.document.signed.targets
        if not same and not serial < offered.serial <= serial + MAX_SERIAL_STEP:
            raise RefusedError(f"serial {offered.serial} does not follow the published serial {serial}")
        if before is not None and offered.as_of < before.as_of:
            raise RefusedError("it is of an earlier moment than the published list")
        epoch = before.key_epoch if before else 1
        if not epoch <= offered.key_epoch <= epoch + 1:
            raise RefusedError(f"key epoch {offered.key_epoch} does not follow {epoch}")

    def _log(self, offered: Offer) -> Log:
        before = self._published
        checkpoint = Checkpoint(before.log_length, bytes.fromhex(before.log_head)) if before else Checkpoint()
        log = self._sources.log.verified(delegated(self._delegations), checkpoint, offered.log_length)
        if log.head.hex() != offered.log_head:
            raise RefusedError("the candidate was built of another log than this")
        # What comes later counts no earlier than this would, for ever.
        if log.decisions and log.decisions[-1].decided_at > self._now + CLOCK_TOLERANCE_SECONDS:
            raise RefusedError("the log has a decision of a moment that has not come")
        return log

    def _folded(self, log: Log, offered: Offer, before: State | None) -> Rebuilt:
        """Rebuilds a release, going on from what this machine folded earlier; `before` is left as it is."""
        rules = Rules(offered.serial, self._sources.log.seed(), offered.key_epoch)
        durable.make_folder(self._memory.folder)
        source, states = self._sources.log, self._memory.states
        cut = source.cut(log, offered.folded_length)
        base = continued(states, source, cut, offered.folded_as_of)
        room = next(state for state in states if before is None or state.path != before.path)
        rebuilt = rebuild(cut, offered.folded_as_of, source.text_of, room.path, rules, base)
        if rebuilt.state.path == room.path:
            room.keep(rebuilt.state)
        return rebuilt

    def _check_policy(self, offered: Offer, rebuilt: Rebuilt) -> None:
        bundle = self._sources.bundle
        if hashlib.sha256(bundle).hexdigest() != offered.policy_digest:
            raise RefusedError("the policy bundle is not the one that the document names")
        try:
            policy.parse(bundle)
        except ArtifactError as error:
            raise RefusedError(f"the policy bundle: {error}") from error
        if content_digest(rebuilt.release.data, bundle) != offered.content:
            raise RefusedError("the document's content digest is not that of records and policy bundle")

    def _policy_changes(self, offered: Offer) -> Iterator[str]:
        """How the bundle differs from the published one; before the first, from what a list starts with.

        Raises:
            RefusedError: The published one is not at hand.
        """
        before = self._published
        if before is None:
            yield from policies.differences(policy.default(), policy.parse(self._sources.bundle))
        elif offered.policy_digest != before.policy_digest:
            path = self._sources.repository.target_path(POLICY_TARGET, before.policy_digest)
            data = durable.read(path, policy.MAX_BYTES)
            if hashlib.sha256(data).hexdigest() != before.policy_digest:
                raise RefusedError(f"{path}: not the policy bundle that is published")
            found = list(policies.differences(policy.parse(data), policy.parse(self._sources.bundle)))
            yield from found or ["means the same, in other words"]

    def _check_manifest(self, offered: Offer, rebuilt: Rebuilt) -> None:
        """Whether the deltas are those that lead from what is published to this release."""
        listed = self._contents.listed
        if self._published is not None and self._published.serial == offered.serial:
            # A renewal: nothing but the end of the signatures changes.
            same = self._published.manifest_digest == offered.manifest_digest
        else:
            chain = deltas.after(
                self._sources.repository.targets, listed.signed.targets if listed else {}, rebuilt.release
            )
            same = hashlib.sha256(chain.manifest.encode()).hexdigest() == offered.manifest_digest
        if not same:
            raise RefusedError("the manifest does not lead from the published release to this one")

    def _brought_back(self, offered: Offer) -> Iterator[str]:
        """Whether the content that comes back was published under the serial it is said to be of.

        Raises:
            RefusedError: Something else was.
        """
        back, held = offered.rollback, self._contents.listed
        if back is None:
            return
        yield f"ROLL-BACK: the content of serial {back.serial} comes back"
        repository = self._sources.repository
        for version in range(held.signed.version if held else 0, 0, -1):
            if not repository.path(LIST_ROLE, version).exists():
                continue
            document = repository.held(LIST_ROLE, version)
            if missing(self._delegations, LIST_ROLE, document):
                # Signed by approvers who have left since: who they were is not known here.
                continue
            said = offer.read(document)
            if said.serial == back.serial:
                if (said.folded_length, said.folded_as_of) != (back.log_length, back.as_of):
                    raise RefusedError(f"what is said to come back is not what serial {back.serial} was published with")
                return
        yield f"that serial {back.serial} was ever published cannot be seen from here"

    def _warnings(self, offered: Offer) -> list[str]:
        """What deserves a second look."""
        found = []
        before = self._published
        if offered.urgent:
            found.append("urgent: edges are told to hurry")
        if before is not None and offered.key_epoch != before.key_epoch:
            found.append(f"a new fingerprint key epoch: {offered.key_epoch}")
        found += [f"the policy: {change}" for change in self._policy_changes(offered)]
        if before is not None and offered.serial == before.serial:
            found.append("a renewal: the same release, signed for longer")
        if self._sources.pending is not None:
            found.append("the approvers themselves change with this release")
        return found


def _contents(sources: Sources) -> Contents:
    return sources.repository.verified(sources.root)


def _delegated(sources: Sources, contents: Contents) -> Targets:
    """Who the approvers are, by the offline keys' word."""
    if sources.pending is not None:
        held = contents.targets.signed.version if contents.targets is not None else 0
        if sources.pending.signed.version < held:
            raise RefusedError(f"targets: version {held} is published, and {sources.pending.signed.version} is older")
        if lacks := missing(contents.root.signed, Targets.type, sources.pending):
            raise RefusedError(lacks)
        return sources.pending.signed
    if contents.targets is None:
        raise RefusedError("nothing is published yet: the signed top-level targets are needed")
    return contents.targets.signed


def _compare(rebuilt: Rebuilt, offered: Offer, otherwise: str) -> None:
    """Holds a rebuilt release against what a document says of it.

    Raises:
        RefusedError: They differ.
    """
    own = rebuilt.release
    if own.digest.hex() != offered.records_digest:
        raise RefusedError(
            f"{otherwise}: serial {offered.serial} has the digest {offered.records_digest[:16]}…, and here "
            f"{own.digest.hex()[:16]}… came out"
        )
    if (own.names, own.count, len(own.data)) != (offered.names, offered.records, offered.records_bytes):
        raise RefusedError(f"{otherwise}: other numbers of names or records")


def _signed_by(document: Metadata[Targets], delegations: Targets) -> list[str]:
    result = delegations.get_verification_result(LIST_ROLE, document.signed_bytes, document.signatures)
    return [person_of(key) for key in result.signed.values()]


def sign(examined: Examined, sources: Sources, memory: Memory, signer: Signer) -> None:
    """Adds one signature to a candidate that was examined.

    Raises:
        CentralError: The signer is no approver, or has signed already.
    """
    if signer.public_key.keyid not in {key.keyid for key in approvers(examined.delegations)}:
        raise RefusedError(f"{person_of(signer.public_key)} is no approver of the list")
    # Noted first: a signature that somebody may have must never be forgotten.
    memory.note(sources.log.seed(), examined.offer.serial, examined.offer.content)
    ceremony.sign(sources.document, signer, LIST_ROLE, [examined.delegations])
