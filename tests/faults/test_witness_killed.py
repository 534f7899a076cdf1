"""A witness killed at any moment never cosigned more than it remembers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from compliance_api.ledger.witness import Witness
from lachan.signing import SigningKey
from tests.support.ledger import NOON, ORIGIN, Parties, forest

COSIGNED_BEFORE_THE_KILL = 25

GROWING = """
import sys
from pathlib import Path
from lachan.ledger.checkpoint import Checkpoint
from lachan.ledger.note import NoteKey
from compliance_api.ledger.witness import Witness
from lachan.signing import SigningKey
from tests.support.ledger import NOON, ORIGIN, forest

folder, keys, known = Path(sys.argv[1]), Path(sys.argv[2]), NoteKey.parse(sys.argv[3])
log, woods = SigningKey.load(keys / "log.pem"), forest(2000)
with Witness.opened(folder, "w1.example/witness", SigningKey.load(keys / "w1.pem"), [known]) as witness:
    for size in range(1, woods.size):
        signed = Checkpoint(ORIGIN, size, woods.root(size)).signed(log)
        witness.add_checkpoint(size - 1, woods.consistency(size - 1, size), signed.encode(), NOON)
        print(size, flush=True)
"""


def test_a_killed_witness_remembers_all_it_cosigned(tmp_path: Path) -> None:
    parties, woods = Parties(), forest(2000)
    parties.log.save(tmp_path / "log.pem")
    parties.witnesses["w1"].save(tmp_path / "w1.pem")
    folder = tmp_path / "witness"
    command = [sys.executable, "-c", GROWING, str(folder), str(tmp_path), str(parties.log_key)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = 0
        for line in process.stdout:
            told = int(line)
            if told >= COSIGNED_BEFORE_THE_KILL:
                process.kill()
                break
        told = max([told, *(int(line) for line in process.stdout if line.endswith("\n"))])
    key = SigningKey.load(tmp_path / "w1.pem")
    with Witness.opened(folder, "w1.example/witness", key, [parties.log_key]) as witness:
        last = witness.last(ORIGIN)
        assert last is not None
        # It may have kept one that it did not come to say; never the other way about.
        assert told <= last.size <= told + 1
        signed = parties.head(woods.size, woods.root(), {})
        witness.add_checkpoint(last.size, woods.consistency(last.size), signed.encode(), NOON)
