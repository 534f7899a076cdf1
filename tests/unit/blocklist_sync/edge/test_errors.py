from __future__ import annotations

from blocklist_sync.edge.errors import Failure, Reason, RefusedError, RoundError


def test_another_mirror_may_do_better_but_for_what_was_signed_and_for_the_own_disk() -> None:
    assert [failure for failure in Failure if not RoundError(failure, "x").of_mirror] == [Failure.STORAGE]
    assert not RefusedError(Reason.MALFORMED, "signed as it is").of_mirror
    assert RefusedError(Reason.TAMPERED, "on its way", of_mirror=True).of_mirror
