"""The verb: one zone a serial, whole or not at all, and whoever serves it told."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from blocklist_sync.central.cli import app
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.rpz import zone
from blocklist_sync.central.verbs import rpz
from lachan.durable import FileError
from tests.support.list_authority import ListAuthority
from tests.support.rpz import ORIGIN, Reader


class Desk:
    """A list authority's folder with a zone beside it."""

    def __init__(self, folder: Path) -> None:
        self.authority = ListAuthority(folder)
        self.out = folder / "zones" / "lachan.zone"
        self.out.parent.mkdir()

    def rpz(self, *options: str) -> dict[str, Any]:
        release = str(self.authority.release.folder)
        arguments = ["rpz", "--release", release, "--out", str(self.out), "--origin", ORIGIN, "--json", *options]
        result = CliRunner().invoke(app, arguments)
        if result.exception is not None:
            raise result.exception
        return json.loads(result.stdout)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_publication_makes_one_zone_and_the_same_again_writes_nothing(desk: Desk) -> None:
    desk.authority.publish("bad.example", "worse.example")
    told = desk.rpz()
    assert (told["serial"], told["owners"], told["written"]) == (1, 4, True)
    assert desk.out.stat().st_mode & 0o777 == 0o640
    first = desk.out.read_bytes()
    assert desk.rpz()["written"] is False
    assert desk.out.read_bytes() == first
    desk.authority.publish("bad.example")
    assert desk.rpz()["serial"] == 2
    reader = Reader(desk.out.read_text())
    assert reader.plain("www.bad.example")
    assert reader.plain("worse.example") is None


def test_other_settings_under_the_same_serial_are_refused(desk: Desk) -> None:
    desk.authority.publish("bad.example")
    desk.rpz()
    before = desk.out.read_bytes()
    with pytest.raises(CentralError, match="next release"):
        desk.rpz("--ttl", "30")
    desk.out.write_bytes(before.replace(b"serial=1 ", b"serial=9 ", 1))
    with pytest.raises(CentralError, match="newer than the published serial 1"):
        desk.rpz()


def test_whoever_serves_the_zone_is_told_without_a_shell(desk: Desk, tmp_path: Path) -> None:
    desk.authority.publish("bad.example")
    told = tmp_path / "told"
    desk.rpz(
        "--reload", f"{sys.executable} -c 'import sys; open(sys.argv[1], \"w\").write(sys.argv[2])' {told} $HOME;x"
    )
    assert told.read_text() == "$HOME;x"


@pytest.mark.parametrize(
    "command", ["/nowhere/knotc zone-reload", "'", "", f"{sys.executable} -c 'raise SystemExit(3)'"]
)
def test_a_reload_that_fails_is_said_and_the_zone_stays(desk: Desk, command: str) -> None:
    desk.authority.publish("bad.example")
    with pytest.raises(CentralError, match="the file is written, but"):
        desk.rpz("--reload", command)
    assert desk.out.exists()


def test_neither_waits_for_a_build_nor_makes_one_fail(desk: Desk) -> None:
    desk.authority.publish("bad.example")
    with desk.authority.release.locked():
        assert desk.rpz()["written"] is True


def test_a_publication_under_way_is_waited_for(desk: Desk) -> None:
    desk.authority.publish("bad.example")
    desk.authority.build("worse.example")
    release = desk.authority.release
    last = release.published()[-1]
    release.reserve(replace(last, serial=last.serial + 1))
    with release.locked(), pytest.raises(FileError):
        desk.rpz()
    # It was interrupted, and nothing changed yet: what is published is what it was.
    assert desk.rpz()["serial"] == 1


def test_following_does_not_try_again_what_stands(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.authority.publish("bad.example")
    desk.rpz()
    tried: list[str] = []

    def write() -> None:
        tried.append("")
        desk.rpz("--ttl", "30")

    def sleep(_: float) -> None:
        if len(looks) == 5:
            raise KeyboardInterrupt
        looks.append(1)

    looks: list[int] = []
    monkeypatch.setattr(rpz.time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        rpz._follow(desk.authority.release, write)
    assert len(tried) == 1


def test_what_has_no_room_is_named(desk: Desk) -> None:
    long = ".".join(["a" * 60] * 4)[: 253 - len(".example")] + ".example"
    desk.authority.publish("bad.example", long)
    told = desk.rpz()
    assert (told["left_out"], told["left_out_first"]) == (1, [long])
    assert not zone.has_room_for(long, ORIGIN)
    assert zone.has_room_for("bad.example", ORIGIN)
    assert not zone.has_room_for("name.rpz-ip", ORIGIN)
