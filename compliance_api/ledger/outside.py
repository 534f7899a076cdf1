"""What whoever verifies a pack brings of their own beside the ledger's keys: who signs for whom, and what was kept.

    parties     a line for each key of a person, node or probe: lachan://ORGANISATION/ROLE/NAME, a blank, the raw
                Ed25519 key in hexadecimal
    kept        what `lachan-compliance finding` left in the folder of who stated something
    receipts    the service's public key of receipts, PEM

Holds always: none of it comes from the pack.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compliance_api.ledger import statement
from compliance_api.ledger.statement import Kept, Receipt, Statement, StatementError
from lachan import durable
from lachan.ledger.errors import LedgerError
from lachan.signing import SigningError, VerifyKey

MAX_PARTIES = 5000
MAX_PARTIES_BYTES = 1 << 20
MAX_KEPT_BYTES = 1 << 18
_LINE = re.compile(r"(lachan://[a-z0-9-]{1,63}/(?:person|node|probe)/[a-z0-9-]{1,63}) ([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True)
class Acknowledged:
    """A statement that the service said it had taken."""

    kept: Kept
    stated: Statement
    receipt: Receipt


@dataclass(frozen=True)
class Outside:
    """What is held against the pack."""

    # Keys by the name in a certificate. Where some of an organisation's people are named, all are; and so its nodes,
    # and its probes.
    parties: Mapping[str, frozenset[bytes]] = field(default_factory=dict)
    acknowledged: Sequence[Acknowledged] = ()

    def denies(self, party: str, key: bytes) -> bool:
        """Whether those of this party's organisation and role are named, and this is no key of the party's."""
        alike = party.rpartition("/")[0] + "/"
        return key not in self.parties.get(party, ()) and any(one.startswith(alike) for one in self.parties)


def parse_parties(data: bytes, source: str) -> dict[str, frozenset[bytes]]:
    """Parties and their keys.

    Raises:
        LedgerError: A line is not that; it is named.
    """
    found: dict[str, frozenset[bytes]] = {}
    lines: set[str] = set()
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None or match[0] in lines or len(lines) >= MAX_PARTIES:
            raise LedgerError(f"{source}: line {number}: not one more key of a person, node or probe")
        lines.add(match[0])
        found[match[1]] = found.get(match[1], frozenset()) | {bytes.fromhex(match[2])}
    if not found:
        raise LedgerError(f"{source}: names nobody")
    return found


def acknowledged(data: bytes, receipts: VerifyKey) -> Acknowledged:
    """What somebody kept, if the service's word in it holds.

    Raises:
        StatementError: It does not, or the statement is not by the key that it names.
    """
    kept = statement.parse_kept(data)
    stated = kept.statement.encode()
    statement.check(bytes.fromhex(kept.key), stated, bytes.fromhex(kept.signature))
    told = statement.check_receipt(receipts, kept.receipt.encode(), bytes.fromhex(kept.receipt_signature), stated)
    return Acknowledged(kept, statement.parse(stated), told)


def read(parties: Path | None, kept: Sequence[Path], receipts: Path | None) -> Outside:
    """The same from files.

    Raises:
        LedgerError: One is not what it must be.
        FileError: One cannot be read.
    """
    if kept and receipts is None:
        raise LedgerError("what was kept is held against the service's key of receipts, which is not given")
    named = parse_parties(durable.read(parties, MAX_PARTIES_BYTES), str(parties)) if parties is not None else {}
    try:
        key = VerifyKey.load(receipts) if receipts is not None else None
    except SigningError as error:
        raise LedgerError(str(error)) from error
    found = []
    for path in kept:
        try:
            if key is not None:
                found.append(acknowledged(durable.read(path, MAX_KEPT_BYTES), key))
        except StatementError as error:
            raise LedgerError(f"{path}: {error}") from error
    return Outside(named, found)
