"""Who may begin a TLS handshake: an address and a time in, yes or no out."""

from __future__ import annotations

from typing import Any

import pytest

from lachan.compliance.v1 import report_pb2 as pb
from resolver.edgefile import EdgeFile
from resolver.listeners.admission import BURST_SECONDS, DROP_ACL, DROP_RATE_LIMIT, Admission
from resolver.settings import mapped, normalise

CLIENT, NEIGHBOUR, CAMPUS, FREE = "192.0.2.1", "192.0.2.2", "192.0.2.128", "192.0.2.200"
STRANGERS = ("198.51.100.1", "203.0.113.1", "2001:db8:f::1")
RATE = 10


class Door:
    def __init__(self, **settings: Any) -> None:
        edge = normalise(
            EdgeFile.model_validate(
                {
                    "organisation": "a",
                    "node": "edge-1",
                    "listen": [{"address": "127.0.0.1"}],
                    "upstreams": [{"address": "127.0.0.1", "port": 5335}],
                    "blocklist": {"snapshot": "rules.snapshot"},
                    "access": {"allow": ["192.0.2.0/24", "2001:db8::/48"]} | settings.pop("access", {}),
                    "dot": {"handshakes_per_second": RATE},
                }
                | settings
            )
        )
        self.turned_away: list[int] = []
        self._admission = Admission(edge, edge.file.dot, self.turned_away.append)

    def admitted(self, address: str, count: int, now: float = 1000.0) -> int:
        return sum(self._admission.admits(mapped(address), now) for _ in range(count))


def test_a_client_begins_so_many_handshakes_and_no_more() -> None:
    door = Door()
    assert door.admitted(CLIENT, 200) == BURST_SECONDS * RATE
    assert door.turned_away == [DROP_RATE_LIMIT] * (200 - BURST_SECONDS * RATE)
    # Another client has its own part, and time brings more.
    assert door.admitted(NEIGHBOUR, 1) == 1
    assert door.admitted(CLIENT, 200, 1001.0) == RATE


def test_an_ipv6_client_is_its_prefix() -> None:
    door = Door()
    assert sum(door.admitted(f"2001:db8::{number:x}", 1) for number in range(200)) == BURST_SECONDS * RATE


def test_strangers_share_what_one_client_has_where_they_are_told() -> None:
    door = Door()
    assert sum(door.admitted(address, 100) for address in STRANGERS) == BURST_SECONDS * RATE
    assert set(door.turned_away) == {DROP_RATE_LIMIT}
    assert door.admitted(CLIENT, 1) == 1


def test_strangers_get_no_handshake_where_they_are_met_by_silence() -> None:
    door = Door(access={"others": "drop"})
    assert [door.admitted(address, 1) for address in STRANGERS] == [0, 0, 0]
    assert door.turned_away == [DROP_ACL] * 3
    assert door.admitted(CLIENT, 1) == 1


@pytest.mark.parametrize("enabled", [True, False])
def test_networks_with_a_rate_of_their_own_keep_their_proportion(enabled: bool) -> None:
    exceptions = [
        {"network": f"{CAMPUS}/32", "queries_per_second": 2000},
        {"network": f"{FREE}/32", "queries_per_second": 0},
    ]
    door = Door(rate_limit={"enabled": enabled, "queries_per_second": 500, "exceptions": exceptions})
    assert door.admitted(CAMPUS, 1000) == 4 * BURST_SECONDS * RATE
    assert door.admitted(FREE, 1000) == 1000
    assert door.admitted(CLIENT, 1000) == BURST_SECONDS * RATE


def test_reasons_are_the_contracts_own() -> None:
    assert (DROP_ACL, DROP_RATE_LIMIT) == (pb.DROP_REASON_ACL, pb.DROP_REASON_RATE_LIMIT)
