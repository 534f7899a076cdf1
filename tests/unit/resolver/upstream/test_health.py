"""What workers say of upstreams, put together."""

from __future__ import annotations

from typing import Any

from resolver.upstream.health import UpstreamHealth, fold

NAMES = [("udp:192.0.2.1:53", "default"), ("dot:192.0.2.2:853", "corp")]


def seen(**values: Any) -> dict[str, Any]:
    return {
        "down": False, "looped": False, "failures": 0, "outstanding": 1, "rtt": 0.0, "mixed_case": True,
        "asked": 10, "answered": 8, "failed": 2,
    } | values  # fmt: skip


def test_counts_are_summed_and_times_are_averaged_over_who_knows_them() -> None:
    first, second = fold(
        NAMES,
        [
            [seen(rtt=0.01), seen(down=True, looped=True)],
            [seen(rtt=0.03, mixed_case=False), seen()],
            [seen(), seen()],
            # Of another configuration: its places are others' places.
            [seen(asked=1000)],
        ],
    )
    assert first == UpstreamHealth("udp:192.0.2.1:53", "default", 3, False, False, 3, 0.02, 30, 24, 6)
    assert (second.up, second.looped, second.mixed_case, second.rtt, second.group) == (2, True, True, 0.0, "corp")
    assert first.as_json()["name"] == "udp:192.0.2.1:53"


def test_without_workers_nothing_is_used() -> None:
    assert [one.up for one in fold(NAMES, [])] == [0, 0]
