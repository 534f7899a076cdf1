"""What each caller may take, so that one that runs wild keeps nobody else from reporting.

Holds always: a call counts against its own party's share and against its organisation's, and only if both grant it. A
share is kept in this process: of several processes each grants it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from compliance_api.domain.parties.bucket import Allowance, Bucket
from lachan.tls import Identity

MAX_HOLDERS = 50_000


@dataclass(frozen=True)
class Share:
    """Of one party, or of one organisation with all its parties."""

    calls: Allowance
    # Reports and observations.
    items: Allowance


class _Holder:
    def __init__(self, share: Share, now: float) -> None:
        self._calls = Bucket(share.calls, now)
        self._items = Bucket(share.items, now)

    def wait(self, items: int, now: float) -> float:
        return max(self._calls.wait(1, now), self._items.wait(items, now))

    def take(self, items: int) -> None:
        self._calls.take(1)
        self._items.take(items)


class Shares:
    """The shares of everybody who called of late."""

    def __init__(self, party: Share, organisation: Share) -> None:
        self._party = party
        self._organisation = organisation
        # The one that called last is the last.
        self._holders: OrderedDict[Identity | str, _Holder] = OrderedDict()

    def take(self, caller: Identity, items: int, now: float) -> float:
        """Takes a call with so many items, or nothing; then it says after how many seconds to come again, else 0."""
        holders = [self._holder(caller, self._party, now), self._holder(caller.organisation, self._organisation, now)]
        wait = max(one.wait(items, now) for one in holders)
        if not wait:
            for one in holders:
                one.take(items)
        return wait

    def _holder(self, who: Identity | str, share: Share, now: float) -> _Holder:
        holder = self._holders.pop(who, None) or _Holder(share, now)
        self._holders[who] = holder
        if len(self._holders) > MAX_HOLDERS:
            # Who has not called for longest has had the time to fill up again.
            self._holders.popitem(last=False)
        return holder
