from __future__ import annotations

from collections.abc import Sequence

from compliance_api.usecases.ledger.cite import Cite, Cited
from lachan.ledger.leaf import Kind


class House:
    """A registry and a store of what was heard."""

    def __init__(self) -> None:
        self.pages = {"": (["1", "2"], "2"), "2": (["3"], "")}
        self.log = [1, 4, 9]
        self.heard: list[str] = []
        self.asked: list[int] = []

    async def orders(self, token: str) -> tuple[list[Cited], str]:
        numbers, following = self.pages[token]
        return [Cited(Kind.ORDER, f"order/{number}", {"number": number}) for number in numbers], following

    async def approvals(self, after: int) -> tuple[list[Cited], int]:
        self.asked.append(after)
        shown = [step for step in self.log if step > after][:2]
        return [Cited(Kind.APPROVAL, f"approval/{step}", {}) for step in shown], max([after, *shown])

    async def save(self, cited: Sequence[Cited]) -> int:
        self.heard += [one.subject for one in cited]
        return len(cited)


async def test_every_page_is_heard_and_approvals_go_on_where_they_were() -> None:
    house = House()
    cite = Cite(house, house)
    assert await cite.refresh() == 6
    assert house.heard == ["order/1", "order/2", "order/3", "approval/1", "approval/4", "approval/9"]
    assert house.asked == [0, 4, 9]
    house.log.append(12)
    assert await cite.refresh() == 4
    assert house.asked[3:] == [9, 12]
