"""Two services on one database behave as one, and whatever is killed under load, nothing acknowledged is lost."""

from __future__ import annotations

from pathlib import Path

from tests.ingest.kills import survive


def test_nothing_acknowledged_is_lost_and_nothing_is_doubled(tmp_path: Path) -> None:
    proof, kills, differing = survive(tmp_path, nodes=6, processes=1, seconds=0.5, kinds=2, batch=16)
    assert kills == 2
    assert proof.acknowledged > 0
    assert proof.stored == proof.acknowledged
    assert (proof.lost, proof.doubled, proof.astray, differing) == (0, 0, 0, 0)
