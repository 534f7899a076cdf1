"""The registry without its database: proposals and approvals straight into a log folder, for a trial on one machine.

    pending/ID.json   a proposal with its signatures so far

The signatures, the people and the log are the registry's own; what is missing is everything around them: orders and
their scans, stages and deadlines, several people at once.

Holds always: the log verifies after every step; what does not verify is not written.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer

from blocklist_sync.artifact.names import NameRefusedError, canonical
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake import formats
from blocklist_sync.central.intake.formats import Refusal
from blocklist_sync.central.log import approvals, changes, proposals, verifier
from blocklist_sync.central.log.approvals import Admission, Approval
from blocklist_sync.central.log.changes import Summary
from blocklist_sync.central.log.folder import LogFolder
from blocklist_sync.central.log.proposals import Order, Proposal
from blocklist_sync.central.log.verifier import Delegated
from lachan import durable

MAX_PENDING_BYTES = 1 << 20
DAY_SECONDS = 86_400


def listed(files: Iterable[Path], kind: Kind, refuse: Callable[[Refusal], None]) -> Iterator[tuple[str, Kind, bool]]:
    """The additions that source files ask for, all of one kind, exceptions apart."""
    excepted = kind._replace(exception=True)
    for path in files:
        for line, found in formats.read(path, None, refuse):
            try:
                yield canonical(found.name), excepted if found.exception else kind, True
            except NameRefusedError as error:
                refuse(Refusal(str(path), line, found.name[: formats.SHOWN_CHARACTERS], str(error.reason)))


class TrialLog:
    """A log folder that one machine writes; the caller holds it locked."""

    def __init__(self, log: LogFolder, keys: Delegated) -> None:
        self._log = log
        self._keys = keys

    def _steps(self) -> list[bytes]:
        return list(approvals.read(self._log.steps_path)) if self._log.steps_path.exists() else []

    def _append(self, step: Callable[[int, bytes], bytes]) -> int:
        """Writes the next step, once the log verifies with it."""
        steps = self._steps()
        previous = approvals.hash_step(steps[-1]) if steps else approvals.GENESIS
        steps.append(step(len(steps) + 1, previous))
        verifier.verify_log(steps, self._keys)
        durable.make_folder(self._log.folder)
        approvals.write(self._log.steps_path, steps)
        return len(steps)

    def admit(self, admission: Admission, witness: str, signer: Signer) -> int:
        """Enrols or retires somebody, by an approver's signature; the step."""
        signed = approvals.sign_admission(signer, witness, admission)
        return self._append(lambda index, previous: approvals.person_step(index, previous, admission, signed))

    def _pending(self, identifier: str) -> Path:
        if proposals.IDENTIFIER.fullmatch(identifier) is None:
            raise CentralError(f"{identifier!r} is no proposal's id")
        return self._log.folder / "pending" / f"{identifier}.json"

    def propose(
        self,
        entries: Iterable[tuple[str, Kind, bool]],
        order: Order,
        person: str,
        signer: Signer,
        *,
        reason: str,
        now: int,
    ) -> tuple[Proposal, Summary]:
        """Signs a proposal and keeps it until it is approved.

        Raises:
            CentralError: Nothing would change, or a field is beyond its bound.
        """
        durable.make_folder(self._log.folder / "changes")
        durable.make_folder(self._log.folder / "pending")
        aside = self._log.folder / "pending" / ".changes"
        summary = changes.write(aside, entries)
        proposal = Proposal(
            id=str(uuid.uuid4()),
            order=order,
            effective_from=now,
            review_by=now + 365 * DAY_SECONDS,
            reason=reason,
            proposer=person,
            proposed_at=now,
            changes_sha256=summary.digest.hex(),
            added=summary.added,
            removed=summary.removed,
        )
        proposals.check_changes(proposal, summary)
        aside.replace(self._log.changes_path(proposal.changes_sha256))
        self._keep(proposal, proposals.sign_proposal(signer, proposal), [])
        return proposal, summary

    def _keep(self, proposal: Proposal, signature: bytes, given: list[Approval]) -> None:
        document = {
            "header": proposal.document(),
            "signature": signature.hex(),
            "approvals": [asdict(approval) for approval in given],
        }
        durable.write(self._pending(proposal.id), [json.dumps(document, ensure_ascii=False).encode()])

    def approve(self, identifier: str, person: str, signer: Signer, *, now: int) -> int:
        """Adds an approval; the step that the proposal became with it, 0 while more are needed.

        Raises:
            CentralError: There is no such proposal, or the log does not verify with it.
        """
        path = self._pending(identifier)
        try:
            held: dict[str, Any] = json.loads(durable.read(path, MAX_PENDING_BYTES))
        except ValueError as error:
            raise CentralError(f"{path}: not JSON: {error}") from error
        proposal = proposals.build(held["header"])
        decided_at = max(now, proposal.proposed_at)
        signature = proposals.sign_approval(signer, proposal, decided_at).hex()
        given = [Approval(**one) for one in held["approvals"]] + [Approval(person, decided_at, signature)]
        asked = bytes.fromhex(held["signature"])
        if len(given) < proposal.approvers_needed:
            self._keep(proposal, asked, given)
            return 0
        step = self._append(lambda index, at: approvals.proposal_step(index, at, proposal, asked, given))
        path.unlink()
        return step

    def pending(self) -> list[Proposal]:
        """The proposals that wait for approvals."""
        paths = sorted((self._log.folder / "pending").glob("*.json"))
        return [proposals.build(json.loads(durable.read(path, MAX_PENDING_BYTES))["header"]) for path in paths]
