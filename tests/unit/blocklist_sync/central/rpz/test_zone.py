"""The zone file: its records, its serial, and what has no place in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from blocklist_sync.artifact.categories import Action, Category
from blocklist_sync.artifact.policy import PolicyBundle, default
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.rpz.zone import Head, Reason, ZoneSettings, newer, soa_serial
from tests.support.blocklist import entry
from tests.support.rpz import DIGEST, ORIGIN, Reader, owners_of, zone_of


def bundle(action: Action) -> PolicyBundle:
    return replace(default(), actions=MappingProxyType({Category.GAMBLING: action}))


def records(tmp_path: Path, action: Action, **settings: str) -> list[tuple[str, str]]:
    held = owners_of([entry("bad.example")], frozenset(), tmp_path)
    text, _, _ = zone_of(held, settings=ZoneSettings(ORIGIN, **settings), bundle=bundle(action))
    found = Reader(text).plain("www.bad.example")
    assert found is not None
    return sorted(found)


def test_the_apex_says_the_release_and_who_is_asked_learns_it(tmp_path: Path) -> None:
    text, counts, _ = zone_of(owners_of([entry("bad.example")], frozenset(), tmp_path), serial=7)
    reader = Reader(text)
    soa = reader.zone.find_rdataset("@", "SOA")[0]
    assert (soa.serial, soa.minimum) == (7, 10)
    assert reader.plain("lachan-serial.rpz.so.example") == [
        ("TXT", f'"serial=7" "records={DIGEST}" "profile=mandated"')
    ]
    assert counts.owners == 2
    assert Head.read(text.splitlines(keepends=True)[0]) == Head(7, DIGEST, ZoneSettings(ORIGIN).digest(default()))


def test_nothing_denies_what_an_exception_below_lets_pass(tmp_path: Path) -> None:
    listed = [entry("bad.example"), entry("ok.bad.example", exception=True), entry("one.example", scope=Scope.EXACT)]
    reader = Reader(zone_of(owners_of(listed, frozenset(), tmp_path))[0])
    # NXDOMAIN would be taken for the whole subtree (RFC 8020).
    assert reader.plain("bad.example") == [("CNAME", "*.")]
    assert reader.plain("one.example") == [("CNAME", "*.")]
    assert reader.plain("deep.ok.bad.example") == [("CNAME", "rpz-passthru.")]


def test_each_action_has_its_records(tmp_path: Path) -> None:
    assert records(tmp_path, Action.NXDOMAIN) == [("CNAME", ".")]
    assert records(tmp_path, Action.NODATA) == [("CNAME", "*.")]
    assert records(tmp_path, Action.NULL_IP) == [("A", "0.0.0.0"), ("AAAA", "::")]
    assert records(tmp_path, Action.SINKHOLE, sinkhole="block.so.example") == [("CNAME", "block.so.example.")]
    # What a zone cannot say is said as the default is, and counted.
    assert records(tmp_path, Action.SINKHOLE) == records(tmp_path, Action.REFUSED) == [("CNAME", ".")]
    _, counts, _ = zone_of(owners_of([entry("bad.example")], frozenset(), tmp_path), bundle=bundle(Action.REFUSED))
    assert counts.actions_replaced == 2


def test_names_without_room_in_front_of_the_origin_are_reported(tmp_path: Path) -> None:
    room = 253 - len(ORIGIN) - 1
    fits, twin, long = (
        ".".join([*["a" * 61] * 3, "b" * (size - 62 * 3 - 8), "example"]) for size in (room - 2, room, room + 1)
    )
    text, counts, left_out = zone_of(owners_of(map(entry, (fits, twin, long)), frozenset(), tmp_path))
    reader = Reader(text)
    assert reader.plain(fits)
    assert reader.plain(twin)
    assert reader.exact(f"w.{twin}") is None
    assert sorted(left_out) == sorted([(twin, Reason.WILDCARD_TOO_LONG), (long, Reason.TOO_LONG)])
    assert counts.left_out == {Reason.WILDCARD_TOO_LONG: 1, Reason.TOO_LONG: 1}


def test_no_name_becomes_a_trigger_on_addresses(tmp_path: Path) -> None:
    listed = [entry("24.0.2.0.192.rpz-ip"), entry("ns.example.rpz-nsdname")]
    text, _, left_out = zone_of(owners_of(listed, frozenset(), tmp_path))
    assert {reason for _, reason in left_out} == {Reason.OTHER_TRIGGER}
    assert "rpz-ip" not in text


def test_serials_go_round() -> None:
    assert soa_serial((1 << 32) + 5) == 5
    assert newer(2, 1)
    assert not newer(1, 1)
    assert not newer(1, 2)
    assert newer((1 << 32) + 1, (1 << 32) - 1)


def test_the_same_list_has_the_same_bytes(tmp_path: Path) -> None:
    listed = [entry("b.example"), entry("a.example")]
    assert (
        zone_of(owners_of(listed, frozenset(), tmp_path))[0]
        == zone_of(owners_of(listed[::-1], frozenset(), tmp_path))[0]
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "rpz"}, {"origin": "so.example"}, {"origin": "A.rpz.example"}, {"origin": "a.rpz.example."},
        {"origin": "x" * 60 + "." + "y" * 60 + "." + "z" * 60 + "." + "v" * 60 + ".example"},
        {"nameserver": "ns"}, {"contact": "a@b.example"}, {"sinkhole": "-.example"}, {"ttl": 0}, {"expire": 1 << 31},
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_make_no_zone_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(CentralError):
        zone_of([], settings=ZoneSettings(**({"origin": ORIGIN} | wrong)))  # type: ignore[arg-type]


def test_another_programs_first_line_is_no_head() -> None:
    assert Head.read("; written by hand\n") is None
