"""The verifier alone: `python -m compliance_api.ledger PACK --keys FILE [--pinned CHECKPOINT] [--parties FILE]`.

Needs this package's `ledger` folders, three modules of `lachan` and two libraries (cryptography, pydantic); neither a
service nor a network. `lachan-compliance verify` does the same.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from compliance_api.ledger import outside
from compliance_api.ledger.outcome import Outcome
from compliance_api.ledger.verify import verify_files
from lachan.errors import LachanError


def lines(outcome: Outcome) -> list[str]:
    """What came out, a line for each thing that is wrong."""
    told = [str(one) for one in outcome.problems]
    if outcome.head is not None:
        names = ", ".join(sorted(outcome.head.times)) or "nobody"
        told.append(f"{outcome.origin}: {outcome.head.checkpoint.size} leaves, cosigned by {names}")
    if outcome.unreported:
        told.append(f"of the sessions that are cited, {outcome.unreported} questions were never answered for")
    told += outcome.answers
    told.append(f"not proven: {outcome.unproven}")
    leaves = f"{outcome.opened} leaves opened, {outcome.hidden} by their commitments alone"
    return [*told, f"{'holds' if outcome.holds else 'DOES NOT HOLD'}: {leaves}"]


def main(words: list[str] | None = None) -> int:
    """Verifies a pack; 0 where it holds, 1 where it does not, 2 where that cannot be said."""
    parser = argparse.ArgumentParser(prog="python -m compliance_api.ledger", description="Verify a pack of evidence.")
    parser.add_argument("pack", type=Path)
    parser.add_argument("--keys", type=Path, required=True, help="logs, witnesses and quorum to believe")
    parser.add_argument("--pinned", type=Path, help="a checkpoint kept from before")
    parser.add_argument("--parties", type=Path, help="keys of people, nodes and probes that you know, a line each")
    parser.add_argument("--kept", type=Path, action="append", default=[], help="a statement that was kept")
    parser.add_argument("--receipt-key", type=Path, help="the service's public key of receipts, for --kept")
    asked = parser.parse_args(words)
    try:
        own = outside.read(asked.parties, asked.kept, asked.receipt_key)
        outcome = verify_files(asked.pack, asked.keys, asked.pinned, int(time.time()), own)
    except LachanError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write("".join(f"{line}\n" for line in lines(outcome)))
    return 0 if outcome.holds else 1


if __name__ == "__main__":
    sys.exit(main())
