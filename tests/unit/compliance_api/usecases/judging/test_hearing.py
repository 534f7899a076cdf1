from __future__ import annotations

from datetime import datetime, timedelta

from compliance_api.domain.legal_day import LegalDay
from compliance_api.usecases.judging.hearing import LATE_EVERY, Hearing, LateReports
from tests.support.cases import NOW, law
from tests.support.days import PLACE

TEXT = law(day={"length": "24h", "closes_after": "6h"})
TODAY = LegalDay.of(NOW)


class Outcomes:
    async def since(self, _operator: str, _jurisdiction: str, _since: datetime) -> list[tuple[datetime, datetime]]:
        return []


class Late:
    def __init__(self, *told: LateReports) -> None:
        self.told = list(told)
        self.marks: list[int] = []

    async def unheard(self) -> tuple[list[LateReports], int]:
        return self.told, len(self.told)

    async def heard(self, mark: int) -> None:
        self.marks.append(mark)


async def test_late_reports_have_their_closed_day_judged_anew_once_and_no_other() -> None:
    closed = TODAY.after(-2)
    at = closed.end + timedelta(hours=7)
    late = Late(
        LateReports("a", "edge-1", closed, at),
        # It was counted with what came before it was closed; another's; and one that is not over.
        LateReports("a", "edge-1", TODAY.after(-3), TODAY.after(-3).end + timedelta(hours=5)),
        LateReports("b", "edge-1", TODAY.after(-4), NOW),
        LateReports("a", "edge-9", TODAY.after(-5), NOW),
        LateReports("a", "edge-1", TODAY, NOW),
    )
    hearing = Hearing(Outcomes(), late)
    await hearing.begin(NOW)
    assert hearing.days(PLACE, TEXT, [], NOW) == [closed]
    assert hearing.days(PLACE, law(), [], NOW) == []
    # Nothing is taken for heard before everybody was judged.
    assert late.marks == []
    await hearing.end()
    assert late.marks == [5]
    await hearing.begin(NOW + LATE_EVERY / 2)
    assert hearing.days(PLACE, TEXT, [], NOW) == []
    await hearing.end()
    await hearing.begin(NOW + LATE_EVERY)
    assert hearing.days(PLACE, TEXT, [], NOW) == [closed]
    assert late.marks == [5]
