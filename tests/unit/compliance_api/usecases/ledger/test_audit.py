from __future__ import annotations

from collections.abc import Sequence

import pytest

from compliance_api.errors import InvalidRequestError
from compliance_api.usecases.ledger.audit import Audit, Entry, Progress
from lachan.tls import Identity, Role

NODE = Identity("isp-a", Role.NODE, "edge-1")


class Ledger:
    """Five leaves, four of them published."""

    async def progress(self) -> Progress:
        return Progress(5, 4, 1)

    async def checkpoint(self) -> bytes | None:
        return None

    async def consistency(self, old: int, new: int) -> list[bytes]:
        return [b"%d" % old, b"%d" % new]

    async def entries(self, indexes: Sequence[int], size: int) -> list[Entry]:
        assert size <= 4
        subjects = ["isp-a/edge-1", "isp-a/edge-2", "isp-a/edge-1", "law/x"]
        salts = [b"s", b"s", None, b"s"]
        return [Entry(at, "report", subjects[at], 1, b"c", salts[at], None, ()) for at in indexes]


AUDIT = Audit(Ledger())


async def test_a_leaf_is_opened_to_its_node_alone() -> None:
    shown = await AUDIT.inclusion(NODE, [3, 2, 1, 0, 0], 4)
    assert [(one.entry.index, one.opened) for one in shown] == [(0, True), (1, False), (2, False), (3, False)]
    for other in (Identity("isp-a", Role.PROBE, "edge-1"), Identity("isp-b", Role.NODE, "edge-1")):
        assert not any(one.opened for one in await AUDIT.inclusion(other, [0, 1, 2, 3], 4))


@pytest.mark.parametrize(
    ("indexes", "size", "field"),
    [([], 4, "indexes"), ([0] * 257, 4, "indexes"), ([4], 4, "indexes"), ([0], 5, "size"), ([0], 0, "size")],
)
async def test_what_is_not_published_is_not_proven(indexes: list[int], size: int, field: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        await AUDIT.inclusion(NODE, indexes, size)
    assert [one.field for one in refused.value.violations] == [field]


async def test_one_size_follows_another() -> None:
    assert await AUDIT.consistency(2, 4) == [b"2", b"4"]
    for old, new in ((3, 2), (2, 5)):
        with pytest.raises(InvalidRequestError, match="new_size: not below old_size, and at most 4"):
            await AUDIT.consistency(old, new)


async def test_before_the_first_head_there_is_none() -> None:
    assert await AUDIT.checkpoint() == b""
